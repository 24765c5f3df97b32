"""The file `tokenizer.json` of the library `tokenizers`, as far as plain byte-pair encoding goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from valle.errors import UserError
from valle.text.symbols import SPECIALS
from valle.text.tokens import BOS, EOS, Tokenizer

FILE_NAME = "tokenizer.json"


def read(path: Path, limit: int | None = None) -> Tokenizer:
    """Read a tokenizer, of its strings those with an id below `limit`.

    A Hugging Face folder has one vocabulary for everything, of which the phonemes are the first 256. Raises
    UserError for a file that cannot be read and for one that does more than merge.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), limit)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: is no tokenizer.json with byte-pair encoding") from error


def parse(text: str, limit: int | None = None) -> Tokenizer:
    """The tokenizer that the text of such a file describes; see `read`."""
    document = json.loads(text)
    for part in ("normalizer", "pre_tokenizer"):
        if document.get(part) is not None:
            raise UserError(f"has a {part}, which is not supported")
    model = document["model"]
    table = {
        **model["vocab"],
        **{token["content"]: token["id"] for token in document.get("added_tokens", ())},
    }
    if limit is not None:
        table = {symbol: index for symbol, index in table.items() if index < limit}
    merges = (_merge(merge, model["vocab"]) for merge in model["merges"])
    return Tokenizer.from_dict(table, [pair for pair in merges if "".join(pair) in table])


def render(tokenizer: Tokenizer, more: Mapping[str, int]) -> str:
    """The text of such a file, with `more` strings that stand for other ids than phonemes."""
    added = [
        {
            "id": index,
            "content": name,
            **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
            "special": True,
        }
        for index, name in enumerate(SPECIALS)
    ]
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": _post_processor(),
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": SPECIALS[0],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {**tokenizer.to_dict(), **more},
            "merges": [list(merge) for merge in tokenizer.merges or ()],
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


def _post_processor() -> dict[str, Any]:
    """Put `<bos>` and `</eos>` around what is encoded."""
    names = {BOS: SPECIALS[BOS], EOS: SPECIALS[EOS]}
    around = {index: {"SpecialToken": {"id": name, "type_id": 0}} for index, name in names.items()}
    first: dict[str, Any] = {"Sequence": {"id": "A", "type_id": 0}}
    second: dict[str, Any] = {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [around[BOS], first, around[EOS]],
        "pair": [first, second],
        "special_tokens": {
            name: {"id": name, "ids": [index], "tokens": [name]} for index, name in names.items()
        },
    }


def _merge(merge: str | list[str], vocabulary: Mapping[str, int]) -> tuple[str, str]:
    """A merge is a pair, or both parts with a space between; a part may itself have spaces."""
    if not isinstance(merge, str):
        left, right = merge
        return left, right
    places = (place for place, character in enumerate(merge) if character == " ")
    for place in places:
        left, right = merge[:place], merge[place + 1 :]
        if left in vocabulary and right in vocabulary and left + right in vocabulary:
            return left, right
    raise UserError(f"its merge {merge!r} is of strings that it does not have")
