"""How well the built-in voice speaks: what a listener would ask, as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from valle.audio.builtin.codec import BuiltinCodec
from valle.audio.builtin.pitch import HOP
from valle.inference import Engine
from valle.training.codec_data import make_codec_data
from valle.training.espeak import espeak
from valle.training.measures import (
    harmonics_to_noise,
    intelligibility,
    log_mel,
    perceptual_quality,
    pitch_error,
    voice_print,
    warped_distances,
)
from valle.training.speakers import UNSEEN, VARIANTS, Speaker
from valle.training.text import TextMaker, common_line, unseen_line
from valle.training.voices import PORTRAITS, RATE, Portrait
from valle.voices import find_voice

Floats = NDArray[np.float32]
SEED = 1234
STANDARD_VOICES = ("clear-man", "low-man", "calm-woman", "bright-woman")


@dataclass(frozen=True)
class TakeResult:
    """One sentence in one voice: which text and voice it is nearest to, and how it ended."""

    text: str
    voice: str
    right_text: bool
    right_voice: bool
    stopped: bool
    length_ratio: float
    distance: float
    real_time_factor: float


def sentences(count: int, line: TextMaker, seed: int = SEED) -> list[str]:
    """Lines that differ from each other, of two to six seconds."""
    random = Random(seed)
    found: list[str] = []
    while len(found) < count:
        text = line(random)
        if text not in found and 18 <= len(text) <= 70:
            found.append(text)
    return found


def rendering(text: str, portrait: Portrait) -> Floats:
    """How espeak-ng says a text in a built-in voice."""
    return espeak().render(text, Speaker(portrait.variant, portrait.pitch, rate=RATE)).wave


def evaluate_takes(
    engine: Engine, texts: Sequence[str], voices: Sequence[str], seed: int = 0
) -> Iterator[TakeResult]:
    """Speak every text in every voice, and compare with espeak's own renderings."""
    portraits = {portrait.name: portrait for portrait in PORTRAITS}
    prints = {name: voice_print(find_voice(name).wave()) for name in portraits}
    for name in voices:
        references = [rendering(text, portraits[name]) for text in texts]
        features = [log_mel(reference) for reference in references]
        prompt = engine.prompt(find_voice(name))
        for index, text in enumerate(texts):
            request = engine.request(text, voice=prompt, seed=seed)
            take = engine.generate(request, measured=False).finish()
            wave = engine.wave(take.segments)
            if not len(wave):
                yield TakeResult(text, name, False, False, take.stop == "stop", 0.0, 99.0, 0.0)
                continue
            distances = warped_distances(log_mel(wave), features)
            own = voice_print(wave)
            nearest = min(prints, key=lambda other: float(np.linalg.norm(prints[other] - own)))
            yield TakeResult(
                text,
                name,
                int(distances.argmin()) == index,
                nearest == name,
                take.stop == "stop",
                len(wave) / len(references[index]),
                float(distances[index]),
                take.seconds / max(take.duration, 1e-6),
            )


def summary(results: Sequence[TakeResult]) -> dict[str, float]:
    """The shares and medians of many takes."""
    return {
        "takes": len(results),
        "text_identified": float(np.mean([each.right_text for each in results])),
        "voice_identified": float(np.mean([each.right_voice for each in results])),
        "stopped": float(np.mean([each.stopped for each in results])),
        "length_ratio": float(np.median([each.length_ratio for each in results])),
        "distance": float(np.median([each.distance for each in results])),
        "real_time_factor": float(np.median([each.real_time_factor for each in results])),
    }


def evaluate_model(
    engine: Engine, count: int = 20, voices: Sequence[str] = STANDARD_VOICES
) -> dict[str, dict[str, float]]:
    """Sentences of common words, and of words that never occur in training."""
    return {
        "common": summary(list(evaluate_takes(engine, sentences(count, common_line), voices))),
        "unseen": summary(list(evaluate_takes(engine, sentences(count, unseen_line), voices))),
    }


def evaluate_codec(
    codec: BuiltinCodec, count: int = 24, variants: Sequence[str] = VARIANTS
) -> dict[str, float]:
    """The round trip of utterances that were never in training: medians of what `measures` has."""
    data = make_codec_data(count, SEED, unseen_line, list(variants))
    rows = []
    for index in range(count):
        frames = data.utterance(index)
        true = (data.wave[frames.start * HOP : frames.stop * HOP] / 32768).astype(np.float32)
        codes = codec.encode(true)
        made, first = codec.decode(codes), codec.decode(codes[:, :1])
        cents, alike = pitch_error(made, true)
        rows.append(
            {
                "harmonics_to_noise_of_espeak": harmonics_to_noise(true),
                "harmonics_to_noise": harmonics_to_noise(made),
                "stoi": intelligibility(made, true),
                "stoi_of_first_level": intelligibility(first, true),
                "pitch_error_in_cents": cents,
                "voicing_alike": alike,
                "pesq": perceptual_quality(made, true),
            }
        )
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def evaluate_codec_on_all(codec: BuiltinCodec, count: int = 24) -> dict[str, dict[str, float]]:
    """The codec on voices of its training and on voices that it never heard."""
    return {"known": evaluate_codec(codec, count), "unseen": evaluate_codec(codec, count, UNSEEN)}
