"""Damaged sessions are refused in one line; opinions and unknown fields damage nothing."""

from __future__ import annotations

import os
from collections.abc import Callable

from mutations import harmless, try_all

from valle.errors import UserError
from valle.inference import Engine
from valle.request import Request
from valle_lab.session import schema
from valle_lab.session.replay import replay_take
from valle_lab.session.save import parse_session, session_text

COUNT = int(os.environ.get("MUTATIONS", "500"))
REPLAYED = 50 if COUNT >= 10_000 else 8


def test_mutations_are_refused_in_one_line_or_accepted(
    record: Callable[..., schema.Take], engine: Engine, request_: Request
) -> None:
    tally = try_all(
        session_text(schema.new_session(record(max_frames=4, sentences=request_.sentences[:1]))), COUNT
    )
    assert tally.refused > COUNT / 2
    assert len(tally.accepted) > COUNT / 100
    for text in tally.accepted[:: max(1, len(tally.accepted) // REPLAYED)][:REPLAYED]:
        for take in parse_session(text).takes:
            try:
                replay_take(take, engine, most_steps=20)
            except UserError as error:
                assert "\n" not in str(error)


def test_opinions_and_unknown_fields_are_nobodys_business(
    record: Callable[..., schema.Take], request_: Request
) -> None:
    text = session_text(schema.new_session(record(max_frames=4, sentences=request_.sentences[:1])))
    for changed in harmless(text, 200):
        parse_session(changed)
