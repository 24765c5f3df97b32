"""One take, from a text to the files that are kept of it: `say` does this, and so do the example sessions."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Literal, cast

from valle.audio import wav
from valle.control import Event, ScheduledControl
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.layer_thresholds import fitted
from valle.manner import Manner
from valle.modes import Demasking
from valle.reading import detect
from valle.request import NullBranch, Request
from valle.samplers import Stack
from valle.step import Step
from valle.take import Take
from valle.text.sentences import SplitBy
from valle.voices import Voice, remarks_on
from valle_lab.engine import Engine
from valle_lab.session.convert import to_session_take
from valle_lab.session.journal import Journal
from valle_lab.session.save import save_session, session_text
from valle_lab.session.schema import new_session
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import ModelChoice
from valle_lab.worker.surface import Speaking

if TYPE_CHECKING:
    from valle.inference import Engine as RealEngine
    from valle_lab.settings import Settings

Watch = Callable[[Step], None]

AUTO = "auto"
"""The language that stands for the likeliest one of the text."""
LINES_BEFORE_STEPS = 2
"""A journal begins with the session and the take."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The two files of one take."""

    wav: Path
    session: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """One take to make, in the words of a person."""

    text: str
    settings: Settings
    model: str
    """`builtin`, or the path of a file."""
    voice: Voice | None
    prompt: tuple[float, float | None]
    """Which part of the voice's recording to use: from where, and how much, in seconds."""
    stack: Stack | None
    """Lists that go over the model's own."""
    sets: tuple[str, ...]
    """Settings of the stack, as written on the command line."""
    schedule: tuple[Event, ...]
    seed: int
    by: SplitBy
    outputs: Outputs
    negative_text: str | None = None
    """What guidance leads away from, in place of the text; None leaves that as it is."""
    negative_voice: Voice | Literal["none"] | None = None
    two_passes: bool = False
    """Whether guidance is made in two passes of the model, not in one batch."""
    adapters: tuple[tuple[str, float], ...] = ()
    """Files of adapters, each with its strength."""
    early_exit: EarlyExit | None = None
    """None runs all layers."""
    manner: Manner = field(default_factory=Manner)
    source: Voice | None = None
    """The speech that is said in another voice, which the manner names."""
    fitted_exits: bool = False
    """Whether its thresholds are those that are kept for the model, where there are any."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A take that is over, where it is kept, and what was asked for in vain."""

    take: Take
    session: Path
    wav: Path | None
    """None where the take was cut short."""
    interrupted: bool
    seconds: float
    """From before the first step to the decoded sound."""
    vain: tuple[str, ...]
    """Changes that were not made, and why, a line each."""
    remarks: tuple[str, ...] = ()
    """What was ignored or assumed where model and recordings were read, a line each."""

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of computing per second of speech, loading left out; None where there is no speech."""
        return self.seconds / self.take.duration if self.take.frames else None

    @property
    def ar_steps_per_second(self) -> float | None:
        """How fast level 0 was decided; None where nothing of it was."""
        times = [step.seconds for step in self.take.steps if step.place.phase == "ar" and len(step.tokens)]
        return len(times) / sum(times) if sum(times) else None


def speak(plan: Plan, watch: Watch) -> Spoken:
    """Load the model, make the take and keep it; `watch` sees every step before the next one is computed.

    Raises UserError for what cannot be spoken or written, before the first step wherever that can be known.
    """
    worker = InProcessWorker()
    try:
        worker.load(_choice(plan)).result()
        request = make_request(plan, worker.service.engine)
        spoken = perform(worker, request, plan.schedule, plan.outputs, watch)
        named = (plan.voice, plan.source, plan.negative_voice)
        heard = remarks_on(voice for voice in named if isinstance(voice, Voice))
        return replace(spoken, remarks=(*heard, *spoken.remarks))
    finally:
        worker.close()


def _choice(plan: Plan) -> ModelChoice:
    settings = plan.settings
    return ModelChoice(
        plan.model,
        codec=settings.codec,
        device=settings.device,
        dtype=settings.dtype,
        threads=None if settings.threads == "auto" else settings.threads,
        attention=settings.attention,
        language="en" if settings.language == AUTO else settings.language,
        tokenizer=settings.tokenizer,
        force_codec=settings.force_codec,
        adapters=plan.adapters,
    )


def make_request(plan: Plan, engine: Engine) -> Request:
    """The request for the plan's take. Raises UserError, also for a change that its stack could not take."""
    stack = engine.default_stack if plan.stack is None else plan.stack.over(engine.default_stack)
    for setting in plan.sets:
        stack = stack.set_text(setting)
    check_schedule(plan.schedule, stack)
    real, language = cast("RealEngine", engine), plan.settings.language
    if language == AUTO:
        language = detect(plan.text, real.languages)
    request = engine.request(
        plan.text,
        voice=None if plan.voice is None else engine.prompt(plan.voice, *plan.prompt),
        language=language,
        stack=stack,
        seed=plan.seed,
        max_seconds=plan.settings.max_duration,
        by=plan.by,
        null=engine.null_branch(plan.negative_text, plan.negative_voice, language),
        **plan.manner.arguments(real, plan.text, plan.voice, plan.source, language, plan.by),
    )
    exits = plan.early_exit
    if exits is not None and plan.fitted_exits:
        exits = fitted(exits, engine.model_hash)
    recipe = replace(request.recipe, early_exit=exits)
    if plan.two_passes:
        recipe = replace(recipe, guidance="two passes")
    return replace(request, recipe=recipe)


def perform(
    worker: InProcessWorker,
    request: Request,
    schedule: tuple[Event, ...],
    outputs: Outputs,
    watch: Watch,
) -> Spoken:
    """Make a take, and keep it as session and wav.

    While it is made it stands in a journal beside the session, which goes when the session is there. The
    first Ctrl-C cancels the take: what was made so far is kept, without sound, as a session that can be
    replayed.
    """
    scheduled = ScheduledControl(schedule)
    with _journal_beside(outputs.session) as journal, _interruptible() as interrupted:
        speaking = worker.speak(request, scheduled)
        origin = speaking.begun.result().origin
        journal.begin(request, origin)
        begun = perf_counter()
        take = _follow(speaking, journal, watch, interrupted)
        journal.end(request.take, take.seconds)
        wave = worker.decode(take.segments).result() if take.stop != "cancel" else None
        seconds = perf_counter() - begun
        record = new_session(to_session_take(take, origin))
        save_session(record, outputs.session)
        if wave is not None:
            wav.write(outputs.wav, wave, text=session_text(record, indent=None))
    kept = outputs.wav if wave is not None else None
    vain = (*_in_vain(speaking, scheduled), *_unguided(take), *_undemasked(take))
    remarks = worker.service.engine.remarks
    return Spoken(take, outputs.session, kept, interrupted(), seconds, vain, remarks)


def _follow(speaking: Speaking, journal: Journal, watch: Watch, interrupted: Callable[[], bool]) -> Take:
    cancelled = False
    for step in speaking:
        journal.step(step)
        watch(step)
        if interrupted() and not cancelled:
            cancelled = True
            speaking.cancel()
    return speaking.take()


def check_schedule(schedule: tuple[Event, ...], stack: Stack) -> None:
    """Try the changes one after another, so that one that cannot be made is told before anything is."""
    for event in sorted(schedule, key=lambda event: (event.place is not None, event.place)):
        stack = stack.set(event.name, event.value)


def _in_vain(speaking: Speaking, scheduled: ScheduledControl) -> tuple[str, ...]:
    return (
        *(f"{event.name} at {event.place} was refused: {reason}" for event, reason in speaking.refused),
        *(f"{event.name} at {event.place}: the take has no such step" for event in scheduled.never_met()),
    )


def _unguided(take: Take) -> tuple[str, ...]:
    """What the null pass was to be given, where no step had one."""
    if take.request.null == NullBranch() or any(step.null_evidence is not None for step in take.steps):
        return ()
    return ("a negative text or voice is for guidance, which is not in the stack; --set guidance.scale=2",)


def _undemasked(take: Take) -> tuple[str, ...]:
    """What was asked of demasking, where the mode has none."""
    request = take.request
    if "nar_len" in request.phases or request.demasking == Demasking():
        return ()
    return (f"steps and noise of demasking have no part in mode {request.mode}; the mode nar-len has rounds",)


@contextmanager
def _journal_beside(session: Path) -> Iterator[Journal]:
    """A journal that goes when all went well, and stays, with a word about it, when a take broke off.

    A name that is taken is of another take that broke off, and is left alone.
    """
    names = (session.with_suffix(f".{number}.jsonl" if number > 1 else ".jsonl") for number in count(1))
    with Journal(next(name for name in names if not name.exists())) as journal:
        try:
            yield journal
        except UserError as error:
            if journal.path.read_bytes().count(b"\n") > LINES_BEFORE_STEPS:
                raise UserError(f"{error}\nwhat was made until then is in {journal.path}") from error
            journal.path.unlink()
            raise
        journal.path.unlink(missing_ok=True)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether there was a Ctrl-C; a second one raises KeyboardInterrupt.

    The handler only notes it: it may run while a lock is held that whoever reacts would need.
    """
    noted = False

    def note(_: int, __: FrameType | None) -> None:
        nonlocal noted
        if noted:
            raise KeyboardInterrupt
        noted = True

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # only a program's main thread is told of signals
        yield lambda: False
        return
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)
