"""One's own recordings as a shard: a folder of sound files, each with what is said in it beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valle.audio import edit, wav
from valle.audio.codec import Codec
from valle.errors import UserError
from valle.text.phonemes import Phonemizer
from valle.text.tokens import Tokenizer
from valle.training.speech import LONGEST, SHORTEST, SpeechShard, ends
from valle.voices import SOUND_FILES

UNALIGNED = -1
UNKNOWN_RATE = 0


@dataclass(frozen=True)
class Recording:
    """A sound file, what is said in it, and who says it: the folder that it lies in, as a number."""

    file: Path
    text: str
    speaker: int


def find_recordings(folder: Path) -> list[Recording]:
    """The sound files of a folder and its subfolders that have a `.txt` of the same name.

    Every folder is one speaker. Raises UserError where there is no folder, no sound file, or a file lacks
    its text.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is not a folder; give one with sound files and a .txt beside each")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SOUND_FILES)
    if not files:
        raise UserError(
            f"{folder}: holds no sound file; give a folder with sound files and a .txt beside each"
        )
    speakers = sorted({file.parent for file in files})
    return [Recording(file, _transcript(file), speakers.index(file.parent)) for file in files]


def listing(recordings: list[Recording], folder: Path) -> str:
    """What recordings of a folder are, a line each: name, bytes and text as JSON."""
    lines = (
        [each.file.relative_to(folder).as_posix(), each.file.stat().st_size, each.text] for each in recordings
    )
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def encode_recordings(
    recordings: list[Recording], codec: Codec, language: str = "en"
) -> tuple[SpeechShard, list[str]]:
    """Recordings as a shard without alignment, and one line for each that was left out, with the reason.

    Raises UserError where none is left.
    """
    codes: list[NDArray[np.int16]] = []
    ids: list[NDArray[np.int16]] = []
    speakers: list[int] = []
    left_out: list[str] = []
    for recording, found in _encoded(recordings, codec, language):
        if isinstance(found, str):
            left_out.append(f"{recording.file}: {found}")
            continue
        codes.append(found[0])
        ids.append(found[1])
        speakers.append(recording.speaker)
    if not codes:
        raise UserError(f"No recording can be used; the first: {left_out[0]}")
    shard = SpeechShard(
        codes=np.concatenate(codes),
        starts=ends(codes),
        ids=np.concatenate(ids),
        id_starts=ends(ids),
        alignment=np.full(sum(map(len, codes)), UNALIGNED, np.int16),
        speakers=np.array(speakers, np.int16),
        rates=np.full(len(codes), UNKNOWN_RATE, np.int16),
    )
    return shard, left_out


def _encoded(
    recordings: list[Recording], codec: Codec, language: str
) -> Iterator[tuple[Recording, tuple[NDArray[np.int16], NDArray[np.int16]] | str]]:
    tokenizer = Tokenizer.builtin()
    with Phonemizer(language) as phonemizer:
        for recording in recordings:
            try:
                symbols = tokenizer.encode(phonemizer.phonemize(recording.text), unknown="skip")
                wave = edit.trim_silence(wav.read(recording.file, rate=codec.sample_rate))
            except UserError as error:
                yield recording, str(error)
                continue
            codes = codec.encode(wave)
            if SHORTEST <= len(codes) <= LONGEST:
                yield recording, (codes, np.array(symbols, np.int16))
            else:
                seconds, most = len(codes) / codec.frame_rate, LONGEST / codec.frame_rate
                yield recording, f"lasts {seconds:.1f} s; cut it to sentences of 0.4 to {most:g} s"


def _transcript(file: Path) -> str:
    path = file.with_suffix(".txt")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UserError(f"{file}: has no {path.name} beside it; write what is said into it") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not text:
        raise UserError(f"{path}: is empty; write what is said in {file.name} into it")
    return text
