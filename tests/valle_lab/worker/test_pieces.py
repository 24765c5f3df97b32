"""Sound whose codes come piece by piece, and prompts that are repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_engine import FakeCodec

from valle.request import Prompt
from valle_lab.worker.client import WorkerClient
from valle_lab.worker.messages import ModelChoice
from valle_lab.worker.service import SoundInPieces, looped


def codes(frames: int, levels: int = 1) -> np.ndarray:
    return np.random.default_rng(frames).integers(0, 1024, (frames, levels)).astype(np.int16)


@pytest.mark.parametrize("levels", [1, 8])
def test_pieces_of_the_builtin_codec_are_its_whole(levels: int, tmp_path: Path) -> None:
    from valle.audio.builtin.codec import BuiltinCodec, save_network
    from valle.audio.builtin.network import CodecNetwork, CodecShape

    shape = CodecShape(width=32, latent=16, pitch_width=16, encoder_blocks=1)
    save_network(CodecNetwork(shape), tmp_path / "codec.safetensors")
    codec = BuiltinCodec.load(tmp_path / "codec.safetensors")
    made = codes(120, levels)
    pieces = SoundInPieces(codec)
    parts = [pieces.add(part) for part in np.split(made, [15, 16, 60])]
    assert sum(map(len, parts)) == (120 - codec.lookahead) * 320
    whole = np.concatenate([*parts, pieces.end()])
    assert np.allclose(whole, codec.decode(made), atol=1e-4)


def test_nothing_at_all_sounds_like_nothing() -> None:
    assert len(SoundInPieces(FakeCodec()).end()) == 0


def test_a_prompt_is_repeated_or_cut() -> None:
    prompt = Prompt(codes(30, 8), "codec", "anna")
    assert np.array_equal(looped(prompt, 1.0).codes, np.resize(prompt.codes, (75, 8)))
    assert np.array_equal(looped(prompt, 1.0).codes[30:60], prompt.codes)
    assert np.array_equal(looped(prompt, 0.2).codes, prompt.codes[:15]) and looped(
        prompt, 0.0
    ).codes.shape == (1, 8)


def test_pieces_and_sentences_cross_the_pipe(fake_process: WorkerClient) -> None:
    fake_process.load(ModelChoice()).result(60)
    made = codes(7)
    first = fake_process.decode_piece("take/0", made[:4], first=True, last=False).result(20)
    rest = fake_process.decode_piece("take/0", made[4:], first=False, last=True).result(20)
    nothing = fake_process.decode_piece("take/1", made[:0], first=True, last=True).result(20)
    wanted = np.repeat(made[:, 0].astype(np.float32) / 4096, 320)
    assert np.allclose(np.concatenate([first, rest]), wanted) and len(nothing) == 0
    sentences = fake_process.sentences("One. Two.", "en").result(20)
    assert [sentence.phonemes for sentence in sentences] == ["One", "Two"]
    assert sentences[0].ids == (0, 1, 2)
