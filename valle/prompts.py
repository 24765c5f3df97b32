"""What a request can be given of recordings and takes: prompts of a length, prefixes, sources. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from valle.abilities import tasks_of
from valle.audio import wav
from valle.audio.edit import frame_levels
from valle.errors import UserError
from valle.modes import SPEECH_TASKS, Demasking, spelt
from valle.request import FRAME_RATE, Codes, Prefix, Prompt, Request, Sentence
from valle.samplers.stack import Stack
from valle.take import Take
from valle.voices import Voice, voice_codes

if TYPE_CHECKING:
    from valle.inference import Engine
    from valle.text.tokens import Tokenizer

Fit = Literal["trim", "repeat", "silence"]
"""How a prompt comes to a length: its beginning; the whole, over and over; its beginning up to a pause."""
_EARLIEST = 0.5
"""Where the pause is looked for: in the latter half of the wanted length."""


def prompt_of(
    engine: Engine, voice: Voice, seconds: float | None = None, fit: Fit = "trim", start: float = 0.0
) -> Prompt:
    """A voice as a prompt of about so many seconds: at most, for `trim` and `silence`; exactly, for `repeat`.

    Raises UserError for a length or a start that makes no sense.
    """
    if fit not in get_args(Fit):
        raise UserError(f"A prompt is fitted by {', '.join(get_args(Fit))}, not by {fit!r}.")
    frames = 0 if seconds is None else round(seconds * FRAME_RATE)
    if seconds is not None and frames < 1:
        raise UserError(f"A prompt must last at least one frame, 1/{FRAME_RATE} s, not {seconds:g} s.")
    codes = voice_codes(voice, engine.codec, start, seconds)
    if seconds is not None:
        if fit == "repeat":
            codes = repeated(codes, frames)
        elif fit == "silence" and voice.seconds - start > seconds:
            wave = voice.wave()[round(start * wav.SAMPLE_RATE) :]
            frames = pause(wave, frames)
        codes = codes[:frames]
    return Prompt(codes, engine.codec.hash, voice.name)


def repeated(codes: Codes, frames: int) -> Codes:
    """The codes over and over, cut to so many frames."""
    return np.tile(codes, (-(-frames // len(codes)), 1))[:frames]


def pause(wave: wav.Wave, frames: int) -> int:
    """The number of the quietest frame in the latter half of the first `frames` of a recording at 24 kHz."""
    levels = frame_levels(wave[: round(frames / FRAME_RATE * wav.SAMPLE_RATE)], seconds=1 / FRAME_RATE)
    smooth = np.convolve(levels, np.ones(5) / 5, mode="same")
    first = round(len(smooth) * _EARLIEST)
    return max(1, first + int(np.argmin(smooth[first:])))


def prefix_of(
    engine: Engine,
    voice: Voice | None,
    language: str = "en",
    *,
    speech: bool = True,
    silence: float = 0.0,
) -> Prefix:
    """What every segment goes on from: a voice with its transcript, then silence of so many seconds.

    Without `speech` only the transcript comes before the text. Raises UserError for a voice whose transcript
    is not known.
    """
    sentence = Sentence("", "", ())
    codes = np.zeros((0, engine.codec.levels), np.int16)
    if voice is not None:
        sentence = transcript_of(engine, voice, language)
        codes = voice_codes(voice, engine.codec) if speech else codes
    if silence > 0.0:
        still = np.zeros(round(silence * engine.codec.sample_rate), np.float32)
        codes = np.concatenate([codes, engine.codec.encode(still)])
    return Prefix(sentence, codes, engine.codec.hash)


def transcript_of(engine: Engine, voice: Voice, language: str = "en") -> Sentence:
    """What is said in a voice's recording, as the model reads it; UserError where nobody knows."""
    phonemes, spoken = voice.phonemes, voice.language or language
    if not phonemes:
        if not voice.transcript.strip():
            raise UserError(
                f"What the voice {voice.name} says is not known; give a transcript, or have it transcribed."
            )
        phonemes = engine.phonemizer(spoken).phonemize(voice.transcript)
    return engine.sentence(voice.transcript, phonemes, spoken)


def revoiced(take: Take, prompt: Prompt | None, name: str) -> Request:
    """A request for the levels above 0 of a take in another voice; segments without frames are left out.

    Raises UserError for a take that has no frame.
    """
    kept = [number for number, segment in enumerate(take.segments) if segment.frames]
    if not kept:
        raise UserError("There is nothing to speak in another voice: the take has no frame.")
    request = take.request
    codec = request.prompt.codec if request.prompt is not None else "" if prompt is None else prompt.codec
    return replace(
        request,
        take=name,
        prompt=prompt,
        mode="nar",
        sentences=tuple(request.sentences[number] for number in kept),
        sources=tuple(Prompt(take.segments[number].codes(), codec) for number in kept),
        refine=False,
    )


def converted(
    engine: Engine,
    source: Voice,
    target: Voice | Prompt,
    language: str = "en",
    *,
    start: float = 0.5,
    demasking: Demasking | None = None,
    seed: int | None = None,
    take: str = "take",
) -> Request:
    """A request for a recording in another voice: its level 0, masked as far as `start` says, demasked again.

    Raises UserError for a recording whose transcript is not known, and one that is too long.
    """
    sentence = transcript_of(engine, source, language)
    return engine.request(
        "",
        voice=target,
        language=language,
        seed=seed,
        take=take,
        mode="nar-len",
        sources=(prompt_of(engine, source),),
        demasking=replace(demasking or Demasking(), start=start),
        sentences=(sentence,),
    )


def transcription(
    engine: Engine,
    source: Voice | Prompt,
    language: str = "en",
    *,
    stack: Stack | None = None,
    seed: int | None = None,
    take: str = "take",
) -> Request:
    """A request for the phonemes of a recording; UserError where the model does not hear any."""
    heard = prompt_of(engine, source) if isinstance(source, Voice) else source
    return engine.request(
        "", language=language, task="stt", sources=(heard,), stack=stack, seed=seed, take=take
    )


def spelling(engine: Engine, phonemes: str, language: str = "en", seed: int = 0) -> Request | None:
    """A request for the text of phonemes (task `un-phn`); None where the model or its tokenizer cannot."""
    if engine.text_tokenizer is None or "un-phn" not in tasks_of(engine.model.config):
        return None
    sentence = Sentence("", phonemes, tuple(engine.tokenizer.encode(phonemes)))
    return engine.request("", language=language, task="un-phn", sentences=(sentence,), seed=seed)


def text_of(engine: Engine, take: Take) -> str:
    """What a spelling has written, its segments in order."""
    assert engine.text_tokenizer is not None
    return " ".join(engine.text_tokenizer.decode(take.ids(number)) for number in range(len(take.segments)))


def phonemes_of(engine: Engine, take: Take) -> str:
    """What a transcription has heard, its segments in order."""
    told = (engine.tokenizer.decode(take.ids(number)) for number in range(len(take.segments)))
    return " ".join(phonemes for phonemes in told if phonemes)


def told(engine: Engine, take: Take) -> str:
    """What a take came to that gives no speech: its numbers of frames, phonemes or text, segment by segment;
    empty for one that speaks."""
    task, segments = take.request.task, range(len(take.segments))
    if task in SPEECH_TASKS:
        return ""
    if task == "len":
        return " ".join(str(spelt(take.ids(number))) for number in segments)
    tokenizer = engine.text_tokenizer if task == "un-phn" else engine.tokenizer
    if tokenizer is None:
        return ""
    return " ".join(filter(None, (_written(tokenizer, take.ids(number)) for number in segments)))


def _written(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """What ids spell; one that the table lacks, as a model may write that has learnt little, in brackets."""
    try:
        return tokenizer.decode(ids)
    except UserError:
        known = {**dict.fromkeys(ids, ""), **_symbols(tokenizer, ids)}
        return "".join(known[index] or f"<{index}>" for index in ids)


def symbols(engine: Engine, phase: str, ids: Iterable[int]) -> dict[int, str]:
    """What these ids of a phase stand for, where it writes phonemes or text; an id without a symbol is left
    out."""
    writes: dict[str, Tokenizer | None] = {
        "stt": engine.tokenizer, "phn": engine.tokenizer, "un_phn": engine.text_tokenizer,
    }  # fmt: skip
    tokenizer = writes.get(phase)
    return {} if tokenizer is None else _symbols(tokenizer, ids)


def _symbols(tokenizer: Tokenizer, ids: Iterable[int]) -> dict[int, str]:
    found = {}
    for index in ids:
        with suppress(UserError):
            found[index] = tokenizer.decode([index], specials=True)
    return found
