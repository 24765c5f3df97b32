"""Hearing takes: the transport, one level alone, two takes beside each other, and a take while it is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import Bench
from valle.errors import UserError
from valle_lab.player import PAD_SECONDS


def heard(bench: Bench, seconds: float) -> np.ndarray:
    """What is played next, the first silence left out."""
    return bench.sink.advance(seconds)  # type: ignore[union-attr]


def test_play_pause_seek_skip_and_loop(bench: Bench) -> None:
    lab = bench.lab
    bench.speak("Quite a few words, to have something.")
    lab.run("take.play")
    lab.wait()
    player = lab.player
    assert player is not None and player.state == "playing" and lab.playing == "take-1"
    heard(bench, PAD_SECONDS + 0.4)
    lab.run("take.pause")
    assert (player.state, player.position) == ("paused", 0.4)
    lab.run("take.skip", -0.25)
    assert player.position == pytest.approx(0.15)
    lab.run("take.pause")
    assert player.state == "playing"
    lab.run_line("take.seek 0.3")
    assert player.position == 0.3 and player.state == "playing"
    lab.run("take.loop")
    assert player.loop
    lab.run_line("take.loop off")
    assert not player.loop
    lab.run("take.silence")
    assert player.state == "stopped"


def test_seek_in_a_take_that_is_not_loaded_yet_waits_there(bench: Bench) -> None:
    bench.speak()
    bench.lab.run("take.seek", 0.2)
    bench.lab.wait()
    player = bench.lab.player
    assert player is not None and (player.state, player.position) == ("stopped", 0.2)


def test_a_b_goes_to_and_fro_at_the_same_place(bench: Bench) -> None:
    lab = bench.lab
    for text in ("The first of two takes.", "The second of two takes."):
        bench.speak(text)
    lab.run("take.play")
    lab.wait()
    heard(bench, PAD_SECONDS + 0.1)
    assert lab.player is not None
    for expected in ("take-1", "take-2", "take-1"):
        lab.run("take.ab")
        lab.wait()
        assert lab.chosen is not None and (lab.chosen.name, lab.playing) == (expected, expected)
        assert lab.player.position == pytest.approx(0.1, abs=1e-3) and lab.player.state == "playing"


def test_a_b_is_first_with_the_take_before(bench: Bench) -> None:
    lab = bench.lab
    bench.speak("One take.")
    with pytest.raises(UserError, match="no other take to compare take-1 with"):
        lab.run("take.ab")
    for text in ("A second take.", "A third take."):
        bench.speak(text)
    lab.run("mode.task", "len")
    bench.speak("How long?")
    lab.run("take.choose", "take-3")
    lab.run("take.ab")
    assert lab.pair == ("take-3", "take-2")
    lab.pair = None
    lab.run("take.choose", "take-1")
    lab.run("take.ab")
    assert lab.pair == ("take-1", "take-2")
    lab.wait()


def test_solo_asks_for_the_leading_levels(bench: Bench) -> None:
    lab = bench.lab
    bench.speak()
    asked: list[int | None] = []
    decode = bench.workers[0].decode
    bench.workers[0].decode = lambda segments, levels=None: (  # type: ignore[method-assign]
        asked.append(levels) or decode(segments, levels)
    )
    lab.run("take.solo", 2)
    lab.run("take.play")
    lab.wait()
    lab.run("take.solo")
    lab.wait()
    assert asked == [2, None] and lab.takes[0].wave is not None
    with pytest.raises(UserError, match="codebooks 1 to 8"):
        lab.run("take.solo", 9)


def test_level_0_is_heard_while_the_ar_runs(bench: Bench) -> None:
    lab = bench.lab
    lab.run("take.solo", 1)
    bench.speak("Some words. And more.", steps=1)
    lab.run("take.follow")
    player = lab.player
    assert player is not None
    bench.workers[0].allow()
    for _ in range(200):
        lab.poll()
        if lab.stream is not None and lab.stream.over:
            break
    take = lab.takes[0]
    assert not take.running and player.duration == pytest.approx(take.take.frames / 75)
    sound = heard(bench, PAD_SECONDS + player.duration)[round(PAD_SECONDS * 24_000) :]
    level_0 = np.concatenate([segment.levels[0] for segment in take.segments])
    assert np.allclose(sound, np.repeat(level_0.astype(np.float32) / 4096, 320))
    heard(bench, 1.0)
    assert player.state == "stopped"


def test_a_sentence_is_heard_as_soon_as_it_is_whole(bench: Bench) -> None:
    lab = bench.lab
    bench.speak("One. Two. Three.", steps=3)
    lab.run("take.follow")
    player = lab.player
    assert player is not None
    lab.poll()
    assert player.duration == 0
    first = 2 * len("One") + 1 + 7
    bench.workers[0].allow(first - 3)
    for _ in range(first):
        lab.poll()
    assert player.duration == pytest.approx(2 * len("One") / 75), "the second sentence has not begun"
    bench.workers[0].allow()
    for _ in range(200):
        lab.poll()
    assert player.duration == pytest.approx(lab.takes[0].take.frames / 75)


def test_surprises_are_walked_and_heard(bench: Bench) -> None:
    lab = bench.lab
    bench.speak("A text that is long enough for a few waves of entropy, up and down.")
    rows = lab.takes[0].timeline.surprises("entropy").tolist()
    assert len(rows) >= 2
    assert [lab.run("take.surprise") for _ in rows] == rows
    assert lab.run_line("take.surprise entropy on") == rows[-2] == lab.row
    lab.poll()
    assert lab.run("take.surprise") == rows[-1] and not lab.poll().notices
    assert lab.run("take.surprise") == rows[0]
    assert "on from the start" in lab.poll().notices[-1].text
    assert lab.run_line("take.surprise entropy on") == rows[-1]
    assert "on from the end" in lab.poll().notices[-1].text
    with pytest.raises(UserError, match="entropy or margin"):
        lab.run("take.surprise", "joy")
    lab.run("take.around", 0.5)
    lab.wait()
    assert lab.player is not None and lab.player.duration == pytest.approx(0.5)


def test_ratings_notes_and_hidden_takes_stand_in_the_session(bench: Bench, tmp_path: Path) -> None:
    lab = bench.lab
    for _ in range(3):
        bench.speak()
    lab.run("take.rate", 4)
    lab.run_line("take.rate 2 take-1")
    lab.run("take.note", "The end [is] cut.")
    lab.run_line("take.hide 2")
    assert [take.name for take in lab.run("take.list")] == ["take-1", "take-3"]
    file = lab.run("session.save")
    again = Bench(tmp_path)
    again.lab.run("session.open", str(file))
    assert [(take.rating, take.hidden) for take in again.lab.takes] == [(2, False), (None, True), (4, False)]
    assert again.lab.takes[2].notes == ("The end [is] cut.",)
    again.lab.run("take.show", "take-2")
    assert len(again.lab.run("take.list")) == 3
    with pytest.raises(UserError, match="0 to 5 stars"):
        lab.run("take.rate", 6)


def test_the_levels_of_the_nar_can_be_seen(bench: Bench) -> None:
    bench.speak("One. Two.")
    levels = bench.lab.takes[0].levels
    assert [(view.segment, view.level) for view in levels] == [(s, n) for s in (0, 1) for n in range(1, 8)]
    assert all(len(view.entropy) == len(view.margin) == 6 for view in levels)


def test_a_lost_device_is_told_once(bench: Bench) -> None:
    bench.speak()
    bench.lab.poll()
    bench.sink.error = "the sound device is gone"
    told = [notice.text for _ in range(3) for notice in bench.lab.poll().notices]
    assert told == ["the sound device is gone"]


def test_a_worker_that_dies_ends_the_stream(bench: Bench) -> None:
    lab = bench.lab
    lab.run("take.solo", 1)
    bench.speak("Some words that take a while.", steps=30)
    lab.run("take.follow")
    bench.workers[0].kill()
    for _ in range(5):
        lab.poll()
    assert lab.stream is None or lab.stream.over
