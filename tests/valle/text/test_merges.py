"""Byte-pair encoding: the published ids, and the library `tokenizers` on thousands of strings."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Library

from valle.errors import UserError
from valle.text import tokenizer_json
from valle.text.merges import derive
from valle.text.symbols import SPECIALS
from valle.text.tokens import Tokenizer

DATA = Path(__file__).parents[2] / "data" / "parity"
FILE = DATA / "e_hf_layout" / "hf" / "tokenizer.json"
GOLDEN = json.loads((DATA / "tokenizer" / "golden.json").read_text())


@pytest.fixture(scope="module")
def published() -> Tokenizer:
    return tokenizer_json.read(FILE, 256)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library.from_file(str(FILE))


def test_the_published_ids(published: Tokenizer) -> None:
    spoken = [*GOLDEN["sentences"], *GOLDEN["other_languages"].values()]
    assert len(spoken) == 15
    for case in spoken:
        assert published.encode(case["phonemes"]) == case["ids"]
        assert published.unknown(case["phonemes"]) == case["unk"]
    for case in GOLDEN["raw_strings"]:
        assert published.encode(case["s"]) == case["ids"]


def test_the_merges_follow_from_the_strings(published: Tokenizer) -> None:
    assert len(published.table) == 281 and len(published) == 256
    assert published.merges is not None and len(published.merges) == 173
    shuffled = list(published.table.items())
    random.Random(1).shuffle(shuffled)
    assert derive(dict(shuffled), SPECIALS) == published.merges
    assert Tokenizer.from_dict(published.table, derive(published.table, SPECIALS)).hash == published.hash


def test_thousands_of_strings(published: Tokenizer, library: Library) -> None:
    """Random ones, of single characters and of merged strings; longest match would often be wrong."""
    rng = random.Random(7)
    merged = [symbol for symbol in published.table if len(symbol) > 1]
    plain = [symbol for symbol in published.table if len(symbol) == 1]
    longest = Tokenizer.from_dict(published.table)
    others = 0
    for number in range(3000):
        parts = [
            rng.choice(merged if rng.random() < number / 3000 else plain) for _ in range(rng.randint(0, 20))
        ]
        if number % 100 == 0:
            parts.append("€")
        text = "".join(parts)
        expected = library.encode(text).ids
        assert published.encode(text) == expected, text
        others += longest.encode(text, unknown="unk") != expected
    assert others > 300


def test_decoding_is_deterministic(published: Tokenizer) -> None:
    assert published.decode([4, 6, 7, 10, 16, 28, 29, 35, 81, 211]) == ' "(-ano' + "u_" + "wˈʌn"
    turned = Tokenizer.from_dict(dict(reversed(published.table.items())), published.merges)
    for case in GOLDEN["sentences"]:
        assert turned.decode(case["ids"]) == published.decode(case["ids"])
        assert published.encode(published.decode(case["ids"])) == case["ids"]


def test_what_is_written_is_read_by_the_library(published: Tokenizer, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(tokenizer_json.render(published, {"<|sep|>": 291}), encoding="utf-8")
    theirs, again = Library.from_file(str(file)), tokenizer_json.read(file, 256)
    assert again.hash == published.hash
    for case in [*GOLDEN["raw_strings"], *({"s": each["phonemes"], **each} for each in GOLDEN["sentences"])]:
        assert theirs.encode(case["s"]).ids == case["ids"]


BASE = {**{name: index for index, name in enumerate(SPECIALS)}, "a": 4, "b": 5, "c": 6}


@pytest.mark.parametrize(
    ("merged", "expected"),
    [
        ({"ab": 7, "abc": 8}, (("a", "b"), ("ab", "c"))),
        ({"bc": 7, "abc": 8}, (("b", "c"), ("a", "bc"))),
        ({"abc": 7}, None),  # it must have been made of something that is not here
        ({"abc": 7, "ab": 8}, None),
        ({"ab": 7, "bc": 7}, None),
        ({"ad": 7}, None),
        ({"ab": 7, "cc": 8, "abcc": 9}, (("a", "b"), ("c", "c"), ("ab", "cc"))),
        ({}, ()),
    ],
)
def test_merges_that_follow_and_those_that_do_not(merged: dict[str, int], expected: object) -> None:
    assert derive({**BASE, **merged}, SPECIALS) == expected


def test_pairs_are_merged_by_id_lowest_first_leftmost_first() -> None:
    table = {**BASE, "ä": 4, "ab": 7, "bc": 8}
    tokenizer = Tokenizer.from_dict(table, (("b", "c"), ("a", "b")))
    assert tokenizer.encode("abcab") == [1, 4, 8, 7, 2]
    assert tokenizer.encode("äb") == [1, 7, 2]
    assert tokenizer.encode("aab<mask>b") == [1, 4, 7, 3, 5, 2]
    assert tokenizer.encode("a€b") == [1, 4, 0, 5, 2]
    assert tokenizer.encode("a€b", unknown="skip") == [1, 7, 2]
    with pytest.raises(UserError, match=r"U\+20AC"):
        tokenizer.encode("a€b", unknown="error")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no tokenizer.json"),
        ("[]", "is no tokenizer.json"),
        ('{"model": {"vocab": {}}}', "is no tokenizer.json"),
        ('{"normalizer": {"type": "NFC"}, "model": {}}', "has a normalizer"),
        ('{"pre_tokenizer": {"type": "Whitespace"}, "model": {}}', "has a pre_tokenizer"),
        ('{"model": {"vocab": {"a": 4}, "merges": []}}', "ids 0 to 3"),
        (json.dumps({"model": {"vocab": BASE, "merges": ["a b"]}}), "strings that it does not have"),
        (json.dumps({"model": {"vocab": BASE, "merges": [["a", "b", "c"]]}}), "is no tokenizer.json"),
    ],
)
def test_files_that_are_no_such_tokenizer(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(text)
    with pytest.raises(UserError, match=words.replace(".", r"\.")) as caught:
        tokenizer_json.read(file)
    assert str(file) in str(caught.value)
    with pytest.raises(UserError, match="cannot be read"):
        tokenizer_json.read(tmp_path)
