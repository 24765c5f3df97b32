"""Phonetically wide English for training: frequent, rare and invented words, numbers, names, questions.

A model that is trained on a small vocabulary learns words; one that is trained on all sound sequences of
the language learns phonemes. So a share of the words does not exist at all, and a tenth of the frequent
words is held out, to measure what the model does with words that it never met.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from random import Random

VOCABULARY = 9000


def words(text: str) -> tuple[str, ...]:
    """The words of a text, between its white space."""
    return tuple(text.split())


FUNCTION_WORDS = words(
    """
    the a of in to and with from under over is was for on at by it he she we they this that not but are
    have had will can my your his her our their be as or if so you I me him us them an into about
    """
)
SHORT_WORDS = frozenset(words("a of in to is it on we at by no my go so he me do up as or an if"))
NAMES = words(
    """
    Anna Peter Lucy George Mary Thomas Alice Henry Clara Oliver Ruth Samuel Emma Daniel Julia Martin
    Nora Felix Rosa Victor London Paris Boston Dublin Vienna Oxford Chicago Madrid Texas Norway Kenya
    Brazil
    """
)
QUESTION_WORDS = words(
    """
    what who where when why how which whose do does did is are can will could would should
    """
)
ONSETS = words(
    """
    b bl br ch d dr f fl fr g gl gr h j k kl kr l m n p pl pr qu r s sh sk sl sm sn sp st str sw t th tr
    v w y z
    """
)
NUCLEI = words(
    """
    a e i o u ai ee oa oo ou ar er or oi ay ow ir ea ie
    """
)
# A syllable may be open: the empty coda is there twice to make that likelier.
CODAS = ("", "", *words("b ck d f g k l ll m n nd ng nk nt p r sh ss st t th ve x z lm mp rk"))

ECHOES = 0.07
"""The share of words that stand for one from earlier in the line."""

TextMaker = Callable[[Random], str]


@lru_cache(maxsize=1)
def word_lists() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words for training, most frequent first, and the words that are held out."""
    from wordfreq import top_n_list

    frequent = [
        word
        for word in top_n_list("en", 16000)
        if word.isalpha() and word.isascii() and (3 <= len(word) <= 12 or word in SHORT_WORDS)
    ][:VOCABULARY]
    held_out = frozenset(Random(4).sample(frequent[300:], VOCABULARY // 10))
    return tuple(word for word in frequent if word not in held_out), tuple(sorted(held_out))


def invented_word(random: Random) -> str:
    """A word of one to three syllables that English spelling allows."""
    syllables = random.choice((1, 1, 2, 2, 3))
    return "".join(
        random.choice(ONSETS) + random.choice(NUCLEI) + random.choice(CODAS) for _ in range(syllables)
    )


def _number(random: Random) -> str:
    kind = random.random()
    if kind < 0.5:
        return str(random.randint(0, 9999))
    if kind < 0.7:
        return str(random.randint(0, 99))
    if kind < 0.85:
        return f"{random.randint(0, 99)}.{random.randint(0, 99)}"
    return f"{random.randint(1, 12)}:{random.randint(10, 59)}"


def _word(random: Random, known: tuple[str, ...]) -> str:
    kind = random.random()
    if kind < 0.18:
        return random.choice(FUNCTION_WORDS)
    if kind < 0.44:
        return invented_word(random)
    if kind < 0.48:
        return _number(random)
    if kind < 0.52:
        return random.choice(NAMES)
    if kind < 0.75:
        return known[int(len(known) * random.random() ** 2)]
    return random.choice(known)


def _count(random: Random) -> int:
    """How many words a line has: now and then a single one, often 3 to 12, as often up to 24, ten seconds."""
    kind = random.random()
    if kind < 0.07:
        return 1
    if kind < 0.14:
        return 2
    if kind < 0.56:
        return random.randint(3, 12)
    return random.randint(12, 24)


def _with_echoes(line: list[str], random: Random) -> list[str]:
    """The line with some words said again later on, so that what was heard last does not tell the place."""
    return [
        random.choice(line[:place]) if place and random.random() < ECHOES else word
        for place, word in enumerate(line)
    ]


def wide_line(random: Random) -> str:
    """A line of training text: one to two dozen words of any kind, with a comma or two where it is long."""
    known = word_lists()[0]
    count = _count(random)
    line = _with_echoes([_word(random, known) for _ in range(count)], random)
    end = random.choice(("", ".", ".", ".", "!"))
    if random.random() < 0.15:
        line[0] = random.choice(QUESTION_WORDS)
        end = "?"
    for place in range(2, count - 2):
        if random.random() < 0.08:
            line[place] += random.choice((",", ",", ";", ":"))
    text = " ".join(line)
    if random.random() < 0.6:
        text = text[0].upper() + text[1:]
    return text + end


def common_line(random: Random) -> str:
    """A line of frequent words alone, as everyday sentences have them."""
    known = word_lists()[0][:1500]
    line = [
        random.choice(FUNCTION_WORDS) if random.random() < 0.3 else random.choice(known)
        for _ in range(random.randint(4, 9))
    ]
    return " ".join(line).capitalize() + random.choice((".", ".", "?"))


def training_line(random: Random) -> str:
    """What training draws its lines from: wide lines, and everyday ones in one of four."""
    return common_line(random) if random.random() < 0.25 else wide_line(random)


def unseen_line(random: Random) -> str:
    """A line of words that never occur in training."""
    return " ".join(random.choice(word_lists()[1]) for _ in range(random.randint(3, 6))).capitalize() + "."
