"""Stages about the length of a phase: they make its end more or less likely."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration
from valle.samplers.stages.shared import WITHOUT_A_STOP, ids, steps

DECLARATIONS = (
    StageDeclaration(
        name="length_penalty",
        family="length",
        kind="stage",
        place=260,
        function="valle.samplers.functions.length:length_penalty",
        help="Makes the stop token, or other ids, less or more likely by a power of the length so far.",
        source="the reference's length penalty, made aware of the sign",
        needs=frozenset({"stop"}),
        refused=WITHOUT_A_STOP,
        parameters=(
            Parameter(
                "penalty",
                "number",
                0.0,
                "The power of the length: above 0 speaks longer, below 0 stops sooner; 0 is off.",
                minimum=-5.0,
                maximum=5.0,
                step=0.05,
                neutral=0.0,
            ),
            ids("ids", "The ids to penalise; none means the stop token."),
        ),
    ),
    StageDeclaration(
        name="exponential_decay_length",
        family="length",
        kind="stage",
        place=270,
        function="valle.samplers.functions.length:exponential_decay_length",
        help="From a step on, raises the logit of the stop token exponentially.",
        source="transformers (ExponentialDecayLengthPenalty)",
        needs=frozenset({"stop"}),
        refused=WITHOUT_A_STOP,
        parameters=(
            steps("start", "The step after which stop is raised; 75 frames are a second.", 750),
            Parameter(
                "factor",
                "number",
                1.01,
                "What it grows by with every step; below 1 stop becomes less likely, 1 is off.",
                minimum=0.5,
                maximum=2.0,
                step=0.005,
                neutral=1.0,
            ),
        ),
    ),
    StageDeclaration(
        name="stop_gate",
        family="length",
        kind="stage",
        place=290,
        function="valle.samplers.functions.length:stop_gate",
        help="Forbids the stop token unless it is likely enough, judged by what enters the stage.",
        source="Dia (only if it is the argmax); Bark (min_eos_p)",
        needs=frozenset({"stop"}),
        refused=WITHOUT_A_STOP,
        neutral_when="all",
        parameters=(
            Parameter(
                "argmax",
                "boolean",
                True,
                "Stop only where it is the most likely id.",
                neutral=False,
                fixed=True,
            ),
            Parameter(
                "probability",
                "number",
                0.0,
                "Stop only where it has at least this probability; 0 is off.",
                minimum=0.0,
                maximum=1.0,
                step=0.01,
                neutral=0.0,
            ),
        ),
    ),
)
