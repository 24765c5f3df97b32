"""Where a take is written: names that say what is in them, checked before anything is generated."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from itertools import count
from pathlib import Path

from valle.errors import UserError
from valle_lab.speak import Outputs

NAME_LENGTH = 40


def choose_outputs(wav: Path | None, session: Path | None, folder: Path, text: str, seed: int) -> Outputs:
    """The files that the options name; those they leave open are named after the text and the seed.

    A name of our own never meets a file that exists; a name that was given may. Raises UserError for a name
    that cannot be used, and for a folder that cannot be written.
    """
    if wav is not None and wav.suffix.lower() != ".wav":
        raise UserError(f"--out {wav}: the name must end in .wav")
    if session is not None and session.suffix.lower() != ".json":
        raise UserError(f"--session {session}: the name must end in .json")
    if wav is None:
        wav = _free_name(folder, f"{safe_name(text)}-{seed}")
    outputs = Outputs(wav, session or wav.with_suffix(".json"))
    for file in (outputs.wav, outputs.session):
        _check_writable(file)
    return outputs


def safe_name(text: str) -> str:
    """Letters, digits and hyphens of the text's beginning, cut at a word; `take` where nothing is left."""
    plain = unicodedata.normalize("NFKD", text[: 8 * NAME_LENGTH]).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", re.sub(r"['’]", "", plain))
    name = ""
    for word in words:
        if name and len(name) + len(word) >= NAME_LENGTH:
            break
        name = f"{name}-{word}" if name else word[:NAME_LENGTH]
    return name or "take"


def _free_name(folder: Path, name: str) -> Path:
    for number in count(1):
        file = folder / f"{name if number == 1 else f'{name}-{number}'}.wav"
        if not file.exists() and not file.with_suffix(".json").exists():
            return file
    raise AssertionError("count() does not end")


def _check_writable(file: Path) -> None:
    if file.is_dir():
        raise UserError(f"{file} is a folder; name a file in it")
    check_folder(file.parent)


def check_folder(folder: Path) -> None:
    """Make a folder where there is none; UserError if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: nothing can be written there: {error.strerror}") from error
