"""Early exit from the command line to the replay, and across the pipe of the model process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import Say, Tiny, make_tiny

from valle.early_exit import EarlyExit
from valle_lab.cli import main
from valle_lab.session.convert import from_session_take, to_session_take
from valle_lab.session.save import load_session
from valle_lab.worker.bodies import asked_from_body, asked_to_body
from valle_lab.worker.messages import Ask
from valle_lab.worker.steps import step_from_frame, step_to_frame

LEAVES = ("--layer-skip", "--layer-skip-exit-layer", "1")
LOOSE = ("--layer-skip-entropy-threshold", "9.995", "--layer-skip-varentropy-threshold", "50")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def say(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Say:
    monkeypatch.chdir(tmp_path)
    return Say(tiny, capsys)


def test_a_take_that_left_early_replays_and_is_judged_without(say: Say) -> None:
    say(*LEAVES, *LOOSE, "--seed", "4", "--out", "left.wav")
    record = load_session(Path("left.json")).take()
    (trace,) = (trace for trace in record.segments[0].traces if trace.phase == "ar")
    layers = [] if trace.exit_layer is None else trace.exit_layer.values().tolist()
    assert set(layers) == {0, 1} and trace.drafted is None
    assert record.request.recipe.early_exit is not None
    take = from_session_take(record)
    assert [step.exit_layer for step in take.steps if step.place.phase == "ar"] == layers
    again = to_session_take(take, record.origin)
    assert again.segments == record.segments and again.request == record.request
    step = take.steps[layers.index(1)]
    assert step_from_frame(step_to_frame(step, 1)).exit_layer == 1
    for mode in ("exact", "tolerant", "forced"):
        assert main(["replay", "left.json", "--mode", mode, *say.config]) == 0
    assert main(["replay", "left.json", "--all-layers", *say.config]) == 1


def test_drafts_say_the_same_and_are_judged_the_same(say: Say) -> None:
    plain = say("--seed", "4", "--out", "plain.wav")
    drafted = say(*LEAVES, "--layer-skip-draft", "4", "--seed", "4", "--out", "drafted.wav")
    assert drafted["codes_sha256"] == plain["codes_sha256"]
    trace = load_session(Path("drafted.json")).take().segments[0].traces[0]
    assert trace.drafted is not None and set(trace.drafted.values().tolist()) >= {-1, 0}
    assert main(["replay", "drafted.json", *say.config]) == 0
    assert main(["replay", "drafted.json", "--all-layers", *say.config]) == 0
    plain_trace = load_session(Path("plain.json")).take().segments[0].traces[0]
    assert plain_trace.exit_layer is None and plain_trace.drafted is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--layer-skip-draft", "4"), "only with --layer-skip"),
        (("--layer-skip", "--layer-skip-exit-layer", "0"), "exit layer must be from 1"),
        (("--layer-skip", "--layer-skip-exit-layer", "2"), "must be from 1 to 1"),
        ((*LEAVES, "--layer-skip-entropy-threshold", "-1"), "entropy threshold"),
        ((*LEAVES, "--layer-skip-draft", "99"), "tokens of a draft must be from 0 to 64"),
    ],
)
def test_bad_input(say: Say, arguments: tuple[str, ...], said: str) -> None:
    assert said in say.refused(*arguments)


def test_the_worker_is_asked_for_it() -> None:
    ask = Ask("Hello.", early_exit=EarlyExit(2, 1.5, 2.5, 3), adapters=(("anna", 0.5),))
    body, arrays = asked_to_body(ask)
    found = asked_from_body(body, arrays)
    assert isinstance(found, Ask) and found.early_exit == ask.early_exit
