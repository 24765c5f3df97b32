"""What a model file says about its model beside the tensors; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from valle.errors import UserError
from valle.models.config import ModelConfig
from valle.text.sentences import LONGEST_SENTENCE
from valle.text.tokens import Tokenizer

KEPT = "kept."
"""How the names of tensors begin that a native file keeps only to write them back where it came from."""


@dataclass(frozen=True)
class CodecName:
    """The codec whose codes a model speaks; `hash` is empty where the file does not know it."""

    name: str
    hash: str = ""


@dataclass(frozen=True)
class Original:
    """What the file of another format, that a model was made from, says beside its tensors.

    texts: of a reference's file its metadata, of a Hugging Face folder its small files, as they were and in
    their order. renamed: pairs of a tensor's name here and there. made: tensors that the file does not have.
    """

    format: Literal["reference", "huggingface"]
    texts: tuple[tuple[str, str], ...]
    renamed: tuple[tuple[str, str], ...] = ()
    made: tuple[str, ...] = ()


@dataclass(frozen=True)
class Details:
    """Everything that is needed beside the tensors to speak with a model.

    symbols: the tokenizer, symbol to id. merges: those of byte-pair encoding; None for longest match.
    languages: code to row of the language embedding.
    default_stacks: sampler stacks as data, phase to list of stages. steps: optimiser steps trained.
    longest_sentence: characters that the model says well in one go; longer sentences are cut.
    Raises UserError for a longest_sentence below 1.
    """

    config: ModelConfig
    codec: CodecName
    symbols: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    default_stacks: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    steps: int = 0
    notes: str = ""
    merges: tuple[tuple[str, str], ...] | None = None
    original: Original | None = None
    longest_sentence: int = LONGEST_SENTENCE

    def __post_init__(self) -> None:
        if self.longest_sentence < 1:
            raise UserError(f"longest_sentence is {self.longest_sentence}, it must be 1 or more")


def tokenizer_of(details: Details, name: str) -> Tokenizer:
    """The tokenizer of a model; UserError where its file does not hold it whole."""
    if details.symbols and (details.merges is not None or details.original is None):
        return Tokenizer.from_dict(details.symbols, details.merges)
    reason = "its strings do not tell how they are merged" if details.symbols else "its file has none"
    raise UserError(
        f"The model {name} lacks its tokenizer: {reason}. Put tokenizer.json beside it, or name that file "
        "with --tokenizer."
    )
