"""Stages against loops: n-grams, suffixes that go on as before, runs of silence."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration
from valle.samplers.stages.shared import WITHOUT_NEIGHBOURS, ids, steps

_NO_SOUND = "its tokens are not codes of sound"
_SEARCHED = "How many of the latest ids are searched; 0 searches all of them."

DECLARATIONS = (
    StageDeclaration(
        name="no_repeat_ngram",
        also=("no_repeat_ngram_size",),
        family="loops",
        kind="stage",
        place=230,
        function="valle.samplers.functions.loops:no_repeat_ngram",
        help="Forbids every id that would complete an n-gram of the past.",
        source="fairseq; transformers (NoRepeatNGramLogitsProcessor)",
        needs=frozenset({"history"}),
        refused=WITHOUT_NEIGHBOURS,
        parameters=(
            Parameter(
                "size",
                "integer",
                4,
                "n, the length of the sequences that must not come twice; 0 is off.",
                minimum=0,
                maximum=100,
                step=1,
                neutral=0,
                fixed=True,
                unit="ids",
            ),
            steps("window", _SEARCHED, 0),
        ),
    ),
    StageDeclaration(
        name="dry",
        family="loops",
        kind="stage",
        place=240,
        function="valle.samplers.functions.loops:dry",
        help="Lowers the ids that would go on as the past did after the same ids, more after a long match.",
        source="text-generation-webui PR 5677 (don't repeat yourself); llama.cpp PR 9702",
        needs=frozenset({"history"}),
        refused=WITHOUT_NEIGHBOURS,
        parameters=(
            Parameter(
                "multiplier",
                "number",
                0.8,
                "What a match of the allowed length is lowered by; 0 is off.",
                minimum=0.0,
                maximum=100.0,
                step=0.1,
                neutral=0.0,
                unit="nats",
            ),
            Parameter(
                "base",
                "number",
                1.75,
                "What the penalty grows by with every id that the match is longer.",
                minimum=1.0,
                maximum=10.0,
                step=0.05,
            ),
            Parameter(
                "allowed_length",
                "integer",
                2,
                "The length from which on a match is penalised. Matches of more than 50 count as 50.",
                minimum=1,
                maximum=50,
                step=1,
                unit="ids",
            ),
            steps("range", _SEARCHED, 0),
            ids("breakers", "Ids at which a match ends; they are never penalised themselves."),
        ),
    ),
    StageDeclaration(
        name="silence_penalty",
        family="loops",
        kind="stage",
        place=250,
        function="valle.samplers.functions.loops:silence_penalty",
        help="Makes codes of silence less likely the longer a run of silence is.",
        source="VoiceCraft, Peng et al. 2024, arXiv 2403.16973 (stop_repetition)",
        needs=frozenset({"history"}),
        refused={**WITHOUT_NEIGHBOURS, **dict.fromkeys(("len", "stt", "phn", "un_phn"), _NO_SOUND)},
        parameters=(
            ids("ids", "The codes that sound like silence, as the codec gives them for zeros.", neutral=()),
            Parameter(
                "penalty",
                "number",
                1.0,
                "What the divisor, 1 at first, grows by with every step that the run is too long; 0 is off.",
                minimum=0.0,
                maximum=100.0,
                step=0.1,
                neutral=0.0,
            ),
            steps(
                "allowed",
                "How long a run may be before it is penalised.",
                4,
                source="4 is stop_repetition 3 of VoiceCraft",
            ),
            Parameter(
                "run",
                "choice",
                "same",
                "same: the latest code, repeated, and only that one is lowered. any: silence codes in any "
                "order, and all of them are lowered.",
                choices=("same", "any"),
                fixed=True,
                source="same: VoiceCraft",
            ),
        ),
    ),
)
