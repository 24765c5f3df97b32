"""The built-in codec: pitch tracker, codes, decoding whole and in chunks."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from valle.audio.builtin.codec import LOOKAHEAD, BuiltinCodec, save_network
from valle.audio.builtin.network import CodecNetwork, CodecShape, Spectra, frame_phases, pulse_train
from valle.audio.builtin.pitch import HOP, track_pitch
from valle.audio.builtin.source import frame_noise
from valle.errors import UserError

SMALL = CodecShape(width=24, latent=8, pitch_width=16, size=32)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> BuiltinCodec:
    path = tmp_path_factory.mktemp("codec") / "codec.safetensors"
    save_network(random_network(), path)
    return BuiltinCodec.load(path)


def random_network() -> CodecNetwork:
    torch.manual_seed(3)
    network = CodecNetwork(SMALL)
    network.codebooks.normal_()
    with torch.no_grad():
        network.pitch_reader.last.product.bias[1] = 0.3
    return network


def some_codes(frames: int, levels: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SMALL.size, (frames, levels)).astype(np.int16)


@pytest.mark.parametrize("hertz", [70.0, 110.0, 196.0, 311.1, 440.0])
def test_pitch_of_a_tone_is_found_within_five_cents(hertz: float) -> None:
    seconds = np.arange(24000) / 24000
    tone = sum(np.sin(2 * np.pi * hertz * k * seconds + k) / k for k in range(1, 8))
    pitch, voicing = track_pitch(0.1 * np.asarray(tone, np.float32))
    inner = slice(3, -3)
    assert voicing[inner].all()
    assert np.abs(1200 * np.log2(pitch[inner] / hertz)).max() < 5


def test_pitch_follows_a_glide_and_finds_no_voice_in_noise_or_silence() -> None:
    seconds = np.arange(48000) / 24000
    hertz = 100 * 2 ** (seconds / 2)
    phase = np.cumsum(hertz) / 24000
    glide = sum(np.sin(2 * np.pi * k * phase) for k in range(1, 6)) * 0.05
    pitch, voicing = track_pitch(np.asarray(glide, np.float32))
    true = hertz[HOP // 2 :: HOP]
    assert np.median(np.abs(1200 * np.log2(pitch / true))[voicing > 0]) < 10
    assert np.abs(1200 * np.log2(pitch / true))[3:-3].max() < 60
    noise = np.random.default_rng(0).normal(0, 0.05, 24000).astype(np.float32)
    assert track_pitch(noise)[1].mean() < 0.1
    assert track_pitch(np.zeros(3200, np.float32))[1].sum() == 0


def test_pitch_of_nothing_is_empty() -> None:
    pitch, voicing = track_pitch(np.zeros(10, np.float32))
    assert pitch.shape == voicing.shape == (0,)


@pytest.mark.parametrize("step", [HOP, HOP // 2, HOP // 4])
def test_spectra_of_a_wave_give_the_wave_back(step: int) -> None:
    wave = torch.randn(2, 20 * HOP)
    spectra = Spectra(step)
    assert spectra(wave).shape == (2, 20 * HOP // step, 2 * step + 1)
    torch.testing.assert_close(
        spectra.inverse(spectra(wave))[:, 640:-640], wave[:, 640:-640], atol=1e-5, rtol=0
    )


def test_pulse_train_has_the_pitch_it_was_asked_for() -> None:
    hertz = torch.full((1, 75), 150.0)
    turns = frame_phases(hertz)
    assert turns.sum().item() == pytest.approx(150.0, abs=1e-6)
    pulses = pulse_train(hertz, torch.ones(1, 75), turns.cumsum(1) - turns)
    pitch, voicing = track_pitch(pulses[0].numpy())
    assert voicing[3:-3].all()
    assert np.abs(1200 * np.log2(pitch[3:-3] / 150)).max() < 5


def test_noise_is_addressed_by_frame() -> None:
    whole = frame_noise(0, 50)
    assert np.array_equal(whole[20 * HOP : 33 * HOP], frame_noise(20, 13))
    assert abs(float(whole.mean())) < 0.03
    assert float(whole.std()) == pytest.approx(1.0, abs=0.02)
    assert len(np.unique(whole[:HOP])) > 300


def test_decoding_is_deterministic_whatever_the_generators_hold(codec: BuiltinCodec) -> None:
    codes = some_codes(40)
    first = codec.decode(codes)
    torch.rand(7)
    assert np.array_equal(first, codec.decode(codes))
    assert first.shape == (40 * HOP,)
    assert first.dtype == np.float32


@pytest.mark.parametrize("levels", [1, 3, 8])
def test_chunks_decode_to_what_the_whole_decodes_to(codec: BuiltinCodec, levels: int) -> None:
    codes = some_codes(161, levels)
    whole = codec.decode(codes)
    cuts = [0, 1, 9, 34, 35, 60, 61, 120, 161]
    pieces = list(codec.decode_chunks(codes[a:b] for a, b in pairwise(cuts)))
    assert len(pieces) == len(cuts)
    assert sum(len(piece) for piece in pieces[:-1]) == (161 - LOOKAHEAD) * HOP
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-4)


def test_a_code_does_not_change_sound_that_was_given(codec: BuiltinCodec) -> None:
    codes = some_codes(100)
    changed = codes.copy()
    changed[90] = (changed[90] + 1) % SMALL.size
    settled = (90 - LOOKAHEAD) * HOP
    np.testing.assert_allclose(codec.decode(codes)[:settled], codec.decode(changed)[:settled], atol=1e-5)


def test_a_codec_that_does_not_say_how_many_spectra_a_frame_has_one(tmp_path: Path) -> None:
    network = CodecNetwork(replace(SMALL, spectra=1))
    save_network(network, tmp_path / "now.safetensors")
    with safe_open(tmp_path / "now.safetensors", "numpy") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    shape = json.loads(metadata["shape"])
    del shape["spectra"]
    save_file(tensors, tmp_path / "old.safetensors", {**metadata, "shape": json.dumps(shape)})
    now, old = (BuiltinCodec.load(tmp_path / f"{name}.safetensors") for name in ("now", "old"))
    codes = some_codes(20)
    assert np.array_equal(now.decode(codes), old.decode(codes))


def test_no_codes_make_no_sound(codec: BuiltinCodec) -> None:
    assert codec.decode(some_codes(0)).shape == (0,)
    assert np.concatenate(list(codec.decode_chunks(iter([])))).shape == (0,)


def test_encoding_fills_up_the_last_frame(codec: BuiltinCodec) -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, 10 * HOP + 1).astype(np.float32)
    codes = codec.encode(wave)
    assert codes.shape == (11, 8)
    assert codes.dtype == np.int16
    assert codes.min() >= 0
    assert codes.max() < SMALL.size


def test_codes_are_the_nearest_vectors_level_by_level() -> None:
    network = random_network()
    latents = torch.randn(1, 9, SMALL.latent)
    codes = network.quantise(latents)
    rest = latents[0].numpy()
    for level in range(SMALL.levels):
        book = network.codebooks[level].numpy()
        nearest = ((rest[:, None] - book[None]) ** 2).sum(-1).argmin(1)
        assert np.array_equal(codes[0, :, level].numpy(), nearest)
        rest = rest - book[nearest]
    total, first = network.vectors(codes)
    np.testing.assert_allclose(latents.numpy() - total.numpy(), rest[None], atol=1e-4)
    np.testing.assert_array_equal(first, network.codebooks[0][codes[..., 0]])


def test_the_file_gives_the_same_codec_again(codec: BuiltinCodec, tmp_path: Path) -> None:
    save_network(random_network(), tmp_path / "again.safetensors")
    again = BuiltinCodec.load(tmp_path / "again.safetensors")
    assert again.hash == codec.hash
    assert again.name == "builtin-1"
    other = random_network()
    other.codebooks[0, 0, 0] += 1
    save_network(other, tmp_path / "other.safetensors")
    assert BuiltinCodec.load(tmp_path / "other.safetensors").hash != codec.hash


def changed_network(name: str) -> CodecNetwork:
    network = random_network()
    tensor = network.state_dict()[name]
    tensor.view(-1)[0] += 1
    return network


@pytest.mark.parametrize(
    "name", ["decoder.last.bias", "decoder.blocks.0.scale", "pitch_reader.last.product.weight"]
)
def test_a_better_decoder_keeps_the_codes_that_there_are(
    name: str, codec: BuiltinCodec, tmp_path: Path
) -> None:
    save_network(changed_network(name), tmp_path / "better.safetensors")
    better = BuiltinCodec.load(tmp_path / "better.safetensors")
    assert better.hash == codec.hash
    assert not np.array_equal(better.decode(some_codes(9)), codec.decode(some_codes(9)))


@pytest.mark.parametrize("name", ["codebooks", "encoder.first.product.weight", "encoder.last.bias"])
def test_another_encoder_makes_other_codes(name: str, codec: BuiltinCodec, tmp_path: Path) -> None:
    save_network(changed_network(name), tmp_path / "other.safetensors")
    assert BuiltinCodec.load(tmp_path / "other.safetensors").hash != codec.hash


def test_what_cannot_be_used_is_refused_in_one_line(codec: BuiltinCodec, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the kind")
    bad = some_codes(5)
    bad[2, 3] = SMALL.size
    attempts = [
        lambda: codec.encode(np.zeros(0, np.float32)),
        lambda: codec.encode(np.zeros((2, 300), np.float32)),
        lambda: codec.decode(bad),
        lambda: codec.decode(np.zeros((3, 9), np.int16)),
        lambda: codec.decode(np.zeros(3, np.int16)),
        lambda: BuiltinCodec.load(tmp_path / "missing.safetensors"),
        lambda: BuiltinCodec.load(tmp_path / "broken.safetensors"),
    ]
    for attempt in attempts:
        with pytest.raises(UserError) as caught:
            attempt()
        assert "\n" not in str(caught.value)
