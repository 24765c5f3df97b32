"""Commands on the session: save it, open one, go on with one that a killed lab left behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from valle.audio import wav
from valle.errors import UserError
from valle.request import Request
from valle_lab.lab.export import export
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import HIDDEN, KEPT, STARS, named, with_wave
from valle_lab.lab.tree import how_it_differs
from valle_lab.lab.trials import TrialRecord
from valle_lab.worker.messages import Begun, Made
from valle_lab.worker.surface import Wave

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab
    from valle_lab.session.schema import Session
    from valle_lab.session.schema import Take as Record
    from valle_lab.shelf import Shelf


def save(lab: Lab, file: str | None = None) -> Path:
    """Save the session: every take with what it needs to be made again."""
    path = None if file is None else Path(file).expanduser()
    if path is not None and path.suffix.lower() != ".json":
        raise UserError(f"session.save {file}: the name must end in .json")
    saved = lab.record.save(path)
    lab.tell(f"Session saved: {saved}")
    lab.mark("session")
    return saved


def save_take(lab: Lab, file: str | None = None) -> None:
    """Save the chosen take as a wav that carries its session, and the session of all takes."""
    take = named(lab, None)
    if take.begun is None:
        raise UserError(f"{take.name} never began; there is nothing of it to save.")
    path = _wav_path(lab, take, file)

    def write(wave: Wave) -> None:
        lab.tell(f"Take saved: {write_take(take, wave, path)}")

    if take.sounds:
        with_wave(lab, take, write)
    save(lab)


def write_take(take: LabTake, wave: Wave, path: Path) -> Path:
    """Write the sound [samples] of a take as a wav that carries its session. Raises UserError."""
    return wav.write(path, wave, text=_carried(take))


def open_session(lab: Lab, file: str) -> None:
    """Open a session: a file, a wav that carries one, or a journal."""
    _open(lab, Path(file).expanduser())


def restore(lab: Lab) -> None:
    """Bring back the newest session that was not saved before the lab ended."""
    left = lab.record.left_behind()
    if not left:
        raise UserError("No unsaved session was left behind.")
    _open(lab, left[0])


def _open(lab: Lab, path: Path) -> None:
    if lab.record.unsaved:
        raise UserError("This session has takes that are not saved; save it first.")
    takes = lab_takes(session := lab.record.restore(path), lab.shelf)
    lab.takes, lab.chosen = takes, takes[-1] if takes else None
    lab.sheet = lab.comparison = lab.trial = None
    lab.trials = {trial.name: trial for trial in _trials(session)}
    if takes and not lab.text.strip():
        lab.text = takes[-1].text
        lab.mark("text")
    lab.tell(f"{len(takes)} take{'s'[: len(takes) != 1]} from {path.name}")
    lab.mark("takes", "session", "steps")


def lab_takes(session: Session, shelf: Shelf | None = None) -> list[LabTake]:
    """The takes of a session as the lab has them, their steps on the shelf.

    Raises UserError for one that this version cannot read.
    """
    from valle_lab.session.convert import from_session_place, from_session_take

    takes: list[LabTake] = []
    for record in session.takes:
        take = from_session_take(record)
        request = take.request
        restored = LabTake(
            name=request.take,
            text=" ".join(sentence.text for sentence in request.sentences),
            seed=request.seed,
            voice=_voice(request),
            speaking=None,
            begun=Begun(request, record.origin),
            made=Made(take.segments, take.seconds, told=record.told),
        )
        _judged(restored, record)
        restored.parent = record.parent
        restored.fork = None if record.fork is None else from_session_place(record.fork)
        restored.add(take.steps)
        restored.settle(shelf)
        takes.append(restored)
    for restored in takes:
        _placed(restored, takes)
    return takes


def _voice(request: Request) -> str | None:
    """Whose voice a take has, or whose speech it tells."""
    given = request.sources[0] if request.task == "stt" else request.prompt
    return None if given is None else given.voice


def _trials(session: Session) -> list[TrialRecord]:
    return [
        TrialRecord(trial.id, trial.takes, trial.names, trial.seal, trial.order, trial.salt, trial.choice)
        for trial in session.trials
    ]


def _placed(restored: LabTake, takes: Sequence[LabTake]) -> None:
    """Say how a fork differs from its parent, as far as that is here."""
    if restored.fork is not None:
        parent = next((take for take in takes if take.name == restored.parent), None)
        parent_take = None if parent is None else parent.take
        restored.how = how_it_differs(restored.take, restored.fork, parent_take)


def _judged(restored: LabTake, record: Record) -> None:
    """What was said of a take before."""
    from valle_lab.session.opinions import notes_of, ratings_of

    values = {rating.scale: rating.value for rating in ratings_of(record)}
    restored.rating = values.get(STARS)
    restored.hidden = bool(values.get(HIDDEN, 0.0))
    restored.kept = bool(values.get(KEPT, 0.0))
    restored.notes = tuple(note.text for note in notes_of(record))


def _wav_path(lab: Lab, take: LabTake, file: str | None) -> Path:
    if file is None:
        stem = lab.record.name
        return lab.settings.paths.out / f"{stem}-{take.name}.wav"
    path = Path(file).expanduser()
    if path.suffix.lower() != ".wav":
        raise UserError(f"take.save {file}: the name must end in .wav")
    return path


def _carried(take: LabTake) -> str:
    from valle_lab.session.convert import to_session_take
    from valle_lab.session.save import session_text
    from valle_lab.session.schema import new_session

    assert take.begun is not None
    record = to_session_take(take.take, take.begun.origin, parent=take.parent, fork=take.fork)
    return session_text(new_session(record), indent=None)


def _nothing_to_save(lab: Lab) -> str | None:
    return None if lab.takes else "there is no take yet."


def _not_finished(lab: Lab) -> str | None:
    if lab.chosen is not None and lab.chosen.running:
        return f"{lab.chosen.name} is still being made."
    return _nothing_to_save(lab)


COMMANDS = (
    command("take.save", save_take, key="ctrl+s", footer="Save", unavailable=_not_finished, rest="file"),
    command("session.save", save, unavailable=_nothing_to_save, rest="file"),
    command("session.open", open_session, rest="file"),
    command("session.export", export, unavailable=_nothing_to_save, rest="folder"),
    command("session.restore", restore, key="f8"),
)
