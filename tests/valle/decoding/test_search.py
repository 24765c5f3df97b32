"""Searches, on tables of transitions whose best path is known, and on a tiny model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from valle.control import Control, Event, Guide, LiveControl, NoControl, ScheduledControl
from valle.decoding.branches import Pair
from valle.decoding.run import Before, Run
from valle.decoding.search import search
from valle.decoding.speech import null_inputs, speech_inputs
from valle.decoding.trail import Sought
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.request import Request
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler
from valle.samplers.stack import Stack
from valle.step import Alternative, Place, Step
from valle.take import Take, codes_sha256

Speak = Callable[..., Take]
NOTHING = Before((), None, None)


@dataclass
class TableCache:
    """The latest id of each row; `select` is what a search needs of a cache."""

    latest: Tensor

    def select(self, indices: Sequence[int]) -> None:
        self.latest = self.latest[list(indices)]


@dataclass
class Table:
    """A model whose next id depends on the latest one only: probabilities [V + 1, V], the last row begins."""

    probabilities: Tensor
    device = torch.device("cpu")

    def begin(self, rows: Sequence[Any], capacity: int) -> tuple[TableCache, Tensor]:
        latest = torch.full((len(rows),), len(self.probabilities) - 1)
        return TableCache(latest), self.probabilities[latest].log()

    def advance(self, cache: TableCache, tokens: Tensor) -> Tensor:
        cache.latest = tokens
        return self.probabilities[tokens].log()

    def log_probability(self, path: Sequence[int]) -> float:
        """Of a whole path, by hand."""
        steps = zip((len(self.probabilities) - 1, *path), path, strict=False)
        return float(sum(self.probabilities[before, after].log() for before, after in steps))


def ar(*stages: dict[str, Any]) -> Stack:
    return Stack.from_dict({"ar": list(stages), "nar": [{"name": "greedy"}]})


def found(
    table: Table,
    stack: Stack,
    request: Request,
    limit: int = 4,
    control: Control | None = None,
    seed: int = 0,
) -> list[Step]:
    """The Steps of a search; the highest id stops."""
    request = replace(request, stack=stack, seed=seed)
    stop = table.probabilities.shape[1] - 1
    run = Run(request, control or NoControl(), vocabulary=stop + 1)
    pair = Pair(cast(Inputs, None), cast(Inputs, None))
    return list(search(cast(ArNar, table), pair, run, Sought("ar", 0, limit, stop), NOTHING))


def path(steps: Sequence[Step]) -> list[int]:
    return [int(step.tokens[0]) for step in steps]


def ending(other: Alternative) -> list[int]:
    """The ids of another hypothesis, the one that stopped included."""
    codes: list[int] = other.codes.tolist()
    return [*codes, 3] if other.stopped else codes


# Id 0 is tempting and leads nowhere; id 1 is less likely and ends well. Id 3 stops; the last row begins.
GRAPH = Table(
    torch.tensor(
        [
            [0.30, 0.30, 0.30, 0.10],
            [0.02, 0.03, 0.05, 0.90],
            [0.25, 0.25, 0.25, 0.25],
            [0.25, 0.25, 0.25, 0.25],
            [0.60, 0.35, 0.04, 0.01],
        ]
    )
)


def beam(width: int, **parameters: Any) -> Stack:
    return ar({"name": "beam_search", "width": width, "length_penalty": 0.0, "until": "best", **parameters})


def test_two_beams_find_the_path_that_greedy_misses(request_: Request) -> None:
    """Defect 50 of the reference: its beams forget where they came from, and add raw logits up.

    By hand: .35 x .90 = .315 for 1 and stop; what greedy begins, 0 and stop, has .06.
    """
    steps = found(GRAPH, beam(2), request_)
    assert path(steps) == [1, 3]
    assert sum(float(step.log_probability[0]) for step in steps) == pytest.approx(np.log(0.315), abs=1e-5)
    assert [step.ended for step in steps] == [None, "stop"]
    assert path(found(GRAPH, beam(1), request_))[0] == 0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, -0.5])
def test_enough_beams_find_the_best_of_all_paths(seed: int, length_penalty: float, request_: Request) -> None:
    """Against every path of up to 4 steps that stops."""
    generator = torch.Generator().manual_seed(seed)
    table = Table((2 * torch.randn(5, 4, generator=generator)).softmax(-1))
    paths = [[*ids, 3] for length in range(4) for ids in product(range(3), repeat=length)]
    scores = [table.log_probability(ids) / len(ids) ** length_penalty for ids in paths]
    steps = found(table, beam(64, length_penalty=length_penalty), request_)
    assert path(steps) == paths[int(np.argmax(scores))]
    others = steps[-1].others
    assert [other.score for other in others if other.stopped] == sorted(
        (other.score for other in others if other.stopped), reverse=True
    )
    for other in others[:5]:
        ids = ending(other)
        assert other.log_probability == pytest.approx(table.log_probability(ids), abs=1e-4)


def test_one_beam_is_greedy(request_: Request) -> None:
    table = Table(torch.softmax(torch.randn(9, 8, generator=torch.Generator().manual_seed(4)), -1))
    latest, greedy = 8, []
    for _ in range(12):
        latest = int(table.probabilities[latest].argmax())
        greedy.append(latest)
        if latest == 7:
            break
    assert path(found(table, beam(1, until="enough"), request_, limit=12)) == greedy


def test_enough_is_enough(request_: Request) -> None:
    """Two beams end after two steps of which one stopped at the first and one at the second."""
    steps = found(GRAPH, beam(2, until="enough", length_penalty=1.0), request_, limit=50)
    assert len(steps) + max(len(other.codes) for other in steps[-1].others) < 20


def test_stages_before_a_search_count(request_: Request) -> None:
    banned = ar({"name": "ban_tokens", "ids": [1]}, *beam(2).to_dict()["ar"])
    steps = found(GRAPH, banned, request_)
    assert 1 not in path(steps)
    # Without id 1 the first row is .60 .04 .01 of .65.
    assert float(steps[0].log_probability[0]) == pytest.approx(np.log(0.6 / 0.65), abs=1e-5)
    assert [measured.stage for measured in steps[0].measures] == ["raw", "ban_tokens"]


def test_every_beam_has_a_past_of_its_own(request_: Request) -> None:
    """Ids that came before are as good as banned, so that no path has one twice."""
    strict = ar({"name": "presence_penalty", "penalty": 10.0}, *beam(3).to_dict()["ar"])
    even = Table(torch.full((7, 6), 1 / 6))
    steps = found(even, strict, request_, limit=5)
    for ids in (path(steps), *(other.codes.tolist() for other in steps[-1].others)):
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("score", ["mean", "raw_mean", "total", "shortest"])
def test_the_best_of_what_was_drawn_is_taken(score: str, request_: Request) -> None:
    heat = {"name": "temperature", "value": 1.5}
    steps = found(GRAPH, ar(heat, {"name": "best_of", "count": 9, "score": score}), request_, limit=9)
    warm = Table((GRAPH.probabilities.log() / 1.5).softmax(-1))
    drawn = [path(steps), *map(ending, steps[-1].others)]
    assert len(drawn) == 9
    scores_by_hand: dict[str, Callable[[list[int]], float]] = {
        "mean": lambda ids: warm.log_probability(ids) / len(ids),
        "raw_mean": lambda ids: GRAPH.log_probability(ids) / len(ids),
        "total": warm.log_probability,
        "shortest": lambda ids: -float(len(ids)),
    }
    worth = scores_by_hand[score]
    stopped = [ids for ids in drawn if ids[-1] == 3]
    assert stopped and worth(drawn[0]) == pytest.approx(max(map(worth, stopped)))
    scores = [worth(ids) for ids in drawn[1:]]
    assert [other.score for other in steps[-1].others] == pytest.approx(scores, abs=1e-5)


def test_each_hypothesis_draws_with_noise_of_its_own(request_: Request) -> None:
    """Against plain draws, one hypothesis at a time."""
    steps = found(GRAPH, ar({"name": "best_of", "count": 6}), request_, limit=9, seed=11)
    drawn = {tuple(path(steps)), *(tuple(ending(other)) for other in steps[-1].others)}
    plain, expected = Sampler(ar({"name": "draw"}), "ar"), set[tuple[int, ...]]()
    for hypothesis in range(6):
        ids: list[int] = []
        while len(ids) < 9 and 3 not in ids:
            row = GRAPH.probabilities[[ids[-1] if ids else 4]].log()
            rows = Rows.of("ar", seed=11, hypothesis=hypothesis, step=len(ids))
            ids.append(int(plain.decide(row, rows).chosen[0]))
        expected.add(tuple(ids))
    assert drawn == expected
    hypothesis = steps[0].hypothesis
    assert all(step.hypothesis == hypothesis for step in steps)


def test_one_hypothesis_is_a_plain_draw(speak: Speak) -> None:
    drawn, only = speak(stack=ar({"name": "draw"})), speak(stack=ar({"name": "best_of", "count": 1}))
    assert codes_sha256(drawn.segments) == codes_sha256(only.segments)


SEARCHES: list[list[dict[str, Any]]] = [
    [{"name": "beam_search", "width": 3}],
    [{"name": "repetition_penalty"}, {"name": "beam_search", "width": 2, "form": "gnmt"}],
    [{"name": "guidance", "scale": 1.7}, {"name": "beam_search", "width": 3}],
    [{"name": "temperature", "value": 0.8}, {"name": "best_of", "count": 3}],
    [{"name": "guidance", "scale": 1.7, "rescale": 0.5, "rescale_over": "sequence"}, {"name": "best_of"}],
]


@pytest.mark.parametrize("guidance", ["one batch", "two passes"])
@pytest.mark.parametrize("stages", SEARCHES)
def test_a_searched_path_is_what_a_full_pass_says_it_is(
    stages: list[dict[str, Any]], guidance: Any, model: ArNar, speak: Speak, request_: Request
) -> None:
    """The caches follow their hypotheses: the evidence of every step is that of the winner's own past."""
    recipe = replace(request_.recipe, guidance=guidance)
    take = speak(stack=ar(*stages), recipe=recipe, sentences=request_.sentences[:1])
    steps = [step for step in take.steps if step.place.phase == "ar"]
    tokens = torch.tensor(path(steps))
    made = tokens if steps[-1].ended != "stop" else tokens[:-1]
    for inputs, name in (
        (speech_inputs(request_, request_.sentences[0], 0), "evidence"),
        (null_inputs(request_, request_.sentences[0], 0), "null_evidence"),
    ):
        if getattr(steps[0], name) is None:
            assert name == "null_evidence" and stages[0]["name"] != "guidance"
            continue
        (logits,) = model.full([replace(inputs, response=made[:, None])])
        for step, row in zip(steps, logits, strict=False):
            evidence = getattr(step, name)
            assert evidence.logsumexp[0] == pytest.approx(float(row.logsumexp(-1)), abs=1e-4)
            assert evidence.chosen[0] == pytest.approx(float(row[int(step.tokens[0])]), abs=1e-4)
    assert len(take.segments[0].codes()) == len(made)
    assert steps[-1].others and all(len(other.codes) <= 10 for other in steps[-1].others)


@pytest.mark.parametrize("stages", SEARCHES)
def test_a_search_comes_out_the_same_again(stages: list[dict[str, Any]], speak: Speak) -> None:
    one, other = speak(stack=ar(*stages)), speak(stack=ar(*stages))
    assert codes_sha256(one.segments) == codes_sha256(other.segments)
    for ours, theirs in zip(one.steps, other.steps, strict=True):
        assert [item.log_probability for item in ours.others] == [
            item.log_probability for item in theirs.others
        ]


def at(segment: int, phase: str, step: int) -> Place:
    return Place(segment, phase, 0, step)


@pytest.mark.parametrize("stages", [SEARCHES[0], SEARCHES[3]])
def test_finish_takes_the_best_so_far_and_cancel_ends_the_take(
    stages: list[dict[str, Any]], speak: Speak
) -> None:
    finished = speak(ScheduledControl([Event("finish", place=at(0, "ar", 6))]), stack=ar(*stages))
    assert finished.segments[0].codes().shape == (6, 8)
    assert (finished.segments[0].stop, len(finished.segments)) == ("finish", 2)
    cancelled = speak(ScheduledControl([Event("cancel", place=at(1, "ar", 2))]), stack=ar(*stages))
    assert (cancelled.stop, cancelled.segments[1].frames) == ("cancel", 2)


@pytest.mark.parametrize(
    "event", [Event("set", "temperature.value", 0.5), Event("force", value=3), Event("remove", "temperature")]
)
def test_nothing_else_is_taken_during_a_search(event: Event, speak: Speak) -> None:
    stack = ar(*SEARCHES[3])
    live = LiveControl()
    live.put(event)
    take = speak(live, stack=stack)
    assert codes_sha256(take.segments) == codes_sha256(speak(stack=stack).segments)
    ((refused, reason),) = live.refused
    assert refused.kind == event.kind
    assert reason == "Only finish and cancel are taken while best_of is under way."


def test_a_search_begins_with_a_segment(speak: Speak) -> None:
    with pytest.raises(UserError, match="beam_search begins with the first step of a segment"):
        speak(ScheduledControl([Event("set", "beam_search.width", 2, at(0, "ar", 3))]))
    begun = speak(ScheduledControl([Event("set", "beam_search.width", 2, at(0, "ar", 0))]))
    plain = speak(stack=Stack.from_dict(begun.request.stack.set("beam_search.width", 2).to_dict()))
    assert codes_sha256(begun.segments) == codes_sha256(plain.segments)
    assert begun.steps[0].events


def guides(take: Take, search_again: bool = True) -> dict[Place, Guide]:
    return {
        step.place: Guide(step.tokens, step.evidence, step.null_evidence, 1e-3, step.hypothesis, search_again)
        for step in take.steps
        if len(step.tokens)
    }


@pytest.mark.parametrize("search_again", [True, False])
@pytest.mark.parametrize("stages", SEARCHES)
def test_a_recorded_winner_that_wins_again_is_confirmed(
    stages: list[dict[str, Any]], search_again: bool, speak: Speak
) -> None:
    recorded = speak(stack=ar(*stages))
    again = speak(ScheduledControl([], guides(recorded, search_again)), stack=ar(*stages))
    assert codes_sha256(again.segments) == codes_sha256(recorded.segments)
    assert all(np.array_equal(step.choices, step.tokens) for step in again.steps)
    assert [step.hypothesis for step in again.steps] == [step.hypothesis for step in recorded.steps]
    assert any(step.others for step in again.steps) == search_again


@pytest.mark.parametrize("search_again", [True, False])
@pytest.mark.parametrize("kind", ["finish", "cancel"])
def test_a_search_that_was_ended_by_hand_ends_there_again(
    kind: Any, search_again: bool, speak: Speak
) -> None:
    stack, ending = ar(*SEARCHES[0]), Event(kind, place=at(0, "ar", 6))
    recorded = speak(ScheduledControl([ending]), stack=stack)
    again = speak(ScheduledControl(recorded.events, guides(recorded, search_again)), stack=stack)
    assert codes_sha256(again.segments) == codes_sha256(recorded.segments)
    assert (again.stop, again.events) == (recorded.stop, recorded.events)


@pytest.mark.parametrize("stages", [SEARCHES[1], SEARCHES[2], SEARCHES[3]])
def test_a_recorded_winner_that_loses_is_fed_and_told_of(stages: list[dict[str, Any]], speak: Speak) -> None:
    """Recorded with another stack, so that the search finds something else than what it is given."""
    recorded = speak(stack=ar({"name": "temperature", "value": 1.4}, {"name": "draw"}))
    again = speak(ScheduledControl([], guides(recorded)), stack=ar(*stages))
    assert codes_sha256(again.segments) == codes_sha256(recorded.segments)
    differing = [step for step in again.steps if not np.array_equal(step.choices, step.tokens)]
    assert differing and differing[0].within_reach is not None
    assert not all(step.within_reach.all() for step in differing if step.within_reach is not None)
    for mine, theirs in zip(again.steps, recorded.steps, strict=True):
        assert mine.evidence is not None and theirs.evidence is not None
        assert mine.evidence.logsumexp == pytest.approx(theirs.evidence.logsumexp, abs=1e-4)


def test_a_second_that_comes_close_is_within_reach(request_: Request) -> None:
    """Two beams of nearly the same probability: which one wins is a matter of the last digits."""
    near = GRAPH.probabilities.clone()
    near[4] = torch.tensor([0.5, 0.4999, 0.00005, 0.00005])
    near[0] = near[1]
    first = found(Table(near), beam(2), request_)
    assert path(first) == [0, 3]
    recorded = {
        step.place: Guide(np.array([token]), step.evidence, None, 1e-3)
        for step, token in zip(first, [1, 3], strict=True)
    }
    again = found(Table(near), beam(2), request_, control=ScheduledControl([], recorded))
    assert (path(again), [int(step.choices[0]) for step in again]) == ([1, 3], [0, 3])
    assert again[0].within_reach is not None and bool(again[0].within_reach[0])
    narrow = {place: replace(guide, tolerance=1e-6) for place, guide in recorded.items()}
    again = found(Table(near), beam(2), request_, control=ScheduledControl([], narrow))
    assert again[0].within_reach is not None and not bool(again[0].within_reach[0])


def test_a_rival_that_drew_otherwise_by_a_hair_explains_its_victory(request_: Request) -> None:
    """The first hypothesis draws 2 and stops. The second one's first draw is a near tie of 0, which leads
    nowhere, and 1, which ends well: the last digits decide it, and with it who wins.
    """
    begin = torch.tensor([0.35, 0.35, 0.3, 1e-4]).log()
    for seed in range(200):
        first, second = Rows.of("ar", 2, seed=seed, hypothesis=[0, 1]).gumbel("choose", 4)
        tie = begin.clone()
        tie[1] = tie[0] + float(second[0] - second[1])
        scores = tie.numpy() + np.stack([first, second])
        if abs(tie[1] - begin[1]) < 0.2 and scores[0].argmax() == 2 and scores[1].argmax() in (0, 1):
            break

    def table(lead: float) -> Table:
        leading = tie.clone()
        leading[1] += lead
        after = torch.tensor([[0.33, 0.33, 0.33, 0.01], [1e-4, 1e-4, 1e-4, 1.0], [0.03, 0.03, 0.04, 0.9]])
        return Table(torch.cat([after, after[2:], leading.exp()[None]]))

    stack = ar({"name": "best_of", "count": 2})
    recorded = found(table(-5e-4), stack, request_, limit=9, seed=seed)
    assert (path(recorded), recorded[0].hypothesis) == ([2, 3], 0)
    free = found(table(5e-4), stack, request_, limit=9, seed=seed)
    assert (path(free), free[0].hypothesis) == ([1, 3], 1)
    for tolerance, others, near in ((1e-3, True, True), (1e-5, True, False), (1e-3, False, False)):
        known = {
            step.place: Guide(
                step.tokens, step.evidence, None, tolerance, others=step.others if others else ()
            )
            for step in recorded
        }
        again = found(table(5e-4), stack, request_, limit=9, control=ScheduledControl([], known), seed=seed)
        assert (path(again), [int(step.choices[0]) for step in again]) == ([2, 3], [1, 3])
        assert again[0].within_reach is not None and bool(again[0].within_reach[0]) is near
