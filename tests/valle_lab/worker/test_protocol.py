"""Frames and steps survive the pipe unchanged, and a broken stream is told from a finished one."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from valle.control import Event
from valle.step import Evidence, Place, StageMeasures, Step
from valle_lab.worker.protocol import DTYPES, BrokenStreamError, Frame, encode, read_frame
from valle_lab.worker.steps import step_from_frame, step_to_frame

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
FRAMES = st.builds(
    Frame,
    kind=st.text(),
    request=st.integers(0, 2**63),
    take=st.text(),
    body=st.dictionaries(st.text(), JSON, max_size=4),
    arrays=st.dictionaries(st.text(), ARRAYS, max_size=3),
)
PLACES = st.builds(
    Place, st.integers(0, 9), st.sampled_from(["ar", "nar"]), st.integers(0, 7), st.integers(0, 900)
)


def same(left: Any, right: Any) -> bool:
    """Equality of steps and their parts, with arrays compared by type, shape and bytes."""
    if isinstance(left, np.ndarray):
        return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    if isinstance(left, Step | StageMeasures | Evidence):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Steps of any number of positions, with and without every optional part."""
    count = draw(st.integers(0, 5))

    def array(dtype: str, *shape: int) -> np.ndarray:
        return draw(hnp.arrays(dtype, (count, *shape)))

    def evidence() -> Evidence | None:
        top = (array("<i2", 8), array("<f4", 8)) if draw(st.booleans()) else ()
        return Evidence(array("<f4"), array("<f4"), *top) if draw(st.booleans()) else None

    def measures(stage: str) -> StageMeasures:
        kinds = {"kept": "<i4", "rank": "<i4"}
        names = [f.name for f in fields(StageMeasures) if f.name != "stage"]
        return StageMeasures(stage, **{name: array(kinds.get(name, "<f4")) for name in names})

    events = draw(st.lists(st.builds(Event, st.just("set"), st.text(), JSON, st.none() | PLACES), max_size=2))
    return Step(
        take=draw(st.text()),
        place=draw(PLACES),
        tokens=array("<i2"),
        choices=array("<i2"),
        hypothesis=draw(st.integers(0, 4)),
        events=tuple(events),
        ended=draw(st.sampled_from([None, "stop", "cancel"])),
        log_probability=array("<f4"),
        runner_up=array("<i2"),
        margin=array("<f4"),
        measures=tuple(measures(stage) for stage in draw(st.lists(st.text(), max_size=3))),
        evidence=evidence(),
        null_evidence=evidence(),
        within_reach=array("|b1") if draw(st.booleans()) else None,
        seconds=draw(st.floats(0, 1e6)),
    )


@given(st.lists(FRAMES, max_size=3))
def test_frames_come_back_as_they_were_sent(frames: list[Frame]) -> None:
    stream = io.BytesIO(b"".join(map(encode, frames)))
    for frame in frames:
        received = read_frame(stream)
        assert received is not None
        assert (received.kind, received.request, received.take) == (frame.kind, frame.request, frame.take)
        assert json.dumps(received.body) == json.dumps(frame.body)
        assert list(received.arrays) == list(frame.arrays)
        assert all(same(array, received.arrays[name]) for name, array in frame.arrays.items())
    assert read_frame(stream) is None


def test_layout_of_the_bytes() -> None:
    data = encode(Frame("step", 3, "a", {"x": 1}, {"tokens": np.array([1, -2], ">i2")}))
    (length,) = struct.unpack(">I", data[:4])
    header = json.loads(data[4 : 4 + length])
    assert header == {
        "kind": "step",
        "request": 3,
        "take": "a",
        "body": {"x": 1},
        "arrays": [["tokens", "<i2", [2]]],
    }
    assert data[4 + length :] == b"\x01\x00\xfe\xff"


@given(steps())
def test_steps_come_back_as_they_were_sent(step: Step) -> None:
    frame = read_frame(io.BytesIO(encode(step_to_frame(step, 1))))
    assert frame is not None
    assert same(step, step_from_frame(frame))


@given(FRAMES, st.data())
def test_a_stream_cut_anywhere_inside_a_frame_is_broken(frame: Frame, data: st.DataObject) -> None:
    whole = encode(frame)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(BrokenStreamError):
        read_frame(io.BytesIO(whole[:cut]))


@given(st.binary(min_size=1, max_size=200))
def test_noise_is_never_taken_for_a_frame(noise: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        read_frame(io.BytesIO(noise))


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b'{"kind":"a","request":"1","take":"","body":{},"arrays":[]}',
        b'{"kind":"a","request":1,"take":"","body":{},"arrays":[["x","|O",[1]]]}',
        b'{"kind":"a","request":1,"take":"","body":{},"arrays":[["x","<f4",[-1]]]}',
        b'{"kind":"a","request":1,"take":"","body":{},"arrays":[["x","<f8",[1000000,1000000]]]}',
        b'{"kind":"a","request":1,"take":"","body":{},"arrays":[3]}',
    ],
)
def test_a_wrong_header_is_refused(header: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        read_frame(io.BytesIO(struct.pack(">I", len(header)) + header + bytes(64)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_no_json_cannot_be_sent(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode(Frame("a", body={"x": value}))


def test_objects_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="thing"):
        encode(Frame("a", arrays={"thing": np.array([object()])}))
