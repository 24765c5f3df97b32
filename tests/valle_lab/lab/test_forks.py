"""Forks through the lab: begun from commands, walked as a tree, kept in the session, back after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import Bench
from valle.errors import UserError
from valle.samplers.stack import Stack
from valle.step import Place
from valle_lab.lab.tree import how_it_differs, stack_changes, tree
from valle_lab.session.convert import from_session_take
from valle_lab.session.save import load_session


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.speak()
    return made


def forked(bench: Bench, line: str) -> None:
    bench.lab.run_line(line)
    bench.workers[-1].allow()
    bench.lab.wait()


def test_a_fork_has_its_parents_past_and_how_it_differs(bench: Bench) -> None:
    lab = bench.lab
    parent = lab.takes[0]
    lab.row = 4
    lab.run("stack.set", "temperature.value", 0.5)
    forked(bench, "fork.here")
    child = lab.takes[1]
    assert lab.chosen is child and child.stop == "stop" and child.text == parent.text
    assert (child.parent, child.fork, child.seed) == ("take-1", Place(0, "ar", 0, 4), parent.seed)
    assert child.how == "temperature.value 1 > 0.5"
    assert [s.tokens.tolist() for s in child.steps[:4]] == [s.tokens.tolist() for s in parent.steps[:4]]
    assert child.begun is not None and child.begun.request.stack == parent.begun.request.stack  # type: ignore[union-attr]
    forked(bench, "fork.force 77 0/6")
    forked(bench, "fork.reseed 9 nar.3:0")
    assert [take.how for take in lab.takes[2:]] == ["token 77", "seed 9"]
    assert [take.parent for take in lab.takes[2:]] == ["take-2", "take-3"]


def test_the_tree_is_drawn_and_walked(bench: Bench) -> None:
    lab = bench.lab
    for line in ("fork.here 3", "take.choose 1", "fork.force 5 4", "fork.force 6 7"):
        if line.startswith("fork"):
            forked(bench, line)
        else:
            lab.run_line(line)
    bench.speak("Other words.")
    twigs = lab.run("fork.tree")
    assert [(twig.take, twig.depth, twig.leaf) for twig in twigs] == [
        ("take-1", 0, False),
        ("take-2", 1, True),
        ("take-3", 1, False),
        ("take-4", 2, True),
        ("take-5", 0, True),
    ]
    assert [twig.branch for twig in twigs] == ["", "├─ ", "└─ ", "   └─ ", ""]
    assert str(twigs[3]) == "   └─ take-4  0/ar.0:7  token 6"
    walk = (("take.choose 1", 1), ("fork.child 2", 3), ("fork.child", 4), ("fork.sibling", 4))
    for line, number in (*walk, ("fork.parent", 3), ("fork.sibling", 2), ("fork.sibling -1", 3)):
        lab.run_line(line)
        assert lab.chosen is lab.takes[number - 1], line
    lab.run("take.choose", "take-5")
    for line, reason in (("fork.parent", "from its beginning"), ("fork.child", "No takes go on from take-5")):
        with pytest.raises(UserError, match=reason):
            lab.run_line(line)


def test_a_tree_is_in_the_session_and_comes_back_with_it(bench: Bench, tmp_path: Path) -> None:
    lab = bench.lab
    lab.run("stack.add", "top_k")
    forked(bench, "fork.here 3")
    forked(bench, "fork.reseed 9 0/5")
    kept = load_session(lab.record.save(tmp_path / "tree.json"))
    assert [take.parent for take in kept.takes] == [None, "take-1", "take-2"]
    assert [take.fork.step for take in kept.takes if take.fork is not None] == [3, 5]
    before = [(twig.take, twig.parent, twig.place, twig.how) for twig in tree(lab.takes)]
    lab.run("session.open", str(tmp_path / "tree.json"))
    assert [(twig.take, twig.parent, twig.place, twig.how) for twig in tree(lab.takes)] == before
    forked(bench, "fork.force 3 0/4")
    assert (lab.takes[-1].parent, lab.takes[-1].name) == ("take-3", "take-4"), "a loaded take is forked"
    alone = from_session_take(kept.takes[2])
    assert how_it_differs(alone, Place(0, "ar", 0, 5), None) == "", "without the parent nobody knows"


def test_a_killed_lab_leaves_the_fork_as_far_as_it_was_heard(bench: Bench) -> None:
    lab = bench.lab
    lab.run_line("fork.force 77 5")
    bench.workers[-1].allow(8)
    lab.poll()
    bench.workers[-1].allowed = 0
    record = lab.record.session().takes[-1]
    assert (record.parent, record.fork is not None) == ("take-1", True)
    assert len(record.segments[0].levels[0].values()) == 8 and record.segments[0].stop == "cancel"
    with pytest.raises(UserError, match="being made; stop it first"):
        lab.run_line("fork.here 2")


def test_what_cannot_be_forked_says_why(bench: Bench) -> None:
    lab = bench.lab
    for line, reason in (
        ("fork.here 999", "take-1 has no step 0/ar.0:999; its last one is 0/nar.7:0, and of this phase"),
        ("fork.force 5000 3", "5000 must be a number from 0 to 1024"),
        ("fork.force x", "token must be a whole number"),
        ("fork.here elsewhere", "must look like 40"),
        ("fork.reseed -3 2", "seed -3 is out of range"),
    ):
        with pytest.raises(UserError, match=reason) as told:
            lab.run_line(line)
        assert len(str(told.value).splitlines()) == 1
    assert len(lab.takes) == 1
    bench.workers[-1].kill()
    lab.poll()
    with pytest.raises(UserError, match="no model is loaded"):
        lab.run_line("fork.here 2")


def test_stacks_in_few_words() -> None:
    before = Stack.from_dict(
        {"ar": [{"name": "top_k", "k": 5}, {"name": "draw"}], "nar": [{"name": "greedy"}]}
    )
    after = before.set("top_k.k", 7).set("min_p.p", 0.1).set("nar:draw.on", True)
    assert stack_changes(before, after) == ["+min_p", "top_k.k 5 > 7", "-nar:greedy", "+nar:draw"]
    assert stack_changes(before, before) == []
    assert stack_changes(before, before.switch("top_k", False)) == ["top_k off"]
