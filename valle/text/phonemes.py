"""Text to phonemes (IPA with stress marks), in a helper process per language."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from valle.errors import UserError
from valle.text.dots import belongs_to_word
from valle.text.helper import Helper, HelperError

MAX_CHARACTERS = 2000
"""Callers ask for a split of texts longer than this; the phonemizer itself takes any length."""

LANGUAGES = {
    "cs": "cs",
    "de": "de",
    "en": "en-us",
    "en-gb": "en-gb",
    "en-us": "en-us",
    "es": "es",
    "fr": "fr-fr",
    "it": "it",
    "ja": "ja",
    "ko": "ko",
    "nl": "nl",
    "pl": "pl",
    "pt": "pt-br",
    "ru": "ru",
    "sv": "sv",
    "tr": "tr",
    "zh": "cmn-latn-pinyin",
}
"""Names of languages here, and what espeak calls the voice that reads them."""

_SWALLOWS_WIDE_MARKS = (LANGUAGES["ja"], LANGUAGES["zh"])
"""The voices that read wide marks as pauses and write none down; the published models learnt it so."""
_NARROW = str.maketrans({"。": ". ", "，": ", ", "、": ", ", "！": "! ", "？": "? ", "；": "; ", "：": ": "})
_DASH = re.compile(r"\s+[-–]{1,3}\s+|\s*-{2,}\s*")
_MARKS = re.compile(r"""(\s*(?:[;:,.!?¡¿—…"«»“”(){}\[\]]\s*)+)""")
_INNER_MARK = re.compile(r"(?<=\d)[.,:](?=\d)|(?<=\b[^\W\d_])\.(?=[^\W\d_]\b)")
_STOP_BEFORE_SPACE = re.compile(r"(?<=\w)\.(?=\s)")
_HIDDEN = {mark: chr(0xE000 + index) for index, mark in enumerate(".,:")}
_SHOWN = str.maketrans({hidden: mark for mark, hidden in _HIDDEN.items()})


@dataclass(frozen=True)
class Versions:
    """What made the phonemes; other versions of espeak give other phonemes for the same text."""

    espeak: str
    phonemizer: str


def voice_of(language: str) -> str:
    """espeak's voice for a language name; UserError with the known names for any other."""
    voice = LANGUAGES.get(language.lower().replace("_", "-"))
    if voice is None:
        raise UserError(f"language {language!r} is not known; known are {', '.join(LANGUAGES)}")
    return voice


def has_sound(phonemes: str) -> bool:
    """Whether there is a phoneme letter in it; stress, length, digits and punctuation are not sounds."""
    return any(unicodedata.category(character) in ("Ll", "Lo", "Lu") for character in phonemes)


def normalize(text: str, voice: str = LANGUAGES["en"]) -> str:
    """The text as the phonemizer gets it: NFC, single spaces, no invisible characters.

    Wide marks become ASCII but for the voices that read them.
    """
    kept = (" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
    plain = "".join(char for char in kept if not unicodedata.category(char).startswith("C"))
    plain = unicodedata.normalize("NFC", plain).replace("’", "'")
    if voice not in _SWALLOWS_WIDE_MARKS:
        plain = plain.translate(_NARROW)
    return " ".join(_DASH.sub(" — ", plain).split())


def clauses(text: str) -> list[tuple[str, str]]:
    """A normalized text as pairs of words and the punctuation after them, so that their sum is the text.

    Marks inside a number, a time or an abbreviation belong to the words: espeak reads them itself, where
    phonemizer's own splitting says "3.14" as two numbers.
    """
    hidden = _INNER_MARK.sub(lambda match: _HIDDEN[match.group()], text)
    hidden = _STOP_BEFORE_SPACE.sub(
        lambda match: _HIDDEN["."] if belongs_to_word(text, match.start()) else ".", hidden
    )
    parts = [part.translate(_SHOWN) for part in _MARKS.split(hidden)]
    return list(zip(parts[::2], [*parts[1::2], ""], strict=True))


class Phonemizer:
    """Phonemes of texts in one language, from espeak in a process of its own, with a cache.

    The process starts at `start()` or at the first text, is started again once when it dies under a request,
    and ends with this object, at `close()` or with the program. Safe to use from several threads.
    """

    def __init__(self, language: str = "en", *, timeout: float = 20.0, cache_size: int = 4096) -> None:
        """`timeout` in seconds for one answer, the start of the process included. Raises UserError."""
        self.language = language
        self.voice = voice_of(language)
        self._timeout = timeout
        self._cache_size = cache_size
        self._cache: OrderedDict[str, str] = OrderedDict()
        self._helper: Helper | None = None
        self._lock = threading.RLock()

    def start(self) -> None:
        """Start the process without waiting for it, so that it warms up while other things load."""
        with self._lock:
            self._running()

    def versions(self) -> Versions:
        """The versions of espeak and phonemizer in use; UserError if they do not start."""
        with self._lock:
            greeting = self._attempt(lambda helper: helper.greeting(self._timeout))
        return Versions(espeak=str(greeting["espeak"]), phonemizer=str(greeting["phonemizer"]))

    def phonemize(self, text: str) -> str:
        """The phonemes of `text`, punctuation and word order kept.

        Raises UserError if nothing in the text has a sound, or if the phonemizer does not work here.
        """
        plain = normalize(text, self.voice)
        with self._lock:
            phonemes = self._cache.pop(plain, None)
            if phonemes is None:
                phonemes = self._phonemes(plain)
            self._cache[plain] = phonemes
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        if not has_sound(phonemes):
            shown = text if len(text) <= 40 else text[:37] + "..."
            raise UserError(f"text {shown!r} has no sound in language {self.language!r}; give words to speak")
        return phonemes

    def close(self) -> None:
        """End the process; a later call starts a new one."""
        with self._lock:
            if self._helper is not None:
                self._helper.close()
                self._helper = None

    def __enter__(self) -> Phonemizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _phonemes(self, plain: str) -> str:
        pairs = clauses(plain)
        lines = [words for words, _ in pairs if words]
        answers = iter(self._ask(lines)) if lines else iter([])
        said = [(next(answers) if words else "") + mark for words, mark in pairs]
        return " ".join("".join(said).split())

    def _ask(self, lines: list[str]) -> list[str]:
        reply = self._attempt(lambda helper: helper.ask({"lines": lines}, self._timeout))
        if "refused" in reply:
            raise UserError(str(reply["refused"]))
        phonemes = reply.get("phonemes")
        if not isinstance(phonemes, list) or len(phonemes) != len(lines):
            raise UserError(f"the phonemizer answered {str(reply.get('error', reply))[:200]}")
        return [str(line) for line in phonemes]

    def _attempt(self, use: Callable[[Helper], dict[str, Any]]) -> dict[str, Any]:
        """Use the helper, with one new start if it fails; UserError with its reason if it fails again."""
        try:
            return use(self._running())
        except HelperError:
            self.close()
        try:
            return use(self._running())
        except HelperError as error:
            self.close()
            raise UserError(f"the phonemizer for {self.voice} {error}; see valle-lab doctor") from error

    def _running(self) -> Helper:
        if self._helper is not None and not self._helper.alive():
            self.close()
        if self._helper is None:
            self._helper = Helper(self.voice)
        return self._helper
