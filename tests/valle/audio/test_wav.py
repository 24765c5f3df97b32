"""Waves in files, against soundfile as the independent reader and writer."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from valle.audio import wav
from valle.audio.riff import wav_bytes
from valle.errors import UserError


def tone(frequency: float, seconds: float, rate: int, amplitude: float = 0.5) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def peak_frequency(wave: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(wave))) * rate / len(wave))


@pytest.mark.parametrize(
    ("name", "rate", "subtype"),
    [
        ("a.wav", 48_000, "PCM_16"),
        ("a.wav", 16_000, "PCM_U8"),
        ("a.wav", 44_100, "PCM_24"),
        ("a.wav", 24_000, "FLOAT"),
        ("a.flac", 22_050, "PCM_16"),
        ("a.ogg", 24_000, "VORBIS"),
        ("a.mp3", 44_100, "MPEG_LAYER_III"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_any_file_becomes_mono_at_24_kilohertz(
    tmp_path: Path, name: str, rate: int, subtype: str, channels: int
) -> None:
    source = np.repeat(tone(440.0, 1.0, rate)[:, None], channels, axis=1)
    soundfile.write(tmp_path / name, source, rate, subtype=subtype)
    wave = wav.read(tmp_path / name)
    assert wave.dtype == np.float32 and wave.ndim == 1
    assert abs(len(wave) - 24_000) < 3_000 if name.endswith("mp3") else abs(len(wave) - 24_000) <= 1
    assert abs(peak_frequency(wave, 24_000) - 440.0) < 2.0
    assert 0.45 < np.abs(wave[2_000:-3_000]).max() < 0.55


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left, right = tone(300.0, 0.5, 24_000), tone(700.0, 0.5, 24_000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 24_000, subtype="FLOAT")
    assert np.allclose(wav.read(tmp_path / "a.wav"), (left + right) / 2, atol=1e-6)


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    low, high = tone(1_000.0, 1.0, 48_000), tone(15_000.0, 1.0, 48_000)
    resampled = wav.resample(low + high, 48_000, 24_000)
    assert np.abs(resampled[1_000:-1_000] - tone(1_000.0, 1.0, 24_000)[1_000:-1_000]).max() < 5e-3


def write_broken(path: Path, kind: str) -> None:
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(b"this is no sound at all" * 20)
    elif kind == "truncated":
        path.write_bytes(wav_bytes(tone(440, 0.1, 24_000), 24_000)[:30])
    elif kind == "no samples":
        path.write_bytes(wav_bytes(np.zeros(0, np.float32), 24_000))
    elif kind == "silent":
        path.write_bytes(wav_bytes(np.zeros(24_000, np.float32), 24_000))
    elif kind == "nan":
        path.write_bytes(wav_bytes(np.full(100, np.nan, np.float32), 24_000, "float32"))
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        soundfile.write(path, np.zeros(3_700, np.float32) + 0.1, 1)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("missing", "not there"),
        ("folder", "not a file"),
        ("empty", "empty"),
        ("noise", "not a sound file"),
        ("truncated", "a.wav"),
        ("no samples", "no samples"),
        ("silent", "silent"),
        ("nan", "damaged"),
        ("huge", "longer than 60 minutes"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, kind: str, word: str) -> None:
    path = tmp_path / "a.wav"
    write_broken(path, kind)
    with pytest.raises(UserError) as caught:
        wav.read(path)
    assert str(path) in str(caught.value) and word in str(caught.value) and "\n" not in str(caught.value)


def test_silence_can_be_read_when_it_is_wanted(tmp_path: Path) -> None:
    write_broken(tmp_path / "a.wav", "silent")
    assert len(wav.read(tmp_path / "a.wav", silent_ok=True)) == 24_000


@given(arrays(np.int16, st.integers(1, 200), elements=st.integers(-32768, 32767)))
def test_sixteen_bit_samples_come_back_exactly(samples: np.ndarray) -> None:
    data = wav_bytes(samples.astype(np.float32) / 32768, 24_000)
    read, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == 24_000 and np.array_equal(read, samples)


@given(
    arrays(
        np.float32,
        st.integers(1, 200),
        elements=st.floats(-4, 4, width=32, allow_subnormal=False),
    )
)
def test_float_samples_come_back_exactly(samples: np.ndarray) -> None:
    data = wav_bytes(samples, 24_000, "float32")
    read, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert np.array_equal(read, samples)
    assert data == wav_bytes(samples, 24_000, "float32")


def test_overloads_are_clipped_not_wrapped(tmp_path: Path) -> None:
    wav.write(tmp_path / "a.wav", np.array([1.5, -1.5, 1.0, -1.0], np.float32))
    read, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert read.tolist() == [32767, -32768, 32767, -32768]


def test_flac_is_written_and_an_unknown_ending_refused(tmp_path: Path) -> None:
    wave = tone(440, 0.2, 24_000)
    assert np.allclose(wav.read(wav.write(tmp_path / "new" / "a.flac", wave)), wave, atol=1e-4)
    with pytest.raises(UserError, match=r"\.wav"):
        wav.write(tmp_path / "a.xyz", wave)
    with pytest.raises(UserError, match=r"must end in \.wav$"):
        wav.write(tmp_path / "a.flac", wave, text="{}")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(UserError, match="cannot be written"):
        wav.write(tmp_path / "file" / "a.wav", tone(440, 0.1, 24_000))
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match=r"folder\.wav cannot be written"):
        wav.write(tmp_path / "folder.wav", tone(440, 0.1, 24_000))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.wav"]
