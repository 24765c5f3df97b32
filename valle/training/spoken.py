"""What a model makes of true speech, for the decoder to learn: its own levels above codes of level 0 that are
the true ones, or are drawn by the AR, each after the true codes before it.

A decoder that has met only true codes is given others when the model speaks: levels 1 to 7 are guesses, and
greedy ones at that, and those of level 0 are draws. One that has heard what those guesses stand for makes
clearer sound of them (vocoders are tuned on what an acoustic model makes of true speech for the same reason:
Shen et al., "Natural TTS synthesis by conditioning WaveNet on mel spectrogram predictions", 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.audio.builtin.pitch import HOP
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.training.codec_data import CodecData
from valle.training.corpus import ENGLISH, LEVELS, STOP, Corpus
from valle.training.speech import RenderedShard, SpeechShard

BUDGET = 3000
"""Frames in a batch, about."""
DRAWN = 0.6
"""The share of the utterances whose level 0 is drawn."""
TEMPERATURE, TOP_P = 0.9, 0.8


def spoken_codes(
    model: ArNar, corpus: Corpus, count: int, seed: int = 0, drawn: float = DRAWN
) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """The first `count` utterances of a corpus, by index, with codes [frames, 8]: level 0 as it is or drawn,
    the others the likeliest ones to the model, each in the voice of another utterance of its speaker.

    Utterances of similar length go together, so they come in the order of their lengths.
    """
    from valle.samplers.bridge import sample_top_p  # brings transformers

    random, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    order = sorted(range(min(count, len(corpus))), key=lambda index: len(corpus[index].codes))
    while order:
        size = max(1, BUDGET // len(corpus[order[0]].codes))
        batch, order = order[:size], order[size:]
        voices = [corpus.prompt(index, random) for index in batch]
        made = [torch.from_numpy(corpus[index].codes[:, :1].astype(np.int64)) for index in batch]
        for place, logits in enumerate(model.full(_rows(corpus, batch, voices, made, 0))):
            if random.random() < drawn:
                odds = (logits[:-1, :STOP] / TEMPERATURE).softmax(-1)
                made[place] = sample_top_p(odds, TOP_P, generator)
        for level in range(1, LEVELS + 1):
            rows = _rows(corpus, batch, voices, made, level)
            best = [logits.argmax(-1, keepdim=True) for logits in model.full(rows)]
            made = [torch.cat(pair, 1) for pair in zip(made, best, strict=True)]
        yield from zip(batch, (codes.numpy().astype(np.int16) for codes in made), strict=True)


def spoken_data(
    model: ArNar, rendered: RenderedShard, encoded: SpeechShard, count: int, seed: int = 0
) -> CodecData:
    """The first `count` utterances of a shard, with the codes that the model makes of them to decode."""
    corpus = Corpus()
    corpus.add(encoded)
    made = dict(spoken_codes(model, corpus, count, seed))
    frames = int(rendered.starts[len(made)])
    return CodecData(
        rendered.wave[: frames * HOP],
        rendered.pitch[:frames],
        rendered.voicing[:frames],
        np.zeros(frames, np.int16),
        rendered.starts[: len(made) + 1],
        ("",),
        np.concatenate([made[index] for index in range(len(made))]),
    )


def _rows(
    corpus: Corpus,
    indices: Sequence[int],
    voices: Sequence[NDArray[np.int16] | None],
    made: Sequence[Tensor],
    level: int,
) -> list[Inputs]:
    """Rows that ask for a level of these utterances, in these voices, after the codes made so far."""
    return [
        Inputs(
            phonemes=torch.from_numpy(corpus[index].ids.astype(np.int64)),
            language=ENGLISH,
            level=level,
            prompt=None if voice is None else torch.from_numpy(voice.astype(np.int64)),
            response=codes,
        )
        for index, voice, codes in zip(indices, voices, made, strict=True)
    ]
