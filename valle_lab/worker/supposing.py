"""What-if of a whole take: on the logits that are kept of it, or on those that a forced pass makes again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch

from valle.decoding.forced import RawRows
from valle.decoding.whatif import Question, what_if
from valle.request import Request
from valle.samplers.rows import AttentionMeasures
from valle.samplers.stack import Stack
from valle.step import Step
from valle.take import assemble
from valle.whatif import WhatIf, decisions
from valle_lab.engine import Engine
from valle_lab.views import TakeLook
from valle_lab.worker.take_memory import Kept, TakeMemory


def suppose(
    engine: Engine, kept: TakeMemory | None, look: TakeLook, request: Request, steps: Sequence[Step]
) -> WhatIf:
    """Try a stack on a take of which these steps were made; `kept` is what is remembered of it."""

    def find(segment: int, needs: frozenset[str]) -> RawRows:
        made = decisions(steps, segment)
        found = None if kept is None else _remembered(kept, segment, made, needs)
        if found is not None:
            return found
        rows = engine.reread(assemble(request, steps), segment, needs)
        if kept is not None:
            kept.keep_pass(segment, rows)
        return rows

    stack = None if look.stack is None else Stack.from_dict(look.stack)
    question = Question(stack, look.changes, look.first, look.last)
    return what_if(request, steps, find, question, stop=engine.stop, attends=engine.attends)


def _remembered(
    memory: TakeMemory, segment: int, made: Sequence[Step], needs: frozenset[str]
) -> RawRows | None:
    """What is kept of all these decisions with what is needed, or the pass that made them again."""
    kept = [memory.steps.get(step.place) for step in made]
    whole = [item for item, step in zip(kept, made, strict=True) if item and item.tokens == step.tokens]
    if len(whole) == len(made):
        rows = _together(whole)
        if rows.has(needs):
            return rows
    again = memory.passes.get(segment)
    if again is not None and len(again.logits) == len(made) and again.has(needs):
        return again
    return None


def _together(kept: Sequence[Kept]) -> RawRows:
    """The rows of decisions that were made one by one."""
    nulls = [item.situation.rows.null for item in kept]
    seen = [item.situation.rows.attention for item in kept]
    null = [item for item in nulls if item is not None]
    attention = [item for item in seen if item is not None]
    return RawRows(
        torch.cat([item.situation.logits for item in kept]),
        torch.cat(null) if len(null) == len(kept) else None,
        _joined(attention) if len(attention) == len(kept) else None,
    )


def _joined(parts: Sequence[AttentionMeasures]) -> AttentionMeasures:
    names = [field.name for field in fields(AttentionMeasures)]
    return AttentionMeasures(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
