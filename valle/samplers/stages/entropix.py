"""The chooser that looks at how sure the model is, and where it looks."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration

_NO_LAST_POSITION = "all positions are decided in one pass, so there is no last one to look from"
_SOURCE = "xjdr, entropix"


def _entropy(name: str, default: float, help: str, bounded_by: str | None = None) -> Parameter:
    return Parameter(
        name, "number", default, help, minimum=0.0, maximum=20.0, step=0.1, unit="bits", bounded_by=bounded_by
    )


def _varentropy(name: str, default: float, help: str, bounded_by: str | None = None) -> Parameter:
    return Parameter(
        name,
        "number",
        default,
        help,
        minimum=0.0,
        maximum=100.0,
        step=0.1,
        unit="bits^2",
        bounded_by=bounded_by,
    )


ENTROPIX = StageDeclaration(
    name="entropix",
    family="choosers",
    kind="chooser",
    place=900,
    function="valle.samplers.functions.entropix:entropix",
    help="Chooses by region: takes the best id where the model is sure, draws hotter where it is not, by "
    "what its attention does, and takes the best of several draws in between. The thresholds are for words; "
    "valle-lab samplers --calibrate finds those of a model.",
    source=f"{_SOURCE}; without its clarifying token, which audio does not have",
    needs=frozenset({"attention"}),
    refused={"nar": _NO_LAST_POSITION, "nar_len": _NO_LAST_POSITION},
    purpose="choose",
    parameters=(
        _entropy("low_entropy", 0.1, "Below this, with little varentropy: sure.", "high_entropy"),
        _entropy("medium_entropy", 3.0, "With much varentropy: up to this forked, above it lost."),
        _entropy("high_entropy", 5.0, "Above this, with little varentropy: even."),
        _varentropy("low_varentropy", 0.1, "Below this there is little varentropy.", "high_varentropy"),
        _varentropy("high_varentropy", 5.0, "Above this there is much varentropy."),
        Parameter(
            "of",
            "choice",
            "raw",
            "What the regions are measured on: the model's own logits, or what enters this stage.",
            choices=("raw", "here"),
            fixed=True,
        ),
        Parameter(
            "temperature",
            "number",
            0.666,
            "The temperature that the regions multiply; 0 is greedy.",
            minimum=0.0,
            maximum=5.0,
            step=0.05,
            source=_SOURCE,
        ),
        Parameter(
            "top_p",
            "number",
            0.9,
            "Draws are from the smallest set of best ids that reaches this; lost lowers it, to 0.5 at most.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
            source=_SOURCE,
        ),
        Parameter(
            "top_k",
            "integer",
            27,
            "Draws are from so many ids at most; forked raises it; 0 sets no such limit.",
            minimum=0,
            maximum=100_000,
            step=1,
            unit="ids",
            source=_SOURCE,
        ),
        Parameter(
            "min_p",
            "number",
            0.03,
            "Draws are from ids with at least this share of the highest probability; 0 is off.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
            source=_SOURCE,
        ),
        Parameter(
            "draws",
            "integer",
            5,
            "In between: how many draws the most likely is taken of.",
            minimum=1,
            maximum=32,
            step=1,
            fixed=True,
            source=_SOURCE,
        ),
        Parameter(
            "layers",
            "ids",
            (),
            "The layers whose attention is averaged, counted from 0; empty takes all.",
            minimum=0,
            maximum=1_000,
            fixed=True,
        ),
    ),
)
