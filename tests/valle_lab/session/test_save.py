"""A session survives being written and read, and what is wrong with a file is told in one line."""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from valle.audio import wav
from valle.take import Take, codes_sha256
from valle_lab.session import schema
from valle_lab.session.convert import from_session_take, to_session_take
from valle_lab.session.save import SessionError, load_session, parse_session, save_session, session_text

Record = Callable[..., schema.Take]


def array(dtype: str, values: Any) -> dict[str, Any]:
    numbers = np.asarray(values, dtype)
    return {
        "dtype": dtype,
        "shape": list(numbers.shape),
        "base64": base64.b64encode(numbers.tobytes()).decode(),
    }


def refusal(document: Any) -> str:
    text = document if isinstance(document, (str, bytes)) else json.dumps(document)
    with pytest.raises(SessionError) as caught:
        parse_session(text, "out/demo.json")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def document(session: schema.Session) -> Any:
    return json.loads(session_text(session))


def test_a_session_survives_the_file(session: schema.Session, tmp_path: Path) -> None:
    path = save_session(session, tmp_path / "deep" / "one.json")
    assert load_session(path) == session
    assert save_session(load_session(path), tmp_path / "two.json").read_bytes() == path.read_bytes()
    assert [item.name for item in tmp_path.iterdir()] == ["deep", "two.json"] or len(
        list(tmp_path.iterdir())
    ) == 2


def test_a_wav_carries_its_session(session: schema.Session, tmp_path: Path) -> None:
    wave = np.sin(np.arange(2400) / 7).astype(np.float32) / 2
    path = wav.write(tmp_path / "one.wav", wave, text=session_text(session, None))
    assert load_session(path) == session
    before = wav.read(path)
    save_session(session.model_copy(update={"notes": [{"text": "good"}]}), path)
    assert load_session(path).notes == [{"text": "good"}]
    np.testing.assert_array_equal(wav.read(path), before)


def test_a_wav_without_a_session_says_so(tmp_path: Path) -> None:
    path = wav.write(tmp_path / "one.wav", np.ones(100, np.float32))
    with pytest.raises(SessionError, match=r"one\.wav carries no session"):
        load_session(path)


def test_a_take_survives_the_file(speak: Callable[..., Take], origin: schema.Origin) -> None:
    take = speak()
    record = parse_session(session_text(schema.new_session(to_session_take(take, origin)))).takes[0]
    again = from_session_take(record)
    assert codes_sha256(again.segments) == codes_sha256(take.segments) == record.codes_sha256
    assert [step.place for step in again.steps] == [step.place for step in take.steps]
    for ours, theirs in zip(again.steps, take.steps, strict=True):
        assert (ours.ended, ours.events) == (theirs.ended, theirs.events)
        for name in ("tokens", "choices", "log_probability", "runner_up", "margin"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        for name in ("logsumexp", "chosen", "top_ids", "top_logits"):
            np.testing.assert_array_equal(getattr(ours.evidence, name), getattr(theirs.evidence, name))
        assert [item.stage for item in ours.measures] == [item.stage for item in theirs.measures]
        for one, other in zip(ours.measures, theirs.measures, strict=True):
            close = 0 if ours.place.phase == "ar" else 1e-2
            for name in ("kept", "rank", "entropy", "varentropy", "divergence", "probability", "removed"):
                np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=close, atol=close)
    assert again.request.stack == take.request.stack
    assert again.request.sentences == take.request.sentences
    assert again.request.seed == 2**64 - 1


def test_no_folder_and_no_name_of_the_machine_is_kept(session: schema.Session) -> None:
    text = session_text(session)
    assert "somewhere" not in text
    assert str(Path.home()) not in text
    document = json.loads(text)["takes"][0]
    assert document["request"]["prompt"]["voice"] == "voice.wav"
    known = {"valle", "python", "torch", "numpy", "espeak", "phonemizer", "os", "machine", "cpu_flags"}
    assert document["origin"]["environment"].keys() == known
    assert document["origin"]["environment"]["os"] == platform.system().lower()


def test_unknown_fields_survive_unread(document: Any) -> None:
    document["colour"] = {"deep": [1, 2.5, None, "é", True, 10**30]}
    document["takes"][0]["mood"] = "calm"
    document["takes"][0]["segments"][0]["levels"][0]["unit"] = "codes"
    document["takes"][0]["segments"][0]["traces"][0]["evidence"]["more"] = [1]
    document["schema"]["version"] = "1.9"
    document["takes"][0]["notes"] = "not even a list"
    again = json.loads(session_text(parse_session(json.dumps(document))))
    assert again == document


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda d: d["schema"].update(version="2.0"),
            "schema: the file has version 2.0, this program reads 1.0",
        ),
        (lambda d: d["schema"].update(name="other"), "schema.name"),
        (lambda d: d.pop("schema"), "is no session: it lacks schema"),
        (lambda d: d["takes"][0]["segments"][1].update(stop=3), "takes[0].segments[1].stop"),
        (
            lambda d: d["takes"][0]["segments"][1]["levels"][3].update(base64=7),
            "takes[0].segments[1].levels[3].base64",
        ),
        (lambda d: d["takes"][0]["request"].update(seed=2**64), "takes[0].request.seed"),
        (lambda d: d["takes"][0]["request"].update(seed="7"), "takes[0].request.seed"),
        (lambda d: d["takes"][0]["request"].update(seed=True), "takes[0].request.seed"),
        (lambda d: d["takes"][0]["request"].update(max_frames=10**9), "takes[0].request.max_frames"),
        (lambda d: d["takes"][0].update(id="a\x1b[2Jb"), "takes[0].id: a name must be one line"),
        (lambda d: d["takes"][0].update(seconds=float("nan")), "takes[0].seconds"),
        (lambda d: d.update(unknown=float("inf")), "unknown: numbers must be finite"),
        (lambda d: d["takes"].append(d["takes"][0]), "takes: there are two of id 'take-1'"),
        (lambda d: d["takes"][0]["codes_sha256"].__setitem__(2, "0" * 64), "codes_sha256[2] is not that"),
        (lambda d: d["takes"][0].update(events=[event("force", 4000)]), "value of force must be a token"),
        (lambda d: d["takes"][0].update(events=[event("add", 3)]), "value of add must be parameters"),
        (lambda d: d["takes"][0]["segments"][0].update(traces=[]), "is not what the traces say"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    document: Any, change: Callable[[Any], None], complaint: str
) -> None:
    change(document)
    told = refusal(document)
    assert told.startswith("out/demo.json") and complaint in told, told


def event(kind: str, value: Any) -> dict[str, Any]:
    return {"kind": kind, "value": value, "place": {"segment": 0, "phase": "ar", "level": 0, "step": 3}}


def test_codes_out_of_range_are_refused(document: Any) -> None:
    level = document["takes"][0]["segments"][1]["levels"][3]
    level.update(array("int16", np.full(10, 1024)))
    assert "takes[0].segments[1].levels[3]: holds 1024; the numbers must be 0 to 1023" in refusal(document)
    level.update(array("int16", np.full(10, -1)))
    assert "holds -1" in refusal(document)
    level.update(array("float32", np.ones(10)))
    assert "must be of int16, not float32" in refusal(document)


def test_numbers_that_are_none_are_refused(document: Any) -> None:
    evidence = document["takes"][0]["segments"][0]["traces"][0]["evidence"]
    evidence["logsumexp"] = array("float32", np.full((10, 1), np.nan))
    assert "traces[0].evidence.logsumexp: holds numbers that are not numbers" in refusal(document)
    evidence["logsumexp"] = array("float32", np.full((10, 1), np.inf))
    assert "not finite" in refusal(document)


def test_sizes_are_checked_before_anything_is_decoded(document: Any) -> None:
    level = document["takes"][0]["segments"][1]["levels"][3]
    level["shape"] = [2**24]
    assert "which is not 16777216 items of int16" in refusal(document)
    level["shape"] = [2**40]
    assert "shape[0]" in refusal(document)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "hello", '{"schema"', b"\xff\xfe\x00", '{"takes": []}']
)
def test_what_is_no_session_is_told_apart_from_one(text: str | bytes) -> None:
    refusal(text)


def test_a_truncated_file_is_told_as_such(session: schema.Session, tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text(session_text(session)[:-40])
    with pytest.raises(SessionError, match=r"cut\.json is cut off, or no JSON"):
        load_session(path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.json", Path("a\0b")):
        with pytest.raises(SessionError):
            load_session(path)


def test_a_take_is_found_by_id_and_by_number(record: Record) -> None:
    one, two = record(max_frames=2), record(max_frames=3, take="2nd")
    session = schema.new_session(one, two)
    assert session.take() is two
    assert session.take("1") is one
    assert session.take("2nd") is two
    with pytest.raises(KeyError):
        session.take("3")
