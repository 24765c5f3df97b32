"""Plain text in and out of a file that has tables of text: phonemes of a text, and the text of phonemes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from valle.errors import UserError
from valle.inference import Engine
from valle.prompts import phonemes_of, spelling, symbols, text_of, told, transcription
from valle.reading import Reading, read
from valle.request import Prompt, Sentence
from valle.text.symbols import SPECIALS

PARITY = Path(__file__).parents[1] / "data" / "parity"
FILE = PARITY / "f_v6_text_tasks" / "model.sft"


def text_tokenizer() -> str:
    words = {character: 4 + place for place, character in enumerate("abcdefghijklmnopqrstuvwxyz .")}
    special = [{"id": place, "content": name} for place, name in enumerate(SPECIALS)]
    model = {"type": "BPE", "vocab": dict(zip(SPECIALS, range(4), strict=True)) | words, "merges": []}
    return json.dumps({"model": model, "added_tokens": special})


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(FILE, folder)
    shutil.copy(PARITY / "e_hf_layout" / "hf" / "tokenizer.json", folder)
    (folder / "text_tokenizer.json").write_text(text_tokenizer())
    engine = Engine.load(str(folder / "model.sft"), codec="builtin", force_codec=True)
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valle.decoding.text.MOST_IDS", 5)


def test_text_becomes_phonemes(engine: Engine) -> None:
    request = engine.request("a cat.", task="phn", seed=1)
    assert request.sentences == (Sentence("a cat.", "", (1, 4, 30, 6, 4, 23, 31, 2)),)
    take = engine.generate(request).finish()
    assert {step.place.phase for step in take.steps} == {"phn"}
    assert phonemes_of(engine, take) == engine.tokenizer.decode(take.ids())


def test_a_text_is_read_by_the_model_itself(engine: Engine) -> None:
    (sentence,) = read(engine, "a cat.", "en", Reading("model"))
    written = engine.generate(engine.request("a cat.", task="phn", seed=1)).finish().ids()
    assert sentence.ids == (1, *written, 2) and sentence.phonemes == engine.tokenizer.decode(written)
    request = engine.request("", sentences=(sentence,), seed=0)
    assert request.sentences == (sentence,) and request.task == "tts"


def test_what_makes_no_sound_is_not_spoken(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "valle.decoding.text.TEXT_STOP",
        int(engine.generate(engine.request("a cat.", task="phn", seed=1)).finish().ids()[0]),
    )
    with pytest.raises(UserError, match=r"makes no phonemes of 'a cat\.'; --phonemizer espeak does"):
        read(engine, "a cat.", "en", Reading("model"))


def test_phonemes_become_text(engine: Engine) -> None:
    request = spelling(engine, "kˈæt")
    assert request is not None and request.sentences[0].phonemes == "kˈæt"
    take = engine.generate(request).finish()
    assert {step.place.phase for step in take.steps} == {"un_phn"}
    written: Any = SimpleNamespace(segments=(None,), ids=lambda segment: (4, 30, 6, 4, 23, 31))
    assert text_of(engine, written) == "a cat."


def test_what_a_take_came_to_is_told_in_its_own_symbols(engine: Engine) -> None:
    take = engine.generate(engine.request("a cat.", task="phn", seed=1)).finish()
    assert told(engine, take) == phonemes_of(engine, take)
    assert "".join(symbols(engine, "phn", take.ids()).get(index, "") for index in take.ids()) == told(
        engine, take
    )
    spelt: Any = SimpleNamespace(
        request=SimpleNamespace(task="un-phn"), segments=(None,), ids=lambda segment: (4, 30_000, 6)
    )
    assert told(engine, spelt) == "a<30000>c"
    assert symbols(engine, "un_phn", (4, 30_000)) == {4: "a"} and symbols(engine, "ar", (4,)) == {}


def test_speech_becomes_phonemes(engine: Engine) -> None:
    heard = Prompt(np.ones((6, 8), np.int16), engine.codec.hash)
    take = engine.generate(transcription(engine, heard, seed=0)).finish()
    assert len(take.ids()) <= 5 and {step.place.phase for step in take.steps} == {"stt"}


def test_without_the_tokenizer_it_is_said_what_is_missing(engine: Engine) -> None:
    kept, engine.text_tokenizer = engine.text_tokenizer, None
    try:
        assert spelling(engine, "kˈæt") is None
        with pytest.raises(UserError, match=r"text_tokenizer\.json, which is not beside it"):
            engine.request("a cat.", task="phn")
        with pytest.raises(UserError, match=r"text_tokenizer\.json, which is not beside it"):
            read(engine, "a cat.", "en", Reading("model"))
    finally:
        engine.text_tokenizer = kept
