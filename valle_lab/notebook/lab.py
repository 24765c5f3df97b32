"""One object that loads a model, speaks, and hands out takes: what a notebook or a script needs of the lab.

It is a thin hand over the controller that the screen and the REPL drive too. The model runs in this process,
and every call returns when it is done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from valle.errors import UserError
from valle.samplers.stack import Stack
from valle_lab.lab import Lab as Controller
from valle_lab.lab.beginning import ask, begin
from valle_lab.lab.registry import Registry
from valle_lab.lab.state import LabTake, Notice
from valle_lab.notebook.listening import Listening
from valle_lab.notebook.take import Take
from valle_lab.player import Player
from valle_lab.repl_views import VIEWS
from valle_lab.settings import load_settings
from valle_lab.sinks import open_sink
from valle_lab.waiting import Waiting
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.service import EngineFactory, load_engine

if TYPE_CHECKING:
    from valle.step import Step
    from valle.voices import Voice
    from valle_lab.export.files import Export, Kind
    from valle_lab.session.schema import Session
    from valle_lab.worker.messages import Ask

Answer = TypeVar("Answer")
AS_SET = "as set"
"""A take's voice, where the lab's own is meant: None is no voice."""


class Lab(Listening):
    """The laboratory in this process. Use it in a `with`, or `close` it.

    Nothing is lost where it is not saved: the session's journal stays, and the next lab offers it.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        voice: str | None = None,
        seed: int | None = None,
        language: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        threads: int | None = None,
        config: Path | str | None = None,
        settings: Mapping[str, Any] | None = None,
        factory: EngineFactory = load_engine,
    ) -> None:
        """Load the model; what is not given here comes from `lab.toml`, as everywhere.

        `settings` are further keys of `lab.toml`, such as `{"audio.sink": "none"}`; `factory` brings another
        engine. Raises UserError for a setting or a model that cannot be used.
        """
        named = {
            "model": model,
            "voice": voice,
            "seed": seed,
            "language": language,
            "device": device,
            "dtype": dtype,
            "threads": threads,
        }
        read = load_settings(None if config is None else Path(config), {**(settings or {}), **named})
        self._worker = InProcessWorker(factory, read.paths.voices)
        audio = read.audio
        self.controller = Controller(
            read,
            lambda on_news: self._worker,
            lambda: Player(open_sink(audio.sink, audio.device, audio.player)),
        )
        """What the screen and the REPL drive too, for whatever has no method here."""
        self.controller.has_keys = False
        self._commands = Registry([*self.controller.commands, *VIEWS])
        self._waiting = Waiting(self.controller, self._tell, in_process=True)
        self._failure = ""
        self._closed = False
        self.controller.start()
        self._waiting.until(lambda: not self.controller.busy)
        if self.controller.description is None:
            self.close()
            raise UserError(self._failure or "The model could not be loaded.")

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            return "<Lab, closed>"
        lab = self.controller
        model = lab.description.model if lab.description else "no model"
        seed = "new each time" if lab.seed is None else lab.seed
        return f"<Lab {model}, voice {lab.resolved_voice() or 'none'}, seed {seed}, {len(lab.takes)} takes>"

    def _repr_html_(self) -> str:
        from valle_lab.notebook.show import lab_html

        return lab_html(self)

    def close(self, *, discard: bool = False) -> None:
        """End the model and the sound; takes that were not saved stay in the journal, unless discarded."""
        if self._closed:
            return
        self._closed = True
        unsaved = self.controller.record.unsaved and not discard
        self.controller.close(discard=discard)
        if unsaved:
            print("The session was not saved; the next lab can bring it back.", file=sys.stderr)

    def say(
        self,
        text: str,
        *,
        voice: str | None = AS_SET,
        seed: int | None = None,
        max_seconds: float | None = None,
    ) -> Take:
        """Speak a text; what is named here holds for this take alone, None of a voice is no voice.

        Ctrl-C, or the notebook's stop button, ends the take as the voice's own end would; a second time it
        breaks it off. Raises UserError for what cannot be spoken.
        """
        for _ in self.generate(text, voice=voice, seed=seed, max_seconds=max_seconds):
            pass
        return self.take

    def generate(
        self,
        text: str,
        *,
        voice: str | None = AS_SET,
        seed: int | None = None,
        max_seconds: float | None = None,
    ) -> Iterator[Step]:
        """Speak a text step by step, each when it is made; `take` is it from the first one on.

        What is set between two steps holds from the next one on, and stands in the session. Whoever stops
        iterating breaks the take off. Raises UserError for what cannot be spoken.
        """
        lab = self._open()
        if lab.running is not None:
            raise UserError(f"{lab.running.name} is still being made; go through all of its steps first.")
        if not text.strip():
            raise UserError("There is no text to speak.")
        asked = ask(lab, text.strip())
        changes: dict[str, Any] = {} if voice == AS_SET else {"voice": voice}
        changes |= {} if seed is None else {"seed": seed}
        changes |= {} if max_seconds is None else {"max_seconds": max_seconds}
        return self._steps(replace(asked, **changes))

    def _steps(self, asked: Ask) -> Iterator[Step]:
        take = begin(self.controller, asked)
        given = 0
        try:
            while new := self._new_steps(take, given):
                given += len(new)
                yield from new
        finally:
            if take.running:
                self.controller.run("take.cancel")
                self._waiting.until(lambda: not take.running)
        if take.failure:
            raise UserError(take.failure)

    def _new_steps(self, take: LabTake, given: int) -> Sequence[Step]:
        """The steps after so many, as soon as there are any; none where the take is over."""
        self._waiting.until(lambda: len(take.steps) > given or not take.running)
        return take.steps[given:]

    def run(self, name: str, *arguments: Any) -> Any:
        """Do any command of the lab, as in `lab.run("stack.add", "top_p")`, and wait for what it gives.

        `docs/commands.md` lists them. Raises UserError where it cannot be done.
        """
        return self._given(self._waiting.for_result(self._commands.run(self._open(), name, arguments)))

    def line(self, line: str) -> Any:
        """Do a command as the REPL does: `lab.line("stack.set top_p.p 0.9")`. Raises UserError."""
        lab = self._open()
        name, words = self._commands.parse(line)
        return self._given(self._waiting.for_result(self._commands.run(lab, name, words)))

    def set(self, name: str, value: Any) -> None:
        """Set a parameter of the stack, such as `temperature.value` or `nar.3:top_k.k`. Raises UserError."""
        self.run("stack.set", name, value)

    def preset(self, name: str) -> None:
        """Take the stack of a preset. Raises UserError where there is none of that name."""
        self.run("stack.preset", name)

    @property
    def stack(self) -> Stack:
        """The stack that the next take gets."""
        stack = self.controller.stack
        assert stack is not None
        return stack

    @stack.setter
    def stack(self, stack: Stack | Mapping[str, Any]) -> None:
        """Take another one; phases that it leaves out are the model's own. Raises UserError."""
        from valle_lab.lab.stack import replace_stack

        lab = self._open()
        assert lab.description is not None
        given = stack if isinstance(stack, Stack) else Stack.from_dict(stack)
        replace_stack(lab, given.over(lab.description.default_stack))

    @property
    def voice(self) -> str | None:
        """The voice that the next take gets; a name or a recording's path, None is none."""
        return self.controller.resolved_voice()

    @voice.setter
    def voice(self, voice: str | None) -> None:
        if voice is None:
            self.run("voice.none")
        else:
            self.run("voice.choose", voice)

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices that there are."""
        return tuple(self.run("voice.list"))

    @property
    def seed(self) -> int | None:
        """The seed of all takes; None draws a new one for each."""
        return self.controller.seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        if seed is None:
            self.controller.seed = None
        else:
            self.run("seed.set", seed)

    @property
    def language(self) -> str:
        """The language of the text."""
        return self.controller.language

    @language.setter
    def language(self, language: str) -> None:
        self.run("text.language", language)

    @property
    def take(self) -> Take:
        """The chosen take, which is the newest unless another was chosen. Raises UserError without one."""
        if self.controller.chosen is None:
            raise UserError("There is no take yet.")
        return Take(self, self.controller.chosen)

    @property
    def takes(self) -> tuple[Take, ...]:
        """All takes, the oldest first."""
        return tuple(Take(self, take) for take in self.controller.takes)

    def __getitem__(self, name: str | int) -> Take:
        """The take of that name, or of that number from 1. Raises UserError where there is none."""
        from valle_lab.lab.takes import named

        return Take(self, named(self.controller, str(name)))

    def open(self, file: Path | str) -> tuple[Take, ...]:
        """Go on with the takes of a session: its file, or a wav that carries one. Raises UserError."""
        self.run("session.open", str(file))
        return self.takes

    def save(self, file: Path | str | None = None) -> Path:
        """Save the session of all takes as .json. Raises UserError where it cannot be written."""
        saved: Path = self.run("session.save", None if file is None else str(file))
        return saved

    def session(self) -> Session:
        """The session as it would be saved."""
        return self._open().record.session()

    def export(
        self, folder: Path | str, *, take: str | None = None, kinds: Sequence[Kind] | None = None
    ) -> Export:
        """Write sound, codes, trace, figures and one HTML page of all takes, or of one, into a folder.

        `kinds` are some of `wav`, `codes`, `csv`, `figures` and `page`. Files that are there give way. Raises
        UserError where nothing can be written.
        """
        from valle_lab.export.files import KINDS, export_session

        lab = self._open()
        return export_session(
            self.session(),
            lab.record.name,
            Path(folder).expanduser(),
            lambda record: self._worker.service.engine,
            kinds=kinds or KINDS,
            take=take,
        )

    def wait_for(self, answer: Future[Answer]) -> Answer:
        """What an answer of the controller brings, once it is there. Raises its error."""
        self._waiting.until(answer.done)
        return answer.result()

    @property
    def worker(self) -> InProcessWorker:
        """What holds the engine: `lab.worker.service.engine`."""
        return self._worker

    def _given(self, result: Any) -> Any:
        return Take(self, result) if isinstance(result, LabTake) else result

    def _open(self) -> Controller:
        if self._closed:
            raise UserError("This lab is closed; make another one.")
        return self.controller

    def _tell(self, notice: Notice) -> None:
        if notice.error:
            self._failure = notice.text
        print(notice.text, file=sys.stderr)
