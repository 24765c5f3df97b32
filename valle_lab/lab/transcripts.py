"""Commands on what is said in speech: its phonemes as the model hears them, and the words of these."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle.manner import Manner
from valle.request import Part
from valle.text.phonemes import Phonemizer
from valle.text.words import sounds, word_list
from valle.voices import find_voice
from valle_lab.lab.answers import beside
from valle_lab.lab.beginning import ask, begin
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import named, no_takes, not_ready, take_names

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def transcribe(lab: Lab, speech: str | None = None) -> LabTake:
    """Have the model hear what is said in a take, by default the chosen one, a voice or a recording."""
    if speech is None or speech in (name for take in take_names(lab) for name in _names_of(take)):
        return begin(lab, ask(lab, "", Manner("stt", source=named(lab, speech).name)))
    find_voice(speech, lab.settings.paths.voices)
    whole = replace(ask(lab, "", Manner("stt")), part=Part())
    return begin(lab, replace(whole, voice=speech))


def words(lab: Lab, take: str | None = None) -> LabTake | Future[str]:
    """Tell the words of a take that came to phonemes, by default the chosen one.

    A model that can write text does so, as a take of its own; else they are the words of a list that sound
    like the phonemes, whose sounds are made once and kept.
    """
    heard = named(lab, take)
    if heard.begun is None or heard.begun.request.task not in ("stt", "phn") or not heard.answer:
        raise UserError(f"{heard.name} came to no phonemes; take.transcribe makes a take that does.")
    if lab.description is not None and "un-phn" in lab.description.tasks:
        return begin(lab, ask(lab, heard.answer, Manner("un-phn", phonemizer="ipa")))
    phonemes, language = heard.answer, heard.begun.request.language
    answer: Future[str] = Future()
    lab.answers.expect(beside(lambda: _spelt(phonemes, language)), answer.set_result, answer.set_exception)
    return answer


def _spelt(phonemes: str, language: str) -> str:
    phonemizer = Phonemizer(language)
    try:
        return sounds(word_list(language), phonemizer).spell(phonemes)
    finally:
        phonemizer.close()


def _names_of(take: str) -> tuple[str, str]:
    return take, take.removeprefix("take-")


def _speech(lab: Lab) -> tuple[str, ...]:
    voices = lab.description.voices if lab.description else ()
    return (*(take.name for take in lab.takes if take.sounds), *voices)


COMMANDS = (
    command(
        "take.transcribe", transcribe, unavailable=not_ready, complete={"speech": _speech}, rest="speech"
    ),
    command("take.words", words, unavailable=no_takes, complete={"take": take_names}),
)
