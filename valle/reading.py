"""How a text comes to be phonemes: in which language it is, and whether it is spelt or written in IPA."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from valle.errors import UserError
from valle.inference import LONGEST_SENTENCE, Engine
from valle.request import Sentence
from valle.text.sentences import SplitBy, split

PhonemizedBy = Literal["espeak", "ipa"]
"""By espeak-ng, or not at all: the text is in IPA already."""
CERTAIN = 0.6
"""Probability from which a guessed language is believed; a word or two often says too little."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text is read; without a language of its own it is read in that of the voice."""

    phonemizer: PhonemizedBy = "espeak"
    language: str | None = None


def read(
    engine: Engine, text: str, language: str, reading: Reading, by: SplitBy = "sentence"
) -> tuple[Sentence, ...]:
    """The segments of a text that the model is to say in `language`.

    Raises UserError for a text without words, and for phonemes that the model does not have.
    """
    if reading.phonemizer not in get_args(PhonemizedBy):
        known = ", ".join(get_args(PhonemizedBy))
        raise UserError(f"The phonemizer {reading.phonemizer!r} is not known; use one of {known}.")
    if reading.phonemizer == "espeak" and reading.language in (None, language):
        return engine.sentences(text, language, by)
    pieces = split(text, by, LONGEST_SENTENCE)
    if not pieces:
        raise UserError("There is no text to speak.")
    return tuple(_sentence(engine, piece, reading, language) for piece in pieces)


def detect(text: str, among: Iterable[str]) -> str:
    """The likeliest of some languages (ISO 639-1) for a text; the first where the text says too little.

    Lui and Baldwin, "langid.py: an off-the-shelf language identification tool" (2012), as py3langid has it.
    """
    known = list(among)
    if len(known) < 2:
        return known[0]
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    told = [language for language in known if language in identifier.labels]
    if len(told) < 2:
        return known[0]
    identifier.set_languages(told)
    language, probability = identifier.classify(text)
    return str(language) if probability >= CERTAIN else known[0]


def _sentence(engine: Engine, piece: str, reading: Reading, language: str) -> Sentence:
    phonemes = piece
    if reading.phonemizer == "espeak":
        phonemes = engine.phonemizer(reading.language or language).phonemize(piece)
    return Sentence(piece, phonemes, tuple(engine.tokenizer.encode(phonemes)))
