"""The sampler stack: what stands between a model's logits and the token that is taken.

Imported without torch: a stack is data here. ``valle.samplers.sampler`` runs it.
"""

from valle.samplers.errors import RowError, StackError
from valle.samplers.resolve import EffectiveStage
from valle.samplers.stack import Stack, parse_setting
from valle.samplers.stage import Stage
from valle.samplers.stages import STAGES, find

__all__ = [
    "STAGES",
    "EffectiveStage",
    "RowError",
    "Stack",
    "StackError",
    "Stage",
    "find",
    "parse_setting",
]
