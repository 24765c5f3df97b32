"""Voices: the lists on disk, looking one up, adding one, and codes that are made once per codec."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valle import voices
from valle.audio import wav
from valle.errors import UserError
from valle.voices import Voice, add_voice, find_voice, list_voices, read_folder, voice_codes, write_folder

RATE = 24_000


@pytest.fixture(autouse=True)
def no_builtin_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "BUILTIN_FOLDER", tmp_path / "package")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    time = np.arange(RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    quiet = np.zeros(RATE, np.float32)
    return wav.write(tmp_path / "my take.wav", np.concatenate([quiet, tone, quiet]))


@dataclass
class CountingCodec:
    """Says how loud each frame is, on every level, and how often it was asked."""

    name: str = "counting"
    hash: str = "c" * 64
    sample_rate: int = RATE
    frame_rate: int = 75
    levels: int = 8
    size: int = 1024
    lookahead: int = 0
    asked: list[int] = field(default_factory=list)

    def encode(self, wave: np.ndarray) -> np.ndarray:
        self.asked.append(len(wave))
        loudness = np.abs(wave[: len(wave) // 320 * 320]).reshape(-1, 320).max(axis=1)
        return np.repeat((loudness * 1000).astype(np.int16)[:, None], 8, axis=1)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        raise AssertionError("a voice is never decoded")

    decode_chunks = decode


def test_an_added_voice_is_trimmed_listed_and_found(tmp_path: Path, recording: Path) -> None:
    folder = tmp_path / "user"
    added = add_voice(recording, name="anna", transcript="A tone.", language="en", folder=folder)
    assert list_voices(folder) == [added] and find_voice("anna", folder) == added
    assert added.transcript == "A tone." and added.language == "en"
    assert added.seconds == pytest.approx(1.1, abs=0.02)
    again = add_voice(added.recording, name="bert", folder=folder)
    assert [voice.name for voice in list_voices(folder)] == ["anna", "bert"]
    assert again.recording != added.recording


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "-a", "x" * 65, "a\n"])
def test_a_name_that_cannot_be_a_file_is_refused(tmp_path: Path, recording: Path, name: str) -> None:
    with pytest.raises(UserError, match="voice name"):
        add_voice(recording, name=name, folder=tmp_path / "user")
    assert not (tmp_path / "user").exists()


def test_a_taken_name_and_a_silent_recording_are_refused(tmp_path: Path, recording: Path) -> None:
    folder = tmp_path / "user"
    add_voice(recording, name="anna", folder=folder)
    before = sorted(folder.iterdir())
    with pytest.raises(UserError, match="'Anna' is taken"):
        add_voice(recording, name="Anna", folder=folder)
    silent = wav.write(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    with pytest.raises(UserError, match=r"silent\.wav is silent"):
        add_voice(silent, folder=folder)
    assert sorted(folder.iterdir()) == before


def test_the_users_voices_come_before_those_of_the_package(tmp_path: Path) -> None:
    package = Voice("anna", tmp_path / "package" / "a.flac", origin="package")
    write_folder(tmp_path / "package", [package, Voice("carl", tmp_path / "package" / "c.flac")])
    own = Voice("anna", tmp_path / "user" / "mine.flac", origin="own")
    write_folder(tmp_path / "user", [own])
    assert [(voice.name, voice.origin) for voice in list_voices(tmp_path / "user")] == [
        ("anna", "own"),
        ("carl", ""),
    ]
    assert [voice.name for voice in list_voices(tmp_path / "nowhere")] == ["anna", "carl"]


def test_a_name_that_is_not_there_brings_the_nearest(tmp_path: Path) -> None:
    write_folder(tmp_path / "user", [Voice(name, tmp_path / f"{name}.flac") for name in ("anna", "bert")])
    with pytest.raises(UserError, match=r"'ana' is not known; the nearest are anna;"):
        find_voice("ana", tmp_path / "user")
    with pytest.raises(UserError, match="there are anna, bert"):
        find_voice("zzz", tmp_path / "user")
    with pytest.raises(UserError, match="there are none"):
        find_voice("zzz", tmp_path / "empty")


def test_a_path_gives_a_voice_of_its_own(tmp_path: Path, recording: Path) -> None:
    voice = find_voice(recording, tmp_path / "user")
    assert (voice.name, voice.recording) == ("my take", recording)
    for missing in (tmp_path / "missing.wav", "missing.flac", "folder/missing"):
        with pytest.raises(UserError, match="missing"):
            find_voice(missing, tmp_path / "user")


@pytest.mark.parametrize("text", ["x" * 10_000, "\0", "a\0.wav"])
def test_a_text_that_is_no_path_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError):
        find_voice(text, tmp_path)


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=5, max_size=5))
@settings(max_examples=50)
def test_any_text_survives_the_file(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("voices")
    written = [Voice("a", folder / "a.flac", *texts), Voice("b", folder / "b.flac")]
    write_folder(folder, written)
    assert read_folder(folder) == written


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[[voice]", "not valid TOML"),
        ("voice = 3", "[[voice]]"),
        ("voice = [3]", "[[voice]]"),
        ('[[voice]]\nfile = "a.flac"', "lacks its name"),
        ('[[voice]]\nname = "a"', "lacks the key file"),
        ('[[voice]]\nname = "a"\nfile = "../a.flac"', "same folder"),
        ('[[voice]]\nname = "a"\nfile = "a.flac"\ntranscrpt = "x"', "did you mean 'transcript'"),
        ('[[voice]]\nname = "a"\nfile = "a.flac"\nlanguage = 3', "language is 3"),
        ('[[voice]]\nname = "a"\nfile = "a.flac"\nrecording = "x"', "unknown key 'recording'"),
    ],
)
def test_a_wrong_list_is_named_with_its_key(tmp_path: Path, toml: str, words: str) -> None:
    (tmp_path / "voices.toml").write_text(toml)
    with pytest.raises(UserError) as caught:
        list_voices(tmp_path)
    message = str(caught.value)
    assert words in message and str(tmp_path / "voices.toml") in message and "\n" not in message


def test_codes_are_made_once_per_recording_and_codec(tmp_path: Path, recording: Path) -> None:
    voice, cache = Voice("a", recording), tmp_path / "cache"
    codec, other = CountingCodec(), CountingCodec(hash="d" * 64)
    codes = voice_codes(voice, codec, cache=cache)
    assert codes.dtype == np.int16 and codes.shape == (225, 8)
    assert np.array_equal(voice_codes(voice, codec, cache=cache), codes)
    assert codec.asked == [3 * RATE]
    voice_codes(voice, other, cache=cache)
    assert other.asked == [3 * RATE]
    wav.write(recording, voice.wave() * 0.5)
    assert voice_codes(voice, codec, cache=cache).max() < codes.max()


def test_a_part_of_a_voice_is_a_part_of_its_codes(tmp_path: Path, recording: Path) -> None:
    voice, codec, cache = Voice("a", recording), CountingCodec(), tmp_path / "cache"
    whole = voice_codes(voice, codec, cache=cache)
    assert np.array_equal(voice_codes(voice, codec, 1.0, 0.6, cache), whole[75:120])
    assert np.array_equal(voice_codes(voice, codec, 2.0, None, cache), whole[150:])
    for start, seconds in [(3.0, 1.0), (-1.0, 1.0), (0.0, 0.0)]:
        with pytest.raises(UserError, match=r"outside its 3\.00 s"):
            voice_codes(voice, codec, start, seconds, cache)


@pytest.mark.parametrize(
    "damage",
    [b"", b"junk", np.array([{}], object), np.zeros((5, 8), np.int64), np.full((5, 8), 1024, np.int16)],
)
def test_a_damaged_cache_is_made_again(tmp_path: Path, recording: Path, damage: bytes | np.ndarray) -> None:
    voice, codec, cache = Voice("a", recording), CountingCodec(), tmp_path / "cache"
    codes = voice_codes(voice, codec, cache=cache)
    (file,) = cache.iterdir()
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    else:
        np.save(file, damage, allow_pickle=True)
    assert np.array_equal(voice_codes(voice, codec, cache=cache), codes) and len(codec.asked) == 2


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, recording: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(voice_codes(Voice("a", recording), CountingCodec(), cache=tmp_path / "file" / "x")) == 225


def test_a_file_is_added_whatever_it_is_called(tmp_path: Path) -> None:
    file = tmp_path / "My voice (2).wav"
    wav.write(file, np.sin(np.arange(48_000) * 0.05).astype(np.float32) * 0.3)
    assert add_voice(file, folder=tmp_path / "voices").name == "My-voice-2"
