"""The command that exports the session: by a process of its own, which draws and may load the model."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle_lab.lab.answers import beside

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

PAGE = "index.html"


def export(lab: Lab, folder: str | None = None) -> Future[Path]:
    """Write sound, codes, trace, figures and one page of all takes into a folder that is new or empty."""
    from valle_lab.session.save import session_text

    target = lab.settings.paths.out / lab.record.name if folder is None else Path(folder).expanduser()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"session.export: {target} is there already; name another folder.")
    text, name = session_text(lab.record.session()), f"{lab.record.name}.json"
    options = _options(lab)
    answer: Future[Path] = Future()
    made = beside(lambda: _export(text, name, target, options))
    lab.answers.expect(made, answer.set_result, answer.set_exception)
    lab.tell(f"Exporting to {target}")
    return answer


def _options(lab: Lab) -> list[str]:
    """Where the other process finds the model; the built-in one it finds by itself."""
    from valle_lab.session.engines import find_model

    choice, options = lab.choice, []
    if choice.model != "builtin":
        options += ["--model", find_model(choice.model, choice.models)]
    if choice.codec != "auto":
        options += ["--codec", choice.codec]
    return options


def _export(text: str, name: str, target: Path, options: list[str]) -> Path:
    """Have another process do it. Raises UserError with what that complains about."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        arguments = ["export", str(file), "--out", str(target), *options]
        complaint = by_command(arguments)
    if complaint is not None:
        raise UserError(" ".join(complaint.split()) or "The export failed.")
    return target / PAGE


def by_command(arguments: list[str]) -> str | None:
    """Run `valle-lab` as a process; what it complains about where it fails, or None."""
    done = subprocess.run(
        [sys.executable, "-m", "valle_lab", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    return done.stderr if done.returncode else None
