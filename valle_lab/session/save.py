"""Sessions as files: read with every reason for a refusal in one line, written whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import ValidationError

from valle.audio.riff import read_text, write_text
from valle.errors import UserError
from valle.files import write_atomically
from valle_lab.session.base import ONE_LINE
from valle_lab.session.schema import Header, Session

# A line break inside a string is written as an escape, so that this never matches in one.
_SPREAD_ARRAY = re.compile(
    r'\{\n\s+("dtype": "\w+"),\n\s+"shape": \[\n([\s\d,]+)\],\n\s+("base64": "[A-Za-z0-9+/=]*")\n\s+\}'
)

MAX_BYTES = 256 * 1024 * 1024
MAX_COMPLAINT = 400
"""Characters of a complaint that may quote what is wrong."""


class SessionError(UserError):
    """A session file that cannot be used; the message names the file and the place in it."""


def load_session(path: Path | str) -> Session:
    """The session of a file: JSON, a wav that carries one, or the journal of a lab that was killed.

    Raises SessionError, naming the file, and the place in it where something is wrong.
    """
    path = Path(path)
    data = _read(path)
    if path.suffix == ".jsonl":
        from valle_lab.session.fold import fold_journal

        return fold_journal(data, str(path))
    if data[:4] == b"RIFF":
        text = read_text(path)
        if text is None:
            raise SessionError(
                f"{path} carries no session; give a wav that the lab wrote, or the session file"
            )
        data = text.encode()
    return parse_session(data, str(path))


def parse_session(data: bytes | str, source: str = "session") -> Session:
    """The session that is written in `data`. Raises SessionError, naming `source` and the place in it."""
    try:
        return Session.model_validate_json(data)
    except ValidationError as error:
        raise SessionError(f"{source}{first_error(error)}") from None


def save_session(session: Session, path: Path | str) -> Path:
    """Write a session, through a temporary file and a rename; into a wav as a chunk that players skip.

    Returns the path. Raises UserError, naming the file, if it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() == ".wav":
        write_text(path, session_text(session, indent=None))
        return path
    return write_atomically(path, session_text(session).encode())


def session_text(session: Session, indent: int | None = 1) -> str:
    """The session as JSON: fields in the order of the schema, unknown ones last in their object.

    An array takes one line, so that a comparison of two files by lines shows what differs.
    """
    document = session.model_dump(mode="json", by_alias=True)
    text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    return text if indent is None else _SPREAD_ARRAY.sub(_on_one_line, text) + "\n"


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong, with its place, to follow the file's name; the format first of all."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    chosen = next((item for item in errors if item["loc"][:1] in (("schema",), ("header",))), errors[0])
    place = ""
    for part in chosen["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f"{'.' * bool(place)}{part[:60]}"
    if chosen["type"] == "json_invalid":
        return f" is cut off, or no JSON ({chosen['msg'].removeprefix('Invalid JSON: ')})"
    if chosen["type"] == "missing" and place == "schema":
        return f" is no session: it lacks schema, as in {Header().model_dump_json()}"
    message = chosen["msg"].removeprefix("Value error, ")
    if chosen["type"] == "string_pattern_mismatch" and ONE_LINE in message:
        message = "a name must be one line of text"
    told = " ".join((f"{place}: {message}" if place else message).split())
    return ": " + (told if len(told) <= MAX_COMPLAINT else told[:MAX_COMPLAINT] + "...")


def _on_one_line(array: re.Match[str]) -> str:
    shape = " ".join(array[2].split())
    return f'{{{array[1]}, "shape": [{shape}], {array[3]}}}'


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise SessionError(f"{path} is a folder; give a session file")
        if path.stat().st_size > MAX_BYTES:
            raise SessionError(f"{path} is larger than {MAX_BYTES >> 20} MiB, more than any session")
        return path.read_bytes()
    except FileNotFoundError:
        raise SessionError(f"{path} is not there; give a session file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SessionError(f"{path} cannot be read: {reason}") from None
