"""Stages that make ids of the past less likely."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration
from valle.samplers.stages.shared import WITHOUT_A_PAST, steps

_WINDOW = steps("window", "How many of the latest ids count; 0 counts all of them.", 75)


def _subtraction(name: str, place: int, help: str, per: str) -> StageDeclaration:
    """A penalty that is subtracted, and so needs to know nothing of signs."""
    return StageDeclaration(
        name=name,
        family="penalties",
        kind="stage",
        place=place,
        function=f"valle.samplers.functions.penalties:{name}",
        help=help,
        source=f"OpenAI's {name}; vLLM, llama.cpp",
        needs=frozenset({"history"}),
        refused=WITHOUT_A_PAST,
        parameters=(
            Parameter(
                "penalty",
                "number",
                0.1,
                f"What is subtracted{per}; below 0 repeats more.",
                minimum=-10.0,
                maximum=10.0,
                step=0.05,
                neutral=0.0,
                unit="nats",
            ),
            _WINDOW,
        ),
    )


DECLARATIONS = (
    StageDeclaration(
        name="repetition_penalty",
        also=("repeat_penalty",),
        family="penalties",
        kind="stage",
        place=200,
        function="valle.samplers.functions.penalties:repetition_penalty",
        help="Divides the positive and multiplies the negative logits of past ids of the same codebook.",
        source="Keskar et al. 2019, arXiv 1909.05858, with the sign rule of transformers",
        needs=frozenset({"history"}),
        refused=WITHOUT_A_PAST,
        parameters=(
            Parameter(
                "penalty",
                "number",
                1.1,
                "The divisor; above 1 repeats less, below 1 repeats more.",
                minimum=0.1,
                maximum=10.0,
                step=0.05,
                neutral=1.0,
            ),
            _WINDOW,
            Parameter(
                "decay",
                "number",
                0.0,
                "How fast the penalty fades with the distance d of the latest occurrence: "
                "penalty - 1 shrinks as d to the power of minus this. 0 does not fade.",
                minimum=0.0,
                maximum=10.0,
                step=0.05,
            ),
            Parameter(
                "count",
                "choice",
                "id",
                "Once per id of the past, or once per occurrence (the penalties multiply).",
                choices=("id", "occurrence"),
                fixed=True,
            ),
            Parameter(
                "normalize",
                "boolean",
                False,
                "Log-softmax first: every logit is negative then, so the penalty "
                "always lowers and does not depend on a shift of the logits.",
                fixed=True,
                source="arXiv 2607.09791",
            ),
        ),
    ),
    _subtraction(
        "frequency_penalty",
        210,
        "Lowers the logits of past ids of the same codebook once for every occurrence.",
        " per occurrence",
    ),
    _subtraction(
        "presence_penalty",
        220,
        "Lowers the logits of past ids of the same codebook, however often they occurred.",
        "",
    ),
)
