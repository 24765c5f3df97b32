"""Takes of a real engine with a tiny model: replayed as they are, and with something changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from valle.audio import wav
from valle.control import Event, ScheduledControl
from valle.errors import UserError
from valle.inference import Engine
from valle.request import Request
from valle.step import Place
from valle_lab.session import schema
from valle_lab.session.convert import to_session_event
from valle_lab.session.engines import Choices, Engines
from valle_lab.session.judge import Mode
from valle_lab.session.replay import Options, exit_code, replay_file, replay_take
from valle_lab.session.save import load_session, save_session

Record = Callable[..., schema.Take]


def changed(record: schema.Take, **request: Any) -> schema.Take:
    return record.model_copy(update={"request": record.request.model_copy(update=request)})


def at(step: int, phase: str = "ar", level: int = 0, segment: int = 0) -> Place:
    return Place(segment, phase, level, step)


SCHEDULES: dict[str, list[Event]] = {
    "plain": [],
    "tweaks": [
        Event("set", "temperature.value", 0.4, at(3)),
        Event("set", "top_p.on", False, at(5)),
        Event("set", "nar.3:temperature.value", 0.0, at(0, "nar", 2)),
    ],
    "added": [Event("add", "repetition_penalty", {"penalty": 1.3}, at(2)), Event("move", "top_p", 0, at(4))],
    "replaced": [Event("replace", value={"ar": [{"name": "greedy"}]}, place=at(4))],
    "forced": [Event("force", value=77, place=at(4))],
    "finished": [Event("finish", place=at(6)), Event("finish", place=at(0, "nar", 4, 1))],
    "cancelled": [Event("cancel", place=at(3, segment=1))],
    "cancelled in a level": [Event("cancel", place=at(0, "nar", 5))],
}


@pytest.mark.parametrize(
    ("name", "mode"),
    [("plain", "exact"), ("tweaks", "forced"), *((name, "tolerant") for name in SCHEDULES)],
)
def test_a_take_replays_as_it_was(record: Record, engine: Engine, name: str, mode: Mode) -> None:
    if name == "replaced":
        SCHEDULES[name][0].value.setdefault("nar", [{"name": "greedy"}])
    made = record(ScheduledControl(SCHEDULES[name]))
    assert len(made.events) == len(SCHEDULES[name])
    judgement, take = replay_take(made, engine, mode)
    assert judgement.verdict == "identical", judgement
    assert judgement.evidence_difference == 0
    assert [segment.stop for segment in take.segments] == [segment.stop for segment in made.segments]


@pytest.mark.parametrize("mode", ["tolerant", "forced"])
def test_a_weight_one_percent_larger_is_another_model(
    record: Record, other_engine: Engine, mode: Mode
) -> None:
    judgement, _ = replay_take(record(), other_engine, mode)
    assert judgement.verdict == "diverged"
    assert judgement.kind == "model"


@pytest.mark.parametrize("mode", ["tolerant", "forced"])
def test_the_noise_of_another_seed_is_another_sampler(record: Record, engine: Engine, mode: Mode) -> None:
    judgement, take = replay_take(changed(record(), seed=8), engine, mode)
    assert (judgement.verdict, judgement.kind) == ("diverged", "sampler")
    assert judgement.different > 0
    assert take.frames == 20, "the recorded tokens are fed on to the end"
    assert replay_take(changed(record(), seed=8), engine, "exact")[0].verdict == "diverged"


@pytest.mark.parametrize("mode", ["tolerant", "forced"])
def test_a_cut_that_keeps_one_rank_fewer_is_another_sampler(
    record: Record, engine: Engine, mode: Mode
) -> None:
    """The cut falls on the rank of a token that was taken, so that this token can no longer be."""
    made = record(stack=None or _top_k(200))
    trace = made.segments[0].traces[0]
    ranks = trace.measures.rank.values()[0, :, 0]
    highest = int(ranks.max())
    assert highest > 0
    stack = _top_k(highest).to_dict()
    judgement, _ = replay_take(changed(made, stack=stack), engine, mode)
    assert (judgement.verdict, judgement.kind) == ("diverged", "sampler")


def _top_k(kept: int) -> Any:
    from valle.samplers import Stack

    return Stack.from_dict(
        {"ar": [{"name": "top_k", "k": kept}, {"name": "draw"}], "nar": [{"name": "greedy"}]}
    )


def test_the_number_of_threads_is_benign_at_most(record: Record, engine: Engine) -> None:
    judgement, _ = replay_take(record(max_frames=2), engine, "tolerant", threads=2)
    assert judgement.verdict in ("identical", "benign")


def test_a_shorter_limit_leaves_what_was_recorded(record: Record, engine: Engine) -> None:
    shorter, _ = replay_take(changed(record(), max_frames=7), engine)
    assert (shorter.verdict, shorter.kind) == ("diverged", "sampler")
    longer, take = replay_take(changed(record(), max_frames=4000), engine)
    assert longer.verdict == "diverged" and take.frames < 30


def test_room_is_made_for_what_was_recorded_and_not_for_what_a_file_asks_for(
    record: Record, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = record()
    asked: list[int] = []
    generate = engine.generate

    def noting(request: Request, *arguments: Any) -> Any:
        asked.append(request.max_frames)
        return generate(request, *arguments)

    monkeypatch.setattr(engine, "generate", noting)
    assert replay_take(made, engine, "exact")[0].verdict == "identical"
    replay_take(changed(made, max_frames=45_000), engine, most_steps=3)
    assert asked == [10, 1500]


@pytest.mark.parametrize("event", [Event("finish", place=at(4)), Event("cancel", place=at(4))])
def test_an_event_that_was_not_recorded_leaves_what_was(record: Record, engine: Engine, event: Event) -> None:
    made = record().model_copy(update={"events": (to_session_event(event),)})
    judgement, _ = replay_take(made, engine)
    assert (judgement.verdict, judgement.kind) == ("diverged", "sampler")
    assert judgement.first_divergence is not None and judgement.first_divergence.step == 4
    made = record(ScheduledControl([event])).model_copy(update={"events": ()})
    judgement, _ = replay_take(made, engine)
    assert judgement.first_divergence is not None and judgement.first_divergence.recorded is None


def test_a_capped_replay_is_judged_as_far_as_it_came(record: Record, engine: Engine) -> None:
    judgement, take = replay_take(record(), engine, most_steps=5)
    assert (judgement.verdict, judgement.decisions, take.frames) == ("identical", 5, 5)


@pytest.mark.parametrize(
    ("request_change", "complaint"),
    [
        ({"language": "tlh"}, "does not speak 'tlh'"),
        ({"noise": "dice"}, "scheme 'dice'"),
        ({"task": "phn"}, "no task phn"),
    ],
)
def test_what_the_engine_cannot_make_is_told(
    record: Record, engine: Engine, request_change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        replay_take(changed(record(), **request_change), engine)


def test_codes_of_another_codec_are_told(record: Record, engine: Engine) -> None:
    made = record()
    assert made.request.prompt is not None
    prompt = made.request.prompt.model_copy(update={"codec": "e" * 64})
    with pytest.raises(UserError, match=r"codes of another codec .* than the model's, toy"):
        replay_take(changed(made, prompt=prompt), engine)
    codec = schema.Content(name="other", sha256="e" * 64)
    origin = made.origin.model_copy(update={"codec": codec})
    with pytest.raises(UserError, match=r"another codec \(other eeee"):
        replay_take(made.model_copy(update={"origin": origin}), engine)


def test_ids_beyond_the_table_are_told(record: Record, engine: Engine) -> None:
    made = record()
    from valle_lab.session.base import Array

    sentence = made.request.sentences[0].model_copy(update={"ids": Array.of(np.array([1, 60_000]), "int32")})
    with pytest.raises(UserError, match="phoneme id 60000"):
        replay_take(changed(made, sentences=(sentence, *made.request.sentences[1:])), engine)


def test_a_file_is_replayed_take_by_take(record: Record, engine: Engine, tmp_path: Path) -> None:
    one, two = record(max_frames=3), changed(record(max_frames=3, take="../../2"), seed=5)
    path = save_session(schema.new_session(one, two), tmp_path / "two takes.json")
    out = tmp_path / "out"
    reports = replay_file(path, Options(out=out), lambda _: engine)
    assert [report.verdict for report in reports] == ["identical", "diverged"]
    assert exit_code(reports) == 1
    assert sorted(item.name for item in out.iterdir()) == ["two-takes-2.wav", "two-takes-take-1.wav"]
    assert load_session(out / "two-takes-take-1.wav").takes[0] == one
    assert len(wav.read(out / "two-takes-2.wav")) == 6
    again = replay_file(path, Options("exact", "2", out=out), lambda _: engine)
    assert [report.take for report in again] == ["../../2"]
    assert len(list(out.iterdir())) == 3
    (exact,) = load_session(out / "two-takes-2-2.wav").takes
    assert replay_take(exact, engine, "exact")[0].verdict == "identical"
    document = json.loads(json.dumps([report.to_dict() for report in reports], allow_nan=False))
    wanted = {"session", "take", "mode", "verdict", "kind", "first_divergence"}
    assert wanted <= document[0].keys()
    parts = {"segment", "phase", "level", "step", "position", "seconds", "recorded", "replayed", "margin"}
    assert document[1]["first_divergence"].keys() == parts


def test_what_cannot_run_is_a_report_too(record: Record, engine: Engine, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    (report,) = replay_file(broken, Options(), lambda _: engine)
    assert (report.verdict, report.take) == ("error", None) and "broken.json" in (report.error or "")
    good = save_session(schema.new_session(record(max_frames=2)), tmp_path / "good.json")
    (report,) = replay_file(good, Options(take="9"), lambda _: engine)
    assert report.verdict == "error" and "no take '9'" in (report.error or "")
    empty = save_session(schema.new_session(), tmp_path / "empty.json")
    (report,) = replay_file(empty, Options(), lambda _: engine)
    assert report.verdict == "error" and exit_code([report]) == 2


def test_the_worst_verdict_names_the_exit_code(record: Record, engine: Engine, tmp_path: Path) -> None:
    path = save_session(schema.new_session(record(max_frames=2)), tmp_path / "good.json")
    (identical,) = replay_file(path, Options(), lambda _: engine)
    from dataclasses import replace

    benign, diverged, error = (replace(identical, verdict=name) for name in ("benign", "diverged", "error"))
    assert exit_code([identical]) == 0
    assert exit_code([identical, benign]) == 3
    assert exit_code([benign, diverged, identical]) == 1
    assert exit_code([diverged, error, benign]) == 2


def test_a_model_that_is_not_here_is_named_with_its_release(record: Record, tmp_path: Path) -> None:
    path = save_session(schema.new_session(record(max_frames=2)), tmp_path / "good.json")
    (report,) = replay_file(path, Options(), Engines(Choices(folder=tmp_path)))
    assert report.verdict == "error"
    assert "toy (aaaaaaaaaaaa, from toys 1)" in (report.error or "")
    assert "--any-model" in (report.error or "")
    with pytest.raises(UserError, match="the model 'nowhere' is not there"):
        Engines(Choices(model="nowhere"))(record(max_frames=2))
