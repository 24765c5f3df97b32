"""What a killed process leaves behind is a session that replays, up to the last whole line."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from valle.control import Event, ScheduledControl
from valle.errors import UserError
from valle.inference import Engine
from valle.request import Request
from valle.step import Place
from valle.take import Take
from valle_lab.session import schema
from valle_lab.session.convert import to_session_take
from valle_lab.session.ending import next_place
from valle_lab.session.journal import Journal
from valle_lab.session.opinions import notes_of, ratings_of
from valle_lab.session.replay import replay_take
from valle_lab.session.save import SessionError, load_session, session_text

Speak = Callable[..., Take]


def write(path: Path, take: Take, origin: schema.Origin, ended: bool = True) -> Path:
    with Journal(path) as journal:
        journal.begin(take.request, origin)
        for step in take.steps:
            journal.step(step)
        if ended:
            journal.end(take.request.take, take.seconds)
    return path


def test_a_journal_folds_into_the_same_session(speak: Speak, origin: schema.Origin, tmp_path: Path) -> None:
    events = [Event("set", "temperature.value", 0.5, Place(0, "ar", 0, 3))]
    take = speak(ScheduledControl(events))
    folded = load_session(write(tmp_path / "lab.jsonl", take, origin))
    assert session_text(folded) == session_text(schema.new_session(to_session_take(take, origin)))


def test_each_line_reaches_the_file_at_once(speak: Speak, origin: schema.Origin, tmp_path: Path) -> None:
    take = speak(max_frames=3)
    with Journal(tmp_path / "lab.jsonl") as journal:
        journal.begin(take.request, origin)
        for number, step in enumerate(take.steps, 1):
            journal.step(step)
            assert len(journal.path.read_bytes().splitlines()) == 2 + number


@pytest.mark.parametrize("steps", [0, 4, 10, 13, 17, 34])
def test_a_take_without_an_end_is_cancelled_after_its_last_step(
    speak: Speak, engine: Engine, origin: schema.Origin, tmp_path: Path, steps: int
) -> None:
    take = speak(steps=steps)
    path = write(tmp_path / "lab.jsonl", take, origin, ended=False)
    record = load_session(path).takes[0]
    if steps < 34:
        assert [event.kind for event in record.events] == ["cancel"]
        assert record.segments[-1].stop == "cancel"
    else:
        assert not record.events
    judgement, replayed = replay_take(record, engine, "exact")
    assert judgement.verdict == "identical"
    assert to_session_take(replayed, origin).codes_sha256 == record.codes_sha256
    assert len(replayed.segments) == len(record.segments)


def test_a_torn_journal_is_read_up_to_its_last_whole_line(
    speak: Speak, origin: schema.Origin, tmp_path: Path
) -> None:
    data = write(tmp_path / "lab.jsonl", speak(max_frames=3), origin, ended=False).read_bytes()
    lines = data.splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    for cut in (1, len(lines[-1]) // 2, len(lines[-1]) - 1):
        torn.write_bytes(data[:-cut])
        whole = load_session(torn).takes[0]
        torn.write_bytes(b"".join(lines[:-1]))
        assert session_text(schema.new_session(whole)) == session_text(load_session(torn))
    torn.write_bytes(b"".join(lines[:-1]) + b"\0" * 100)
    load_session(torn)


def test_a_journal_that_is_damaged_inside_names_the_line(
    speak: Speak, origin: schema.Origin, tmp_path: Path
) -> None:
    path = write(tmp_path / "lab.jsonl", speak(max_frames=3), origin)
    lines = path.read_bytes().splitlines(keepends=True)
    for damage, complaint in [
        (b"{]\n", "line 3 is no JSON object"),
        (b'{"kind": "step", "take": "other", "place": 3}\n', "line 3: place"),
        (lines[3].replace(b"take-1", b"take-2"), "line 3 is of a take 'take-2' that never began"),
        (lines[1], "line 3 begins a take 'take-1' that is there already"),
    ]:
        path.write_bytes(b"".join([*lines[:2], damage, *lines[3:]]))
        with pytest.raises(SessionError, match=r"lab\.jsonl") as caught:
            load_session(path)
        assert complaint in str(caught.value)
    path.write_bytes(b"".join([*lines[:2], b'{"kind": "later"}\n', *lines[2:]]))
    assert len(load_session(path).takes) == 1
    for nothing in (b"", b"\n", b'{"kind": "end", "take": "x", "seconds": 1}\n', b"RIFF"):
        path.write_bytes(nothing)
        with pytest.raises(SessionError):
            load_session(path)


def test_damaged_journals_are_refused_in_one_line_or_read(
    speak: Speak, origin: schema.Origin, tmp_path: Path
) -> None:
    path = write(tmp_path / "lab.jsonl", speak(max_frames=3), origin)
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    chance = random.Random(0)
    read = 0
    for _ in range(150):
        shuffled = [*lines[:2], *chance.sample(lines[2:], chance.randrange(1, len(lines) - 1))]
        at = chance.randrange(len(data))
        path.write_bytes(chance.choice([b"".join(shuffled), data[:at] + b"7" + data[at + 1 :], data[:at]]))
        try:
            load_session(path)
            read += 1
        except SessionError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
    assert 20 < read < 150


def test_takes_of_a_batch_and_opinions_are_kept_apart(
    speak: Speak, origin: schema.Origin, session: schema.Session, tmp_path: Path
) -> None:
    takes = [speak(take=name, seed=seed, max_frames=3) for seed, name in enumerate(("one", "two"))]
    with Journal(tmp_path / "lab.jsonl", session) as journal:
        for take in takes:
            journal.begin(take.request, origin, parent="take-1", fork=Place(0, "ar", 0, 2))
        for steps in zip(takes[0].steps, takes[1].steps, strict=False):
            for step in steps:
                journal.step(step)
        journal.rate("two", {"scale": "stars", "value": 4})
        journal.note(None, {"text": "a good day"})
        journal.note("take-1", {"text": "of the session that was opened"})
    folded = load_session(tmp_path / "lab.jsonl")
    assert [take.id for take in folded.takes] == ["take-1", "one", "two"]
    assert folded.takes[1].codes_sha256 != folded.takes[2].codes_sha256
    assert folded.takes[2].parent == "take-1" and folded.takes[2].fork is not None
    assert [rating.value for rating in ratings_of(folded.take("two"))] == [4]
    assert [note.text for note in notes_of(folded)] == ["a good day"]
    assert [note.text for note in notes_of(folded.take("take-1"))] == ["of the session that was opened"]
    assert json.loads(session_text(folded))["takes"][0]["id"] == "take-1"


def test_opinions_that_are_not_understood_are_passed_over(session: schema.Session) -> None:
    told = session.model_copy(update={"notes": ["x", 3, {"text": "yes"}, {"text": 4}], "ratings": "five"})
    assert [note.text for note in notes_of(told)] == ["yes"]
    assert ratings_of(told) == ()


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    Journal(tmp_path / "lab.jsonl").close()
    with pytest.raises(UserError, match="there already"):
        Journal(tmp_path / "lab.jsonl")


def test_the_next_place_is_the_one_the_engine_asks_for(
    engine: Engine, request_: Request, speak: Speak
) -> None:
    """Against the engine: the places that its control is asked about, one step ahead."""

    class Asked(ScheduledControl):
        places: list[Place]

        def events(self, place: Place) -> tuple[Event, ...]:
            self.places.append(place)
            return super().events(place)

    finish = [Event("finish", place=Place(0, "nar", 3, 0)), Event("finish", place=Place(1, "ar", 0, 2))]
    control = Asked(finish)
    control.places = []
    request = replace(request_, max_levels=5)
    steps = list(engine.generate(request, control))
    foreseen = [next_place(request, steps[:number]) for number in range(len(steps) + 1)]
    assert foreseen == [*control.places, None]
