"""The lab itself: its state, takes and worker; the screen, the REPL and scripts drive it by commands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from valle.adapter_use import AdapterUse
from valle.control import Event
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.manner import Manner
from valle.request import Part
from valle.samplers.stack import Stack
from valle.text.sentences import SplitBy
from valle_lab.lab import takes
from valle_lab.lab.answers import Answers, beside
from valle_lab.lab.audition import Audition
from valle_lab.lab.commands import all_commands
from valle_lab.lab.comparison import Comparison
from valle_lab.lab.history import History
from valle_lab.lab.listening import Stream
from valle_lab.lab.record import Record
from valle_lab.lab.sheet import Sheet
from valle_lab.lab.sight import PACE, SLOW_PACE, Sight, attend, see
from valle_lab.lab.state import LabTake, News, Notice, Subject
from valle_lab.lab.takes import the_player
from valle_lab.lab.trials import BlindTrial, TrialRecord
from valle_lab.lab.whatif import Marks
from valle_lab.lab.work import Work
from valle_lab.model_choice import model_choice
from valle_lab.player import Player
from valle_lab.settings import Settings
from valle_lab.shelf import Shelf
from valle_lab.views import AttentionLook, AttentionView, Look, StepView
from valle_lab.worker.messages import Description, ModelChoice, Progress
from valle_lab.worker.surface import Wave, Worker

if TYPE_CHECKING:
    from valle_lab.microphone import Microphone

StartWorker = Callable[[Callable[[], None]], Worker]
"""Starts a worker, which calls what it is given, from any thread, when something else than a step arrived."""
TICK = 0.05


class Lab:
    """All state of the laboratory. One thread uses it; the worker's answers are taken in by `poll`."""

    def __init__(
        self, settings: Settings, start_worker: StartWorker, open_player: Callable[[], Player]
    ) -> None:
        self.settings = settings
        self.commands = all_commands()
        self.has_keys = True
        """Whether commands have keys, as on the screen, for what is told of them."""
        self.text = ""
        self.language = settings.language
        self.voice: str | None = settings.voice
        """A voice's name or a recording's path; `auto` is the model's first, None is none."""
        self.part = Part()
        """Which part of the voice's recording is the prompt."""
        self.seed: int | None = None if settings.seed == "new" else settings.seed
        """None draws a new one for each take."""
        self.max_seconds = settings.max_duration
        self.stacks: History[Stack] | None = None
        """None until a model has named its own."""
        self.takes: list[LabTake] = []
        self.chosen: LabTake | None = None
        self.row: int | None = None
        """Which decision of the chosen take's timeline is looked at; None is none, or the newest."""
        self.negative_text: str | None = None
        """What guidance leads away from."""
        self.negative_voice: str | None = None
        self.manner = Manner()
        """Task, mode, and what these take."""
        self.by: SplitBy = "sentence"
        """What one segment of a take is made of."""
        self.levels: int | None = None
        """How many of the leading codebooks are heard; None is all."""
        self.playing: str | None = None
        """The take that the player has, if it has one."""
        self.shelf = Shelf(settings.paths.sessions)
        """The steps of the takes that are over."""
        self.waves: list[str] = []
        """The takes whose sound is kept, those decoded last at the end."""
        self.most_waves: int | None = None
        """How many that are at most; None is all. The screen shows one at a time, and sets it."""
        self.pair: tuple[str, str] | None = None
        """The takes that are compared."""
        self.stream: Stream | None = None
        """The take that is heard while it is made."""
        self.audition: Audition | None = None
        """What is heard in turn, if anything is."""
        self.sheet: Sheet | None = None
        """The takes of one text that were made at once and are judged beside each other."""
        self.held: Stack | None = None
        """The stack of side A, where one is held."""
        self.comparison: Comparison | None = None
        """The two takes that are compared."""
        self.trial: BlindTrial | None = None
        """The blind trial that is under way, or was decided last."""
        self.trials: dict[str, TrialRecord] = {}
        """All trials of the session by name, as far as they may be known."""
        self.works: list[Work] = []
        """What is under way besides takes."""
        self.recording: tuple[Microphone, str, str] | None = None
        """The microphone while it records, and the name and transcript of the voice it is to be."""
        self.choice = model_choice(settings)
        self.adapters: tuple[AdapterUse, ...] = ()
        """Those that are loaded, each with the strength of the next take."""
        self.early_exit: EarlyExit | None = None
        """Whether level 0 of the next take is decided without all layers."""
        self.strengths_before: dict[str, float] = {}
        """How strong adapters were that are switched off."""
        self.description: Description | None = None
        self.loading: Progress | None = Progress("starting", 0.0)
        self.memory = 0
        """Bytes that the worker keeps so that takes can be looked at; its limit is `memory_budget_gb`."""
        self.on_news: Callable[[], None] = lambda: None
        """Called, from any thread, when `poll` has something to take in besides steps."""
        self.worker: Worker | None = None
        self.player: Player | None = None
        """None until the sound device has been looked for."""
        self.record = Record(settings.paths.sessions)
        self._start_worker = start_worker
        self._open_player = open_player
        self.answers = Answers(self._tell_failure)
        self.sight = Sight(self, see, PACE)
        """The step under the cursor."""
        self.attention = Sight(self, attend, SLOW_PACE)
        """Where the model looks."""
        self.marks = Marks(self)
        """What the stack as it is would have chosen along the chosen take."""
        self._changed: set[Subject] = set()
        self._notices: list[Notice] = []
        self._arrived = threading.Event()
        self._death_told = False
        self._sound_error = ""

    @property
    def stack(self) -> Stack | None:
        """The stack that the next take gets, and the running one follows."""
        return self.stacks.value if self.stacks else None

    @property
    def running(self) -> LabTake | None:
        """The take that is being made."""
        return next((take for take in reversed(self.takes) if take.running), None)

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        making = self.audition is not None and not self.audition.over
        return bool(self.answers) or self.running is not None or making or bool(self.works)

    def run(self, name: str, *arguments: Any) -> Any:
        """Do a command, as in `lab.run("stack.set", "temperature.value", 0.7)`. Raises UserError."""
        return self.commands.run(self, name, arguments)

    def run_line(self, line: str) -> Any:
        """Do a command as typed: `stack.set temperature.value 0.7`. Raises UserError with the reason."""
        name, words = self.commands.parse(line)
        return self.commands.run(self, name, words)

    def start(self) -> None:
        """Look for the sound device, offer what was left behind, and start the worker."""
        self.answers.expect(beside(self._open_player), self._hear)
        if left := self.record.left_behind():
            self.tell(
                f"The session {left[0].stem} was not saved; {self.hint('session.restore')} brings it back."
            )
        self.start_worker()

    def start_worker(self) -> None:
        """Start a worker, the first or the next one, and have it load the chosen model."""
        if self.worker is not None:
            self.worker.close()
        self._death_told = False
        self.memory = 0
        self.sight.forget()
        self.attention.forget()
        self.marks.forget()
        self.worker = self._start_worker(self._wake)
        self.load(self.choice)

    def load(self, choice: ModelChoice) -> None:
        """Have the worker load a model; until it answers none is loaded."""
        before = choice if self.description is None else self.choice
        self.choice, self.description = choice, None
        self.loading = Progress("starting", 0.0)

        def failed(error: UserError) -> None:
            # What was loaded is gone by then; the key that restarts the process brings it back.
            self.choice, self.loading = before, None
            self._tell_failure(error)
            self.mark("model")

        self.answers.expect(self.living_worker().load(choice, self._report), self._described, failed)
        self.mark("model")

    def load_adapters(self, adapters: tuple[tuple[str, float], ...]) -> None:
        """Have the worker put in these adapters alone, the model staying; where one is wrong, none."""
        before = self.choice
        self.choice = replace(before, adapters=adapters)

        def failed(error: UserError) -> None:
            self.choice = replace(before, adapters=())
            self.adapters = ()
            self._tell_failure(error)
            self.mark("model")

        self.answers.expect(self.living_worker().load(self.choice, self._report), self._described, failed)

    def close(self, *, discard: bool = False) -> None:
        """End worker, sound and journal; a journal of takes that were not saved stays, unless discarded."""
        if self.worker is not None:
            self.worker.close()
        if self.player is not None:
            self.player.close()
        self.record.close(keep=self.record.unsaved and not discard)

    def living_worker(self) -> Worker:
        """The worker; UserError where it is gone."""
        if self.worker is None or self.worker.death is not None:
            raise UserError(f"The model process is not running; {self.hint('model.restart')} starts it.")
        return self.worker

    def resolved_voice(self) -> str | None:
        """The voice that the next take gets."""
        if self.voice != "auto":
            return self.voice
        return self.description.voices[0] if self.description and self.description.voices else None

    def find(self, name: str) -> LabTake | None:
        """The take of that name, if there is one."""
        return next((take for take in self.takes if take.name == name), None)

    def see(self, look: Look) -> Future[StepView]:
        """One decision in full, for scripts and the REPL; `poll` or `wait` bring it. Panes use `sight`."""
        return see(self, look)

    def attend(self, look: AttentionLook) -> Future[AttentionView]:
        """Where the model looks, for scripts and the REPL; panes use `attention`."""
        return attend(self, look)

    def change_running(self, event: Event) -> None:
        """Give every take that is being made a change for its next step."""
        for take in self.takes:
            if take.speaking is not None and (not take.fixed or event.kind in ("finish", "cancel")):
                take.speaking.change(event)

    def change_stack(self, stack: Stack, event: Event) -> None:
        """Replace the stack; the running take follows by the same event."""
        if self.stacks is None:
            raise UserError("No model is loaded yet.")
        self.stacks.change(stack)
        self.change_running(event)
        self.mark("stack")

    def sound(self, wave: Wave) -> None:
        """Play a wave [samples] that is no take."""
        player = the_player(self)
        self.stream = self.playing = None
        player.load(wave)
        player.play()
        self.mark("sound")

    def hint(self, name: str) -> str:
        """A command with its key, for a message."""
        key = self.key_of(name)
        return f"{name} ({key})" if key else name

    def key_of(self, name: str) -> str:
        """The key of a command; empty where it has none."""
        if not self.has_keys:
            return ""
        return self.settings.keys.get(name, self.commands[name].key)

    def tell(self, text: str, *, error: bool = False) -> None:
        """Have one line shown."""
        self._notices.append(Notice(text, error))

    def mark(self, *subjects: Subject) -> None:
        """Say what has changed."""
        self._changed.update(subjects)

    def poll(self) -> News:
        """Take in what the worker has sent, and say what changed since the last call."""
        self._arrived.clear()
        self.answers.poll()
        for take in [take for take in self.takes if take.running]:
            try:
                takes.take_in(self, take)
            except UserError as error:
                self._tell_failure(error)
        self._poll_works()
        self.sight.poll()
        self.attention.poll()
        self.marks.poll()
        self._poll_sound()
        if self.worker is not None and self.worker.death is not None and not self._death_told:
            self._death_told = True
            self.description, self.loading = None, None
            hint = f"{self.hint('model.restart')} starts it again; takes and session are kept."
            self.tell(f"{self.worker.death.rstrip('.')}; {hint}", error=True)
            self.mark("model")
        news = News(frozenset(self._changed), tuple(self._notices))
        self._changed, self._notices = set(), []
        return news

    def wait(self) -> None:
        """Poll until nothing is under way; for scripts, whose notices stay to be polled."""
        notices: list[Notice] = []
        subjects: set[Subject] = set()
        while True:
            news = self.poll()
            notices.extend(news.notices)
            subjects.update(news.subjects)
            if not self.busy:
                break
            self._arrived.wait(TICK)
        self._notices.extend(notices)
        self._changed.update(subjects)

    def _poll_works(self) -> None:
        for work in list(self.works):
            try:
                work.poll()
                over = work.over
            except UserError as error:
                over = True
                self._tell_failure(error)
            if over:
                self.works.remove(work)

    def _poll_sound(self) -> None:
        if self.player is None:
            return
        if self.audition is not None:
            try:
                self.audition.poll()
            except UserError as error:
                self.audition.over = True
                self._tell_failure(error)
        if self.stream is not None:
            try:
                self.stream.poll()
            except UserError as error:
                self.stream = None
                self._tell_failure(error)
        if self.player.state == "playing":
            self.mark("sound")
        if self.player.error != self._sound_error:
            self._sound_error = self.player.error
            if self._sound_error:
                self.tell(self._sound_error, error=True)
                self.mark("sound")

    def _report(self, progress: Progress) -> None:
        self.loading = progress
        self._wake()

    def _wake(self) -> None:
        self._arrived.set()
        self.on_news()

    def _described(self, description: Description) -> None:
        own = self.settings.stacks
        stack = Stack.from_dict(own).over(description.default_stack) if own else description.default_stack
        self.description, self.loading = description, None
        for remark in description.remarks:
            self.tell(f"{description.model}: {remark}")
        strengths = {use.name: use.strength for use in self.adapters}
        self.adapters = tuple(
            replace(use, strength=strengths.get(use.name, use.strength))
            for use in description.recipe.adapters
        )
        if self.stacks is None:
            self.stacks = History(stack)
        self.mark("model", "stack", "voices")

    def _hear(self, player: Player) -> None:
        self.player = player
        self.mark("sound")

    def _tell_failure(self, error: UserError) -> None:
        self.tell(str(error), error=True)
