"""What a recording says, as a model hears it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from valle.inference import Engine
from valle.prompts import phonemes_of, prompt_of, spelling, text_of, transcription
from valle.request import Prompt
from valle.text.words import sounds, word_list
from valle.voices import Voice
from valle_lab.model_choice import model_choice
from valle_lab.worker.inprocess import InProcessWorker

if TYPE_CHECKING:
    from valle_lab.settings import Settings


@dataclass(frozen=True, slots=True)
class Transcript:
    """Phonemes in IPA, and the words that sound like them where these were asked for."""

    phonemes: str
    words: str = ""


def transcribe(
    engine: Engine,
    recording: Voice | Prompt,
    language: str = "en",
    *,
    words: bool = False,
    word_file: Path | None = None,
    seed: int = 0,
) -> Transcript:
    """What the model hears in a recording. Raises UserError where it hears nothing, or has no such task.

    Words are the model's own where it can write them (`un-phn`), unless a word list is named.
    """
    take = engine.generate(transcription(engine, recording, language, seed=seed)).finish()
    phonemes = phonemes_of(engine, take)
    if not words and word_file is None:
        return Transcript(phonemes)
    if word_file is None and phonemes and (request := spelling(engine, phonemes, language, seed)) is not None:
        return Transcript(phonemes, text_of(engine, engine.generate(request).finish()))
    known = sounds(word_list(language, word_file), engine.phonemizer(language))
    return Transcript(phonemes, known.spell(phonemes))


def transcribe_by(
    settings: Settings,
    recording: Voice,
    *,
    part: tuple[float, float] | None = None,
    words: bool = False,
    word_file: Path | None = None,
) -> Transcript:
    """What the model of the settings hears in a recording; it is loaded for that.

    `part` is where it begins to listen and for how long, in seconds; all of it without. Raises UserError.
    """
    worker = InProcessWorker()
    try:
        worker.load(model_choice(settings)).result()
        engine = cast(Engine, worker.service.engine)
        heard = recording if part is None else prompt_of(engine, recording, part[1], start=part[0])
        return transcribe(engine, heard, settings.language, words=words, word_file=word_file)
    finally:
        worker.close()
