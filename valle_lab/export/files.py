"""The files of an exported session: which there are, and how they come to be in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from valle.audio.riff import wav_bytes
from valle.audio.wav import SAMPLE_RATE
from valle.errors import UserError
from valle.files import write_atomically
from valle_lab.export.drawings import Drawing, drawings
from valle_lab.export.material import FindEngine, Material, Wanted, gather
from valle_lab.export.page import Chapter, page
from valle_lab.export.tables import codes_file, trace_file
from valle_lab.lab.session import lab_takes
from valle_lab.session.replay import safe_name
from valle_lab.session.save import session_text
from valle_lab.session.schema import Session, Take, Trial, new_session

Kind = Literal["wav", "codes", "csv", "figures", "page"]
KINDS: tuple[Kind, ...] = ("wav", "codes", "csv", "figures", "page")
PAGE = "index.html"
Watch = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written of one take."""

    known: Material
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """What was written."""

    folder: Path
    page: Path | None
    takes: tuple[Exported, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, the page first."""
        pages = () if self.page is None else (self.page,)
        return (*pages, *(file for take in self.takes for file in take.files))


def export_session(
    session: Session,
    title: str,
    folder: Path,
    find: FindEngine,
    *,
    kinds: Sequence[Kind] = KINDS,
    wanted: Wanted | None = None,
    take: str | None = None,
    source: Path | None = None,
    watch: Watch = lambda doing: None,
) -> Export:
    """Write a session's takes, or one of them by id or number, into a folder; files that are there give way.

    `find` gives the engine that a take was made with; `source` is the file that the session is from. Raises
    UserError for a take that there is not, or that has nothing that was asked for, and where nothing can be
    written.
    """
    wanted = wanted or Wanted()
    records = _chosen(session, title, take)
    labs = {lab.name: lab for lab in lab_takes(session.model_copy(update={"takes": records}))}
    names = _names([record.id for record in records])
    done, chapters = [], []
    for record in records:
        watch(f"{record.id}: asking the model")
        known = gather(labs[record.id], record, wanted, find, source)
        watch(f"{record.id}: drawing")
        figures = tuple(drawings(known)) if {"figures", "page"} & set(kinds) else ()
        sound = _sound(known)
        files = _files(names[record.id], known, figures, sound, kinds)
        done.append(Exported(known, tuple(write_atomically(folder / name, data) for name, data in files)))
        chapters.append(Chapter(known, figures, sound))
    written = (
        write_atomically(folder / PAGE, page(title, chapters, _trials(session, records)))
        if "page" in kinds
        else None
    )
    return Export(folder, written, tuple(done))


def _files(
    name: str, known: Material, figures: Sequence[Drawing], sound: bytes | None, kinds: Sequence[Kind]
) -> Iterator[tuple[str, bytes]]:
    take = known.take.take
    if "wav" in kinds and sound is not None:
        yield f"{name}.wav", sound
    if "codes" in kinds:
        yield f"{name}-codes.npz", codes_file(take)
    if "csv" in kinds:
        yield f"{name}-trace.csv", trace_file(take)
    if "figures" in kinds:
        for drawing in figures:
            yield f"{name}-{drawing.name}.png", drawing.png
            yield f"{name}-{drawing.name}.svg", drawing.svg


def _sound(known: Material) -> bytes | None:
    """The wav, which carries the session of this take; None where there is no sound."""
    if known.wave is None or not len(known.wave):
        return None
    text = session_text(new_session(known.record), indent=None)
    return wav_bytes(known.wave, SAMPLE_RATE, "int16", text)


def _chosen(session: Session, title: str, name: str | None) -> tuple[Take, ...]:
    if not session.takes:
        raise UserError(f"{title} has no take to export")
    if name is None:
        return session.takes
    try:
        return (session.take(name),)
    except KeyError:
        known = ", ".join(take.id for take in session.takes[:10])
        raise UserError(f"{title} has no take {name!r}; it has {known}") from None


def _trials(session: Session, takes: Sequence[Take]) -> list[Trial]:
    """The blind trials that were of these takes alone."""
    names = {take.id for take in takes}
    return [trial for trial in session.trials if names.issuperset(trial.takes)]


def _names(ids: Sequence[str]) -> dict[str, str]:
    """What the files of each take begin with: safe for any system, and no two the same."""
    names: dict[str, str] = {}
    for number, id in enumerate(ids, 1):
        name = safe_name(id)
        names[id] = f"{name}-{number}" if name.lower() in {n.lower() for n in names.values()} else name
    return names
