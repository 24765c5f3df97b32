"""What the codec is trained on: renderings with pitch, voicing and the phoneme of every frame."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.audio.builtin.pitch import HOP, SAMPLE_RATE, track_pitch
from valle.request import LEVELS
from valle.training.espeak import Rendering, espeak
from valle.training.speakers import Speaker, any_speaker
from valle.training.text import TextMaker, training_line

STRESS = str.maketrans("", "", "ˈˌ")
FRAME_RATE = SAMPLE_RATE // HOP


@dataclass(frozen=True)
class CodecData:
    """Utterances end to end: wave int16 [frames * 320], and pitch, voicing and phoneme id per frame.

    `starts` holds the frame at which each utterance begins, and the end of the last. Phoneme 0 is a pause.
    `spoken` [frames, 8] are codes to decode in the place of the encoder's, as a model has made them of the
    encoder's level 0; -1 where it was not asked.
    """

    wave: NDArray[np.int16]
    pitch: NDArray[np.float32]
    voicing: NDArray[np.float32]
    phonemes: NDArray[np.int16]
    starts: NDArray[np.int64]
    symbols: tuple[str, ...]
    spoken: NDArray[np.int16] | None = None

    def save(self, path: Path) -> None:
        """Write the data to an npz file."""
        spoken: dict[str, Any] = {} if self.spoken is None else {"spoken": self.spoken}
        with path.with_suffix(".part").open("wb") as file:
            np.savez(
                file, wave=self.wave, pitch=self.pitch, voicing=self.voicing, phonemes=self.phonemes,
                starts=self.starts, symbols=np.array(json.dumps(self.symbols)), **spoken,
            )  # fmt: skip
        path.with_suffix(".part").replace(path)

    @classmethod
    def load(cls, path: Path) -> CodecData:
        """Read data that `save` wrote."""
        with np.load(path) as file:
            values = dict(file)
        symbols = tuple(json.loads(str(values.pop("symbols"))))
        return cls(**values, symbols=symbols)

    def joined(self, other: CodecData) -> CodecData:
        """This data and more behind it, of which only the sound and the codes count: for a frozen codec."""
        spoken = [
            np.full((len(each.pitch), LEVELS), -1, np.int16) if each.spoken is None else each.spoken
            for each in (self, other)
        ]
        return CodecData(
            np.concatenate([self.wave, other.wave]),
            np.concatenate([self.pitch, other.pitch]),
            np.concatenate([self.voicing, other.voicing]),
            np.concatenate([self.phonemes, other.phonemes]),
            np.concatenate([self.starts, other.starts[1:] + self.starts[-1]]),
            self.symbols,
            np.concatenate(spoken),
        )

    def crops(
        self, random: np.random.Generator, count: int, frames: int, usable: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Where crops of so many frames begin, at random in the `usable` utterances by their length."""
        lengths = np.diff(self.starts)
        chosen = random.choice(usable, count, p=lengths[usable] / lengths[usable].sum())
        places: NDArray[np.int64] = self.starts[chosen] + random.integers(0, lengths[chosen] - frames + 1)
        return places

    def utterance(self, index: int) -> slice:
        """The frames of an utterance."""
        return slice(int(self.starts[index]), int(self.starts[index + 1]))


def phoneme_frames(rendering: Rendering, frames: int, symbols: dict[str, int]) -> NDArray[np.int16]:
    """The id of the phoneme that sounds in each frame; unknown symbols are given the next id."""
    found = np.zeros(frames, np.int16)
    for second, name in rendering.phonemes:
        start = max(0, int(second * FRAME_RATE))
        found[start:] = symbols.setdefault(name.translate(STRESS), len(symbols))
    return found


def make_codec_data(
    count: int, seed: int, line: TextMaker = training_line, variants: list[str] | None = None
) -> CodecData:
    """Render utterances of any speaker and any text, deterministic from the seed."""
    random = Random(seed)
    symbols = {"": 0}
    waves, pitches, voicings, phonemes, starts = [], [], [], [], [0]
    while len(starts) <= count:
        speaker: Speaker = any_speaker(random, variants) if variants else any_speaker(random)
        rendering = espeak().render(line(random), speaker)
        frames = len(rendering.wave) // HOP
        if not 40 <= frames <= 10 * FRAME_RATE:
            continue
        wave = rendering.wave[: frames * HOP]
        pitch, voicing = track_pitch(wave)
        waves.append((wave * 32767).astype(np.int16))
        pitches.append(pitch)
        voicings.append(voicing)
        phonemes.append(phoneme_frames(rendering, frames, symbols))
        starts.append(starts[-1] + frames)
    return CodecData(
        np.concatenate(waves),
        np.concatenate(pitches),
        np.concatenate(voicings),
        np.concatenate(phonemes),
        np.array(starts),
        tuple(symbols),
    )
