"""Stages that cut the unlikely ids off. All keep at least one, and ties at a cut go to the lowest id."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration

DECLARATIONS = (
    StageDeclaration(
        name="top_k",
        family="truncation",
        kind="stage",
        place=310,
        function="valle.samplers.functions.truncation:top_k",
        help="Keeps the k most likely ids.",
        source="Fan et al. 2018, arXiv 1805.04833",
        keeps_argmax=True,
        parameters=(
            Parameter(
                "k",
                "integer",
                50,
                "How many ids stay; 0 is off.",
                minimum=0,
                maximum=100_000,
                step=1,
                neutral=0,
                unit="ids",
                logarithmic=True,
            ),
        ),
    ),
    StageDeclaration(
        name="top_p",
        also=("nucleus",),
        family="truncation",
        kind="stage",
        place=330,
        function="valle.samplers.functions.truncation:top_p",
        help="Keeps the most likely ids until their probabilities reach p.",
        source="Holtzman et al. 2019, arXiv 1904.09751",
        keeps_argmax=True,
        parameters=(
            Parameter(
                "p",
                "number",
                0.95,
                "The probability to reach; 1 is off.",
                minimum=0.0,
                maximum=1.0,
                step=0.01,
                neutral=1.0,
            ),
            Parameter(
                "rule",
                "choice",
                "reach",
                "reach: the smallest set with at least p. llama3: drops an id where the "
                "probability before it exceeds p (one more at an exact tie). below: never more than p, save "
                "the first.",
                choices=("reach", "llama3", "below"),
                fixed=True,
                source="reach: transformers, vLLM, llama.cpp; llama3: the generation code of that model; "
                "below: exllamav3",
            ),
        ),
    ),
    StageDeclaration(
        name="min_p",
        family="truncation",
        kind="stage",
        place=340,
        function="valle.samplers.functions.truncation:min_p",
        help="Keeps the ids whose probability is at least m times that of the most likely one.",
        source="Nguyen et al. 2024, arXiv 2407.01082",
        keeps_argmax=True,
        parameters=(
            Parameter(
                "p",
                "number",
                0.05,
                "The share m of the highest probability; 0 is off.",
                minimum=0.0,
                maximum=1.0,
                step=0.01,
                neutral=0.0,
            ),
        ),
    ),
)
