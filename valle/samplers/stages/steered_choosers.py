"""Choosers that look at what was taken before."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration
from valle.samplers.stages.shared import WITHOUT_NEIGHBOURS

_NO_DRAWS_BEFORE = {
    "nar": "a level is decided in one pass, so there is no earlier draw to learn from",
    "nar_len": "positions are decided out of order, so their draws are no sequence to learn from",
}

_MIROSTAT = StageDeclaration(
    name="mirostat",
    family="choosers",
    kind="chooser",
    place=900,
    function="valle.samplers.functions.mirostat:mirostat",
    start="valle.samplers.functions.mirostat:start_mirostat",
    accept="valle.samplers.functions.mirostat:accept_mirostat",
    help="Draws so that the surprise of what is taken stays near a target: a cut mu, at first twice the "
    "target, moves against the error of every draw.",
    source="Basu et al. 2020, arXiv 2007.14966; version 2 as in llama.cpp",
    refused=_NO_DRAWS_BEFORE,
    purpose="choose",
    parameters=(
        Parameter(
            "target",
            "number",
            5.0,
            "The mean surprise to hold, minus the base 2 logarithm of a probability.",
            minimum=0.0,
            maximum=10.0,
            step=0.1,
            unit="bits",
        ),
        Parameter(
            "learning_rate",
            "number",
            0.1,
            "What share of a draw's error mu moves by; 0 holds mu still.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
        ),
        Parameter(
            "version",
            "integer",
            2,
            "1 keeps the k best ids, for a k from mu and from the law of Zipf that fits the row; "
            "2 keeps the ids whose surprise is at most mu.",
            minimum=1,
            maximum=2,
            step=1,
            fixed=True,
        ),
        Parameter(
            "candidates",
            "integer",
            100,
            "Version 1: how many of the best ids the law of Zipf is fitted to.",
            minimum=2,
            maximum=100_000,
            step=1,
            unit="ids",
            fixed=True,
        ),
        Parameter(
            "surprise",
            "choice",
            "row",
            "What a draw's surprise is measured on: the row that entered, or the ids that were kept.",
            choices=("row", "kept"),
            fixed=True,
            source="row: the paper; kept: llama.cpp",
        ),
    ),
)

_ADAPTIVE_P = StageDeclaration(
    name="adaptive_p",
    family="choosers",
    kind="chooser",
    place=900,
    function="valle.samplers.functions.adaptive_p:adaptive_p",
    start="valle.samplers.functions.adaptive_p:start_adaptive_p",
    accept="valle.samplers.functions.adaptive_p:accept_adaptive_p",
    help="Draws ids whose probability is near a target, aiming higher after unlikely ids and lower after "
    "likely ones. Best after a truncation, which keeps it from the far tail.",
    source="MrJackSpade, llama.cpp pull request 17927",
    refused=_NO_DRAWS_BEFORE,
    purpose="choose",
    parameters=(
        Parameter(
            "target",
            "number",
            0.5,
            "The probability that the ids taken should have on average.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        Parameter(
            "decay",
            "number",
            0.9,
            "How slowly draws before fade from the average; 0 remembers only the latest.",
            minimum=0.0,
            maximum=0.99,
            step=0.01,
        ),
    ),
)

_REPETITION_AWARE = StageDeclaration(
    name="repetition_aware",
    also=("ras",),
    family="choosers",
    kind="chooser",
    place=900,
    function="valle.samplers.functions.repetition_aware:repetition_aware",
    help="Draws from the nucleus, and draws again, otherwise, where that id has come too often among the "
    "latest ids of its codebook.",
    source="VALL-E 2, Chen et al. 2024, arXiv 2406.05370; CosyVoice",
    needs=frozenset({"history"}),
    refused=WITHOUT_NEIGHBOURS,
    purpose="choose",
    parameters=(
        Parameter(
            "top_p",
            "number",
            0.8,
            "The first draw: from the smallest set of best ids that reaches this; 0 takes the best id.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
        ),
        Parameter(
            "top_k",
            "integer",
            0,
            "The first draw: from so many ids at most; 0 sets no such limit.",
            minimum=0,
            maximum=100_000,
            step=1,
            unit="ids",
            source="25: CosyVoice",
        ),
        Parameter(
            "window",
            "integer",
            10,
            "How many of the latest ids are looked at; a shorter past counts as if it were so long.",
            minimum=1,
            maximum=100_000,
            step=1,
            unit="steps",
        ),
        Parameter(
            "threshold",
            "number",
            0.1,
            "The share of the window that the id may have.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        Parameter(
            "rule",
            "choice",
            "above",
            "above: draws again where the share exceeds the threshold; reaching: where it equals it, too.",
            choices=("above", "reaching"),
            fixed=True,
            source="above: VALL-E 2; reaching: CosyVoice",
        ),
        Parameter(
            "redraw",
            "choice",
            "full",
            "What the second draw is from: the full row; the row with the repeated id banned; or the row "
            "at redraw_temperature, cut at redraw_top_p.",
            choices=("full", "banned", "tempered"),
            fixed=True,
            source="full: VALL-E 2; banned: CosyVoice 3",
        ),
        Parameter(
            "redraw_temperature",
            "number",
            1.5,
            "The temperature of a tempered redraw.",
            minimum=0.05,
            maximum=10.0,
            step=0.05,
        ),
        Parameter(
            "redraw_top_p",
            "number",
            1.0,
            "The top-p of a tempered redraw, after its temperature.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
        ),
    ),
)

STEERED = (_MIROSTAT, _ADAPTIVE_P, _REPETITION_AWARE)
