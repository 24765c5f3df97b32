"""Several takes at once: level 0 of all of them in one pass a step, the other levels several rows a pass.

Each row has its own stack, noise, events and end, and leaves the batch when it has ended. The number of rows
of a pass moves the last digits of its logits: a row is made again exactly by its whole batch, and by itself
but for these digits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.control import Guide
from valle.decoding.branches import Pair, Passes
from valle.decoding.decide import Situation, as_step
from valle.decoding.nar import decide_level
from valle.decoding.reach import within_reach
from valle.decoding.row_passes import RowPasses
from valle.decoding.run import Before, Run
from valle.decoding.speech import pair_of
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.samplers.rows import Rows
from valle.samplers.sampler import Decision, Sampler, States, pick
from valle.step import Place, Step

POSITIONS_AT_ONCE = 2048
"""Of a pass over several takes, about what a processor's cache holds; more at once takes longer in all."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that one sampler decides together, by their numbers, and its states [rows]."""

    rows: tuple[int, ...]
    sampler: Sampler
    states: States


def decode_batch(model: ArNar, runs: Sequence[Run], languages: Sequence[int]) -> Iterator[Step]:
    """Yield the Steps of all runs, sentence by sentence; `languages` are the runs' rows of the embedding.

    Raises UserError for a stack that searches, and for a model that does not go step by step.
    """
    for segment in range(max(len(run.request.sentences) for run in runs)):
        rows = [row for row, run in enumerate(runs) if segment < len(run.request.sentences)]
        rows = [row for row in rows if not runs[row].cancelled]
        if not rows:
            return
        pairs = [pair_of(runs[row].request, segment, languages[row]) for row in rows]
        _require_steps(model, pairs)
        speaking = [runs[row] for row in rows]
        frames: dict[str, list[int]] = {run.request.take: [] for run in speaking}
        for step in _Level0(model, pairs, speaking, segment).steps():
            if len(step.tokens) and step.tokens[0] != model.config.stop:
                frames[step.take].append(int(step.tokens[0]))
            yield step
        level_0 = [torch.tensor(frames[run.request.take], dtype=torch.long)[:, None] for run in speaking]
        yield from _decode_nar(model, pairs, speaking, segment, level_0)


def _require_steps(model: ArNar, pairs: Sequence[Pair]) -> None:
    """Raise UserError for a model whose level 0 sees both ways, and needs a pass over all of it a frame."""
    if not all(layout.causal for layout in model.layouts([pair.conditional for pair in pairs], growing=True)):
        raise UserError("This model's level 0 sees both ways: its takes are made one at a time.")


class _Level0:
    """Level 0 of one segment of all rows, a frame of each at a time."""

    def __init__(self, model: ArNar, pairs: Sequence[Pair], runs: Sequence[Run], segment: int) -> None:
        self._model, self._runs, self._segment = model, runs, segment
        self._limits = [run.request.max_frames for run in runs]
        longest = max(self._limits)
        self._history = torch.zeros(len(runs), longest, dtype=torch.long, device=model.device)
        self._passes = RowPasses(model, pairs, longest)
        self._going = list(range(len(runs)))
        self._groups = [
            Group(tuple(rows), sampler, sampler.start(len(rows), model.device))
            for rows in _by_stack(self._going, runs)
            for sampler in [runs[rows[0]].sampler("ar", 0)]
        ]

    def steps(self) -> Iterator[Step]:
        """Yield a Step of each row that goes on, all of one frame before the next frame is computed."""
        for index in range(max(self._limits)):
            place = Place(self._segment, "ar", 0, index)
            befores = {row: self._runs[row].before(place) for row in self._going}
            for row, before in befores.items():
                if before.ending:
                    yield self._runs[row].notice(place, before)
            self._going = [row for row in self._going if not befores[row].ending]
            if not self._going:
                return
            begun = time.perf_counter()
            made = self._round(place, befores)
            share = (time.perf_counter() - begun) / len(made)
            ended = {row: self._ended(row, made[row]) for row in self._going}
            yield from [replace(made[row], ended=ended[row], seconds=share) for row in self._going]
            self._going = [row for row in self._going if ended[row] is None]

    def _round(self, place: Place, befores: Mapping[int, Before]) -> dict[int, Step]:
        """Decide the frame at `place` of all rows that go on."""
        self._groups = [part for group in self._groups for part in self._parts(group, befores)]
        guided = [row for group in self._groups if "null" in group.sampler.needs for row in group.rows]
        attended = any("attention" in group.sampler.needs for group in self._groups)
        passes = self._passes.next(self._going, self._history[:, : place.step], guided, attended)
        made: dict[int, Step] = {}
        for number, group in enumerate(self._groups):
            situation = self._situation(group, place, passes, guided)
            steps, decision = _decide([self._runs[row] for row in group.rows], place, befores, situation)
            made |= dict(zip(group.rows, steps, strict=True))
            self._history[list(group.rows), place.step] = decision.tokens
            self._groups[number] = replace(group, states=decision.states)
        return made

    def _parts(self, group: Group, befores: Mapping[int, Before]) -> list[Group]:
        """A group without the rows that have left, and where events came, by the stacks that they made."""
        staying = [row for row in group.rows if row in self._going]
        changed = any(befores[row].events for row in staying)
        if len(staying) == len(group.rows) and not changed:
            return [group]
        parts = []
        for rows in _by_stack(staying, self._runs) if changed else [staying] * bool(staying):
            sampler = self._runs[rows[0]].sampler("ar", 0) if changed else group.sampler
            places = torch.tensor([group.rows.index(row) for row in rows], device=self._model.device)
            states = sampler.carry(pick(group.states, places), len(rows), self._model.device)
            parts.append(Group(tuple(rows), sampler, states))
        return parts

    def _situation(self, group: Group, place: Place, passes: Passes, guided: list[int]) -> Situation:
        rows = list(group.rows)
        at = [self._going.index(row) for row in rows]
        everyone = Rows.of(
            "ar",
            len(self._going),
            seed=np.array([self._runs[row].request.seed for row in self._going], np.uint64),
            take=np.array(self._going),
            segment=self._segment,
            step=place.step,
            past=self._history[self._going, : place.step],
            stop=self._model.config.stop,
            attention=passes.attention,
        )
        null = None
        if passes.null is not None and "null" in group.sampler.needs:
            null = passes.null[[guided.index(row) for row in rows]]
        whole = at == list(range(len(self._going)))
        logits = passes.conditional if whole else passes.conditional[at]
        return Situation(
            group.sampler, logits, replace(everyone if whole else everyone.pick(at), null=null), group.states
        )

    def _ended(self, row: int, step: Step) -> str | None:
        if step.tokens[0] == self._model.config.stop:
            return "stop"
        return "length" if step.place.step == self._limits[row] - 1 else None


def _decide(
    runs: Sequence[Run], place: Place, befores: Mapping[int, Before], situation: Situation
) -> tuple[list[Step], Decision]:
    """Decide the rows of a group together; a Step each, still without why it ended and the time it took."""
    sampler, logits, rows, states = situation.sampler, situation.logits, situation.rows, situation.states
    guides = [run.control.guide(place) for run in runs]
    before = [befores[int(row)] for row in rows.take]
    decision = sampler.decide(
        logits,
        rows,
        states,
        measure=runs[0].measure(place.phase),
        forced=_forced(guides, before, logits.device),
    )
    together = as_step(runs[0], place, situation, decision)
    steps = [
        replace(
            together.at(row),
            take=run.request.take,
            events=before[row].events,
            within_reach=_reach(situation, decision, row, guides[row]),
        )
        for row, run in enumerate(runs)
    ]
    return steps, decision


def _forced(guides: Sequence[Guide | None], befores: Sequence[Before], device: torch.device) -> Tensor | None:
    """The tokens that are not to be chosen, -1 where they are; None where all are."""
    tokens = [
        int(guide.tokens[0]) if guide is not None else -1 if before.forced is None else before.forced
        for guide, before in zip(guides, befores, strict=True)
    ]
    return torch.tensor(tokens, device=device) if any(token >= 0 for token in tokens) else None


def _reach(
    situation: Situation, decision: Decision, row: int, guide: Guide | None
) -> NDArray[np.bool_] | None:
    """Whether the recorded token of a row was chosen or could have been, where somebody asks."""
    if guide is None or guide.tolerance <= 0 or decision.choice[row] == decision.chosen[row]:
        return None
    logits, states = situation.logits[row : row + 1], pick(situation.states, torch.tensor([row]))
    replayed = int(decision.choice[row])
    reached = within_reach(
        situation.sampler,
        logits,
        situation.rows.pick([row]),
        states,
        row=0,
        replayed=replayed,
        guide=guide,
    )
    return np.array([reached])


def _decode_nar(
    model: ArNar, pairs: Sequence[Pair], runs: Sequence[Run], segment: int, level_0: Sequence[Tensor]
) -> Iterator[Step]:
    """Yield a Step a level and row; rows of about one length share their passes."""
    codes = list(level_0)
    going = sorted((row for row in range(len(runs)) if len(codes[row])), key=lambda row: len(codes[row]))
    going = [row for row in going if not runs[row].cancelled]
    for level in range(1, max(run.request.max_levels for run in runs)):
        place = Place(segment, "nar", level, 0)
        going = [row for row in going if level < runs[row].request.max_levels]
        parts = _parts([pairs[row].given(codes[row], level) for row in going], going, model)
        for part in parts:
            befores = {row: runs[row].before(place) for row in part}
            for row, before in befores.items():
                if before.ending:
                    going.remove(row)
                    yield runs[row].notice(place, before)
            rows = [row for row in part if row in going]
            begun = time.perf_counter()
            passes = _in_one_pass(
                model,
                [pairs[row].given(codes[row], level) for row in rows],
                ["null" in runs[row].sampler("nar", level).needs for row in rows],
            )
            steps = []
            for row, answer in zip(rows, passes, strict=True):
                step, tokens = decide_level(runs[row], place, befores[row], answer)
                codes[row] = torch.cat([codes[row], tokens.to(codes[row].device)[:, None]], dim=1)
                steps.append(step)
            share = (time.perf_counter() - begun) / max(1, len(rows))
            yield from [replace(step, seconds=share) for step in steps]


def _parts(pairs: Sequence[Pair], rows: Sequence[int], model: ArNar) -> list[list[int]]:
    """Rows that go through a pass together: neighbours, as long as they are no more positions."""
    lengths = [layout.length for layout in model.layouts([pair.conditional for pair in pairs])]
    parts: list[list[int]] = []
    for row, length in zip(rows, lengths, strict=True):
        if not parts or (len(parts[-1]) + 1) * length > POSITIONS_AT_ONCE:
            parts.append([])
        parts[-1].append(row)
    return parts


def _in_one_pass(model: ArNar, pairs: Sequence[Pair], guided: Sequence[bool]) -> list[Passes]:
    """Answer all positions of all rows, [frames, V] each, and the null rows of the guided ones likewise."""
    if not pairs:
        return []
    nulls = [pair.null for pair, wanted in zip(pairs, guided, strict=True) if wanted]
    null = iter(model.full(nulls) if nulls else ())
    conditional = model.full([pair.conditional for pair in pairs])
    return [
        Passes(logits, next(null) if wanted else None)
        for logits, wanted in zip(conditional, guided, strict=True)
    ]


def _by_stack(rows: Sequence[int], runs: Sequence[Run]) -> list[list[int]]:
    """Rows of one stack together, in the order in which the stacks first come up."""
    parts: list[list[int]] = []
    for row in rows:
        same = next((part for part in parts if runs[part[0]].stack == runs[row].stack), None)
        if same is None:
            parts.append([row])
        else:
            same.append(row)
    return parts
