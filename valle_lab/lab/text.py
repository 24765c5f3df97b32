"""Commands on what is asked for: text, language, seed, limits."""

from __future__ import annotations

import secrets
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from valle.errors import UserError
from valle.reading import PhonemizedBy
from valle.request import SEED_LIMIT, Sentence
from valle.text.sentences import SplitBy
from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

MOST_CHARACTERS = 100_000
MOST_SECONDS = 600.0


def set_text(lab: Lab, text: str) -> None:
    """Set the text that the next take speaks."""
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"The text has {len(text)} characters; {MOST_CHARACTERS} at most.")
    lab.text = text
    lab.mark("text")


def set_language(lab: Lab, language: str) -> None:
    """Set the language that the text is in."""
    known = lab.description.languages if lab.description else ()
    if known and language not in known:
        raise UserError(f"The model does not know the language {language!r}; it knows {', '.join(known)}.")
    lab.language = language
    lab.mark("text")


def set_split(lab: Lab, by: str) -> None:
    """Set what is spoken in one piece: a `sentence`, a `line`, or with `none` the whole text."""
    known: dict[str, SplitBy] = {"sentence": "sentence", "line": "line", "none": "none"}
    if by not in known:
        raise UserError(f"A text is split by sentence, line or none, not {by[:40]!r}.")
    lab.by = known[by]
    lab.mark("text")


def set_phonemizer(lab: Lab, by: str) -> None:
    """Set who makes phonemes of the text: `espeak`, the `model` itself, or with `ipa` nobody: it is IPA."""
    known: dict[str, PhonemizedBy] = {name: name for name in get_args(PhonemizedBy)}
    if by not in known:
        raise UserError(f"The phonemizer {by[:40]!r} is not known; use one of {', '.join(known)}.")
    if by == "model" and lab.description is not None and "phn" not in lab.description.tasks:
        raise UserError(f"The model {lab.description.model} makes no phonemes (phn); espeak does.")
    lab.manner = replace(lab.manner, phonemizer=known[by])
    lab.mark("text")


def phonemes(lab: Lab, text: str | None = None) -> Future[tuple[Sentence, ...]]:
    """Show the phonemes of the text, sentence by sentence, as the model will get them."""
    answer: Future[tuple[Sentence, ...]] = Future()
    spoken = lab.text if text is None else text
    asked = lab.living_worker().sentences(spoken, lab.language, lab.by, lab.manner.phonemizer)
    lab.answers.expect(asked, answer.set_result, answer.set_exception)
    return answer


def set_negative(lab: Lab, text: str = "") -> None:
    """Set the text that guidance leads away from; empty again leads away from no text and no voice."""
    lab.negative_text = text or None
    lab.mark("text")


def set_limit(lab: Lab, seconds: float) -> None:
    """Set the longest that one sentence may sound, in seconds."""
    if not 0 < seconds <= MOST_SECONDS:
        raise UserError(f"The limit must be above 0 and at most {MOST_SECONDS:g} seconds, not {seconds:g}.")
    lab.max_seconds = seconds
    lab.mark("text")


def set_seed(lab: Lab, seed: int) -> None:
    """Lock the seed: every take gets this one."""
    if not 0 <= seed < SEED_LIMIT:
        raise UserError(f"The seed {seed} is out of range; it must be from 0 to 2^64 - 1.")
    lab.seed = seed
    lab.mark("seed")


def toggle_lock(lab: Lab) -> None:
    """Lock the seed of the latest take, or draw a new one for each take again."""
    if lab.seed is not None:
        lab.seed = None
    else:
        lab.seed = lab.takes[-1].seed if lab.takes else secrets.randbelow(2**32)
    lab.mark("seed")


def _no_model(lab: Lab) -> str | None:
    return None if lab.description else "no model is loaded."


def _languages(lab: Lab) -> tuple[str, ...]:
    return lab.description.languages if lab.description else ()


COMMANDS = (
    command("text.set", set_text, rest="text"),
    command("text.language", set_language, complete={"language": _languages}),
    command("text.limit", set_limit),
    command("text.split", set_split, complete={"by": lambda lab: ("sentence", "line", "none")}),
    command("text.phonemizer", set_phonemizer, complete={"by": lambda lab: get_args(PhonemizedBy)}),
    command("text.phonemes", phonemes, unavailable=_no_model, rest="text"),
    command("text.negative", set_negative, rest="text"),
    command("seed.set", set_seed),
    command("seed.lock", toggle_lock, key="ctrl+l"),
)
