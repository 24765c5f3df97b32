"""How a text comes to be phonemes: in which language it is, and who turns it into them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from valle.abilities import tasks_of
from valle.errors import UserError
from valle.request import Sentence
from valle.text.phonemes import has_sound
from valle.text.sentences import SplitBy, split
from valle.text.tokens import BOS, EOS

if TYPE_CHECKING:
    from valle.inference import Engine

PhonemizedBy = Literal["espeak", "model", "ipa"]
"""By espeak-ng, by the task `phn` of the model itself, or not at all: the text is in IPA already."""
SEED = 0
"""Of the noise with which a model makes phonemes, where its stack for that draws at all."""
CERTAIN = 0.6
"""Probability from which a guessed language is believed; a word or two often says too little."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text is read; without a language of its own it is read in that of the voice.

    Raises UserError for a phonemizer that is not known.
    """

    phonemizer: PhonemizedBy = "espeak"
    language: str | None = None

    def __post_init__(self) -> None:
        if self.phonemizer not in get_args(PhonemizedBy):
            known = ", ".join(get_args(PhonemizedBy))
            raise UserError(f"The phonemizer {self.phonemizer!r} is not known; use one of {known}.")


def read(
    engine: Engine, text: str, language: str, reading: Reading, by: SplitBy = "sentence"
) -> tuple[Sentence, ...]:
    """The segments of a text that the model is to say in `language`.

    Raises UserError for a text without words, for phonemes that the model does not have, and for a model that
    is to make phonemes but cannot.
    """
    if reading.phonemizer == "espeak" and reading.language in (None, language):
        return engine.sentences(text, language, by)
    pieces = split(text, by, engine.details.longest_sentence)
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
    spelt = reading.language or language
    if reading.phonemizer == "model":
        return _by_model(engine, piece, spelt)
    phonemes = piece if reading.phonemizer == "ipa" else engine.phonemizer(spelt).phonemize(piece)
    return engine.sentence(piece, phonemes, spelt)


def _by_model(engine: Engine, piece: str, language: str) -> Sentence:
    """What the model's task `phn` writes of a text, its ids as they are."""
    if "phn" not in tasks_of(engine.model.config):
        raise UserError(f"The model {engine.model_name} has no task phn; --phonemizer espeak needs none.")
    request = engine.request(piece, task="phn", language=language, by="none", seed=SEED)
    take = engine.generate(request).finish()
    ids = tuple(number for segment in range(len(take.segments)) for number in take.ids(segment))
    phonemes = engine.tokenizer.decode(ids)
    if not has_sound(phonemes):
        raise UserError(
            f"The model {engine.model_name} makes no phonemes of {piece[:40]!r}; --phonemizer espeak does."
        )
    return Sentence(piece, phonemes, (BOS, *ids, EOS))
