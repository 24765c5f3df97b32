"""How well the built-in voice does all else: transcription, demasking, and speech without a voice."""

from __future__ import annotations

from collections.abc import Sequence

from valle.inference import Engine
from valle.modes import Demasking
from valle.prompts import transcription
from valle.request import FRAME_RATE, Prompt, Request
from valle.training.evaluation import (
    STANDARD_VOICES,
    Listener,
    Sitter,
    known_sitters,
    mean,
    median,
    sentences,
    summary,
)
from valle.training.recogniser import Recogniser, edit_distance, sounds
from valle.training.text import common_line, unseen_line


def evaluate_tasks(engine: Engine, recogniser: Recogniser, count: int = 20) -> dict[str, dict[str, float]]:
    """Each task on sentences of common words in the standard voices, and what is heard on unseen words too.

    Demasking is measured with as many frames as the model says, and with as many as espeak-ng takes.
    """
    known = known_sitters()
    standard = known[: len(STANDARD_VOICES)]
    listener, texts = Listener(engine, recogniser, known), sentences(count, common_line)
    voices = {sitter.name: sitter for sitter in standard}

    def demasked(text: str, prompt: Prompt) -> Request:
        return engine.request(text, voice=prompt, seed=0, mode="nar-len")

    def demasked_at_length(text: str, prompt: Prompt) -> Request:
        assert prompt.voice is not None
        frames = round(FRAME_RATE * len(voices[prompt.voice].says(text)) / engine.codec.sample_rate)
        demasking = Demasking(frames=frames)
        return engine.request(text, voice=prompt, seed=0, mode="nar-len", demasking=demasking)

    def voiceless(text: str, prompt: Prompt) -> Request:
        return engine.request(text, voice=None, seed=0)

    ways = {"demasking": demasked, "demasking, true length": demasked_at_length, "no voice": voiceless}
    return {
        "transcription, common": transcribed(engine, texts, standard),
        "transcription, unseen": transcribed(engine, sentences(count, unseen_line), standard),
        **{name: summary(list(listener.takes(texts, standard, way))) for name, way in ways.items()},
    }


def transcribed(engine: Engine, texts: Sequence[str], sitters: Sequence[Sitter]) -> dict[str, float]:
    """How much of each text, as espeak-ng says it in the next of the voices, is heard wrong, in phonemes."""
    errors, stopped = [], []
    for index, text in enumerate(texts):
        codes = engine.codec.encode(sitters[index % len(sitters)].says(text))
        take = engine.generate(transcription(engine, Prompt(codes, engine.codec.hash), seed=0)).finish()
        wanted = sounds([symbol for sentence in engine.sentences(text) for symbol in sentence.ids])
        heard = sounds([symbol for number in range(len(take.segments)) for symbol in take.ids(number)])
        errors.append(edit_distance(heard, wanted) / max(1, len(wanted)))
        stopped.append(take.stop == "stop")
    return {
        "takes": len(texts),
        "errors": mean(errors),
        "errors_median": median(errors),
        "stopped": mean(stopped),
    }
