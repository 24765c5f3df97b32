"""Auditions: what is set beside what, in which order it is made and heard, and what keys do to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import Bench
from valle.audio import wav
from valle.errors import UserError
from valle.request import Part
from valle_lab.lab.audition import Audition, Candidate, candidates, windows
from valle_lab.session.opinions import ratings_of
from valle_lab.session.save import load_session
from valle_lab.sinks import NullSink


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A lab whose silent device counts as one that is heard."""
    monkeypatch.setattr(NullSink, "audible", True)
    made = Bench(tmp_path)
    made.lab.run("text.set", "Hello.")
    made.workers[0].allow()
    return made


def polled(bench: Bench, times: int = 20) -> None:
    for _ in range(times):
        bench.lab.poll()


def play_out(bench: Bench) -> None:
    """Let the device play what it has to its end."""
    assert isinstance(bench.sink, NullSink)
    bench.sink.advance(10.0)


def test_ways_are_all_combinations_in_order() -> None:
    ways = candidates(["anna", "bert"], [1, 2], ["vall-e-2"])
    assert [(way.voice, way.seed) for way in ways] == [("anna", 1), ("anna", 2), ("bert", 1), ("bert", 2)]
    assert ways[0].label == "anna, vall-e-2, seed 1"
    assert candidates() == [Candidate()] and Candidate().label == "as it is"
    assert Candidate("a/b.wav", part=Part(1.5, 3)).label == "b, 1.5+3 s"
    with pytest.raises(UserError, match="1000 at most"):
        candidates(seeds=range(1001))


def test_windows_cover_a_recording(tmp_path: Path) -> None:
    file = wav.write(tmp_path / "long.wav", np.full(24_000 * 5, 0.1, np.float32))
    assert windows(file, 2.0) == [Part(0, 2), Part(2, 2)]
    assert [part.start for part in windows(file, 2.0, 1.0)] == [0, 1, 2, 3]
    assert windows(file, 9.0) == [Part(0, 5)]
    with pytest.raises(UserError, match="at least"):
        windows(file, 0.1)


def test_takes_are_made_ahead_and_heard_in_turn(bench: Bench) -> None:
    lab = bench.lab
    audition = lab.run("audition.seeds", 6)
    assert isinstance(audition, Audition)
    polled(bench, 40)
    assert audition.current == 0 and len(audition.takes) == 4, "three are made ahead"
    assert lab.playing == "take-1" and lab.player is not None and lab.player.state == "playing"
    heard = []
    for _ in range(6):
        heard.append((audition.current, lab.playing))
        play_out(bench)
        polled(bench, 40)
    assert heard == [(n, f"take-{n + 1}") for n in range(6)]
    assert audition.over and audition.made and [take.seed for take in audition.takes] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("lock", [None, 7])
def test_voices_and_stacks_are_compared_on_the_same_noise(bench: Bench, lock: int | None) -> None:
    lab = bench.lab
    lab.seed = lock
    seeds = []
    for line in ("audition.presets vall-e-2 llama3", "audition.voices clear"):
        audition = lab.run_line(line)
        polled(bench, 40)
        seeds.append({take.seed for take in audition.takes})
        assert len(audition.takes) > 1 and len(seeds[-1]) == 1
        audition.stop()
        polled(bench)
    assert seeds == [{lock}, {lock}] if lock else seeds[0] != seeds[1], "each audition draws its own"


def test_keys_go_on_keep_repeat_and_stop(bench: Bench) -> None:
    lab = bench.lab
    audition = lab.run("audition.seeds", 9, 10)
    polled(bench, 40)
    lab.run("audition.next")
    polled(bench, 40)
    assert audition.current == 1
    lab.run("audition.keep")
    polled(bench, 40)
    assert audition.current == 2 and audition.kept == {"take-2"}
    play_out(bench)
    lab.run("audition.again")
    polled(bench, 2)
    assert audition.current == 2 and lab.player is not None and lab.player.state == "playing"
    lab.run("audition.stop")
    polled(bench)
    assert audition.over and lab.player.state == "stopped" and len(audition.takes) < 9
    with pytest.raises(UserError, match="there is no audition"):
        lab.run("audition.next")
    kept = load_session(lab.run("session.save")).takes[1]
    assert [(rating.scale, rating.value) for rating in ratings_of(kept)] == [("kept", 1)]


def test_the_first_take_is_heard_while_it_is_made(bench: Bench) -> None:
    lab = bench.lab
    bench.workers[0].allow(0)
    lab.run("take.solo", 1)
    audition = lab.run("audition.seeds", 2)
    polled(bench, 3)
    bench.workers[0].allow(4)
    polled(bench, 5)
    assert audition.current == 0 and lab.stream is not None and lab.player is not None
    bench.workers[0].allow()
    polled(bench, 60)
    assert lab.player.duration > 0 and audition.current == 0


def test_the_first_sound_is_the_first_codebook_and_then_the_whole(bench: Bench) -> None:
    lab = bench.lab
    lab.run("text.set", "word " * 8)
    bench.workers[0].allow(0)
    audition = lab.run("audition.seeds", 2)
    polled(bench, 3)
    bench.workers[0].allow(20)
    polled(bench, 10)
    assert lab.player is not None and lab.running is not None
    assert audition.preview and lab.player.duration > 0, "heard before the other codebooks are there"
    play_out(bench)
    polled(bench)
    assert audition.current == 0 and audition.preview, "what is not whole yet is not over"
    bench.workers[0].allow()
    polled(bench, 60)
    assert audition.current == 0 and not audition.preview
    assert lab.player.state == "playing" and lab.player.position == 0
    assert lab.player.duration == pytest.approx(audition.takes[0].timeline.frames / 75, abs=0.01)
    play_out(bench)
    polled(bench)
    assert audition.current == 1 and not audition.preview, "nothing is silent any more"


def test_voices_presets_and_windows(bench: Bench, tmp_path: Path) -> None:
    lab = bench.lab
    asks = []
    speak = bench.workers[0].speak
    bench.workers[0].speak = lambda ask, schedule=(): asks.append(ask) or speak(ask)  # type: ignore
    lab.player = None
    file = wav.write(tmp_path / "long.wav", np.full(24_000 * 5, 0.1, np.float32))
    for line, count in (("audition.presets vall-e-2 llama3", 2), (f"audition.windows 2 1 {file}", 4)):
        audition = lab.run_line(line)
        assert len(audition.ways) == count
        audition.over = True
    with pytest.raises(UserError, match="no preset"):
        lab.run("audition.presets", "valle-nothing")
    with pytest.raises(UserError, match="no voice with"):
        lab.run("audition.voices", "nobody at all")


def test_a_recording_that_is_cut_short_is_told_of_wherever_it_is_taken(bench: Bench, tmp_path: Path) -> None:
    lab = bench.lab
    file = wav.write(tmp_path / "cut.wav", np.sin(np.arange(24_000 * 4) * 0.05).astype(np.float32) * 0.3)
    file.write_bytes(file.read_bytes()[: 44 + 2 * 24_000 * 3])
    line = f"{file} is cut short: 3.00 s of 4.00 s are there, and are used"
    for command in (f"voice.choose {file}", f"voice.negative {file}", f"audition.windows 2 1 {file}"):
        bench.told()
        lab.run_line(command)
        assert [notice.text for notice in bench.told()].count(line) == 1, command
    assert lab.audition is not None
    lab.audition.over = True
    lab.run("voice.add", str(file), "mine")
    lab.wait()
    assert any(line in notice.text for notice in bench.told()), "of the copy nobody can tell any more"
    lab.run("voice.choose", "mine")
    assert not any("cut short" in notice.text for notice in bench.told())


def test_without_sound_all_are_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path, audible=False)
    bench.workers[0].allow()
    bench.lab.run("text.set", "Hello.")
    audition = bench.lab.run("audition.seeds", 5)
    told = [notice.text for notice in bench.told()]
    assert "5 takes are made; nothing can be heard here. audition.stop (alt+q) ends it." in told
    bench.lab.wait()
    assert audition.over and [take.stop for take in audition.takes] == ["stop"] * 5
