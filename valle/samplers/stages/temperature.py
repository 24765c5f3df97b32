"""Stages that flatten or sharpen the distribution."""

from __future__ import annotations

from valle.samplers.declaration import Parameter, StageDeclaration

DECLARATIONS = (
    StageDeclaration(
        name="temperature",
        family="temperature",
        kind="stage",
        place=400,
        function="valle.samplers.functions.temperature:temperature",
        help="Divides the logits: above 1 flattens, below 1 sharpens, 0 keeps only the most likely id.",
        source="Ackley et al. 1985, the temperature of the softmax",
        keeps_argmax=True,
        parameters=(
            Parameter(
                "value",
                "number",
                1.0,
                "The divisor; 1 is off, 0 is greedy.",
                minimum=0.0,
                maximum=5.0,
                step=0.05,
                neutral=1.0,
            ),
        ),
    ),
)
