"""All that is told of one take: what its session holds, and what the model that made it adds to that."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from valle.audio import wav
from valle.audio.wav import Wave
from valle.errors import UserError
from valle_lab.engine import Engine
from valle_lab.lab.state import LabTake
from valle_lab.session import schema
from valle_lab.session.judge import Judgement, Mode
from valle_lab.session.replay import replay_take
from valle_lab.views import AttentionLook, AttentionView, Look, StageView, StepView, stage_views
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import ModelChoice

FindEngine = Callable[[schema.Take], Engine]
EVERY_ROW = 1_000_000
"""More decisions than a segment has: the shares of attention are means over all of them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much is to be told."""

    mode: Mode | None = "tolerant"
    """How the take is replayed for its verdict; None leaves that out."""
    row: int | None = None
    """The decision that is shown in full; None is the one at which the model was least sure."""
    model: bool = True
    """Whether the model may be used at all."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is known of one take; what could not be found out is None, and `left_out` says why."""

    take: LabTake
    record: schema.Take
    row: int | None
    """The decision of the timeline that is shown in full; None where there is no decision."""
    stages: tuple[StageView, ...] = ()
    """What each stage made of that decision."""
    wave: Wave | None = None
    step: StepView | None = None
    attention: AttentionView | None = None
    """The shares of all decisions of the first segment."""
    alignments: tuple[AttentionView, ...] = ()
    judgement: Judgement | None = None
    left_out: str = ""


def gather(
    take: LabTake, record: schema.Take, wanted: Wanted, find: FindEngine, source: Path | None = None
) -> Material:
    """What is known of a take. Raises UserError for a decision that it does not have.

    `find` gives the engine that made it; where that is not here, or not wanted, only what the session holds
    is told, and the sound of `source` where that is a wav of this take.
    """
    row = shown_row(take, wanted.row)
    stages = () if row is None else stage_views(take.timeline.decisions[row])
    known = Material(take, record, row, stages, wave=_carried_wave(source, take))
    if not wanted.model:
        return replace(known, left_out="the model was not asked")
    try:
        return _with_model(known, find(record), wanted.mode)
    except UserError as error:
        return replace(known, left_out=str(error))


def _with_model(known: Material, engine: Engine, mode: Mode | None) -> Material:
    judgement = None if mode is None else replay_take(known.record, engine, mode)[0]
    worker = InProcessWorker(lambda choice, report: engine)
    # The engine is somebody else's to close, so this worker is left as it is.
    worker.load(ModelChoice()).result()
    take = known.take
    if take.begun is None or not take.take.frames:
        return replace(known, judgement=judgement)
    step = None if known.row is None else _look(worker, take, known.row, engine)
    views = _alignments(worker, take)
    return replace(
        known,
        stages=known.stages if step is None else step.waterfall,
        wave=worker.decode(take.segments).result(),
        step=step,
        attention=views[0] if views else None,
        alignments=views,
        judgement=judgement,
    )


def shown_row(take: LabTake, wanted: int | None) -> int | None:
    """The decision that is wanted, or else the least sure one; None where there is none. UserError beyond."""
    count = len(take.timeline)
    if wanted is not None and not 0 <= wanted < count:
        raise UserError(f"{take.name} has the decisions 0 to {count - 1}, not {wanted}")
    if wanted is None and count:
        return int(np.argmax(take.timeline.entropy))
    return wanted


def _look(worker: InProcessWorker, take: LabTake, row: int, engine: Engine) -> StepView:
    """A decision in full: the take's own tokens are gone through until there."""
    assert take.begun is not None
    place = take.timeline.place(row)
    index = next(number for number, step in enumerate(take.steps) if step.place == place)
    recorded = take.begun.request
    threads = min(recorded.recipe.threads, os.cpu_count() or 1)
    recipe = replace(recorded.recipe, device=engine.recipe.device, threads=threads)
    worker.recall(replace(recorded, recipe=recipe), take.steps[: index + 1]).result()
    return worker.look(Look(take.name, place)).result()


def _alignments(worker: InProcessWorker, take: LabTake) -> tuple[AttentionView, ...]:
    assert take.begun is not None
    request, line = take.begun.request, take.timeline
    return tuple(
        worker.attend(
            AttentionLook(f"{take.name}/{segment}", segment, over=EVERY_ROW, aligned=True), request, codes
        ).result()
        for segment in range(len(take.segments))
        if len(codes := line.level_0(segment))
    )


def _carried_wave(source: Path | None, take: LabTake) -> Wave | None:
    """The sound of a wav that carries the session of this take alone."""
    if source is None or source.suffix.lower() != ".wav":
        return None
    wave = wav.read(source, silent_ok=True)
    return wave if abs(len(wave) / wav.SAMPLE_RATE - take.take.duration) < 1 / 75 else None
