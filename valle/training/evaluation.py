"""How well the built-in voice speaks: what a listener would ask, as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from valle.inference import Engine
from valle.request import Prompt, Request
from valle.training.espeak import espeak
from valle.training.measures import log_mel, warped_distances
from valle.training.recogniser import Recogniser
from valle.training.speakers import UNSEEN, Speaker
from valle.training.text import TextMaker, common_line, unseen_line
from valle.training.voice_ear import VoiceEar
from valle.training.voices import PORTRAITS, RATE

Floats = NDArray[np.float32]
SEED = 1234
STANDARD_VOICES = ("clear-man", "low-man", "calm-woman", "bright-woman")
UNSEEN_VOICES = tuple(UNSEEN[:4])
PROMPT_TEXT = "The weather was kind to us, and the boat came home early."
DISTRACTORS = 20
ACQUAINTANCE = 10
"""Sentences by which a voice is known before it is to be told from others."""
ACQUAINTANCE_SEED = 99
SHORT, LONG = (18, 70), (110, 150)


@dataclass(frozen=True)
class Sitter:
    """A voice under test: how espeak-ng speaks in it, and a recording to prompt with."""

    name: str
    speaker: Speaker
    transcript: str

    def says(self, text: str) -> Floats:
        """How espeak-ng says a text in this voice."""
        return espeak().render(text, self.speaker).wave


@lru_cache(maxsize=4096)
def features(sitter: Sitter, text: str) -> Floats:
    """The log-mel frames of a text as espeak-ng says it, which take after take is compared with."""
    return log_mel(sitter.says(text))


def known_sitters() -> list[Sitter]:
    """Twelve voices of the package, the standard ones first."""
    names = [*STANDARD_VOICES, *(each.name for each in PORTRAITS if each.name not in STANDARD_VOICES)][:12]
    portraits = {portrait.name: portrait for portrait in PORTRAITS}
    return [
        Sitter(name, Speaker(portrait.variant, portrait.pitch, rate=RATE), portrait.transcript)
        for name, portrait in ((name, portraits[name]) for name in names)
    ]


def unseen_sitters() -> list[Sitter]:
    """Four of espeak-ng's variants that neither codec nor model has heard in training."""
    return [Sitter(variant, Speaker(variant, 50, rate=RATE), PROMPT_TEXT) for variant in UNSEEN_VOICES]


@dataclass(frozen=True)
class TakeResult:
    """One sentence in one voice: what was heard, which text and voice it is nearest to, how it ended.

    The error rates are of phonemes: of espeak's own audio, of its round trip through the codec, of the take.
    """

    text: str
    voice: str
    espeak_errors: float
    codec_errors: float
    errors: float
    right_text: bool
    right_voice: bool
    codec_right_voice: bool
    espeak_right_voice: bool
    stopped: bool
    length_ratio: float
    distance: float
    real_time_factor: float


def sentences(count: int, line: TextMaker, seed: int = SEED, lengths: tuple[int, int] = SHORT) -> list[str]:
    """Lines that differ from each other, of so many characters: SHORT takes two to six seconds, LONG ten."""
    random = Random(seed)
    found: list[str] = []
    while len(found) < count:
        text = line(random)
        while len(text) < lengths[0]:
            text = f"{text.rstrip('.?!')} {line(random).lower()}"
        if text not in found and len(text) <= lengths[1]:
            found.append(text)
    return found


Requests = Callable[[str, Prompt], Request]


class Listener:
    """Judges takes of an engine: with a recogniser's ears, and by comparing with espeak's own renderings."""

    def __init__(self, engine: Engine, recogniser: Recogniser, sitters: Sequence[Sitter]) -> None:
        self.engine, self.recogniser, self.sitters = engine, recogniser, sitters
        lines = [sentences(ACQUAINTANCE, common_line, ACQUAINTANCE_SEED + k) for k in range(len(sitters))]
        self._ear = VoiceEar(
            [[sitter.says(text) for text in said] for sitter, said in zip(sitters, lines, strict=True)]
        )

    def takes(
        self, texts: Sequence[str], sitters: Sequence[Sitter], requests: Requests | None = None
    ) -> Iterator[TakeResult]:
        """Speak each text in the next of the voices; `requests` makes other requests than the default."""
        for index, text in enumerate(texts):
            yield self.take(text, sitters[index % len(sitters)], texts, requests)

    def take(
        self, text: str, sitter: Sitter, texts: Sequence[str], requests: Requests | None = None
    ) -> TakeResult:
        """Speak one text in one voice and judge it; the text is to be told from others of `texts`."""
        engine, codec = self.engine, self.engine.codec
        codes = codec.encode(sitter.says(sitter.transcript))
        prompt = Prompt(codes, codec.hash, sitter.name)
        request = requests(text, prompt) if requests else engine.request(text, voice=prompt, seed=0)
        take = engine.generate(request).finish()
        wave, reference = engine.wave(take.segments), sitter.says(text)
        round_trip = codec.decode(codec.encode(reference))
        ids = [symbol for sentence in request.sentences for symbol in sentence.ids]
        place = texts.index(text)
        others = [texts[(place + k) % len(texts)] for k in range(min(DISTRACTORS, len(texts)))]
        heard = bool(len(wave))
        distances = (
            warped_distances(log_mel(wave), [features(sitter, other) for other in others])
            if heard
            else np.full(len(others), 99.0, np.float32)
        )
        return TakeResult(
            text,
            sitter.name,
            self.recogniser.error_rate(reference, ids),
            self.recogniser.error_rate(round_trip, ids),
            self.recogniser.error_rate(wave, ids) if heard else 1.0,
            heard and int(distances.argmin()) == 0,
            heard and self.nearest(wave) == sitter.name,
            self.nearest(round_trip) == sitter.name,
            self.nearest(reference) == sitter.name,
            take.stop == "stop",
            len(wave) / len(reference),
            float(distances[0]),
            take.seconds / max(take.duration, 1e-6),
        )

    def nearest(self, wave: Floats) -> str:
        """The name of the voice that a wave sounds most like."""
        return self.sitters[self._ear.nearest(wave)].name


def mean(values: Sequence[float]) -> float:
    """The mean, or the share of those that are true, to four digits."""
    return round(float(np.mean(values)), 4)


def median(values: Sequence[float]) -> float:
    """The median, to four digits."""
    return round(float(np.median(values)), 4)


def summary(results: Sequence[TakeResult]) -> dict[str, float]:
    """The shares and means of many takes; medians where a mean would be that of an outlier."""
    return {
        "takes": len(results),
        "errors_of_espeak": mean([each.espeak_errors for each in results]),
        "errors_of_codec": mean([each.codec_errors for each in results]),
        "errors": mean([each.errors for each in results]),
        "errors_median": median([each.errors for each in results]),
        "text_identified": mean([each.right_text for each in results]),
        "voice_identified": mean([each.right_voice for each in results]),
        "voice_identified_of_espeak": mean([each.espeak_right_voice for each in results]),
        "voice_identified_of_codec": mean([each.codec_right_voice for each in results]),
        "stopped": mean([each.stopped for each in results]),
        "length_ratio": median([each.length_ratio for each in results]),
        "distance": median([each.distance for each in results]),
        "real_time_factor": median([each.real_time_factor for each in results]),
    }


def evaluate_model(engine: Engine, recogniser: Recogniser, count: int = 20) -> dict[str, dict[str, float]]:
    """Sentences of common words and of words never trained on, each in the next of the standard voices; long
    sentences; one word; voices that were never trained on."""
    known, strangers = known_sitters(), unseen_sitters()
    standard = known[: len(STANDARD_VOICES)]
    listener = Listener(engine, recogniser, known)
    few = max(4, count // 4)
    longer = sentences(max(few, DISTRACTORS), common_line, lengths=LONG)
    unseen_texts = sentences(count, unseen_line)
    with_strangers = Listener(engine, recogniser, strangers)
    return {
        "common": summary(list(listener.takes(sentences(count, common_line), standard))),
        "unseen": summary(list(listener.takes(unseen_texts, standard))),
        "all voices": summary(list(listener.takes(sentences(count, common_line, SEED + 1), known))),
        "ten seconds": summary([listener.take(longer[k], standard[k % 4], longer) for k in range(few)]),
        "unseen voices": summary(list(with_strangers.takes(unseen_texts, strangers))),
        "one word": one_word(listener, standard[0]),
    }


def one_word(listener: Listener, sitter: Sitter, text: str = "Yes.", seeds: int = 20) -> dict[str, float]:
    """How often one word is heard exactly as it is to be said, over many seeds."""
    rates = []
    for seed in range(seeds):

        def request(words: str, prompt: Prompt, seed: int = seed) -> Request:
            return listener.engine.request(words, voice=prompt, seed=seed)

        rates.append(listener.take(text, sitter, [text], request).errors)
    return {"takes": seeds, "right": float(np.mean([rate == 0 for rate in rates]))}
