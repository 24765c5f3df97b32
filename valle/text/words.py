"""From phonemes to words: by the phonemes of a word list, since models give the former alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from valle import folders
from valle.errors import UserError
from valle.files import write_atomically
from valle.text.phonemes import Phonemizer

SYSTEM_LIST = Path("/usr/share/dict/words")
MOST_WORDS = 20_000
FARTHEST = 0.34
"""Edits per phoneme up to which a word that sounds alike is taken."""
_AT_ONCE = 200
_UNHEARD = re.compile("[ˈˌːˑ\u0361\u0329]")
"""Stress, length and ties: recognisers confuse them first."""
_BREAK = re.compile(r"([^\W\d_]+)", re.UNICODE)


@dataclass(frozen=True)
class Words:
    """Words, the most frequent first, with their phonemes."""

    phonemes: Mapping[str, str]

    def spell(self, phonemes: str) -> str:
        """Words for a phoneme string; what sounds like no word stays in brackets.

        A group between spaces is a word, or several that are run together, or else the word that sounds most
        alike.
        """
        return " ".join(self._group(group) for group in phonemes.split() if plain(group))

    def _group(self, group: str) -> str:
        heard = plain(group)
        found = self._cut(heard) or self._alike(heard)
        return found if found is not None else f"[{group}]"

    def _cut(self, heard: str) -> str | None:
        """The fewest words that make up what was heard; None where there are none."""
        best: list[tuple[str, ...] | None] = [()]
        for end in range(1, len(heard) + 1):
            fits = [
                (*before, self._by_sound[heard[start:end]])
                for start, before in enumerate(best)
                if before is not None and heard[start:end] in self._by_sound
            ]
            best.append(min(fits, key=len) if fits else None)
        words = best[-1]
        return None if words is None or len(words) > 3 else " ".join(words)

    def _alike(self, heard: str) -> str | None:
        near = [sound for sound in self._by_sound if abs(len(sound) - len(heard)) <= FARTHEST * len(heard)]
        if not near:
            return None
        distance, sound = min((edits(heard, sound), sound) for sound in near)
        return self._by_sound[sound] if distance <= FARTHEST * max(len(heard), len(sound)) else None

    @cached_property
    def _by_sound(self) -> dict[str, str]:
        """Sound to its most frequent word."""
        return {plain(sound): word for word, sound in reversed([*self.phonemes.items()]) if plain(sound)}


def plain(phonemes: str) -> str:
    """A phoneme string without stress, length, punctuation and spaces."""
    return "".join(_BREAK.findall(_UNHEARD.sub("", phonemes)))


def edits(one: str, other: str) -> int:
    """Levenshtein distance of two strings."""
    row = list(range(len(other) + 1))
    for at, left in enumerate(one, 1):
        previous, row[0] = row[0], at
        for place, right in enumerate(other, 1):
            previous, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, previous + (left != right)),
            )
    return row[-1]


def word_list(language: str, file: Path | None = None) -> tuple[str, ...]:
    """A list of words: a file's, a line each; else those of wordfreq, or of the system, whichever is there.

    Raises UserError for a file that cannot be read, and where there is none.
    """
    if file is None and find_spec("wordfreq") is not None:
        from wordfreq import top_n_list

        return tuple(word for word in top_n_list(language, MOST_WORDS) if word.isalpha())
    chosen = file or SYSTEM_LIST
    try:
        lines = chosen.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        if file is None:
            raise UserError(
                "There is no word list; name one, a text file with a word a line, or install wordfreq."
            ) from None
        raise UserError(f"{file} cannot be read as a word list: {error}") from error
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))[:MOST_WORDS]


def sounds(words: Iterable[str], phonemizer: Phonemizer, cache: Path | None = None) -> Words:
    """The words with the phonemes of a phonemizer, which are kept in `cache` (by default the user's).

    A word that has none is left out.
    """
    wanted = tuple(dict.fromkeys(words))
    key = hashlib.sha256("\n".join((str(phonemizer.versions()), *wanted)).encode()).hexdigest()[:32]
    folder = cache or folders.cache() / "words"
    file = folder / f"{phonemizer.language}-{key}.json"
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(kept, dict) and all(isinstance(sound, str) for sound in kept.values()):
            return Words(kept)
    made = _phonemized(wanted, phonemizer)
    with contextlib.suppress(UserError):
        write_atomically(file, json.dumps(made, ensure_ascii=False).encode())
    return Words(made)


def _phonemized(words: tuple[str, ...], phonemizer: Phonemizer) -> dict[str, str]:
    """Many words a request, a clause each; where one of them has no sound, these are asked for one by one."""
    made: dict[str, str] = {}
    for first in range(0, len(words), _AT_ONCE):
        some = words[first : first + _AT_ONCE]
        told = [sound.strip() for sound in _sound(". ".join(some) + ".", phonemizer).split(".")[:-1]]
        if len(told) != len(some):
            told = [_sound(word, phonemizer) for word in some]
        made |= dict(zip(some, told, strict=True))
    return {word: sound for word, sound in made.items() if sound}


def _sound(text: str, phonemizer: Phonemizer) -> str:
    try:
        return phonemizer.phonemize(text)
    except UserError:
        return ""
