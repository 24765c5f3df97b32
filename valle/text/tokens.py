"""Phonemes to the ids a model reads, and back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from valle.errors import UserError
from valle.text.merges import Merge, merged, ranks_of
from valle.text.symbols import SPECIALS, SYMBOLS

UNK, BOS, EOS, MASK = 0, 1, 2, 3

Unknown = Literal["error", "skip", "unk"]
_SPECIAL = re.compile(f"({'|'.join(map(re.escape, SPECIALS))})")


@dataclass(frozen=True)
class Tokenizer:
    """A table of symbols and their ids; immutable, and equal tables have equal hashes.

    Symbols of several characters are allowed, and several symbols may share an id (published tables have
    both). Without `merges` a text is cut by longest match, and the four specials are never matched in it: no
    user can type a stop. With them it is cut as byte-pair encoding does, character by character and then
    merged, and everything is as the published tokenizers do it: specials are matched in the text, and what
    the table lacks is `<unk>`.
    """

    table: Mapping[str, int]
    merges: tuple[Merge, ...] | None = None

    @classmethod
    def builtin(cls) -> Tokenizer:
        """The frozen table of the built-in voice: one IPA character, one id."""
        return cls({symbol: index for index, symbol in enumerate(SYMBOLS)})

    @classmethod
    def from_dict(
        cls, table: Mapping[str, object], merges: Iterable[tuple[str, str]] | None = None
    ) -> Tokenizer:
        """A tokenizer from a stored symbol -> id table, and its merges; UserError if it cannot be one."""
        checked: dict[str, int] = {}
        for symbol, index in table.items():
            if not symbol or type(index) is not int or not 0 <= index < 2**15:
                raise UserError(f"tokenizer: the id of {symbol!r} is {index!r}; it must be from 0 to 32767")
            checked[symbol] = index
        misplaced = [name for place, name in enumerate(SPECIALS) if checked.get(name) != place]
        if misplaced:
            raise UserError(f"tokenizer: the ids 0 to 3 must be {' '.join(SPECIALS)}; check {misplaced[0]}")
        pairs = None if merges is None else tuple((left, right) for left, right in merges)
        for left, right in pairs or ():
            if not {left, right, left + right} <= checked.keys():
                raise UserError(
                    f"tokenizer: the merge of {left!r} and {right!r} is of symbols it does not have"
                )
        return cls(checked, pairs)

    def to_dict(self) -> dict[str, int]:
        """The symbol -> id table, sorted by id and then symbol."""
        return dict(sorted(self.table.items(), key=lambda item: (item[1], item[0])))

    @cached_property
    def hash(self) -> str:
        """sha256 of the sorted table, and of the merges where there are any, in hexadecimal."""
        content: list[object] = list(self.to_dict().items())
        if self.merges is not None:
            content += self.merges
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        """The number of ids, which is one more than the highest."""
        return max(self.table.values()) + 1

    def encode(self, phonemes: str, *, unknown: Unknown | None = None) -> list[int]:
        """Ids of a phoneme string, `<bos>` first and `</eos>` last.

        A character that no symbol covers raises UserError, is left out (`skip`) or becomes `<unk>` (`unk`);
        without a choice it is an error where there are no merges, and `<unk>` where there are.
        """
        unknown = unknown or ("error" if self.merges is None else "unk")
        if unknown == "error" and (strangers := self.unknown(phonemes)):
            shown = " ".join(f"{character} (U+{ord(character):04X})" for character in strangers)
            raise UserError(f"the model's symbol table has no {shown}; remove it from the phonemes")
        ids: list[int] = []
        for run in self._runs(phonemes):
            found = [self.table[symbol] if symbol else UNK for symbol, _ in run if symbol or unknown == "unk"]
            ids += found if self.merges is None else merged(found, self._ranks)
        return [BOS, *ids, EOS]

    def decode(self, ids: Iterable[int], *, specials: bool = False) -> str:
        """The phoneme string of ids; of symbols that share an id one without digits, the shortest and lowest.

        Raises UserError for an id that is not in the table.
        """
        symbols = []
        for index in ids:
            if index not in self._symbol_of_id:
                raise UserError(f"token id {index} is not in the tokenizer's table of {len(self)} ids")
            if specials or index >= len(SPECIALS):
                symbols.append(self._symbol_of_id[index])
        return "".join(symbols)

    def unknown(self, phonemes: str) -> list[str]:
        """The characters of `phonemes` that the table does not cover, each once, in order."""
        pairs = (pair for run in self._runs(phonemes) for pair in run)
        return list(dict.fromkeys(text for symbol, text in pairs if symbol is None))

    def _runs(self, phonemes: str) -> Iterator[list[tuple[str | None, str]]]:
        """Pairs of (symbol or None, the text it covers), in runs across whose ends nothing is merged."""
        if self.merges is None:
            yield list(self._matches(phonemes))
            return
        for piece in _SPECIAL.split(phonemes):
            if piece in SPECIALS:
                yield [(piece, piece)]
            else:
                yield [(character if character in self._plain else None, character) for character in piece]

    def _matches(self, phonemes: str) -> Iterator[tuple[str | None, str]]:
        """Pairs of (symbol or None, the text it covers), longest symbol first at each place."""
        place = 0
        while place < len(phonemes):
            for length in self._lengths:
                piece = phonemes[place : place + length]
                if len(piece) == length and piece in self._plain:
                    yield piece, piece
                    place += length
                    break
            else:
                yield None, phonemes[place]
                place += 1

    @cached_property
    def _plain(self) -> frozenset[str]:
        return frozenset(self.table) - frozenset(SPECIALS)

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(symbol) for symbol in self._plain}, reverse=True)

    @cached_property
    def _ranks(self) -> Mapping[tuple[int, int], tuple[int, int]]:
        return ranks_of(self.merges or (), self.table)

    @cached_property
    def _symbol_of_id(self) -> dict[int, str]:
        ordered = sorted(self.table, key=_plainness, reverse=True)
        return {self.table[symbol]: symbol for symbol in ordered}


def _plainness(symbol: str) -> tuple[bool, int, str]:
    """Of symbols that share an id the first by this stands for all: no digit, short, low."""
    return any(character.isdigit() for character in symbol), len(symbol), symbol
