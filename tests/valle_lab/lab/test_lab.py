"""The lab without a screen: commands, live changes, undo, journal, sessions, a worker that dies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import Bench
from valle.errors import UserError
from valle_lab.lab.beginning import ask
from valle_lab.lab.state import Notice
from valle_lab.session.convert import from_session_take
from valle_lab.session.save import load_session


def test_a_take_is_made_kept_and_saved(bench: Bench, tmp_path: Path) -> None:
    bench.lab.run("seed.set", 7)
    bench.lab.run("text.set", "Some words. And more.")
    bench.lab.run("take.speak")
    bench.workers[0].allow()
    bench.lab.wait()
    (take,) = bench.lab.takes
    assert (take.seed, take.stop, take.name, take.running) == (7, "stop", "take-1", False)
    assert len(take.segments) == 2 and len(take.timeline.entropy) == take.take.frames + 2
    assert bench.lab.record.unsaved
    bench.lab.run("take.save")
    bench.lab.wait()
    assert not bench.lab.record.unsaved
    (session_file,) = (tmp_path / "sessions").glob("*.json")
    (wav_file,) = (tmp_path / "out").glob("*.wav")
    for file in (session_file, wav_file):
        saved = from_session_take(load_session(file).takes[0])
        assert saved.request.seed == 7
        for ours, theirs in zip(take.segments, saved.segments, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours.levels, theirs.levels, strict=True))
    bench.lab.close()
    assert not list((tmp_path / "sessions").glob("*.jsonl")), "a saved session needs no journal"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("take.speak   ", "There is no text to speak."),
        ("take.stop", "no take is being made"),
        ("take.play", "there is no take yet"),
        ("voice.choose nobody", "nobody"),
        ("text.language xx", "does not know the language 'xx'; it knows en, de"),
        ("seed.set -1", "out of range"),
        ("text.limit 0", "above 0"),
        ("stack.set temprature.value 1", "temperature"),
        ("stack.set temperature.value much", "temperature"),
        ("stack.undo", "nothing to undo"),
        ("session.open nowhere.json", "nowhere.json"),
        ("session.restore", "No unsaved session"),
        ("no.such", "no command"),
    ],
)
def test_what_cannot_be_done_is_one_line(bench: Bench, line: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        bench.lab.run_line(line)
    assert "\n" not in str(error.value)


def test_changes_of_the_stack_reach_the_running_take(bench: Bench) -> None:
    lab = bench.lab
    bench.speak(steps=3)
    lab.run("stack.set", "temperature.value", 0.7)
    lab.run_line("stack.set nar:greedy.on true")
    bench.workers[0].allow()
    lab.wait()
    (take,) = lab.takes
    events = take.steps[3].events
    assert [(e.kind, e.name, e.value, str(e.place)) for e in events] == [
        ("set", "ar:temperature.value", 0.7, "0/ar.0:3"),
        ("set", "nar:greedy.on", True, "0/ar.0:3"),
    ]
    assert take.timeline.event_marks == [3]


def test_the_stack_can_be_undone_and_redone(bench: Bench) -> None:
    lab = bench.lab
    default = lab.stack
    lab.run("stack.add", "top_k")
    lab.run("stack.set", "top_k.k", 5)
    changed = lab.stack
    assert default != changed
    lab.run("stack.undo")
    lab.run("stack.undo")
    assert lab.stack == default
    lab.run("stack.redo")
    lab.run("stack.redo")
    assert lab.stack == changed
    lab.run("stack.undo")
    lab.run("stack.remove", "top_k")
    with pytest.raises(UserError, match="nothing was undone"):
        lab.run("stack.redo")
    lab.run("stack.reset")
    assert lab.stack == default and lab.takes == []


def test_undo_during_a_take_replaces_the_stack(bench: Bench) -> None:
    bench.lab.run("stack.set", "temperature.value", 0.5)
    bench.speak(steps=2)
    bench.lab.run("stack.undo")
    bench.workers[0].allow(1)
    bench.lab.poll()
    (event,) = bench.lab.takes[0].steps[2].events
    assert event.kind == "replace" and event.value == bench.lab.run("stack.show")


@pytest.mark.parametrize(("command", "ended"), [("take.stop", "finish"), ("take.cancel", "cancel")])
@pytest.mark.parametrize("after", [0, 1, 10])
def test_stop_and_cancel_at_any_step(bench: Bench, command: str, ended: str, after: int) -> None:
    bench.speak(steps=after)
    bench.lab.run(command)
    bench.workers[0].allow()
    bench.lab.wait()
    (take,) = bench.lab.takes
    assert take.stop == ended and take.take.frames == after
    assert (len(take.segments[0].levels[7]) == after) == (ended == "finish" or after == 0)


def test_a_take_cannot_be_saved_before_its_end_but_the_session_can(bench: Bench) -> None:
    bench.speak(steps=4)
    with pytest.raises(UserError, match="still being made"):
        bench.lab.run("take.save")
    assert [take.segments[0].stop for take in load_session(bench.lab.run("session.save")).takes] == ["cancel"]


def test_seeds_are_new_until_locked(bench: Bench) -> None:
    bench.speak()
    bench.speak()
    first, second = bench.lab.takes
    assert first.seed != second.seed
    bench.lab.run("seed.lock")
    bench.speak()
    assert bench.lab.takes[2].seed == second.seed
    bench.lab.run("seed.lock")
    assert bench.lab.seed is None


def test_playing_goes_through_the_worker_and_the_player(bench: Bench) -> None:
    bench.speak(steps=5)
    bench.lab.run("take.play")
    bench.lab.poll()
    assert bench.lab.player is not None and bench.lab.player.duration == pytest.approx(5 / 75)
    bench.workers[0].allow()
    bench.lab.wait()
    bench.lab.run("take.play")
    bench.lab.poll()
    assert bench.lab.player.state == "playing"
    assert bench.lab.player.duration == pytest.approx(bench.lab.takes[0].take.duration)
    assert bench.lab.takes[0].wave is not None
    assert "sound" in bench.lab.poll().subjects
    bench.lab.run("take.silence")
    assert bench.lab.player.state == "stopped"


def test_without_a_sound_device_playing_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, audible=False)
    bench.speak()
    bench.lab.run("take.play")
    (notice,) = bench.told()
    told = "no sound, only files (no device); a take that is saved can be heard elsewhere"
    assert notice == Notice(told, error=True)


def test_a_dead_worker_is_told_once_and_can_be_restarted(bench: Bench, tmp_path: Path) -> None:
    bench.speak(steps=4)
    bench.workers[0].kill()
    notices = bench.told() + bench.told()
    assert notices == [
        Notice(
            "The model process was ended by SIGKILL; model.restart (f9) starts it again; "
            "takes and session are kept.",
            error=True,
        )
    ]
    (take,) = bench.lab.takes
    assert not take.running and take.failure == "The model process was ended by SIGKILL."
    assert len(take.steps) == 4 and take.stop == "cancel"
    with pytest.raises(UserError, match=r"model\.restart"):
        bench.lab.run("take.speak", "More.")
    bench.lab.run("model.restart")
    bench.lab.wait()
    assert bench.workers[0].closed and bench.lab.description is not None
    bench.speak("More.")
    assert bench.lab.takes[1].stop == "stop"
    journal = load_session(bench.lab.record.save())
    assert [t.segments[0].stop for t in journal.takes] == ["cancel", "stop"]


def test_who_makes_the_phonemes_is_a_setting_of_the_next_take(bench: Bench) -> None:
    bench.lab.run("text.phonemizer", "ipa")
    assert ask(bench.lab, "hˈaɪ").manner.phonemizer == "ipa"
    with pytest.raises(UserError, match="fake makes no phonemes"):
        bench.lab.run("text.phonemizer", "model")
    with pytest.raises(UserError, match="use one of espeak, model, ipa"):
        bench.lab.run("text.phonemizer", "festival")
    assert bench.lab.manner.phonemizer == "ipa"


def test_a_model_that_is_nowhere_costs_nobody_the_one_that_is_loaded(bench: Bench) -> None:
    with pytest.raises(UserError, match="'nowhere' is not there"):
        bench.lab.run("model.load", "nowhere")
    assert bench.lab.description is not None and bench.lab.choice.model == "builtin"


def test_a_lab_that_was_killed_leaves_a_journal_that_the_next_one_offers(
    bench: Bench, tmp_path: Path
) -> None:
    bench.speak("First words.")
    bench.speak("Second words.", steps=6)
    while_it_lives = Bench(tmp_path)
    assert not any("not saved" in notice.text for notice in while_it_lives.told())
    bench.lab.record._lock.close()  # type: ignore[union-attr]  # as the end of the process does
    after = Bench(tmp_path)
    assert any("session.restore (f8) brings it back" in notice.text for notice in after.told())
    after.lab.run("session.restore")
    assert after.lab.text == after.lab.takes[-1].text != ""
    first, second = after.lab.takes
    assert (first.text, first.stop) == ("First words", "stop")
    assert (second.text, second.stop, second.take.frames) == ("Second words", "cancel", 6)
    assert after.lab.record.unsaved
    after.speak("Third words.")
    assert [take.name for take in after.lab.takes] == ["take-1", "take-2", "take-3"]
    assert [take.id for take in load_session(after.lab.record.save()).takes] == ["take-1", "take-2", "take-3"]


def test_a_session_that_was_saved_can_be_opened_and_gone_on_with(bench: Bench, tmp_path: Path) -> None:
    bench.speak("First words.")
    file = bench.lab.run("session.save", str(tmp_path / "mine.json"))
    again = Bench(tmp_path)
    again.lab.run_line(f"session.open {file}")
    again.speak("Second words.")
    with pytest.raises(UserError, match="save it first"):
        again.lab.run_line(f"session.open {file}")
    assert again.lab.run("session.save") == file
    assert len(load_session(file).takes) == 2


def test_a_journal_that_cannot_be_written_is_told_and_the_take_goes_on(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("in the way")
    bench = Bench(tmp_path)
    bench.lab.run("take.speak", "Some words.")
    bench.workers[0].allow()
    bench.lab.wait()
    assert bench.lab.takes[0].stop == "stop"
    assert [notice.error for notice in bench.told()] == [True]


def test_progress_and_pace_of_a_take(bench: Bench) -> None:
    bench.speak("Words. More.", steps=5)
    (take,) = bench.lab.takes
    assert take.begun is not None
    request, timeline = take.begun.request, take.timeline
    assert timeline.doing(request) == "1/2 AR frame 5"
    assert timeline.steps_per_second == pytest.approx(100)
    assert timeline.real_time_factor == pytest.approx(0.75)
    seen = [timeline.fraction(request)]
    while bench.lab.running:
        bench.workers[0].allow(1)
        bench.lab.poll()
        seen.append(timeline.fraction(request))
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_where_a_model_cannot_be_loaded_a_restart_brings_the_one_before_back(bench: Bench) -> None:
    lab = bench.lab
    lab.load(replace(lab.choice, model="missing"))
    lab.wait()
    assert lab.description is None and lab.loading is None
    assert Notice("There is no model 'missing'.", error=True) in bench.told()
    lab.run("model.restart")
    lab.wait()
    assert lab.description is not None and lab.choice.model == "builtin"
