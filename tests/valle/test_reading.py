"""A text's language is found out where it says enough."""

from __future__ import annotations

import pytest

from valle.reading import detect


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The birch canoe slid on the smooth planks.", "en"),
        ("Das ist ein ganz einfacher Satz.", "de"),
        ("Bonjour tout le monde, comment allez-vous ?", "fr"),
        ("こんにちは", "ja"),
    ],
)
def test_languages_are_told_apart(text: str, language: str) -> None:
    assert detect(text, ["en", "ja", "de", "fr"]) == language


def test_too_little_text_is_in_the_first_language() -> None:
    assert detect("Hm.", ["de", "en", "fr", "ja"]) == "de"
    assert detect("Guten Tag", ["en"]) == "en"
