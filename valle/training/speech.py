"""Shards of utterances for the model: rendered once, then encoded once the codec is frozen."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from valle.audio.builtin.network import CodecNetwork
from valle.audio.builtin.pitch import HOP, track_pitch
from valle.errors import UserError
from valle.text.phonemes import Phonemizer
from valle.text.tokens import Tokenizer
from valle.training.alignment import frame_symbols
from valle.training.codec_data import FRAME_RATE
from valle.training.espeak import espeak
from valle.training.speakers import Speaker, model_identities
from valle.training.text import TextMaker, training_line

SHORTEST, LONGEST = 30, 12 * FRAME_RATE


def rendered_path(folder: Path, index: int) -> Path:
    """Where a rendered shard lies."""
    return folder / f"rendered-{index:03}.npz"


def speech_path(folder: Path, index: int) -> Path:
    """Where an encoded shard lies."""
    return folder / f"speech-{index:03}.npz"


class Arrays:
    """A frozen dataclass of arrays that is written to one npz file."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def save(self, path: Path) -> None:
        """Write all arrays, the file appearing as a whole."""
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Any:
        """Read what `save` wrote."""
        with np.load(path) as file:
            return cls(**{name: file[name] for name in file.files})


@dataclass(frozen=True)
class RenderedShard(Arrays):
    """Utterances end to end: wave int16, pitch and voicing per frame, and for each its text in ids.

    starts and id_starts hold where each utterance begins, and the end of the last; alignment is, per frame,
    the place in the utterance's ids of the symbol that sounds; speakers are places in the list of
    identities; rates are words a minute.
    """

    wave: NDArray[np.int16]
    pitch: NDArray[np.float32]
    voicing: NDArray[np.float32]
    starts: NDArray[np.int64]
    ids: NDArray[np.int16]
    id_starts: NDArray[np.int64]
    alignment: NDArray[np.int16]
    speakers: NDArray[np.int16]
    rates: NDArray[np.int16]


@dataclass(frozen=True)
class SpeechShard(Arrays):
    """A rendered shard with codes [frames, 8] in the place of its waves."""

    codes: NDArray[np.int16]
    starts: NDArray[np.int64]
    ids: NDArray[np.int16]
    id_starts: NDArray[np.int64]
    alignment: NDArray[np.int16]
    speakers: NDArray[np.int16]
    rates: NDArray[np.int16]


def encode_shard(rendered: RenderedShard, network: CodecNetwork) -> SpeechShard:
    """The codes of a rendered shard."""
    codes = np.empty((len(rendered.pitch), network.shape.levels), np.int16)
    for begin, end in zip(rendered.starts[:-1], rendered.starts[1:], strict=True):
        frames = slice(int(begin), int(end))
        wave = (rendered.wave[frames.start * HOP : frames.stop * HOP] / 32768).astype(np.float32)
        inputs = (wave, rendered.pitch[frames], rendered.voicing[frames])
        with torch.inference_mode():
            latents = network.encoder(*(torch.from_numpy(values)[None] for values in inputs))
            codes[frames] = network.quantise(latents)[0].numpy()
    return SpeechShard(
        codes,
        rendered.starts,
        rendered.ids,
        rendered.id_starts,
        rendered.alignment,
        rendered.speakers,
        rendered.rates,
    )


def ends(pieces: list[NDArray[Any]]) -> NDArray[np.int64]:
    """Where each of some pieces begins when they lie end to end, and the end of the last."""
    return np.cumsum([0, *(len(piece) for piece in pieces)])


def render_shard(
    count: int,
    seed: int,
    line: TextMaker = training_line,
    identities: tuple[Speaker, ...] | None = None,
    voices: int = 1,
) -> RenderedShard:
    """Render utterances of random identities at random rates, each line in so many voices.

    Deterministic from the seed in a process that has rendered nothing yet: espeak's own noise goes on from
    what it said before.
    """
    random = Random(seed)
    people = identities or model_identities()
    tokenizer = Tokenizer.builtin()
    waves: list[NDArray[np.int16]] = []
    pitches: list[NDArray[np.float32]] = []
    voicings: list[NDArray[np.float32]] = []
    ids: list[NDArray[np.int16]] = []
    alignments: list[NDArray[np.int16]] = []
    speakers: list[int] = []
    rates: list[int] = []
    with Phonemizer("en") as phonemizer:
        said: list[tuple[str, int, int]] = []
        while len(waves) < count:
            if not said:
                text, chosen = line(random), random.sample(range(len(people)), voices)
                rate = random.randint(145, 200)
                said = [(text, index, rate) for index in chosen]
            text, index, rate = said.pop()
            person = people[index]
            rendering = espeak().render(text, Speaker(person.variant, person.pitch, person.range, rate))
            frames = len(rendering.wave) // HOP
            if not SHORTEST <= frames <= LONGEST:
                continue
            try:
                phonemes = phonemizer.phonemize(text)
                symbols = tokenizer.encode(phonemes)
            except UserError:
                continue
            wave = rendering.wave[: frames * HOP]
            pitch, voicing = track_pitch(wave)
            waves.append((wave * 32767).astype(np.int16))
            pitches.append(pitch)
            voicings.append(voicing)
            ids.append(np.array(symbols, np.int16))
            alignments.append(frame_symbols(phonemes, rendering.phonemes, frames) + np.int16(1))
            speakers.append(index)
            rates.append(rate)
    return RenderedShard(
        np.concatenate(waves),
        np.concatenate(pitches),
        np.concatenate(voicings),
        ends(pitches),
        np.concatenate(ids),
        ends(ids),
        np.concatenate(alignments),
        np.array(speakers, np.int16),
        np.array(rates, np.int16),
    )
