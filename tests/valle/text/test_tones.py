"""Mandarin as the published models read it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from valle.inference import Engine
from valle.text import tokenizer_json
from valle.text.phonemes import Phonemizer
from valle.text.tokens import UNK, Tokenizer
from valle.text.tones import with_marks

DATA = Path(__file__).parents[2] / "data" / "parity"
PUBLISHED = tokenizer_json.read(DATA / "e_hf_layout" / "hf" / "tokenizer.json", 256)


def test_tones_are_the_marks_of_the_reference() -> None:
    case = json.loads((DATA / "tokenizer" / "golden.json").read_text())["other_languages"]["zh"]
    with Phonemizer("zh") as phonemizer:
        plain = phonemizer.phonemize(case["text"])
    marked = with_marks(plain, "zh", PUBLISHED.table)
    assert marked == case["phonemes"] and PUBLISHED.encode(marked) == case["ids"]
    assert PUBLISHED.encode(plain).count(UNK) > PUBLISHED.encode(marked).count(UNK)


def test_a_sentence_is_written_as_the_model_s_tokenizer_has_it() -> None:
    model: Any = SimpleNamespace(tokenizer=PUBLISHED)
    sentence = Engine.sentence(model, "ni3", "ni3", "zh")
    assert sentence.phonemes == "niˊ" and sentence.ids == tuple(PUBLISHED.encode("niˊ"))


def test_numbers_stay_where_they_are_read_and_where_there_are_no_tones() -> None:
    assert with_marks("ni2", "zh", Tokenizer.builtin().table) == "ni2"
    assert with_marks("tˈuː 2", "en", PUBLISHED.table) == "tˈuː 2"
    assert with_marks("a1b2c3d4e5f6", "zh", PUBLISHED.table) == "aˇbˉcˊdˋe_f6"
