"""Voices: recordings with what is said in them. Their codes are made per codec and kept in a cache.

A folder of voices holds `voices.toml`, one table `[[voice]]` per voice, and the recordings it names. There is
one in the package and one of the user's own, whose voices come first.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import io
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from valle import folders
from valle.audio import edit, wav
from valle.audio.codec import Codec, Codes
from valle.errors import UserError
from valle.files import write_atomically

INDEX = "voices.toml"
SOUND_FILES = frozenset([".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".opus", ".m4a", ".w64", ".caf"])
LONGEST = 60.0
"""Seconds of a recording that a model is given at once; all go through it before the first step."""
BUILTIN_FOLDER = Path(__file__).parent / "builtin" / "voices"

_NAME = re.compile(r"[^\W_][\w-]{0,63}")
_TEXTS = ("transcript", "language", "phonemes", "origin", "description")


@dataclass(frozen=True)
class Voice:
    """A recording and what is known about it; an empty text is something that is not known."""

    name: str
    recording: Path
    transcript: str = ""
    language: str = ""
    phonemes: str = ""
    origin: str = ""
    description: str = ""

    def wave(self) -> wav.Wave:
        """The recording as mono float32 [samples] at 24 kHz; UserError if it cannot be used."""
        return wav.read(self.recording)

    @property
    def seconds(self) -> float:
        """How long the recording is, from its header; UserError if it cannot be read."""
        return wav.duration(self.recording)

    @property
    def remark(self) -> str | None:
        """What a person should know of how the recording is used, in a line; UserError as for `wave`."""
        return wav.cut_short(self.recording)

    def hash(self) -> str:
        """sha256 of the recording's file; UserError if it cannot be read."""
        try:
            return hashlib.sha256(self.recording.read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"{self.recording} cannot be read: {error.strerror or error}") from error


def user_folder() -> Path:
    """Where the user's own voices are, unless the settings name another folder."""
    return folders.data() / "voices"


def cache_folder() -> Path:
    """Where the codes of voices are kept; all of it can be made again."""
    return folders.cache() / "codes"


def list_voices(folder: Path | None = None) -> list[Voice]:
    """All voices, the user's (from `folder`, by default `user_folder()`) before those of the package.

    A name is listed once. Raises UserError for a `voices.toml` that is wrong, naming the file and key.
    """
    voices: dict[str, Voice] = {}
    for place in (folder or user_folder(), BUILTIN_FOLDER):
        for voice in read_folder(place):
            voices.setdefault(voice.name, voice)
    return list(voices.values())


def find_voice(name_or_path: str | Path, folder: Path | None = None) -> Voice:
    """The voice of a name, or a voice made of a recording when it is the path of one.

    Raises UserError: the nearest names for a name that is not there, the path for a file that is not there.
    """
    text = str(name_or_path)
    voices = {voice.name: voice for voice in list_voices(folder)}
    if text in voices:
        return voices[text]
    path = Path(text)
    with contextlib.suppress(OSError, ValueError):  # a name too long for a path is no path
        if path.is_file():
            return Voice(path.stem, path, origin="file")
    if path.suffix.lower() in SOUND_FILES or len(path.parts) > 1:
        raise UserError(f"voice: the file {text} is not there")
    near = difflib.get_close_matches(text, voices, n=3, cutoff=0.5)
    shown = near or list(voices)[:10]
    known = f"{'the nearest are' if near else 'there are'} {', '.join(shown)}" if shown else "there are none"
    raise UserError(f"voice {text[:80]!r} is not known; {known}; or give a sound file")


def remarks_on(voices: Iterable[Voice]) -> tuple[str, ...]:
    """What a person should know of how these recordings are used, a line each."""
    return tuple(remark for voice in voices if (remark := voice.remark) is not None)


def name_of(file: Path) -> str:
    """What a voice of this file is called where nobody says: its name, with `-` for what no name may have."""
    return re.sub(r"[^\w-]+", "-", file.stem).strip("-_")[:64]


def add_voice(
    file: Path | str,
    *,
    name: str | None = None,
    transcript: str = "",
    language: str = "",
    phonemes: str = "",
    description: str = "",
    folder: Path | None = None,
) -> Voice:
    """Copy a recording into the user's folder, mono at 24 kHz without silence at its ends, and list it there.

    `name` is the file's name by default, as far as a voice can be called so. Raises UserError for a recording
    that cannot be used, a name that is taken or cannot be one, and a folder that cannot be written.
    """
    folder = folder or user_folder()
    name = name_of(Path(file)) if name is None else name
    if not _NAME.fullmatch(name):
        raise UserError(f"voice name {name[:80]!r}: use letters, digits, _ and -, at most 64")
    if any(voice.name.casefold() == name.casefold() for voice in list_voices(folder)):
        raise UserError(f"voice name {name!r} is taken; give another one")
    wave = edit.trim_silence(wav.read(file))
    own = read_folder(folder)
    recording = wav.write(folder / f"{name}.flac", wave)
    voice = Voice(name, recording, transcript, language, phonemes, "recording", description)
    write_folder(folder, [*own, voice])
    return voice


def voice_codes(
    voice: Voice, codec: Codec, start: float = 0.0, seconds: float | None = None, cache: Path | None = None
) -> Codes:
    """The codes of a voice, int16 [frames, levels], of the part from `start` that lasts `seconds`.

    The whole recording is encoded once per codec and kept as .npy in `cache` (by default
    `cache_folder()`); a cache that cannot be written is done without. Raises UserError for a recording that
    cannot be used, a part that lies outside it, and one that no model takes in at once.
    """
    _require_short(voice, start, seconds)
    file = (cache or cache_folder()) / f"{voice.hash()[:32]}-{codec.hash[:32]}.npy"
    codes = _cached(file, codec)
    if codes is None:
        codes = codec.encode(wav.resample(voice.wave(), wav.SAMPLE_RATE, codec.sample_rate))
        buffer = io.BytesIO()
        np.save(buffer, codes, allow_pickle=False)
        with contextlib.suppress(UserError):
            write_atomically(file, buffer.getvalue())
    length = len(codes) / codec.frame_rate
    first = round(start * codec.frame_rate)
    count = len(codes) if seconds is None else round(seconds * codec.frame_rate)
    if start < 0.0 or first >= len(codes) or count < 1:
        part = f"{start:g}+{seconds:g}" if seconds is not None else f"{start:g}"
        raise UserError(f"voice {voice.name}: the part {part} s lies outside its {length:.2f} s")
    return codes[first : first + count]


def _require_short(voice: Voice, start: float, seconds: float | None) -> None:
    lasting = voice.seconds - start
    lasting = lasting if seconds is None else min(lasting, seconds)
    if lasting > LONGEST:
        raise UserError(
            f"voice {voice.name}: {lasting:.0f} s are more than a model takes in at once, {LONGEST:g} s; "
            "take a part of it (--prompt START+SECONDS, or --input-prompt-length of python -m valle)"
        )


def read_folder(folder: Path) -> list[Voice]:
    """The voices of one folder, in the order of its `voices.toml`; none where there is no such file.

    Raises UserError for a file that is wrong, naming it and the key.
    """
    index = folder / INDEX
    try:
        tables = tomllib.loads(index.read_text(encoding="utf-8")).get("voice", [])
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{index} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{index} is not valid TOML: {error}".replace("\n", " ")) from error
    if not isinstance(tables, list):
        raise UserError(f"{index}: write each voice as a table [[voice]]")
    return [_voice(table, index) for table in tables]


def write_folder(folder: Path, voices: Iterable[Voice]) -> None:
    """Write the `voices.toml` of a folder that holds the recordings; UserError if it cannot be written."""
    blocks = []
    for voice in voices:
        texts = {key: value for key, value in asdict(voice).items() if key in _TEXTS and value}
        entries = {"name": voice.name, "file": voice.recording.name, **texts}
        blocks.append(
            "[[voice]]\n" + "".join(f"{key} = {_quoted(value)}\n" for key, value in entries.items())
        )
    write_atomically(folder / INDEX, "\n".join(blocks).encode())


def _voice(table: Any, index: Path) -> Voice:
    if not isinstance(table, dict):
        raise UserError(f"{index}: write each voice as a table [[voice]]")
    name = table.get("name")
    label = f"{index}: voice {name!r}" if isinstance(name, str) else f"{index}: a voice"
    known = ["file", *(field.name for field in fields(Voice) if field.name != "recording")]
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise UserError(
                f"{label} has an unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        if not isinstance(value, str):
            raise UserError(f"{label}: {key} is {value!r}, it must be a text")
    file = table.get("file", "")
    if not name or not file:
        raise UserError(f"{label} lacks {'its name' if not name else 'the key file'}")
    if Path(file).name != file:
        raise UserError(f"{label}: file is {file!r}, it must be a name in the same folder")
    return Voice(recording=index.parent / file, name=name, **{key: table.get(key, "") for key in _TEXTS})


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's, but for the one character that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _cached(file: Path, codec: Codec) -> Codes | None:
    """Codes from the cache if they can be those of this codec; a damaged file is as good as none."""
    try:
        codes = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = codes.dtype == np.int16 and codes.ndim == 2 and codes.shape[1] == codec.levels
    if not (fits and len(codes) and codes.min() >= 0 and codes.max() < codec.size):
        return None
    return np.asarray(codes, np.int16)
