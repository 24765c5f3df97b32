"""The lab of notebooks, over an engine without a model: what it gives, what it refuses, what it leaves."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_engine import factory

from valle.errors import UserError
from valle.step import Step
from valle_lab import Lab
from valle_lab.session.save import load_session


def make(folder: Path, **more: object) -> Lab:
    names = ("sessions", "out", "voices", "presets", "models")
    settings = {f"paths.{name}": str(folder / name) for name in names}
    return Lab(seed=5, settings={**settings, "audio.sink": "none"}, factory=factory, **more)  # type: ignore[arg-type]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.chdir(tmp_path)
    lab = make(tmp_path)
    yield lab
    lab.close(discard=True)


def test_what_is_named_holds_for_one_take(lab: Lab) -> None:
    first = lab.say("Some words.")
    other = lab.say("Some words.", seed=6, voice=None)
    assert (first.seed, other.seed, lab.seed) == (5, 6, 5)
    assert (first.voice, other.voice) == ("clear-man", None) and lab.voice == "clear-man"
    assert first.codes_sha256 != other.codes_sha256
    assert lab.say("Some words.").codes_sha256 == first.codes_sha256
    assert [take.name for take in lab.takes] == ["take-1", "take-2", "take-3"] and lab[2] == other
    assert lab["take-1"] == first and lab.take == lab.takes[-1] and len({*lab.takes, first}) == 3


def test_steps_come_one_by_one_and_a_change_holds_from_the_next(lab: Lab) -> None:
    seen: list[Step] = []
    for step in lab.generate("Some words."):
        seen.append(step)
        if len(seen) == 4:
            lab.set("temperature.value", 0.5)
    take = lab.take
    assert [step.place for step in seen] == [step.place for step in take.steps] and take.stop == "stop"
    (event,) = seen[4].events
    assert (event.name.removeprefix("ar:"), event.value) == ("temperature.value", 0.5)
    assert len(take) == take.frames + 1 and take.measure("entropy").shape == (len(take),)
    assert take.codes.shape == (take.frames, 8) and take.codes.dtype == np.int16


def test_whoever_stops_iterating_breaks_the_take_off(lab: Lab) -> None:
    for step in lab.generate("Some words."):
        if step.place.step == 3:
            break
    assert lab.take.stop == "cancel" and lab.take.frames == 4
    never = lab.generate("Never begun.")
    assert lab.say("More words.").stop == "stop" and len(lab.takes) == 2
    running = lab.generate("One.")
    next(running)
    with pytest.raises(UserError, match="take-3 is still being made"):
        lab.say("Another.")
    assert lab.takes[-1].stop == ""
    running.close()  # type: ignore[attr-defined]
    assert lab.takes[-1].stop == "cancel"
    del never


def test_the_session_is_kept_closed_and_opened_again(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take = lab.say("Some words.")
    take.rate(4)
    take.note("A [red]note[/].")
    assert take.rating == 4 and lab.takes[0].inner.notes == ("A [red]note[/].",)
    saved = lab.save("kept.json")
    lab.say("Not saved.")
    lab.close()
    assert "was not saved" in capsys.readouterr().err and len(list((tmp_path / "sessions").iterdir())) == 1
    assert repr(lab) == "<Lab, closed>"
    for refused in ("lab.say('a')", "lab.run('seed.set', 1)", "lab.save()", "lab.line('help')"):
        with pytest.raises(UserError, match="This lab is closed"):
            eval(refused)
    with make(tmp_path) as again:
        (found,) = again.open(saved)
        assert (found.codes_sha256, found.rating) == (take.codes_sha256, 4)
        assert np.array_equal(found.wave, take.inner.wave if take.inner.wave is not None else found.wave)
        assert load_session(saved).take().codes_sha256 == again.session().take().codes_sha256


def test_what_is_shown_holds_no_markup_of_anybody(lab: Lab) -> None:
    take = lab.say('<script>alert("1")</script> & words')
    for html in (take._repr_html_(), lab._repr_html_()):
        assert "<script" not in html and "&lt;script&gt;" in html
    assert re.search(r'<audio controls="controls" src="data:audio/wav;base64,UklGR', take._repr_html_())
    assert repr(take).startswith("<Take take-1, stop, ") and "seed 5" in repr(lab)
    assert take.timeline()._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("lab.say('  ')", "There is no text to speak"),
        ("lab.say('...')", "no sound in it"),
        ("lab.say('a', voice='nobody')", "nobody"),
        ("lab.say('a', seed=-1)", "seed"),
        ("lab.take", "There is no take yet"),
        ("lab[7]", "There is no take '7'"),
        ("lab.set('temperatur.value', 1)", "temperature"),
        ("lab.set('temperature.value', 99)", "temperature.value"),
        ("lab.run('take.cancle')", "did you mean"),
        ("lab.preset('none-such')", "none-such"),
        ("lab.open('nowhere.json')", "nowhere.json is not there"),
        ("lab.say('a b').save('x.mp3')", "x.mp3: the name must end in .wav"),
        ("lab.say('a b').timeline(99)", "decisions 0 to 6, not 99"),
        ("lab.say('a b').play()", "no sound, only files"),
        ("lab.say('a b') and lab.save('x.txt')", "must end in .json"),
        ("lab.say('a b') and lab.export('file/x', kinds=('codes',))", "file/x"),
    ],
)
def test_bad_input_is_a_line(lab: Lab, line: str, told: str) -> None:
    Path("file").write_text("")
    with pytest.raises(UserError, match=re.escape(told)) as error:
        eval(line, {"lab": lab})
    assert "\n" not in str(error.value)


def test_a_lab_that_cannot_load_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="There is no model 'missing'"):
        make(tmp_path, model="missing")
    with pytest.raises(UserError, match="treads"):
        Lab(settings={"treads": 3}, factory=factory)


def test_the_import_is_light() -> None:
    code = "import sys; from valle_lab import Lab; sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
