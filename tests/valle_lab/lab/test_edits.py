"""Commands on stack, presets, voices, text and settings: each by its name, each refusal in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import Bench
from valle.audio import wav
from valle.audio.wav import SAMPLE_RATE
from valle.errors import UserError
from valle.request import Part
from valle.samplers.values import Condition, Curve
from valle_lab import preferences
from valle_lab.lab import voices
from valle_lab.lab.voices import prompt_wave, quiet_place
from valle_lab.settings import template


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of one's own, and no settings of a person's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preferences, "user_settings_file", lambda: tmp_path / "config" / "lab.toml")
    monkeypatch.setattr(voices, "_phonemes", lambda text, language: text.lower())


def tone(seconds: float) -> np.ndarray:
    return np.sin(np.arange(round(seconds * SAMPLE_RATE)) * 0.05).astype(np.float32) * 0.3


def keys(bench: Bench, phase: str = "ar") -> list[str]:
    assert bench.lab.stack is not None
    return [stage.key for stage in bench.lab.stack.effective(phase)]


def test_a_stage_is_duplicated_behind_itself(bench: Bench) -> None:
    lab = bench.lab
    lab.run_line("stack.set temperature.value 0.8")
    lab.run("stack.duplicate", "temperature")
    lab.run("stack.set", "temperature#2.value", 0.5)
    assert keys(bench) == ["temperature", "temperature#2", "draw"]
    values = [stage.parameters.get("value") for stage in lab.stack.stages("ar")]  # type: ignore[union-attr]
    assert values[:2] == [0.8, 0.5]
    lab.run("stack.undo")
    lab.run("stack.undo")
    assert keys(bench) == ["temperature", "draw"]
    lab.run("stack.redo")
    assert keys(bench) == ["temperature", "temperature#2", "draw"]


def test_curves_and_conditions(bench: Bench) -> None:
    lab = bench.lab
    lab.run_line("stack.curve temperature.value linear 1.0 0.6 0 75")
    (stage, _) = lab.stack.stages("ar")  # type: ignore[union-attr]
    assert stage.parameters["value"] == Curve("linear", (1.0, 0.6), begin=0, end=75)
    lab.run_line("stack.curve temperature.value cosine 1 0.5 0.5 6 over entropy")
    (stage, _) = lab.stack.stages("ar")  # type: ignore[union-attr]
    assert stage.parameters["value"] == Curve("cosine", (1, 0.5), over="entropy", begin=0.5, end=6)
    lab.run_line('stack.curve temperature.value {"curve": "list", "values": [1, 0.9]}')
    lab.run_line("stack.when temperature entropy 3.0")
    (stage, _) = lab.stack.stages("ar")  # type: ignore[union-attr]
    assert stage.when == Condition("entropy", above=3.0)
    lab.run_line("stack.when temperature varentropy - 5")
    assert lab.stack.stages("ar")[0].when == Condition("varentropy", below=5.0)  # type: ignore[union-attr]
    lab.run_line("stack.when temperature entropy")
    assert lab.stack.stages("ar")[0].when is None  # type: ignore[union-attr]


def test_the_linter_speaks(bench: Bench) -> None:
    assert bench.lab.run("stack.lint") == ("ar: temperature: does nothing: value is 1",)
    bench.lab.run("stack.set", "temperature.value", 0.3)
    (remark,) = bench.lab.run("stack.lint")
    assert remark.startswith("ar: temperature: ") and "repetition" in remark


def test_presets_of_others_and_of_ones_own(bench: Bench, tmp_path: Path) -> None:
    lab = bench.lab
    assert "vall-e-2" in lab.run("stack.presets")
    lab.run("stack.preset", "vall-e-2")
    first = lab.stack
    assert first is not None and "nar" in first.lists, "the model's own where the preset says nothing"
    lab.run("stack.save_preset", "mine")
    assert lab.run("stack.presets")[0] == "mine"
    lab.run("stack.reset")
    assert lab.stack != first
    lab.run("stack.preset", "mine")
    assert lab.stack == first
    (tmp_path / "presets" / "broken.toml").write_text("stacks = 3")
    for line, told in (
        ("stack.preset broken", "broken.toml cannot be used"),
        ("stack.preset nobody", 'no preset "nobody"'),
        ("stack.save_preset vall-e-2", "known system"),
        ("stack.save_preset ../up", "not possible"),
    ):
        with pytest.raises(UserError, match=told) as error:
            lab.run_line(line)
        assert "\n" not in str(error.value)


def test_the_stack_becomes_the_default_of_every_session(bench: Bench, tmp_path: Path) -> None:
    Path("lab.toml").write_text(template())
    bench.lab.run("stack.set", "top_k.k", 33)
    bench.lab.run("stack.save_default")
    again = Bench(tmp_path)
    assert (
        again.lab.stack == bench.lab.stack
        and "# The sampler stack of a phase" in Path("lab.toml").read_text()
    )


def test_settings_are_shown_and_changed(bench: Bench) -> None:
    lab = bench.lab
    assert lab.run("settings.show", "audio.sink") == {"audio.sink": "auto"}
    assert lab.run("settings.show")["max_duration"] == 12.0
    lab.run_line("settings.set max_duration 4.5")
    lab.run_line("settings.set keys.take.play f2")
    lab.run_line("settings.set dtype bfloat16")
    assert (lab.settings.max_duration, lab.settings.keys["take.play"]) == (4.5, "f2")
    assert lab.hint("take.play") == "take.play (f2)" and lab.choice.dtype == "bfloat16"
    for line in ("settings.set zzz 3", "settings.show zzz", "settings.set seed -4"):
        with pytest.raises(UserError) as error:
            lab.run_line(line)
        assert "\n" not in str(error.value)


def test_what_is_asked_of_the_worker(bench: Bench) -> None:
    lab = bench.lab
    for line in (
        "voice.choose anna",
        "text.split line",
        "text.negative um",
        "voice.negative none",
        "text.limit 3",
        "seed.set 4",
    ):
        lab.run_line(line) if "anna" not in line else setattr(lab, "voice", "anna")
    lab.part = Part(0.5, 2.0, 8.0)
    asks = []
    speak = bench.workers[0].speak
    bench.workers[0].speak = lambda ask, schedule=(): asks.append(ask) or speak(ask)  # type: ignore[method-assign]
    bench.speak("Hello.")
    (ask,) = asks
    assert (ask.voice, ask.by, ask.negative_text, ask.negative_voice) == ("anna", "line", "um", "none")
    assert ask.part == Part(0.5, 2.0, 8.0)
    assert (ask.max_seconds, ask.seed) == (3, 4)


def test_phonemes_are_shown(bench: Bench) -> None:
    answer = bench.lab.run("text.phonemes", "One. Two.")
    bench.lab.wait()
    assert [sentence.phonemes for sentence in answer.result(0)] == ["One", "Two"]


def test_a_voice_is_added_trimmed_cut_looped_heard_and_described(bench: Bench, tmp_path: Path) -> None:
    lab = bench.lab
    wave = np.concatenate([tone(1.0), tone(0.2) * 0.001, tone(1.0)])
    wav.write(tmp_path / "me and you.wav", wave)
    lab.run_line('voice.add "me and you.wav" me "What I say."')
    lab.wait()
    assert lab.voice == "me" and lab.run("voice.list", "what say")[0].transcript == "What I say."
    lab.run("voice.hear")
    assert lab.player is not None and lab.player.duration == pytest.approx(2.2, abs=0.01)
    lab.run_line("voice.trim 0.5 1.0")
    lab.run("voice.hear")
    assert lab.player.duration == pytest.approx(1.0)
    lab.run("voice.cut", 0.8)
    assert lab.part.seconds == pytest.approx(0.6, abs=0.1), "the pause is from 1.0 to 1.2 s"
    lab.run("voice.loop", 5.0)
    lab.run("voice.hear")
    assert lab.player.duration == pytest.approx(5.0)
    lab.run_line("voice.trim 0")
    assert lab.part.is_whole
    lab.run("voice.transcript", "Something else.")
    lab.wait()
    (voice,) = lab.run("voice.list", "else")
    assert (voice.transcript, voice.phonemes) == ("Something else.", "something else.")
    for line in (
        "voice.trim 9",
        "voice.loop 99",
        "voice.cut 50",
        "voice.add nowhere.wav",
        "voice.hear nobody",
    ):
        with pytest.raises(UserError) as error:
            lab.run_line(line)
            lab.wait()
            raise UserError(lab.poll().notices[-1].text)
        assert "\n" not in str(error.value)


class FakeMicrophone:
    def __init__(self, wave: np.ndarray) -> None:
        self.wave = wave

    def stop(self) -> np.ndarray:
        return self.wave


@pytest.mark.parametrize("heard", [1.5, 0.1])
def test_a_voice_is_recorded(bench: Bench, monkeypatch: pytest.MonkeyPatch, heard: float) -> None:
    lab = bench.lab
    monkeypatch.setattr("valle_lab.microphone.Microphone", lambda: FakeMicrophone(tone(heard)))
    with pytest.raises(UserError, match="nothing is being recorded"):
        lab.run("voice.recorded")
    lab.run_line("voice.record mine 'Hello there.'")
    with pytest.raises(UserError, match="already"):
        lab.run("voice.record", "other")
    if heard < 1:
        with pytest.raises(UserError, match="Nothing was heard"):
            lab.run("voice.recorded")
        assert lab.recording is None
        return
    lab.run("voice.recorded")
    lab.wait()
    assert lab.voice == "mine" and lab.run("voice.list", "hello")[0].seconds == pytest.approx(1.5, abs=0.01)


def test_the_prompt_of_a_part_is_cut_and_repeated(tmp_path: Path) -> None:
    from valle.voices import Voice

    wav.write(tmp_path / "ramp.wav", np.linspace(0.1, 0.9, SAMPLE_RATE, dtype=np.float32))
    voice = Voice("ramp", tmp_path / "ramp.wav")
    whole = voice.wave()
    assert np.array_equal(prompt_wave(voice, Part(0.25, 0.5)), whole[6_000:18_000])
    looped = prompt_wave(voice, Part(0.25, 0.5, 1.25))
    assert len(looped) == 30_000 and np.array_equal(looped[12_000:24_000], looped[:12_000])
    silent = tone(3.0)
    silent[40_000:44_000] = 0
    assert 40_000 / SAMPLE_RATE < quiet_place(silent, 1.5) < 44_000 / SAMPLE_RATE
