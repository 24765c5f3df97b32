"""Phonemes to the ids a model reads, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from valle.errors import UserError
from valle.text.symbols import SPECIALS, SYMBOLS

UNK, BOS, EOS, MASK = 0, 1, 2, 3

Unknown = Literal["error", "skip", "unk"]


@dataclass(frozen=True)
class Tokenizer:
    """A table of symbols and their ids; immutable, and equal tables have equal hashes.

    Symbols of several characters are allowed, and several symbols may share an id (published tables have
    both). The four specials are never matched in a text: no user can type a stop.
    """

    table: Mapping[str, int]

    @classmethod
    def builtin(cls) -> Tokenizer:
        """The frozen table of the built-in voice: one IPA character, one id."""
        return cls({symbol: index for index, symbol in enumerate(SYMBOLS)})

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> Tokenizer:
        """A tokenizer from a stored symbol -> id table; UserError if it cannot be one."""
        checked: dict[str, int] = {}
        for symbol, index in table.items():
            if not symbol or type(index) is not int or not 0 <= index < 2**15:
                raise UserError(f"tokenizer: the id of {symbol!r} is {index!r}; it must be from 0 to 32767")
            checked[symbol] = index
        misplaced = [name for place, name in enumerate(SPECIALS) if checked.get(name) != place]
        if misplaced:
            raise UserError(f"tokenizer: the ids 0 to 3 must be {' '.join(SPECIALS)}; check {misplaced[0]}")
        return cls(checked)

    def to_dict(self) -> dict[str, int]:
        """The symbol -> id table, sorted by id and then symbol."""
        return dict(sorted(self.table.items(), key=lambda item: (item[1], item[0])))

    @cached_property
    def hash(self) -> str:
        """sha256 of the sorted table, in hexadecimal."""
        text = json.dumps(list(self.to_dict().items()), ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        """The number of ids, which is one more than the highest."""
        return max(self.table.values()) + 1

    def encode(self, phonemes: str, *, unknown: Unknown = "error") -> list[int]:
        """Ids of a phoneme string by longest match, `<bos>` first and `</eos>` last.

        A character that no symbol covers raises UserError, is left out (`skip`) or becomes `<unk>` (`unk`).
        """
        if unknown == "error" and (strangers := self.unknown(phonemes)):
            shown = " ".join(f"{character} (U+{ord(character):04X})" for character in strangers)
            raise UserError(f"the model's symbol table has no {shown}; remove it from the phonemes")
        ids = (UNK if symbol is None else self.table[symbol] for symbol, _ in self._matches(phonemes))
        return [BOS, *(index for index in ids if index != UNK or unknown == "unk"), EOS]

    def decode(self, ids: Iterable[int], *, specials: bool = False) -> str:
        """The phoneme string of ids; of symbols that share an id, the shortest and lowest stands for all.

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
        return list(dict.fromkeys(text for symbol, text in self._matches(phonemes) if symbol is None))

    def _matches(self, phonemes: str) -> Iterable[tuple[str | None, str]]:
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
    def _symbol_of_id(self) -> dict[int, str]:
        ordered = sorted(self.table, key=lambda symbol: (len(symbol), symbol), reverse=True)
        return {self.table[symbol]: symbol for symbol in ordered}
