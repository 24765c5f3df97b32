"""Blind trials: nothing tells the order before the choice, all is kept after it; and common-noise A/B."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import Bench
from valle.audio.loudness import gated_loudness
from valle.errors import UserError
from valle_lab.lab import Lab
from valle_lab.lab.columns import Columns
from valle_lab.lab.trials import TRIAL_KEYS, BlindTrial, Envelope, TrialView
from valle_lab.session.save import load_session
from valle_lab.session.seal import seal_of
from valle_lab.sinks import NullSink
from valle_lab.text_views import in_words

Shuffle = Callable[[object, list[Any]], None]
HEARD = ("trial.play X", "trial.play Y")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return with_takes(tmp_path)


def with_takes(folder: Path, count: int = 3) -> Bench:
    """A lab with takes of one text and different seeds, which sound differently loud and long."""
    bench = Bench(folder)
    bench.workers[0].allow()
    engine = bench.workers[0].service.engine

    def wave(segments: Any, levels: int | None = None) -> np.ndarray:
        first = int(segments[0].levels[0][0])
        return np.sin(np.arange(24_000 + first) / 20).astype(np.float32) * (0.1 + first / 2048)

    engine.wave = wave  # type: ignore[method-assign]
    for seed in range(count):
        bench.lab.run("seed.set", seed)
        bench.speak("Some words.")
    return bench


def begun(bench: Bench, line: str = "trial.open 1 2") -> BlindTrial:
    bench.lab.run_line(line)
    bench.lab.wait()
    assert bench.lab.trial is not None and bench.lab.trial.view().ready
    return bench.lab.trial


def fixed(order: list[int]) -> Shuffle:
    def shuffle(self: object, items: list[Any]) -> None:
        items[:] = [items[place] for place in order]

    return shuffle


def state(value: Any, seen: set[int]) -> Any:
    """All that can be read of a value without opening an envelope, playing it, or asking the system."""
    if isinstance(value, Envelope):
        return "sealed"
    if isinstance(value, Columns):
        return len(value)  # there is room behind its numbers, which holds anything
    if value is None or isinstance(value, (str, int, float, bool, bytes)):
        return value
    if id(value) in seen or callable(value):
        return "..."
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, dict):
        return [(state(key, seen), state(item, seen)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [state(item, seen) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if is_dataclass(value):
        return [(item.name, state(getattr(value, item.name), seen)) for item in fields(value)]
    if type(value).__module__.startswith("valle_lab.lab"):
        return [(name, state(item, seen)) for name, item in vars(value).items()]
    return type(value).__name__


def seen_by_all(lab: Lab, folder: Path) -> str:
    """State, screen, REPL, journal and session file of a lab as one text, the seals and seconds left out."""
    assert lab.trial is not None and lab.player is not None
    view = lab.trial.view()
    file = lab.run("session.save", str(folder / "before.json"))
    (journal,) = (folder / "sessions").glob("*.jsonl")
    player = lab.player
    told = [
        str(state(lab, set())),
        str(view),
        *in_words(view),
        *in_words(lab.run("trial.list")),
        *in_words(lab.run("take.list")),
        journal.read_text(),
        Path(file).read_text(),
        f"{player.duration} {player.position} {player.state} {lab.playing} {lab.chosen}",
    ]
    text = "\n".join(told).replace(view.seal, "SEAL").replace(str(folder), "FOLDER")
    return text.replace(journal.stem, "NAME")


@pytest.mark.parametrize("count", [2, 3])
def test_nothing_that_can_be_seen_depends_on_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The same trial with every possible order: all that is written or shown is the same, seal by seal."""
    texts, seals = set(), set()
    for number, order in enumerate(permutations(range(count))):
        monkeypatch.setattr(secrets.SystemRandom, "shuffle", fixed(list(order)))
        folder = tmp_path / str(number)
        bench = with_takes(folder)
        trial = begun(bench, "trial.open " + " ".join(str(take + 1) for take in range(count)))
        for label in trial.labels:
            bench.lab.run("trial.play", label)
            bench.lab.poll()
        seals.add(trial.view().seal)
        texts.add(seen_by_all(bench.lab, folder))
    assert len(texts) == 1
    assert len(seals) == len(list(permutations(range(count))))


def test_the_seal_cannot_be_opened_by_trying_all_orders(bench: Bench, tmp_path: Path) -> None:
    trial = begun(bench, "trial.open 1 2 3")
    text = seen_by_all(bench.lab, tmp_path)
    assert "salt" in text and '"salt": null' in text and '"order": null' in text
    words = {"", "0" * 64, trial.name, trial.view().seal, *trial.takes}
    for order in permutations(trial.takes):
        assert all(seal_of(order, salt) != trial.view().seal for salt in words)
    again = Envelope(trial.takes, {})
    assert again.seal != Envelope(trial.takes, {}).seal, "each has a salt of its own"


def test_orders_are_drawn_evenly() -> None:
    takes = ("a", "b", "c")
    drawn = [Envelope(takes, {}).open()[0] for _ in range(600)]
    counts = [drawn.count(order) for order in permutations(takes)]
    assert sum(counts) == 600 and min(counts) > 60 and max(counts) < 140


def test_a_choice_reveals_the_key_and_is_kept(bench: Bench, tmp_path: Path) -> None:
    lab, trial = bench.lab, begun(bench)
    for key in "xy":
        lab.run(*TRIAL_KEYS[key])
    view = lab.run("trial.choose", "y")
    assert isinstance(view, TrialView) and view.choice == "Y"
    assert {label for label, _, _ in view.key} == {"X", "Y"}
    assert {take for _, take, _ in view.key} == {"take-1", "take-2"}
    assert sorted(words for _, _, words in view.key) == ["seed 0", "seed 1"]
    assert any("Y;" in notice.text and "X was take-" in notice.text for notice in bench.told())
    file = lab.run("session.save", str(tmp_path / "after.json"))
    (kept,) = load_session(file).trials
    assert (kept.id, kept.choice, kept.takes) == ("trial-1", "Y", ("take-1", "take-2"))
    assert kept.order is not None and kept.salt is not None
    assert seal_of(kept.order, kept.salt) == kept.seal == trial.view().seal
    assert dict(zip("XY", kept.order, strict=True)) == {label: take for label, take, _ in view.key}
    document = json.loads(Path(file).read_text())
    document["trials"][0]["order"].reverse()
    Path(file).write_text(json.dumps(document))
    with pytest.raises(UserError, match="not the one that was sealed"):
        load_session(file)


def test_what_is_heard_under_a_label_is_the_take_of_the_key(bench: Bench) -> None:
    lab, trial = bench.lab, begun(bench, "trial.open 1 2 3")
    assert isinstance(bench.sink, NullSink) and lab.player is not None
    sounds = {}
    for label in trial.labels:
        lab.player.stop()
        lab.run("trial.play", label)
        sounds[label] = lab.player._track.rest()
        assert lab.playing is None
    key = {label: take for label, take, _ in lab.run("trial.choose", "none").key}
    lengths = {len(sound) for sound in sounds.values()}
    levels = [gated_loudness(sound) for sound in sounds.values()]
    assert len(lengths) == 1 and np.ptp(levels) < 0.1, "equally long, equally loud"
    for label, sound in sounds.items():
        take = lab.find(key[label])
        assert take is not None and take.wave is not None
        last = np.flatnonzero(sound)[-1] - np.flatnonzero(sound)[0]
        assert abs(int(last) + 2 - len(take.wave)) < 3


def test_switching_goes_on_at_the_same_place(bench: Bench) -> None:
    lab = bench.lab
    begun(bench)
    lab.run("trial.play", "X")
    assert isinstance(bench.sink, NullSink) and lab.player is not None
    bench.sink.advance(0.6)
    place = lab.player.position
    assert place > 0.3
    lab.run("trial.play", "Y")
    assert lab.player.position == pytest.approx(place, abs=0.01) and lab.player.state == "playing"
    lab.run("take.play", "take-1")
    lab.run("trial.play", "X")
    assert lab.player.position == 0


def test_a_trial_that_was_not_decided_is_resumed_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    lab = bench.lab
    decided = begun(bench)
    for label in "XY":
        lab.run("trial.play", label)
    lab.run("trial.choose", "X")
    first = begun(bench, "trial.open 2 3")
    lab.run("trial.play", "X")
    lab.record.close(keep=True)
    after = Bench(tmp_path)
    after.workers[0].allow()
    after.lab.run("session.restore")
    assert [record.choice for record in after.lab.run("trial.list")] == ["X", None]
    assert after.lab.trials["trial-1"].order is not None
    with pytest.raises(UserError, match="decided already: X"):
        after.lab.run("trial.resume", decided.name)
    second = begun(after, "trial.resume")
    assert (second.name, second.takes) == (first.name, first.takes)
    assert second.view().seal != first.view().seal and second.view().heard == ()
    for label in "XY":
        after.lab.run("trial.play", label)
    after.lab.run("trial.choose", "Y")
    saved = load_session(after.lab.run("session.save"))
    assert [trial.choice for trial in saved.trials] == ["X", "Y"]
    with pytest.raises(UserError, match="no undecided"):
        after.lab.run("trial.resume")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["trial.choose X"], "there is no trial"),
        (["trial.play X"], "there is no trial"),
        (["trial.open 1"], "two or three takes, not 1"),
        (["trial.open 1 2 3 1"], "two or three takes, not 4"),
        (["trial.open 1 1"], "with itself"),
        (["trial.open 1 9"], "no take '9'"),
        (["trial.open"], "Name two or three"),
        (["trial.open 1 2", "trial.play Z"], "X, Y, not 'Z'"),
        (["trial.open 1 2", "trial.choose Q"], "X, Y, not 'Q'"),
        (["trial.open 1 2", "trial.play X", "trial.choose X"], "Y was not heard yet"),
        (
            ["trial.open 1 2", "trial.play X", "trial.play Y", "trial.choose X", "trial.choose Y"],
            "decided already: X",
        ),
        (["trial.resume trial-7"], "no trial 'trial-7'"),
        (["trial.presets vall-e-2"], "two or three takes, not 1"),
        (["trial.presets vall-e-2 nonsense"], "nonsense"),
        (["trial.speak"], "ab.hold"),
        (["ab.hold", "trial.speak"], "change it first"),
        (["ab.show"], "nothing is compared"),
        (["ab.takes 1 1"], "with itself"),
        (["trial.wins nowhere.json"], "nowhere.json is not there"),
    ],
)
def test_what_cannot_be_done_is_one_line(bench: Bench, lines: list[str], reason: str) -> None:
    *before, last = lines
    for line in before:
        bench.lab.run_line(line)
        bench.lab.wait()
    with pytest.raises(UserError, match=reason) as refused:
        bench.lab.run_line(last)
    assert "\n" not in str(refused.value)


def test_takes_that_have_too_little_in_common_are_refused(bench: Bench) -> None:
    lab = bench.lab
    bench.speak("Other words. And more.")
    other = lab.takes[2].begun
    assert other is not None
    model = other.origin.model.model_copy(update={"name": "other", "sha256": "b" * 64})
    origin = other.origin.model_copy(update={"model": model})
    object.__setattr__(other, "origin", origin)
    for command in ("trial.open", "ab.takes"):
        with pytest.raises(UserError, match="take-1 and take-4 speak different texts"):
            lab.run_line(f"{command} 1 4")
        with pytest.raises(UserError, match="different models, fake aaaaaaaa and other bbbbbbbb"):
            lab.run_line(f"{command} 1 3")
    bench.workers[0].allow(0)
    lab.run("take.speak", "Some words.")
    with pytest.raises(UserError, match="still being made"):
        lab.run_line("trial.open 1 5")
    bench.workers[0].allow()
    lab.wait()
    lab.run("seed.set", 0)
    bench.speak("Some words.")
    with pytest.raises(UserError, match="same codes"):
        lab.run_line("trial.open 1 6")


def test_two_stacks_are_spoken_on_the_same_noise(bench: Bench) -> None:
    lab = bench.lab
    lab.run("seed.lock")
    lab.run("ab.hold")
    lab.run("stack.set", "temperature.value", 0.5)
    lab.run("text.set", "Some words.")
    lab.run("ab.speak")
    lab.wait()
    one, other = lab.takes[-2:]
    assert one.seed == other.seed and one.take.request.stack != other.take.request.stack
    assert other.take.request.stack == lab.stack
    found = lab.comparison
    assert found is not None and found.same_noise and found.takes == (one.name, other.name)
    assert found.words == ("temperature.value 1", "temperature.value 0.5")
    assert found.parting is None, "the fake engine does not mind the stack"
    assert lab.pair == found.takes
    with pytest.raises(UserError, match="do not part"):
        lab.run("ab.parting")


def test_a_change_meanwhile_spoils_no_comparison(bench: Bench) -> None:
    lab = bench.lab
    bench.workers[0].allow(0)
    lab.run("text.set", "Some words.")
    lab.run("ab.presets", "vall-e-2", "llama3")
    lab.poll()
    bench.workers[0].allow(5)
    lab.poll()
    lab.run("stack.set", "temperature.value", 0.5)
    lab.run("text.set", "Other words.")
    bench.workers[0].allow()
    lab.wait()
    one, other = lab.takes[-2:]
    assert one.text == other.text == "Some words." and not one.take.events and not other.take.events
    assert lab.comparison is not None and lab.comparison.words == ("vall-e-2", "llama3")


def test_the_first_difference_is_marked_and_gone_to(bench: Bench) -> None:
    lab = bench.lab
    found = lab.run_line("ab.takes 1 2")
    assert not found.same_noise and found.words == ("seed 0", "seed 1")
    first, second = (lab.takes[n].segments[0].levels[0] for n in (0, 1))
    step = int(np.flatnonzero(first != second)[0])
    assert found.parting is not None and found.parting.step == step == found.row
    assert found.parting.tokens == (first[step], second[step]) and found.seconds == step / 75
    lab.row = None
    lab.run("ab.parting")
    assert lab.row == step and lab.chosen is lab.takes[0]
    assert lab.run("take.ab") is lab.takes[1] and lab.run("take.ab") is lab.takes[0]
    lines = in_words(found)
    assert lines[0] == "A take-1: seed 0" and "they part in segment 0, ar.0 step" in lines[-1]


def test_a_blind_trial_of_presets_keeps_their_names(bench: Bench) -> None:
    lab = bench.lab
    waves = iter(range(1, 9))
    lab.run("text.set", "Some words.")
    service = bench.workers[0].service
    generate = service.engine.generate

    def otherwise(request: Any, control: Any = None, *, onlooker: Any = None) -> Any:
        """Codes that differ from take to take, as stacks make them."""
        made = generate(request, control)
        made._steps = made._segment(0, request.sentences[0], np.random.default_rng(next(waves)))
        return made

    service.engine.generate = otherwise  # type: ignore[method-assign]
    begun(bench, "trial.presets vall-e-2 llama3")
    assert len({take.seed for take in lab.takes[-2:]}) == 1
    for label in "XY":
        lab.run("trial.play", label)
    view = lab.run("trial.choose", "X")
    assert {words for _, _, words in view.key} == {"vall-e-2", "llama3"}
    (contest,) = lab.run("trial.wins")
    assert contest.one == view.key[0][2] and (contest.wins, contest.losses) == (1, 0)
    lines = in_words([contest])
    assert "100%" in lines[1] and "21% to 100%" in lines[1]


def test_a_trial_of_a_take_that_was_broken_off_does_not_begin(bench: Bench) -> None:
    lab = bench.lab
    bench.workers[0].allow(0)
    lab.run("text.set", "Some words.")
    lab.run("trial.presets", "vall-e-2 llama3")
    lab.poll()
    lab.run("take.cancel")
    bench.workers[0].allow()
    lab.wait()
    assert lab.trial is None and any("broken off" in notice.text for notice in bench.told())


def test_a_side_that_ended_before_the_place_says_so(bench: Bench) -> None:
    lab = bench.lab
    lab.run_line("ab.takes 1 2")
    lab.run("take.play", "take-1")
    lab.wait()
    first, second = lab.takes[:2]
    assert lab.player is not None and first.wave is not None
    second.wave = first.wave[:12_000]
    lab.run("take.seek", 0.8)
    lab.run("take.ab")
    assert bench.told()[-1].text == "take-2 ends after 0.50 s, and is heard from its start."
    assert lab.player.state == "playing"
