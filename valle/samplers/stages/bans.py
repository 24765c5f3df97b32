"""Stages that forbid or favour single ids: bans, the range of a phase, minimum length, biases."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration
from valle.samplers.stages.shared import HIGHEST_ID, WITHOUT_A_STOP, an_id, ids, steps

DECLARATIONS = (
    StageDeclaration(
        name="ban_tokens",
        also=("suppress_tokens",),
        family="bans",
        kind="stage",
        place=100,
        function="valle.samplers.functions.bans:ban_tokens",
        help="Forbids ids: their logits become -inf. Ids that the head does not have are ignored.",
        source="fairseq and transformers (SuppressTokensLogitsProcessor)",
        parameters=(ids("ids", "The forbidden ids.", neutral=()),),
    ),
    StageDeclaration(
        name="allowed_range",
        family="bans",
        kind="stage",
        place=110,
        function="valle.samplers.functions.bans:allowed_range",
        help="Forbids every id outside a range: a head of several phases shows each only its own ids.",
        source="ours",
        neutral_when="all",
        parameters=(
            an_id("first", "The lowest id that stays allowed.", 0),
            an_id("last", "The highest id that stays allowed.", HIGHEST_ID),
            ids("also", "Ids outside the range that stay allowed, such as the stop token."),
        ),
    ),
    StageDeclaration(
        name="minimum_length",
        also=("min_length", "min_new_tokens"),
        family="bans",
        kind="stage",
        place=120,
        function="valle.samplers.functions.bans:minimum_length",
        help="Forbids the stop token until so many steps are decided.",
        source="transformers (MinNewTokensLengthLogitsProcessor)",
        needs=frozenset({"stop"}),
        refused=WITHOUT_A_STOP,
        parameters=(steps("steps", "Steps before stop is allowed; 75 frames are a second.", 75, neutral=0),),
    ),
    StageDeclaration(
        name="logit_bias",
        family="bans",
        kind="stage",
        place=130,
        function="valle.samplers.functions.bans:logit_bias",
        help="Adds a number of its own to the logit of each named id. Ids that the head does not have are "
        "ignored.",
        source="OpenAI's logit_bias; transformers (SequenceBiasLogitsProcessor)",
        parameters=(
            Parameter(
                "biases",
                "biases",
                {},
                "Ids with what is added to their logits; ban_tokens forbids an id.",
                minimum=-100.0,
                maximum=100.0,
                step=0.1,
                neutral={},
                fixed=True,
                unit="nats",
            ),
        ),
    ),
)
