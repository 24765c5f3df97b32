"""Trials in sessions and journals, their seals, and what is counted of them over sessions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from valle.samplers.stack import Stack
from valle_lab.cli import main
from valle_lab.session import schema
from valle_lab.session.journal import Journal
from valle_lab.session.save import SessionError, load_session, parse_session, save_session, session_text
from valle_lab.session.seal import new_salt, seal_of
from valle_lab.session.wins import contests
from valle_lab.wins import Contest, wilson

Record = Callable[..., schema.Take]
SALT = "ab" * 32


def trial(
    choice: str | None = "X", takes: tuple[str, ...] = ("one", "two"), salt: str = SALT, **more: Any
) -> schema.Trial:
    order = takes[::-1]
    known = {} if choice is None else {"order": order, "salt": salt, "choice": choice}
    seal = seal_of(order, salt)
    return schema.Trial.model_validate({"id": "trial-1", "takes": takes, "seal": seal, **known, **more})


def session(*trials: schema.Trial, takes: tuple[schema.Take, ...] = ()) -> schema.Session:
    return schema.new_session(*takes, trials=trials)


def test_the_seal_is_the_hash_that_the_page_tells_of() -> None:
    lines = f"{SALT}\ntake-2\ntake-1"
    assert seal_of(["take-2", "take-1"], SALT) == hashlib.sha256(lines.encode()).hexdigest()
    assert len(new_salt()) == 64 and new_salt() != new_salt()


def test_trials_survive_being_written_and_read(tmp_path: Path) -> None:
    kept = session(trial(), trial(None, names=("a", "b"), id="trial-2"))
    again = load_session(save_session(kept, tmp_path / "trials.json"))
    assert again.trials == kept.trials
    assert session_text(again) == session_text(kept)
    old = json.loads(session_text(session()))
    del old["trials"]
    assert parse_session(json.dumps(old)).trials == (), "sessions of before have none"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"order": ["one", "two"]}, "not the one that was sealed"),
        ({"salt": "cd" * 32}, "not the one that was sealed"),
        ({"order": ["one", "one"]}, "each of the takes once"),
        ({"salt": None}, "known together"),
        ({"choice": None}, "known together"),
        ({"choice": "Z"}, "which no take was called"),
        ({"choice": "W"}, "choice"),
        ({"names": ["a"]}, "names has 1"),
        ({"takes": ["one"]}, "takes"),
        ({"seal": "short"}, "seal"),
    ],
)
def test_a_trial_that_was_tampered_with_is_refused_in_one_line(changes: dict[str, Any], says: str) -> None:
    document = json.loads(session_text(session(trial())))
    document["trials"][0] |= changes
    with pytest.raises(SessionError, match=says) as refused:
        parse_session(json.dumps(document), "trials.json")
    assert "trials[0]" in str(refused.value) and "\n" not in str(refused.value)


def test_the_journal_keeps_a_trial_as_it_stands(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl", session(trial(id="trial-0"))) as journal:
        journal.trial(trial(None))
        assert load_session(tmp_path / "a.jsonl").trials[1].choice is None
        journal.trial(trial())
        journal.trial(trial(None, id="trial-2"))
    kept = load_session(tmp_path / "a.jsonl").trials
    assert [(item.id, item.choice) for item in kept] == [
        ("trial-0", "X"),
        ("trial-1", "X"),
        ("trial-2", None),
    ]


@given(st.integers(1, 200), st.data())
def test_intervals_are_wilsons(trials: int, data: st.DataObject) -> None:
    wins = data.draw(st.integers(0, trials))
    low, high = wilson(wins, trials)
    interval = binomtest(wins, trials).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert 0 <= low < high <= 1


def test_an_interval_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert Contest("a", "b", 0, 0, 2).share is None
    assert math.isclose(Contest("a", "b", 3, 1, 9).share or 0, 0.75)


def named(choice: str | None, number: int, *names: str) -> schema.Trial:
    takes = tuple(f"take-{place}" for place in range(len(names)))
    return trial(choice, takes, f"{number:064x}", names=names, id=f"trial-{number}")


def test_wins_are_counted_over_sessions_and_each_trial_once() -> None:
    """Labels run against the order of the takes: of two, X is the second."""
    first = session(named("X", 1, "a", "b"), named("Y", 2, "a", "b"), named("X", 3, "b", "a"))
    second = session(named("none", 4, "a", "b"), named(None, 5, "a", "b"), named("X", 1, "a", "b"))
    (found,) = contests([first, second])
    assert (found.one, found.wins, found.other, found.losses, found.ties) == ("a", 2, "b", 1, 1)
    assert found.interval == wilson(2, 3)


def test_of_three_the_chosen_one_won_against_both() -> None:
    found = contests([session(named("Z", 1, "a", "b", "c"), named("none", 2, "a", "b", "c"))])
    assert [(item.one, item.other, item.wins, item.ties) for item in found] == [
        ("a", "b", 1, 1),
        ("a", "c", 1, 1),
        ("b", "c", 0, 1),
    ]


def test_without_names_what_the_stacks_differ_in_tells(record: Record) -> None:
    cold = {"ar": [{"name": "temperature", "value": 0.5}, {"name": "draw"}], "nar": [{"name": "greedy"}]}
    warm = {"ar": [{"name": "temperature", "value": 0.9}, {"name": "draw"}], "nar": [{"name": "greedy"}]}
    one, two = (
        record(stack=Stack.from_dict(stack), seed=7, take=name)
        for name, stack in (("one", cold), ("two", warm))
    )
    (found,) = contests([session(trial("X"), takes=(one, two))])
    assert (found.one, found.other) == ("temperature.value 0.9", "temperature.value 0.5")
    (lost,) = contests([session(trial("X"), takes=(one,))])
    assert (lost.one, lost.other) == ("two", "one"), "where a take is gone its name has to do"


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save_session(session(named("X", 1, "a", "b"), named(None, 2, "a", "b")), tmp_path / "s.json")
    assert main(["wins", str(file), str(file)]) == 0
    printed = capsys.readouterr()
    assert "1 trial not decided" in printed.err
    head, row = printed.out.splitlines()
    assert head.split()[:2] == ["one", "other"] and row.split()[:5] == ["b", "a", "1", "0", "0"]
    assert main(["wins", str(file), "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["one"], document["wins"], document["share"]) == ("b", 1, 1.0)
    empty = save_session(session(), tmp_path / "none.json")
    assert main(["wins", str(empty)]) == 0
    assert "no trial was decided" in capsys.readouterr().err
