"""What is measured of transcription: against codes whose words are known."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from valle.text.tokens import Tokenizer
from valle.training.evaluation import Sitter
from valle.training.speakers import Speaker
from valle.training.task_evaluation import transcribed

TEXTS = ["həlˈoʊ", "wˈɜːld"]


@dataclass
class Hearer:
    """An engine whose codes spell the text, and which hears all of it, but for the sounds it is deaf to."""

    deaf_to: str = ""
    stops: bool = True

    codec = SimpleNamespace(encode=lambda wave: wave.astype(np.int16)[:, None], hash="spelt")
    tokenizer = Tokenizer.builtin()

    def sentences(self, text: str) -> list[Any]:
        return [SimpleNamespace(ids=tuple(self.tokenizer.encode(text)))]

    def request(self, text: str, **given: Any) -> Any:
        return given["sources"][0].codes[:, 0]

    def generate(self, codes: Any) -> Any:
        heard = [int(code) for code in codes if self.tokenizer.decode([int(code)]) not in self.deaf_to]
        take = SimpleNamespace(segments=(None,), ids=lambda _: heard, stop="stop" if self.stops else "limit")
        return SimpleNamespace(finish=lambda: take)


class Speller(Sitter):
    """Says the ids of a text as samples."""

    def says(self, text: str) -> Any:
        ids = [index for index in Tokenizer.builtin().encode(text) if Tokenizer.builtin().decode([index])]
        return np.array(ids, np.float32)


SITTERS = [Speller("speller", Speaker("m1", 50), "")]


def test_what_is_heard_is_compared_sound_by_sound() -> None:
    assert transcribed(cast(Any, Hearer()), TEXTS, SITTERS) == {
        "takes": 2, "errors": 0.0, "errors_median": 0.0, "stopped": 1.0,
    }  # fmt: skip
    found = transcribed(cast(Any, Hearer(deaf_to="hl", stops=False)), TEXTS, SITTERS)
    assert found["errors"] == pytest.approx((2 / 5 + 1 / 4) / 2)
    assert found["stopped"] == 0.0


def test_marks_of_stress_and_length_are_no_sounds() -> None:
    assert transcribed(cast(Any, Hearer(deaf_to="ˈː")), TEXTS, SITTERS)["errors"] == 0.0
