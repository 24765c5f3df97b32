"""Stages that decide the token. Exactly one stands last in a list."""

from __future__ import annotations

from valle.samplers.declaration import StageDeclaration
from valle.samplers.stages.entropix import ENTROPIX
from valle.samplers.stages.steered_choosers import STEERED

DECLARATIONS = (
    StageDeclaration(
        name="greedy",
        also=("argmax",),
        family="choosers",
        kind="chooser",
        place=900,
        function="valle.samplers.functions.choosers:greedy",
        help="Takes the most likely id; the lowest one among equals.",
        source="argmax",
        keeps_argmax=True,
    ),
    StageDeclaration(
        name="draw",
        also=("multinomial", "do_sample"),
        family="choosers",
        kind="chooser",
        place=900,
        function="valle.samplers.functions.choosers:draw",
        help="Draws an id with its probability, by seeded Gumbel noise: the same seed and step give the same "
        "noise whatever else is in the stack.",
        source="Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030",
        purpose="choose",
    ),
    *STEERED,
    ENTROPIX,
)
