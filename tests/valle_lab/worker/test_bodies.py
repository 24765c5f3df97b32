"""A request crosses the pipe whole: what the null pass is given, too."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from valle.modes import Demasking
from valle.request import NullBranch, Prefix, Prompt, Request, Sentence
from valle.samplers import Stack
from valle_lab.worker.bodies import request_from_body, request_to_body
from valle_lab.worker.protocol import Frame, encode, read_frame

REQUEST = Request(
    sentences=(Sentence("One.", "wˈʌn.", (1, 20, 2)),),
    language="en",
    stack=Stack.from_dict({"ar": [{"name": "guidance", "scale": 2.0}, {"name": "draw"}]}),
    seed=7,
    prompt=Prompt(np.arange(24, dtype=np.int16).reshape(3, 8), "codec", "somebody"),
)
OTHER = Prompt(np.full((2, 8), 9, np.int16), "codec", "somebody else")


@pytest.mark.parametrize(
    "null",
    [
        NullBranch(),
        NullBranch("same", "none"),
        NullBranch(Sentence("Two.", "tˈuː", (1, 5, 6, 2)), "same"),
        NullBranch("same", OTHER),
    ],
)
def test_a_request_with_its_null_pass(null: NullBranch) -> None:

    body, arrays = request_to_body(replace(REQUEST, null=null))
    frame = read_frame(io.BytesIO(encode(Frame("speak", 1, "take", body, arrays))))
    assert frame is not None
    found = request_from_body(frame.body, frame.arrays)
    assert found.null.text == null.text
    if isinstance(null.voice, Prompt):
        assert isinstance(found.null.voice, Prompt)
        assert np.array_equal(found.null.voice.codes, null.voice.codes)
        assert found.null.voice.voice == "somebody else"
    else:
        assert found.null.voice == null.voice
    assert found.prompt is not None and np.array_equal(found.prompt.codes, np.arange(24).reshape(3, 8))
    assert found.sentences == REQUEST.sentences and found.stack == REQUEST.stack


def test_a_request_with_what_its_mode_wants() -> None:
    request = replace(
        REQUEST,
        mode="nar-len",
        sources=(OTHER,),
        prefix=Prefix(Sentence("Before.", "b", (1, 7, 2)), np.zeros((4, 8), np.int16), "codec"),
        history=2,
        between=(3,),
        demasking=Demasking(steps=7, start=0.25),
    )
    body, arrays = request_to_body(request)
    frame = read_frame(io.BytesIO(encode(Frame("speak", 1, "take", body, arrays))))
    assert frame is not None
    found = request_from_body(frame.body, frame.arrays)
    assert (found.history, found.between, found.demasking) == (2, (3,), request.demasking)
    assert found.prefix is not None and request.prefix is not None
    assert found.prefix.sentence == request.prefix.sentence
    for ours, theirs in ((found.sources[0], OTHER), (found.prefix, request.prefix)):
        assert ours.codec == theirs.codec and np.array_equal(ours.codes, theirs.codes)
