"""How faithful the codec is: round trips of utterances that it never heard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from valle.audio.builtin.codec import BuiltinCodec
from valle.audio.builtin.pitch import HOP
from valle.training.codec_data import make_codec_data
from valle.training.evaluation import SEED
from valle.training.measures import harmonics_to_noise, intelligibility, perceptual_quality, pitch_error
from valle.training.speakers import UNSEEN, VARIANTS
from valle.training.text import unseen_line


def evaluate_codec(
    codec: BuiltinCodec, count: int = 24, variants: Sequence[str] = VARIANTS
) -> dict[str, float]:
    """The round trip of utterances that were never in training: means of what `measures` has."""
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
