"""How the tones of Mandarin are written: espeak numbers them, the published models were trained on marks."""

from __future__ import annotations

from collections.abc import Container

from valle.text.phonemes import LANGUAGES

_MARKS = str.maketrans("12345", "ˇˉˊˋ_")


def with_marks(phonemes: str, language: str, symbols: Container[str]) -> str:
    """Phonemes with a mark for each tone, where the language has tones and the tokenizer's symbols the marks.

    Such a tokenizer has no numbers: all tones would be the one unknown symbol. Source: g2p.py of
    e-c-k-e-r/vall-e.
    """
    has_tones = LANGUAGES.get(language) == LANGUAGES["zh"]
    return phonemes.translate(_MARKS) if has_tones and "ˉ" in symbols else phonemes
