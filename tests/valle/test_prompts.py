"""Prompts of a length, prefixes, and requests that begin with speech."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toy_model import toy_codes, toy_request

from valle.audio import wav
from valle.errors import UserError
from valle.prompts import converted, pause, prefix_of, prompt_of, repeated, revoiced, transcript_of
from valle.request import NO_VOICE, Prompt, Request, Sentence
from valle.take import Segment, Take
from valle.text.tokens import Tokenizer
from valle.voices import Voice

RATE = 24_000


class Codec:
    """A frame for 320 samples, whose codes are their number."""

    hash, name, levels, size = "c" * 64, "toy", 8, 1024
    sample_rate, frame_rate = RATE, 75

    def encode(self, wave: np.ndarray) -> np.ndarray:
        frames = -(-len(wave) // 320)
        return np.repeat(np.arange(frames, dtype=np.int16)[:, None], 8, axis=1)


def spoken(text: str) -> str:
    return text.lower()


@pytest.fixture
def engine() -> Any:
    made: list[dict[str, Any]] = []

    def request(text: str, **given: Any) -> Request:
        made.append({"text": text, **given})
        return toy_request(1, Codec.hash)

    def sentence(text: str, phonemes: str, language: str) -> Sentence:
        return Sentence(text, phonemes, tuple(Tokenizer.builtin().encode(phonemes)))

    return SimpleNamespace(
        codec=Codec(),
        tokenizer=Tokenizer.builtin(),
        sentence=sentence,
        phonemizer=lambda language: SimpleNamespace(phonemize=spoken),
        request=request,
        made=made,
    )


@pytest.fixture
def voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voice:
    """Two seconds of a tone, with a pause from 0.8 to 0.9 s."""
    monkeypatch.setattr("valle.voices.cache_folder", lambda: tmp_path / "cache")
    wave = np.sin(np.arange(2 * RATE) / 20).astype(np.float32) * 0.5
    wave[round(0.8 * RATE) : round(0.9 * RATE)] = 0.0
    file = wav.write(tmp_path / "tone.wav", wave)
    return Voice("tone", file, transcript="A tone.", language="en")


def test_a_prompt_is_trimmed_or_repeated(engine: Any, voice: Voice) -> None:
    assert len(prompt_of(engine, voice).codes) == 150
    assert prompt_of(engine, voice, 1.0).codes[:, 0].tolist() == list(range(75))
    assert prompt_of(engine, voice, 1.0, start=0.5).codes[0, 0] == 38
    long = prompt_of(engine, voice, 5.0, "repeat").codes[:, 0]
    assert len(long) == 375 and long[150] == 0 and long[149] == 149
    assert len(prompt_of(engine, voice, 5.0).codes) == 150


def test_a_prompt_is_cut_at_a_pause(engine: Any, voice: Voice) -> None:
    assert 60 <= len(prompt_of(engine, voice, 1.2, "silence").codes) <= 68
    assert len(prompt_of(engine, voice, 9.0, "silence").codes) == 150


def test_a_pause_is_looked_for_in_the_latter_half() -> None:
    wave = np.ones(RATE, np.float32)
    wave[: RATE // 10] = 0.0
    wave[round(0.7 * RATE) : round(0.75 * RATE)] = 0.1
    assert 52 <= pause(wave, 75) <= 57


def test_lengths_and_ways_that_make_no_sense(engine: Any, voice: Voice) -> None:
    with pytest.raises(UserError, match="at least one frame"):
        prompt_of(engine, voice, 0.001)
    with pytest.raises(UserError, match="trim, repeat, silence, not by 'guess'"):
        prompt_of(engine, voice, 1.0, "guess")  # type: ignore[arg-type]


def test_a_recording_of_ten_minutes_needs_a_part(engine: Any, voice: Voice) -> None:
    rate = 100
    wav.write(voice.recording, np.sin(np.arange(600 * rate)).astype(np.float32), rate=rate)
    with pytest.raises(UserError, match="600 s are more than a model takes in at once, 60 s") as caught:
        prompt_of(engine, voice)
    assert "--input-prompt-length" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="500 s are more"):
        prompt_of(engine, voice, start=100.0)
    assert len(prompt_of(engine, voice, 3.0).codes) == 225
    assert len(prompt_of(engine, voice, 3.0, "silence", start=9.0).codes) <= 225
    assert len(prompt_of(engine, voice, 61.0, "repeat", start=597.0).codes) == 61 * 75


def test_repeating_goes_on_from_the_beginning() -> None:
    codes = toy_codes()[:3]
    assert np.array_equal(repeated(codes, 7), codes[[0, 1, 2, 0, 1, 2, 0]])


def test_a_prefix_is_a_voice_with_what_it_says(engine: Any, voice: Voice) -> None:
    whole = prefix_of(engine, voice)
    assert whole.sentence.phonemes == "a tone." and len(whole.codes) == 150
    assert whole.sentence.ids == tuple(engine.tokenizer.encode("a tone."))
    text_alone = prefix_of(engine, voice, speech=False)
    assert text_alone.codes.shape == (0, 8) and text_alone.sentence == whole.sentence
    still = prefix_of(engine, None, silence=0.2)
    assert still.codes.shape == (15, 8) and still.sentence.ids == ()
    assert len(prefix_of(engine, voice, silence=0.2).codes) == 165


def test_what_a_voice_says_must_be_known(engine: Any, voice: Voice) -> None:
    with pytest.raises(UserError, match="What the voice tone says is not known"):
        transcript_of(engine, Voice("tone", voice.recording))
    known = Voice("tone", voice.recording, phonemes="ab")
    assert transcript_of(engine, known).ids == tuple(engine.tokenizer.encode("ab"))


def test_a_take_is_spoken_again_from_its_level_0() -> None:
    request = toy_request(1, Codec.hash)
    nothing = Segment((np.zeros(0, np.int16),) * 8, "cancel")
    made = Segment(tuple(toy_codes().T), "stop")
    again = revoiced(Take(request, (made, nothing), ()), Prompt(toy_codes()[:4], Codec.hash, "other"), "b")
    assert (again.mode, again.take, again.voice) == ("nar", "b", "other")
    assert again.sentences == request.sentences[:1]
    assert np.array_equal(again.sources[0].codes, toy_codes())
    assert revoiced(Take(request, (made,), ()), None, "c").voice == NO_VOICE
    with pytest.raises(UserError, match="the take has no frame"):
        revoiced(Take(request, (nothing,), ()), None, "d")


def test_a_conversion_is_asked_for_with_the_source_and_its_text(engine: Any, voice: Voice) -> None:
    target = Prompt(toy_codes(), Codec.hash, "target")
    with pytest.raises(UserError, match="takes a source for each"):
        Request((Sentence("", "", (1, 2)),), "en", toy_request(1, "c").stack, 1, mode="nar")
    converted(engine, voice, target, start=0.3)
    (asked,) = engine.made
    assert asked["voice"] is target and asked["mode"] == "nar-len" and asked["demasking"].start == 0.3
    assert len(asked["sources"][0].codes) == 150
    assert [sentence.phonemes for sentence in asked["sentences"]] == ["a tone."]
