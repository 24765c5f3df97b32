"""Guidance: the first stage of a list, where there is one. It needs a second pass of the model, the null one.

What the null pass is given is the request's (``valle.request.NullBranch``); what becomes of it is said here.
"""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration

DECLARATIONS = (
    StageDeclaration(
        name="guidance",
        also=("cfg", "cfg_scale", "cfg_strength", "guidance_scale"),
        family="guidance",
        kind="guidance",
        place=0,
        function="valle.samplers.functions.guidance:guidance",
        start="valle.samplers.functions.guidance:start_guidance",
        accept="valle.samplers.functions.guidance:accept_guidance",
        gather="valle.samplers.functions.guidance:gather_guidance",
        help="Classifier-free guidance: away from what the model gives in a second pass without text and "
        "voice, or with others. That pass makes a step about twice as long.",
        source="Sanchez et al. 2023, arXiv 2306.17806; Ho and Salimans 2022, arXiv 2207.12598",
        needs=frozenset({"null"}),
        parameters=(
            Parameter(
                "scale",
                "number",
                1.5,
                "How far from the null pass: null + scale * (conditional - null). 1 switches the stage off, "
                "0 is the null pass alone.",
                minimum=0.0,
                maximum=20.0,
                step=0.1,
                neutral=1.0,
            ),
            Parameter(
                "log_softmax",
                "boolean",
                False,
                "Makes log-probabilities of both passes first. It shifts each row, which only stages that "
                "look at the sign of a logit notice.",
                fixed=True,
                source="true: generate of transformers",
            ),
            Parameter(
                "rescale",
                "number",
                0.0,
                "How much of the conditional logits' standard deviation the guided ones get back; 0 is none.",
                minimum=0.0,
                maximum=1.0,
                step=0.05,
                source="Lin et al. 2023, arXiv 2305.08891",
            ),
            Parameter(
                "rescale_over",
                "choice",
                "row",
                "What the deviation is of: the row; or the sequence so far, from where guidance began (in "
                "nar and nar_len: all positions of the pass).",
                choices=("row", "sequence"),
                fixed=True,
                source="sequence: the reference",
            ),
            Parameter(
                "blend",
                "number",
                1.0,
                "The share of the guided log-probabilities; the rest is of the conditional ones.",
                minimum=0.0,
                maximum=1.0,
                step=0.05,
                source="0.7: the authors of arXiv 2306.17806",
            ),
            Parameter(
                "candidates",
                "integer",
                0,
                "Keeps only the ids that are among so many best of the guided row; 0 keeps all. With a blend "
                "of 0, guidance only picks the candidates.",
                minimum=0,
                maximum=100_000,
                step=1,
                unit="ids",
                fixed=True,
                source="Dia: 45, with a blend of 0",
            ),
        ),
    ),
)
