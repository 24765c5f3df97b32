"""The voices of espeak-ng that the training uses, and those that it never hears.

A speaker is a variant of espeak's voice at a pitch of its own. The codec hears every variant at any pitch
and rate; the model learns a set of identities, which its prompts must carry. UNSEEN stays out of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from valle.training.text import words

BASE = "en-us"
VARIANTS = words(
    """
    Alex Alicia Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Nguyen
    Reed RicishayMax Tweaky adam anika antonio aunty belinda benjamin boris ed edward edward2 f1 f2 f3
    f4 f5 grandma grandpa gustave ian iven iven2 iven3 kaukovalta klatt klatt2 klatt3 klatt4 m1 m2 m3 m4
    m5 m6 m7 m8 marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph
    steph2 steph3 travis victor zac
    """
)
UNSEEN = ["linda", "david", "Andrea", "john", "Mike", "mike2"]


@dataclass(frozen=True)
class Speaker:
    """How espeak-ng speaks: its variant, pitch and pitch range (0 to 99) and rate (words a minute)."""

    variant: str
    pitch: int
    range: int = 50
    rate: int = 170

    @property
    def voice(self) -> str:
        """The name by which espeak-ng knows the voice."""
        return f"{BASE}+{self.variant}"


def any_speaker(random: Random, variants: Sequence[str] = VARIANTS) -> Speaker:
    """A speaker for the codec: any variant, pitch and rate."""
    return Speaker(
        random.choice(variants), random.randint(25, 75), random.randint(30, 70), random.randint(130, 210)
    )


MODEL_VARIANTS = words(
    """
    m1 f1 m2 f2 m3 f3 m4 f4 m5 f5 m7 Annie m8 belinda Andy anika Reed shelby Gene2 zac antonio aunty
    klatt4 Alicia paul grandma Marco steph Lee Nguyen Jacky travis gustave pedro adam klatt Michael
    grandpa ed robert
    """
)
SECOND_PITCHES = 8


def model_identities() -> tuple[Speaker, ...]:
    """The 48 identities of the model: 40 variants, each at a pitch of its own, and eight again at another."""
    first = [Speaker(variant, (38, 50, 62)[index % 3]) for index, variant in enumerate(MODEL_VARIANTS)]
    second = [
        Speaker(variant, (60, 34, 42)[i % 3]) for i, variant in enumerate(MODEL_VARIANTS[:SECOND_PITCHES])
    ]
    return (*first, *second)
