"""``valle-lab export``: a session as wav, codes, table, figures and one page."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import ProgressLine, narrate, print_json

if TYPE_CHECKING:
    from valle_lab.export.files import Export, Kind
    from valle_lab.export.material import Wanted

MODES = ("tolerant", "exact", "forced", "none")


def export(
    common: Common,
    file: Annotated[Path, typer.Argument(metavar="SESSION", help="A session, or a wav that carries one.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where it goes; a folder of its own in out/ otherwise.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="wav, codes, csv, figures or page; repeatable."),
    ] = None,
    take: Annotated[str | None, typer.Option(metavar="TAKE", help="One take, by id or number.")] = None,
    step: Annotated[
        int | None, typer.Option(metavar="N", help="The decision to show in full; else the least sure one.")
    ] = None,
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="How the verdict is found: tolerant, exact, forced, none.")
    ] = "tolerant",
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Only what the session itself holds; loads nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that holds files.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int | None:
    """Write a session as wav, codes (.npz), trace (.csv), figures (.png, .svg) and one page (.html)."""
    from valle_lab.cli.replay import engines_of
    from valle_lab.export.files import export_session
    from valle_lab.session.save import load_session

    kinds, wanted = _kinds(only), _wanted(mode, step, no_model)
    session = load_session(file)
    folder = _folder(out, common.settings().paths.out, file, force)
    progress = ProgressLine()
    find = engines_of(common, any_model=False)
    try:
        done = export_session(
            session,
            file.stem,
            folder,
            find,
            kinds=kinds,
            wanted=wanted,
            take=take,
            source=file,
            watch=progress.show,
        )
    except UserError:
        with suppress(OSError):
            folder.rmdir()  # which takes away only an empty one
        raise
    finally:
        progress.clear()
        find.close()
    for written in done.takes:
        if written.known.left_out and wanted.model:
            narrate(f"{written.known.take.name}: left out what the model adds: {written.known.left_out}")
    if json_output:
        print_json(_document(file, done))
    else:
        print("\n".join(map(str, done.files)))
    return None


def _kinds(only: list[str] | None) -> tuple[Kind, ...]:
    from valle_lab.export.files import KINDS

    chosen: tuple[str, ...] = tuple(only or KINDS)
    if unknown := next((kind for kind in chosen if kind not in KINDS), None):
        raise UserError(f"--only {unknown!r} must be one of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in chosen)


def _wanted(mode: str, step: int | None, no_model: bool) -> Wanted:
    from valle_lab.export.material import Wanted
    from valle_lab.session.judge import Mode

    if mode not in MODES:
        raise UserError(f"--mode {mode!r} must be one of {', '.join(MODES)}")
    return Wanted(next((item for item in get_args(Mode) if item == mode), None), step, not no_model)


def _folder(out: Path | None, usual: Path, file: Path, force: bool) -> Path:
    """Where the files go. UserError for a folder that holds files, unless forced, or cannot be written."""
    from valle_lab.cli.outputs import check_folder

    if out is None:
        names = (f"{file.stem}{'' if number == 1 else f'-{number}'}" for number in count(1))
        folder = next(folder for folder in (usual / name for name in names) if not folder.exists())
    else:
        folder = out
        if folder.is_dir() and any(folder.iterdir()) and not force:
            raise UserError(f"--out {folder} holds files already; name another folder, or add --force")
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--out {folder} is a file; name a folder")
    check_folder(folder)
    return folder


def _document(file: Path, done: Export) -> dict[str, Any]:
    return {
        "session": str(file),
        "folder": str(done.folder),
        "page": None if done.page is None else str(done.page),
        "takes": [
            {
                "take": written.known.take.name,
                "verdict": None if written.known.judgement is None else written.known.judgement.verdict,
                "decision": written.known.row,
                "files": [str(path) for path in written.files],
                "left_out": written.known.left_out or None,
            }
            for written in done.takes
        ],
    }
