"""The text that travels in a wav file."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from valle.audio import wav
from valle.audio.riff import missing_share, read_text, wav_bytes, write_text
from valle.errors import UserError

WAVE = np.linspace(-0.5, 0.5, 4801, dtype=np.float32)


@pytest.mark.parametrize("sample_format", ["int16", "float32"])
@given(text=st.text(st.characters(codec="utf-8")))
@settings(max_examples=30)
def test_text_comes_back_and_players_hear_the_same(
    tmp_path_factory: pytest.TempPathFactory, sample_format: str, text: str
) -> None:
    path = tmp_path_factory.mktemp("riff") / "a.wav"
    wav.write(path, WAVE, sample_format=sample_format, text=text)  # type: ignore[arg-type]
    assert read_text(path) == text
    heard, rate = soundfile.read(path, dtype="float32")
    plain, _ = soundfile.read(io.BytesIO(wav_bytes(WAVE, 24_000, sample_format)), dtype="float32")  # type: ignore[arg-type]
    assert rate == 24_000 and np.array_equal(heard, plain)
    assert struct.unpack("<I", path.read_bytes()[4:8])[0] == path.stat().st_size - 8


def test_text_is_put_into_a_file_of_another_program_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([WAVE, -WAVE], axis=1), 44_100, subtype="PCM_24")
    before, _ = soundfile.read(path)
    assert read_text(path) is None
    for text in ("first", "the second, longer text", "3"):
        write_text(path, text)
        assert read_text(path) == text
    assert path.read_bytes().count(b"vall") == 1
    after, rate = soundfile.read(path)
    assert rate == 44_100 and np.array_equal(before, after)


def test_a_file_that_is_no_wav_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(UserError, match=r"a\.wav"):
        read_text(path)
    path.write_bytes(b"OggS" + bytes(100))
    with pytest.raises(UserError, match=r"a\.wav is not a wav file"):
        read_text(path)
    with pytest.raises(UserError, match=r"a\.wav is not a wav file"):
        write_text(path, "x")


@given(st.data())
@settings(max_examples=200)
def test_damaged_files_give_text_none_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("riff") / "a.wav"
    whole = bytearray(wav_bytes(WAVE[:20], 24_000, text='{"a": 1}'))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        text = read_text(path)
    except UserError as error:
        assert "a.wav" in str(error)
    else:
        assert text is None or isinstance(text, str)


@pytest.mark.parametrize("text", [None, "a session"])
def test_how_much_of_its_sound_a_file_lacks(tmp_path: Path, text: str | None) -> None:
    path = wav.write(tmp_path / "a.wav", WAVE, text=text)
    whole = path.read_bytes()
    assert missing_share(path) == 0.0 and wav.cut_short(path) is None
    sound = 2 * len(WAVE)
    path.write_bytes(whole[: 44 + sound // 4])
    assert missing_share(path) == pytest.approx(0.75, abs=1e-3)
    assert wav.cut_short(path) == f"{path} is cut short: 0.05 s of 0.20 s are there, and are used"
    assert len(wav.read(path)) == pytest.approx(len(WAVE) / 4, abs=1)
    path.write_bytes(whole[:44])
    assert missing_share(path) == 1.0 and wav.cut_short(path) is None, "reading tells of it"


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_length_that_was_not_known_is_no_promise(tmp_path: Path, size: int) -> None:
    data = bytearray(wav_bytes(WAVE, 24_000))
    data[40:44] = struct.pack("<I", size)
    path = tmp_path / "piped.wav"
    path.write_bytes(data)
    assert missing_share(path) == 0.0


def test_other_files_promise_nothing(tmp_path: Path) -> None:
    assert missing_share(wav.write(tmp_path / "a.flac", WAVE)) == 0.0
    with pytest.raises(UserError, match=r"gone\.wav cannot be read"):
        missing_share(tmp_path / "gone.wav")
