"""Looking at single decisions: the numbers against hand-made ones, what is kept, forgotten and made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from tiny_model import Tiny

from valle.control import Event
from valle.errors import UserError
from valle.samplers.stack import Stack
from valle.step import Place, Step
from valle.take import codes_sha256
from valle_lab.session.convert import from_session_take, to_session_take
from valle_lab.views import AttentionLook, Look, StepView
from valle_lab.worker.client import WorkerClient
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.looking import histogram
from valle_lab.worker.looks import (
    attention_from_body,
    attention_to_body,
    look_from_body,
    look_to_body,
    view_from_body,
    view_to_body,
)
from valle_lab.worker.messages import Ask, ModelChoice
from valle_lab.worker.surface import ForgottenStepError, Speaking
from valle_lab.worker.take_memory import OBJECTS

if TYPE_CHECKING:
    from valle.inference import Engine as RealEngine
    from valle.models.attention_maps import AttentionTrack
    from valle.request import Codes, Request

ASK = Ask("Hello there.", voice="hum", seed=5, max_seconds=0.3)
STACK = {
    "ar": [
        {"name": "repetition_penalty", "penalty": 1.3},
        {"name": "top_k", "k": 50},
        {"name": "min_p", "p": 0.1, "on": False},
        {"name": "top_p", "p": 0.8},
        {"name": "temperature", "value": 0.7},
        {"name": "draw"},
    ],
    "nar": [{"name": "greedy"}],
}


def worker(tiny: Tiny, budget: float = 1.0) -> InProcessWorker:
    made = InProcessWorker(voices=tiny.folder / "voices")
    made.load(choice(tiny, budget)).result()
    return made


def choice(tiny: Tiny, budget: float = 1.0) -> ModelChoice:
    codec = str(tiny.folder / "codec.safetensors")
    return ModelChoice(str(tiny.model), codec, "cpu", threads=1, memory_budget_gb=budget)


def spoken(made: InProcessWorker, take: str = "take") -> Speaking:
    events = [Event("set", "temperature.value", 0.4, Place(0, "ar", 0, 4))]
    speaking = made.speak(replace(ASK, take=take, stack=Stack.from_dict(STACK)), events)
    for _ in speaking:
        pass
    return speaking


def assert_fits(view: StepView, step: Step, position: int = 0) -> None:
    """What is seen says the same as what the step itself measured."""
    assert view.place == step.place
    assert (view.token, view.choice) == (step.tokens[position], step.choices[position])
    assert view.margin == step.margin[position]
    ran = [line for line in view.waterfall if line.runs]
    ends = ran if len(step.measures) == len(ran) else [ran[0], ran[-1]]
    for line, measured in zip(ends, step.measures, strict=True):
        assert line.kept == measured.kept[position] and line.rank == measured.rank[position]
        for name in ("entropy", "varentropy", "divergence", "probability"):
            assert getattr(line, name) == pytest.approx(getattr(measured, name)[position], abs=2e-5)
    if len(ends) == len(ran):
        assert [line.removed for line in ran] == pytest.approx(
            [m.removed[0] for m in step.measures], abs=1e-5
        )


def test_every_step_of_a_take_can_be_looked_at(tiny: Tiny) -> None:
    made = worker(tiny)
    speaking = spoken(made)
    for step in speaking.steps:
        position = len(step.tokens) // 2
        view = made.look(Look("take", step.place, position)).result()
        assert_fits(view, step, position)
        assert view.positions == len(step.tokens) and not view.remade
        assert view.stop == (1024 if step.place.phase == "ar" else None)
    newest = made.look(Look("take")).result()
    assert newest.place == speaking.steps[-1].place
    spoken(made, "next")
    with pytest.raises(ForgottenStepError):
        made.look(Look("take", newest.place)).result()
    frames = sum(step.place.phase == "ar" for step in speaking.steps)
    kept = made.service.memory.take("take")
    caches = sum(branches.memory for branches in kept.branches.values())
    assert kept.size - caches == frames * (1025 * 4 + OBJECTS), (
        "of the takes before, level 0 stays, and its cache"
    )


def test_the_waterfall_shows_what_each_stage_did(tiny: Tiny) -> None:
    made = worker(tiny)
    spoken(made)
    view = made.look(Look("take", Place(0, "ar", 0, 6))).result()
    assert view.chooser == "draw"
    stages = [(line.stage, line.runs) for line in view.waterfall]
    assert stages == [
        ("raw", True),
        ("repetition_penalty", True),
        ("top_k", True),
        ("min_p", False),
        ("top_p", True),
        ("temperature", True),
    ]
    raw, penalty, top_k, idle, top_p, temperature = view.waterfall
    assert (raw.kept, penalty.kept, top_k.kept) == (1025, 1025, 50)
    assert top_k.rank_before == penalty.rank and temperature.rank == temperature.rank_before
    assert (
        replace(idle, stage="top_k", runs=True, removed=top_k.removed, rank_before=top_k.rank_before) == top_k
    )
    assert idle.removed == 0 and top_p.removed <= 0.2 and top_p.kept < 50
    assert temperature.entropy < top_p.entropy


def test_the_table_and_the_histogram_are_of_the_same_logits(tiny: Tiny) -> None:
    made = worker(tiny)
    spoken(made)
    view = made.look(Look("take", Place(0, "ar", 0, 6), bins=30, candidates=1025)).result()
    table, bars = view.candidates, view.histogram
    assert table.points == ("raw", "repetition_penalty", "top_k", "top_p", "temperature")
    assert np.allclose(table.probability.sum(1), 1, atol=1e-5) and table.cumulative[-1] == pytest.approx(1)
    raw, final = table.logit[0], table.logit[-1]
    assert np.array_equal(bars.raw, np.histogram(raw, bars.edges)[0]) and len(bars.raw) == 30
    assert bars.raw.sum() == 1025 and bars.raw_banned == 0
    assert bars.final.sum() == np.isfinite(final).sum() and bars.final_banned == 1025 - bars.final.sum()
    (chosen,) = np.flatnonzero(table.ids == view.token)
    assert bars.chosen == (raw[chosen], final[chosen])
    (stop,) = np.flatnonzero(table.ids == 1024)
    assert bars.stop == (raw[stop], final[stop])


GUIDED = {
    "ar": [{"name": "guidance", "scale": 2.0, "rescale": 0.5, "rescale_over": "sequence"}, *STACK["ar"]],
    "nar": [{"name": "guidance", "rescale": 0.7, "rescale_over": "sequence"}, {"name": "greedy"}],
}


def test_guided_steps_can_be_looked_at(tiny: Tiny) -> None:
    made = worker(tiny)
    speaking = made.speak(replace(ASK, stack=Stack.from_dict(GUIDED)))
    for step in speaking:
        assert_fits(
            made.look(Look("take", step.place, len(step.tokens) // 2)).result(), step, len(step.tokens) // 2
        )


def test_another_stack_is_supposed_on_the_same_logits_and_noise(tiny: Tiny) -> None:
    made = worker(tiny)
    steps = spoken(made).steps
    other = {"ar": [{"name": "top_k", "k": 3}, {"name": "draw"}], "nar": [{"name": "draw"}]}
    real = made.speak(replace(ASK, take="other", stack=Stack.from_dict(other)))
    assert list(real)
    first = made.look(Look("take", Place(0, "ar", 0, 0), stack=other)).result()
    assert first.supposed and first.choice == real.steps[0].tokens[0], "up to the first change it is exact"
    assert first.token == steps[0].tokens[0] and first.waterfall[-1].kept == 3
    assert first.margin == real.steps[0].margin[0]
    for step in steps[:4]:
        same = made.look(Look("take", step.place, stack=STACK)).result()
        assert (same.choice, same.margin) == (step.choices[0], step.margin[0]), "the same stack marks nothing"
    level = next(step for step in real.steps if step.place.phase == "nar")
    drawn = made.look(Look("other", level.place, 5, stack=other)).result()
    assert (drawn.chooser, drawn.choice) == ("draw", level.tokens[5])
    with pytest.raises(UserError, match="without the null pass"):
        made.look(Look("take", Place(0, "ar", 0, 0), stack=GUIDED)).result()


def test_a_histogram_by_hand() -> None:
    raw = np.array([0.0, 1.0, 2.0, 4.0], np.float32)
    final = np.array([-np.inf, 1.0, 2.0, 8.0], np.float32)
    bars = histogram(raw, final, 3, 0, 4)
    assert bars.edges.tolist() == [0, 2, 4, 6, 8]
    assert (bars.raw.tolist(), bars.final.tolist()) == ([2, 1, 1, 0], [1, 1, 0, 1])
    assert (bars.raw_banned, bars.final_banned) == (0, 1)
    assert bars.chosen == (4, 8) and bars.stop == (0, -np.inf)
    assert histogram(raw, final, 3, None, 4).stop is None
    flat = histogram(np.zeros(3, np.float32), np.zeros(3, np.float32), 0, None, 4)
    assert flat.raw.sum() == 3


def test_a_view_crosses_the_pipe_unchanged(tiny: Tiny) -> None:
    made = worker(tiny)
    spoken(made)
    look = Look("take", Place(0, "ar", 0, 2))
    assert look_from_body(look_to_body(look)) == look and look_from_body(look_to_body(Look("x"))) == Look("x")
    view = made.look(look).result()
    back = view_from_body(*view_to_body(view))
    for ours, theirs in ((view.histogram, back.histogram), (view.candidates, back.candidates)):
        for name in ours.__slots__:
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    assert replace(back, histogram=view.histogram, candidates=view.candidates) == view


def test_within_the_budget_the_oldest_goes_first_and_comes_back(tiny: Tiny) -> None:
    made = worker(tiny)
    steps = spoken(made).steps
    level_0 = sum(step.place.phase == "ar" for step in steps) * (1025 * 4 + OBJECTS)
    made.service.memory.budget = (made.service.memory.size + 1.5 * level_0) / 1e9
    made.service.memory.clear()
    takes = {name: spoken(made, name) for name in ("one", "two")}
    first = Place(0, "ar", 0, 0)
    made.look(Look("one", first)).result()
    takes["three"] = spoken(made, "three")
    with pytest.raises(ForgottenStepError, match="two"):
        made.look(Look("two", first)).result()
    assert made.look(Look("one", first)).result().token == takes["one"].steps[0].tokens[0]
    assert made.recall(takes["two"].begun.result().request, takes["two"].steps).result()
    for step in takes["two"].steps[::5]:
        view = made.look(Look("two", step.place)).result()
        assert_fits(view, step)
        assert view.remade


def test_without_a_budget_only_the_newest_step_is_kept(tiny: Tiny) -> None:
    made = worker(tiny, budget=0.0)
    speaking = spoken(made)
    assert made.look(Look("take")).result().place == speaking.steps[-1].place
    with pytest.raises(ForgottenStepError):
        made.look(Look("take", Place(0, "ar", 0, 0))).result()
    assert made.service.memory.size <= 32 * 1025 * 4 + OBJECTS


def test_a_take_from_a_session_is_made_again_as_it_was(tiny: Tiny) -> None:
    made = worker(tiny)
    speaking = spoken(made)
    record = to_session_take(speaking.take(), speaking.begun.result().origin)
    restored = from_session_take(record)
    other = worker(tiny)
    assert other.recall(restored.request, restored.steps).result()
    for step in speaking.steps:
        assert_fits(other.look(Look("take", step.place)).result(), step)


def test_attention_of_a_running_and_of_a_finished_take(tiny: Tiny, tmp_path: Path) -> None:
    made = worker(tiny)
    speaking = spoken(made)
    request, segment = speaking.begun.result().request, speaking.take().segments[0]
    look = AttentionLook("take", 0, 3, over=2, layer=1, head=0, aligned=True)
    view = made.attend(look, request, segment.levels[0]).result()
    assert (view.row, view.rows) == (3, segment.frames + 1)
    assert view.shares.shape == (2, 2, 3) and (view.shares.sum(-1) < 1).all()
    assert len(view.symbols) == len(request.sentences[0].ids)
    assert view.head is not None and request.prompt is not None
    sizes = [len(part) for part in (view.head.text, view.head.prompt, view.head.response)]
    assert sizes == [len(view.symbols), len(request.prompt.codes), 3]
    assert view.alignment is not None
    assert (
        view.alignment.map.shape == (view.rows, len(view.symbols)) and len(view.alignment.path) == view.rows
    )
    one, other = (
        made.attend(AttentionLook("take", 0, row), request, segment.levels[0]).result() for row in (2, 3)
    )
    assert np.allclose(view.shares, (one.shares + other.shares) / 2, atol=1e-6)
    short = worker(tiny).attend(AttentionLook("take", 0), request, segment.levels[0][:3]).result()
    assert short.row == 3 and np.allclose(short.shares, other.shares, atol=1e-5)
    back = attention_from_body(*attention_to_body(view))
    assert back.head is not None and back.alignment is not None
    assert np.array_equal(back.alignment.map, view.alignment.map)
    assert np.array_equal(back.head.prompt, view.head.prompt)
    assert (back.symbols, back.alignment.readers) == (view.symbols, view.alignment.readers)


def passes_of(made: InProcessWorker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many codes each pass of its engine that tells attention is made over, from now on."""
    passes: list[int] = []
    engine = cast("RealEngine", made.service.engine)
    observe = engine.observe

    def noted(request: Request, segment: int, level_0: Codes) -> AttentionTrack:
        passes.append(len(level_0))
        return observe(request, segment, level_0)

    monkeypatch.setattr(engine, "observe", noted)
    return passes


def test_a_running_take_is_watched_from_where_somebody_looks(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = worker(tiny)
    speaking = made.speak(replace(ASK, stack=None))
    level_0: list[int] = []
    request = speaking.begun.result().request
    passes = passes_of(made, monkeypatch)
    for step in speaking:
        if step.place.phase != "ar" or step.ended == "stop":
            continue
        level_0.append(int(step.tokens[0]))
        codes = np.array(level_0, np.int16)
        if len(level_0) in (6, 7, 15):
            view = made.attend(AttentionLook("take", 0, aligned=True), request, codes).result()
            fresh = worker(tiny).attend(AttentionLook("take", 0, view.row), request, codes).result()
            assert np.allclose(view.shares, fresh.shares, atol=1e-5)
            assert view.rows == len(level_0)
    assert passes == [5], "what was watched needs no other pass"


def test_whoever_looks_some_steps_late_needs_no_second_pass(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = worker(tiny)
    speaking = made.speak(replace(ASK, stack=None))
    request, level_0, late = speaking.begun.result().request, [], 3
    passes = passes_of(made, monkeypatch)
    for step in speaking:
        if step.place.phase == "ar" and step.ended != "stop":
            level_0.append(int(step.tokens[0]))
            codes = np.array(level_0[:-late], np.int16)
            if len(level_0) in (6, 7, 15):
                view = made.attend(AttentionLook("take", 0), request, codes).result()
                assert view.rows == len(level_0)
    assert passes == [5]


def test_who_looks_when_a_take_begins_sees_it_from_its_first_step(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = worker(tiny)
    first = spoken(made)
    passes = passes_of(made, monkeypatch)
    given = first.begun.result().request, first.take().segments[0].levels[0]
    made.attend(AttentionLook("take", 0), *given).result()
    next_one = spoken(made, "next")
    codes = next_one.take().segments[0].levels[0]
    request = next_one.begun.result().request
    view = made.attend(AttentionLook("next", 0, 3), request, codes).result()
    assert passes == [len(given[1])] and view.rows == len(codes)
    fresh = worker(tiny).attend(AttentionLook("next", 0, 3), request, codes).result()
    assert np.allclose(view.shares, fresh.shares, atol=1e-5)


def test_looking_changes_nothing(tiny: Tiny) -> None:
    watched, alone = worker(tiny), worker(tiny, budget=0.0)
    looked = watched.speak(ASK)
    request, level_0 = looked.begun.result().request, []
    for step in looked:
        watched.look(Look("take", step.place)).result()
        if step.place.phase == "ar":
            level_0 += step.tokens.tolist()
            watched.attend(AttentionLook("take", 0), request, np.array(level_0, np.int16)).result()
    plain = alone.speak(ASK)
    for _ in plain:
        pass
    assert codes_sha256(looked.take().segments) == codes_sha256(plain.take().segments)


def test_the_process_shows_the_same_as_its_twin(tiny: Tiny, process: WorkerClient) -> None:
    twin = worker(tiny)
    steps = spoken(twin).steps
    process.load(choice(tiny)).result(60)
    request = twin.speak(ASK).begun.result().request
    with pytest.raises(ForgottenStepError):
        process.look(Look("take")).result(20)
    assert process.recall(spoken(twin).begun.result().request, steps).result(60)
    for step in steps[::9]:
        ours, theirs = (w.look(Look("take", step.place)).result(20) for w in (twin, process))
        assert theirs.remade and np.array_equal(ours.candidates.logit, theirs.candidates.logit)
    speaking = process.speak(request)
    assert [step.place for step in speaking]
    assert process.look(Look("take")).result(20).place == speaking.steps[-1].place
