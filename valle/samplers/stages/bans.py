"""Stages that forbid or favour single ids: bans, the range of a phase, minimum length, biases."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration

NO_STOP = "there is no stop token: the number of frames is known before the phase begins"

DECLARATIONS = (
    StageDeclaration(
        name="ban_tokens",
        family="bans",
        kind="stage",
        place=100,
        function="valle.samplers.functions.bans:ban_tokens",
        help="Forbids ids: their logits become -inf. Ids that the head does not have are ignored.",
        source="fairseq and transformers (SuppressTokensLogitsProcessor)",
        parameters=(
            Parameter(
                "ids",
                "ids",
                (),
                "The forbidden ids.",
                minimum=0,
                maximum=2**31 - 1,
                neutral=(),
                fixed=True,
                unit="ids",
            ),
        ),
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
            Parameter(
                "first",
                "integer",
                0,
                "The lowest id that stays allowed.",
                minimum=0,
                maximum=2**31 - 1,
                step=1,
                neutral=0,
                fixed=True,
                unit="id",
            ),
            Parameter(
                "last",
                "integer",
                2**31 - 1,
                "The highest id that stays allowed.",
                minimum=0,
                maximum=2**31 - 1,
                step=1,
                neutral=2**31 - 1,
                fixed=True,
                unit="id",
            ),
            Parameter(
                "also",
                "ids",
                (),
                "Ids outside the range that stay allowed, such as the stop token.",
                minimum=0,
                maximum=2**31 - 1,
                fixed=True,
                unit="ids",
            ),
        ),
    ),
    StageDeclaration(
        name="minimum_length",
        family="bans",
        kind="stage",
        place=120,
        function="valle.samplers.functions.bans:minimum_length",
        help="Forbids the stop token until so many steps are decided.",
        source="transformers (MinNewTokensLengthLogitsProcessor)",
        needs=frozenset({"stop"}),
        refused={"nar": NO_STOP, "nar_len": NO_STOP},
        parameters=(
            Parameter(
                "steps",
                "integer",
                75,
                "Steps before stop is allowed; 75 frames are a second.",
                minimum=0,
                maximum=100_000,
                step=1,
                neutral=0,
                unit="steps",
            ),
        ),
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
