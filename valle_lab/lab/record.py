"""The session of this lab: its journal while it runs, its file once saved, what a killed lab left behind."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from valle.errors import UserError
from valle.step import Place, Step
from valle_lab.lab.state import LabTake

if TYPE_CHECKING:
    from valle_lab.lab.trials import TrialRecord
    from valle_lab.session.journal import Journal
    from valle_lab.session.schema import Session

JOURNAL = ".jsonl"


class Record:
    """Writes every take to a journal as it is made; the journal begins with the first take.

    The session's modules are imported where they are needed: their schema takes a tenth of a second to build,
    which is a tenth of the time that the lab has to be on the screen.

    A journal that a living lab writes is locked, so that another lab does not take it for one left behind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file: Path | None = None
        """Where the session was saved last."""
        self.unsaved = False
        self._journal: Journal | None = None
        self._lock: BinaryIO | None = None

    @property
    def name(self) -> str:
        """What files of this session are named after."""
        if self.file is not None:
            return self.file.stem
        return self._journal.path.stem if self._journal is not None else _now()

    def begin(self, take: LabTake) -> None:
        """A take begins. Raises UserError where the journal cannot be written."""
        if self._journal is None:
            self._open(None)
        if self._journal is not None and take.begun is not None:
            self.unsaved = True
            with self._once():
                self._journal.begin(take.begun.request, take.begun.origin, parent=take.parent, fork=take.fork)

    def add(self, steps: Sequence[Step]) -> None:
        """Steps were made. Raises UserError where the journal cannot be written."""
        if self._journal is not None:
            with self._once():
                for step in steps:
                    self._journal.step(step)

    def end(self, take: LabTake) -> None:
        """A take is over. Raises UserError where the journal cannot be written."""
        if self._journal is not None and take.made is not None:
            with self._once():
                self._journal.end(take.name, take.made.seconds, take.made.told)

    def rate(self, take: str, scale: str, value: float) -> None:
        """A take was judged. Raises UserError where the journal cannot be written."""
        self._opine(lambda journal: journal.rate(take, {"scale": scale, "value": value}))

    def note(self, take: str, text: str, place: Place | None = None) -> None:
        """Something was said of a take. Raises UserError where the journal cannot be written."""
        where = None if place is None else asdict(place)
        self._opine(lambda journal: journal.note(take, {"text": text, "place": where}))

    def trial(self, trial: TrialRecord) -> None:
        """A blind trial was opened or decided. Raises UserError where the journal cannot be written."""
        from valle_lab.session.schema import Trial

        known = {name: value for name, value in asdict(trial).items() if name != "name"}
        self._opine(lambda journal: journal.trial(Trial.model_validate({"id": trial.name, **known})))

    def session(self) -> Session:
        """The session as the journal tells it; a take that is still running ends there."""
        from valle_lab.session.save import load_session
        from valle_lab.session.schema import new_session

        if self._journal is None:
            return new_session()
        return load_session(self._journal.path)

    def save(self, file: Path | None = None) -> Path:
        """Fold the journal into a session file. Raises UserError where it cannot be written."""
        from valle_lab.session.save import save_session

        path = file or self.file or self.folder / f"{self.name}.json"
        saved = save_session(self.session(), path)
        self.file, self.unsaved = saved, False
        return saved

    def left_behind(self) -> tuple[Path, ...]:
        """Journals of labs that ended without saving, the newest first."""
        return tuple(path for path in sorted(self.folder.glob("*" + JOURNAL), reverse=True) if _is_free(path))

    def restore(self, path: Path) -> Session:
        """Go on with what a journal or a session file holds. Raises UserError where it cannot be read."""
        from valle_lab.session.save import load_session

        session = load_session(path)
        self._open(session)
        if path.suffix == JOURNAL:
            path.unlink(missing_ok=True)
            self.unsaved = True
        else:
            self.file = path
        return session

    def close(self, *, keep: bool) -> None:
        """End the journal; without `keep` what was not saved is gone."""
        if self._journal is not None:
            self._journal.close()
            if not keep:
                self._journal.path.unlink(missing_ok=True)
            self._journal = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _open(self, session: Session | None) -> None:
        from valle_lab.session.journal import Journal

        self.close(keep=False)
        self._journal = Journal(self._free_name(), session)
        self._lock = self._journal.path.open("rb")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _opine(self, write: Callable[[Journal], None]) -> None:
        if self._journal is not None:
            self.unsaved = True
            with self._once():
                write(self._journal)

    @contextmanager
    def _once(self) -> Iterator[None]:
        """A journal that cannot be written is told of once; a closed one takes no more lines."""
        try:
            yield
        except UserError:
            if self._journal is not None:
                self._journal.close()
            raise

    def _free_name(self) -> Path:
        start = _now()
        names = (f"{start}{'' if number == 1 else f'-{number}'}" for number in count(1))
        return next(
            self.folder / f"{name}{JOURNAL}"
            for name in names
            if not any((self.folder / f"{name}{ending}").exists() for ending in (JOURNAL, ".json"))
        )


def _now() -> str:
    return f"{datetime.now():%Y-%m-%d-%H%M%S}"


def _is_free(path: Path) -> bool:
    """Whether no living lab writes this journal."""
    with suppress(OSError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
