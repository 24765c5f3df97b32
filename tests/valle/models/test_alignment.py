"""The built-in voice reads along: phonemes are found where espeak says that it spoke them."""

from __future__ import annotations

import numpy as np

from valle.inference import Engine
from valle.models.attention_maps import best_heads, monotone_paths
from valle.training.alignment import symbol_times
from valle.training.espeak import espeak
from valle.training.speakers import model_identities

TEXTS = ("The river was wide and slow that morning.", "Seven men walked home along the quiet road.")
NEAR = 5
"""Frames that a phoneme's start may be off."""


def test_most_phonemes_begin_where_espeak_began_them() -> None:
    engine = Engine.load(threads=1)
    near: list[bool] = []
    try:
        for text, speaker in zip(TEXTS, model_identities(), strict=False):
            spoken = espeak().render(text, speaker)
            level_0 = engine.codec.encode(spoken.wave)[:, 0]
            request = engine.request(text, seed=1)
            (sentence,) = request.sentences
            track = engine.observe(request, 0, level_0)
            weights = track.text(0, len(track))
            layer, head, monotony = best_heads(weights, 1)[0]
            assert monotony > 0.3
            (path,), _ = monotone_paths(weights[None, layer, head])
            symbols = [engine.tokenizer.decode([number]) for number in sentence.ids]
            wanted = symbol_times(sentence.phonemes, spoken.phonemes, spoken.seconds) * 75
            starts = np.cumsum([0, *map(len, symbols)])
            near += [
                abs(int(np.argmax(path >= index)) - wanted[starts[index]]) <= NEAR
                for index, symbol in enumerate(symbols)
                if symbol.isalpha()
            ]
    finally:
        engine.close()
    assert len(near) > 40 and np.mean(near) >= 0.8
