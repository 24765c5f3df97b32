"""The tokenizer: frozen table, round trips, longest match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.errors import UserError
from valle.text.symbols import SPECIALS, SYMBOLS
from valle.text.tokens import BOS, EOS, MASK, UNK, Tokenizer

BUILTIN = Tokenizer.builtin()
PLAIN = SYMBOLS[len(SPECIALS) :]


def test_the_builtin_table_is_frozen() -> None:
    assert BUILTIN.hash == "5151d81589863e5e852a0bae8c6bf2cad17a2f39b406982212bfe7ef93f60845"
    assert len(BUILTIN) == len(SYMBOLS) == len(set(SYMBOLS)) == 251 <= 256
    assert [BUILTIN.table[name] for name in SPECIALS] == [UNK, BOS, EOS, MASK] == [0, 1, 2, 3]
    assert all(len(symbol) == 1 for symbol in PLAIN)


@given(st.text(st.sampled_from(PLAIN)))
def test_phonemes_survive_the_round_trip(phonemes: str) -> None:
    ids = BUILTIN.encode(phonemes)
    assert ids[0] == BOS and ids[-1] == EOS and len(ids) == len(phonemes) + 2
    assert BUILTIN.decode(ids) == phonemes
    assert BUILTIN.decode(ids, specials=True) == f"<bos>{phonemes}</eos>"


@given(st.text())
def test_unknown_characters_are_reported_skipped_or_marked(text: str) -> None:
    strangers = [character for character in text if character not in PLAIN]
    assert BUILTIN.unknown(text) == list(dict.fromkeys(strangers))
    assert BUILTIN.decode(BUILTIN.encode(text, unknown="skip")) == "".join(c for c in text if c in PLAIN)
    marked = BUILTIN.encode(text, unknown="unk")
    assert len(marked) == len(text) + 2 and marked.count(UNK) == len(strangers)
    if strangers:
        with pytest.raises(UserError, match=f"U\\+{ord(strangers[0]):04X}"):
            BUILTIN.encode(text)


def test_no_text_can_give_a_special() -> None:
    ids = BUILTIN.encode("a</eos>b<mask>", unknown="skip")
    assert EOS not in ids[1:-1] and MASK not in ids and BUILTIN.decode(ids) == "aeosbmask"


MANY = {
    **{name: place for place, name in enumerate(SPECIALS)},
    "t": 4,
    "tʃ": 5,
    "tʃə": 6,
    "ʃ": 7,
    "ə": 8,
    "ɚ": 8,
}


def test_the_longest_symbol_wins() -> None:
    tokenizer = Tokenizer.from_dict(MANY)
    assert tokenizer.encode("tʃətʃtʃəʃ") == [1, 6, 5, 6, 7, 2]
    assert tokenizer.decode([1, 6, 8, 2]) == "tʃəə"


def test_symbols_that_share_an_id_decode_to_one_of_them_always() -> None:
    turned = dict(reversed(MANY.items()))
    assert Tokenizer.from_dict(turned).decode([8]) == Tokenizer.from_dict(MANY).decode([8]) == "ə"
    assert Tokenizer.from_dict(turned).hash == Tokenizer.from_dict(MANY).hash
    assert list(Tokenizer.from_dict(turned).to_dict()) == list(Tokenizer.from_dict(MANY).to_dict())


def test_the_hash_knows_every_symbol_and_id() -> None:
    changed = dict(BUILTIN.table)
    changed["a"], changed["b"] = changed["b"], changed["a"]
    assert Tokenizer.from_dict(changed).hash != BUILTIN.hash
    assert Tokenizer.from_dict(BUILTIN.to_dict()) == BUILTIN


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"<unk>": 0, "<bos>": 2, "</eos>": 1, "<mask>": 3},
        {**MANY, "x": -1},
        {**MANY, "x": "9"},
        {**MANY, "x": True},
        {**MANY, "": 9},
        {**MANY, "x": 1e3},
    ],
)
def test_a_table_that_cannot_be_one_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(UserError, match="tokenizer"):
        Tokenizer.from_dict(table)


def test_an_id_out_of_the_table_is_refused() -> None:
    with pytest.raises(UserError, match="999"):
        BUILTIN.decode([5, 999])
