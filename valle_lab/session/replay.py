"""Making recorded takes again, and saying whether they are the same."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from valle.adapter_use import AdapterUse
from valle.audio import wav
from valle.control import Event, Guide, ScheduledControl
from valle.errors import UserError
from valle.inference import MAX_SECONDS
from valle.request import FRAME_RATE, Recipe, Request
from valle.samplers.noise import SCHEME
from valle.step import Place, Step
from valle.take import Take, codes_sha256
from valle_lab.engine import Engine
from valle_lab.session import schema
from valle_lab.session.agreement import Tolerance
from valle_lab.session.convert import (
    decision_order,
    from_session_place,
    from_session_take,
    to_session_take,
)
from valle_lab.session.judge import Divergence, Judge, Judgement, Kind, Mode, Verdict
from valle_lab.session.save import SessionError, load_session, session_text

EXIT_CODES: dict[Verdict, int] = {"identical": 0, "diverged": 1, "error": 2, "benign": 3}
WORST_FIRST = (2, 1, 3, 0)


FindEngine = Callable[[schema.Take], Engine]
"""The engine for a take. Raises UserError where its model is not here."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to replay."""

    mode: Mode = "tolerant"
    take: str | None = None
    """Id or number of the one take to replay; None replays all."""
    any_model: bool = False
    """Replay on a model that the take was not made with."""
    threads: int | None = None
    """CPU threads; None takes the recorded number, as far as there are as many processors."""
    out: Path | None = None
    """Folder that the sound of the replays is written to."""
    most_steps: int | None = None
    """Steps after which a replay is left, and judged as far as it came."""
    alone: bool = False
    """Replay takes that were made at once one by one."""
    all_layers: bool = False
    """Run all layers at every step, also where the take left at an early one."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one take, or of a file that could not be read."""

    session: str
    take: str | None
    mode: Mode
    verdict: Verdict
    kind: Kind | None = None
    first_divergence: Divergence | None = None
    decisions: int = 0
    different: int = 0
    evidence_difference: float | None = None
    other_model: str | None = None
    """Hash of the model that it was replayed on, if that is not the recorded one."""
    wav: str | None = None
    error: str | None = None
    batch: int = 0
    """How many takes were made again at once with it; 0 where it was made by itself."""

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON's types."""
        return asdict(self)


class _Feeding(ScheduledControl):
    """The recorded events, and the recorded tokens as the judge gives them out."""

    def __init__(self, events: Iterable[Event], judge: Judge) -> None:
        super().__init__(events)
        self._judge = judge
        self.left = False
        """Whether the replay can no longer be fed on what was recorded."""

    def events(self, place: Place) -> tuple[Event, ...]:
        return (Event("cancel", place=place),) if self.left else super().events(place)

    def guide(self, place: Place) -> Guide | None:
        return self._judge.guide(place)


def exit_code(reports: Iterable[Report]) -> int:
    """The worst of all reports: 2 cannot run, 1 diverged, 3 benign, 0 identical."""
    codes = {EXIT_CODES[report.verdict] for report in reports}
    return next((code for code in WORST_FIRST if code in codes), 0)


def replay_file(
    path: Path, options: Options, find: FindEngine, watch: Callable[[Step], None] = lambda _: None
) -> list[Report]:
    """Replay the takes of a file, one after the other; what cannot be replayed is a report too."""
    failed = Report(str(path), options.take, options.mode, "error")
    try:
        session = load_session(path)
        takes = session.takes if options.take is None else (session.take(options.take),)
        if not takes:
            raise SessionError(f"{path} has no take to replay")
    except KeyError:
        return [replace(failed, error=f"{path} has no take {options.take!r}; leave out --take for all")]
    except UserError as error:
        return [replace(failed, error=str(error))]
    reports = []
    batches = Batches(session, options, watch)
    for record in takes:
        try:
            reports.append(_replay_one(path, record, options, find, batches, watch))
        except UserError as error:
            reason = " ".join(f"{path}, take {record.id}: {error}".split())
            reports.append(replace(failed, take=record.id, error=reason))
    return reports


def replay_take(
    record: schema.Take,
    engine: Engine,
    mode: Mode = "tolerant",
    *,
    threads: int | None = None,
    most_steps: int | None = None,
    watch: Callable[[Step], None] = lambda _: None,
) -> tuple[Judgement, Take]:
    """Make one take again and judge it. Raises UserError where the engine cannot make it.

    In `exact` the replay runs freely and is returned as it came out; else it is fed what was recorded.
    """
    prepared = _prepare(record, engine, mode, threads)
    judge = prepared.judge
    generation = engine.generate(prepared.request, prepared.control)
    for number in count(1):
        if most_steps is not None and number > most_steps:
            return judge.judgement(whole=False), generation.take
        step = next(generation, None)
        if step is None:
            break
        watch(step)
        if not judge.see(step):
            break
    return judge.judgement(), generation.take


def replay_batch(
    records: Sequence[schema.Take],
    engine: Engine,
    mode: Mode = "tolerant",
    *,
    threads: int | None = None,
    most_steps: int | None = None,
    watch: Callable[[Step], None] = lambda _: None,
) -> list[tuple[Judgement, Take]]:
    """Make takes again at once, as they were made, and judge each. Raises UserError as `replay_take` does.

    One that has left what was recorded leaves the batch.
    """
    rows = {record.id: _prepare(record, engine, mode, threads) for record in records}
    generation = engine.generate_batch(
        [row.request for row in rows.values()], [row.control for row in rows.values()]
    )
    counts = dict.fromkeys(rows, 0)
    for step in generation:
        control = rows[step.take].control
        if control.left:
            continue
        counts[step.take] += 1
        watch(step)
        capped = counts[step.take] == most_steps
        control.left = not rows[step.take].judge.see(step) or capped
    return [
        (row.judge.judgement(whole=counts[name] != most_steps), take)
        for (name, row), take in zip(rows.items(), generation.takes, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A recorded take that is about to be made again."""

    request: Request
    control: _Feeding
    judge: Judge


def _prepare(record: schema.Take, engine: Engine, mode: Mode, threads: int | None) -> _Prepared:
    check_fits(record, engine)
    recorded = from_session_take(record)
    as_recorded = recorded.request.recipe
    tolerance = Tolerance.of(as_recorded.dtype, engine.recipe.dtype)
    judge = Judge(recorded, mode, tolerance, past_of(record, recorded))
    recipe = replace(
        engine.recipe,
        threads=threads or _threads(as_recorded.threads, mode),
        batch=as_recorded.batch,
        guidance=as_recorded.guidance,
        adapters=_adapters(as_recorded, engine.recipe),
        early_exit=as_recorded.early_exit,
    )
    request = replace(recorded.request, recipe=recipe, max_frames=_most_frames(recorded))
    return _Prepared(request, _Feeding(recorded.events, judge), judge)


class Batches:
    """The takes of a session that were made at once; each batch is made again once."""

    def __init__(self, session: schema.Session, options: Options, watch: Callable[[Step], None]) -> None:
        self._takes = {take.id: take for take in session.takes}
        self._options, self._watch = options, watch
        self._made: dict[tuple[str, ...], dict[str, tuple[Judgement, Take]]] = {}

    def of(self, record: schema.Take) -> tuple[str, ...]:
        """The takes that a take was made with, itself among them; none where one of them is not there."""
        names = record.request.recipe.batch
        rows = [take for name in names if (take := self._takes.get(name)) is not None]
        whole = len(rows) == len(names) and all(_made_together(record, row) for row in rows)
        return names if whole and record.id in names and not self._options.alone else ()

    def replay(self, record: schema.Take, engine: Engine) -> tuple[Judgement, Take]:
        """Judge a take, made again with its batch. Raises UserError where the engine cannot make that."""
        names, options = self.of(record), self._options
        if names not in self._made:
            judged = replay_batch(
                [self._takes[name] for name in names],
                engine,
                options.mode,
                threads=options.threads,
                most_steps=options.most_steps,
                watch=self._watch,
            )
            self._made[names] = dict(zip(names, judged, strict=True))
        return self._made[names][record.id]


def _made_together(one: schema.Take, other: schema.Take) -> bool:
    """Whether two takes tell of the same batch and the same model."""
    return one.request.recipe == other.request.recipe and one.origin.model == other.origin.model


def past_of(record: schema.Take, take: Take) -> frozenset[Place]:
    """The decisions that a fork has from its parent."""
    if record.fork is None:
        return frozenset()
    first = decision_order(from_session_place(record.fork))
    return frozenset(step.place for step in take.steps if decision_order(step.place) < first)


def check_fits(record: schema.Take, engine: Engine) -> None:
    """Raise UserError where a take's codes, ids, language or noise mean nothing to this engine."""
    request = record.request
    voices = (request.prompt, request.null.voice)
    codecs = {record.origin.codec.sha256} | {item.codec for item in voices if isinstance(item, schema.Prompt)}
    if strangers := codecs - {engine.codec.hash}:
        name = record.origin.codec.name
        raise UserError(
            f"it has codes of another codec ({name} {min(strangers)[:12]}) than the model's, "
            f"{engine.codec.name} ({engine.codec.hash[:12]})"
        )
    if request.noise != SCHEME:
        raise UserError(f"its noise is of the scheme {request.noise!r}; this version makes {SCHEME}")
    if request.language not in engine.languages:
        known = ", ".join(engine.languages)
        raise UserError(f"the model does not speak {request.language!r}; it knows {known}")
    other = [request.null.text] if isinstance(request.null.text, schema.Sentence) else []
    highest = max(int(item.ids.values().max(initial=0)) for item in (*request.sentences, *other))
    if highest >= len(engine.tokenizer):
        raise UserError(f"it has the phoneme id {highest}; the model has {len(engine.tokenizer)} of them")


def _most_frames(recorded: Take) -> int:
    """What a segment may come to: room is made for it beforehand, and a file may ask for any amount."""
    longest = max((segment.frames for segment in recorded.segments), default=0)
    return min(recorded.request.max_frames, max(round(MAX_SECONDS * FRAME_RATE), longest + 1))


def _with_all_layers(record: schema.Take) -> schema.Take:
    recipe = record.request.recipe.model_copy(update={"early_exit": None})
    return record.model_copy(update={"request": record.request.model_copy(update={"recipe": recipe})})


def _adapters(recorded: Recipe, engine: Recipe) -> tuple[AdapterUse, ...]:
    """As recorded where the engine has these adapters; else its own, to be judged by."""
    there = {use.sha256: use.name for use in engine.adapters}
    if there.keys() == {use.sha256 for use in recorded.adapters}:
        return tuple(replace(use, name=there[use.sha256]) for use in recorded.adapters)
    return engine.adapters


def _threads(recorded: int, mode: Mode) -> int:
    """As recorded where each bit counts; else no more than there are processors."""
    return recorded if mode == "exact" else min(recorded, os.cpu_count() or 1)


def _replay_one(
    path: Path,
    record: schema.Take,
    options: Options,
    find: FindEngine,
    batches: Batches,
    watch: Callable[[Step], None],
) -> Report:
    engine = find(record)
    if options.all_layers:
        record = _with_all_layers(record)
    batch = batches.of(record)
    if batch:
        judgement, take = batches.replay(record, engine)
    else:
        judgement, take = replay_take(
            record,
            engine,
            options.mode,
            threads=options.threads,
            most_steps=options.most_steps,
            watch=watch,
        )
    recorded_model = record.origin.model.sha256
    sound = None if options.out is None else _write_sound(path, record, take, engine, options.out)
    return Report(
        session=str(path),
        take=record.id,
        mode=options.mode,
        verdict=judgement.verdict,
        kind=judgement.kind,
        first_divergence=judgement.first_divergence,
        decisions=judgement.decisions,
        different=judgement.different,
        evidence_difference=judgement.evidence_difference,
        other_model=None if engine.model_hash == recorded_model else engine.model_hash,
        wav=None if sound is None else str(sound),
        batch=len(batch),
    )


def _write_sound(path: Path, record: schema.Take, take: Take, engine: Engine, folder: Path) -> Path | None:
    """Write what the replay sounds like, with its session in it; None where it has no frames."""
    if not take.frames:
        return None
    if codes_sha256(take.segments) != record.codes_sha256:
        record = to_session_take(take, record.origin.model_copy(update={"environment": schema.Environment()}))
    target = _free_file(folder, f"{safe_name(path.stem)}-{safe_name(record.id)}")
    return wav.write(target, engine.wave(take.segments), text=session_text(schema.new_session(record), None))


def safe_name(text: str) -> str:
    """Letters, digits, hyphens and underscores of a text that anybody may have written, to name a file by."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text)[:60].strip("-") or "take"


def _free_file(folder: Path, name: str) -> Path:
    names = (f"{name}{'' if number == 1 else f'-{number}'}.wav" for number in count(1))
    return next(file for file in (folder / item for item in names) if not file.exists())
