"""Search modes: they stand in the chooser's place and decide over hypotheses of a whole phase."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration

_IN_ONE_PASS = "a level is decided in one pass, so there are no hypotheses to go on with"
_OUT_OF_ORDER = "positions are decided out of order, in rounds, so there are no hypotheses to go on with"
_ONE_NUMBER = "it decides one short number; greedy finds it"
_REFUSED = {"nar": _IN_ONE_PASS, "nar_len": _OUT_OF_ORDER, "len": _ONE_NUMBER}

DECLARATIONS = (
    StageDeclaration(
        name="beam_search",
        also=("num_beams", "beam_width"),
        family="search",
        kind="search",
        place=950,
        function="valle.samplers.functions.search:beam_score",
        help="Goes on with the best few beginnings at a time, by their log-probability after the stack, and "
        "takes the best one that ended.",
        source="Wu et al. 2016, arXiv 1609.08144; transformers",
        refused=_REFUSED,
        parameters=(
            Parameter(
                "width",
                "integer",
                4,
                "How many beams there are; 1 is greedy.",
                minimum=1,
                maximum=64,
                step=1,
                fixed=True,
                unit="beams",
            ),
            Parameter(
                "length_penalty",
                "number",
                1.0,
                "The power of the length that a log-probability is divided by; 0 compares them as they are, "
                "which favours short takes.",
                minimum=-2.0,
                maximum=5.0,
                step=0.05,
                fixed=True,
            ),
            Parameter(
                "form",
                "choice",
                "power",
                "power: the length itself; gnmt: (5 + length) / 6.",
                choices=("power", "gnmt"),
                fixed=True,
                source="power: transformers; gnmt: arXiv 1609.08144",
            ),
            Parameter(
                "until",
                "choice",
                "enough",
                "enough: ends when as many beams have ended as there are beams; best: only when no beam that "
                "goes on can still come out better.",
                choices=("enough", "best"),
                fixed=True,
            ),
        ),
    ),
    StageDeclaration(
        name="best_of",
        family="search",
        kind="search",
        place=950,
        function="valle.samplers.functions.search:best_of_score",
        help="Draws several hypotheses to their ends, each with noise of its own, and takes the best one; "
        "those that found an end come before those that did not.",
        source="VALL-E X (best of 5 by mean log-probability); VoiceCraft (the shortest)",
        refused=_REFUSED,
        purpose="choose",
        parameters=(
            Parameter(
                "count",
                "integer",
                4,
                "How many hypotheses are drawn; the first has the noise of a plain draw.",
                minimum=1,
                maximum=64,
                step=1,
                fixed=True,
                unit="hypotheses",
            ),
            Parameter(
                "score",
                "choice",
                "mean",
                "mean: log-probability per step, after the stack; raw_mean: the same as the model gave it, "
                "before the stack; total: the sum after the stack; shortest: the fewest steps.",
                choices=("mean", "raw_mean", "total", "shortest"),
                fixed=True,
                source="mean: VALL-E X; shortest: VoiceCraft",
            ),
        ),
    ),
)
