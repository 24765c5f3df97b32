"""Files from the network: resumed where they broke off, and checked before they are believed."""

from __future__ import annotations

import hashlib
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from valle.errors import UserError

_BLOCK = 1 << 18
_PATIENCE = 30.0
_SELDOM = 10.0
"""Seconds between two lines of a bar that nobody watches."""
Progress = Callable[[int, int | None], None]
"""Told how many bytes are here, and how many there are if that is known."""


class DownloadError(UserError):
    """A file could not be fetched; the message is the reason alone."""


@contextmanager
def bar(name: str, also: Progress | None = None) -> Iterator[Progress]:
    """Show on stderr how much of `name` is here; `also` is told the same."""
    from tqdm import tqdm

    pause = 0.1 if sys.stderr.isatty() else _SELDOM
    with tqdm(unit="B", unit_scale=True, desc=name, mininterval=pause) as shown:

        def progress(here: int, total: int | None) -> None:
            shown.total = total
            shown.update(here - shown.n)
            if also is not None:
                also(here, total)

        yield progress


def download(
    url: str,
    target: Path,
    sha256: str,
    progress: Progress | None = None,
    headers: Mapping[str, str] | None = None,
) -> Path:
    """Fetch a file whose sha256 begins with `sha256`, going on from what an earlier try left beside it.

    What is on its way lies in `NAME.part`; `headers` are sent along. Raises DownloadError if the network or
    the file fails.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, progress, headers or {})
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not digest.startswith(sha256):
            part.unlink()
            raise DownloadError(f"what came has another sha256 ({digest[:8]}) than it should ({sha256[:8]})")
        part.replace(target)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"the server says {error.code} {error.reason}") from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise DownloadError(str(reason)) from error
    return target


def _fetch(url: str, part: Path, progress: Progress | None, headers: Mapping[str, str]) -> None:
    here = part.stat().st_size if part.is_file() else 0
    rest = {"Range": f"bytes={here}-"} if here else {}
    request = urllib.request.Request(url, headers={**headers, **rest})
    try:
        answer = urllib.request.urlopen(request, timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        if here and error.code == 416:  # nothing is missing
            return
        raise
    with answer:
        if here and answer.status != 206:
            here = 0
        length = answer.headers.get("Content-Length")
        total = here + int(length) if length and length.isdigit() else None
        with part.open("ab" if here else "wb") as file:
            while block := answer.read(_BLOCK):
                here += file.write(block)
                if progress is not None:
                    progress(here, total)
    if total is not None and here < total:
        raise DownloadError(f"the connection broke off after {here} of {total} bytes; try again to go on")
