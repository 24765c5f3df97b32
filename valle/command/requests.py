"""What the flags ask a loaded model for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from valle.abilities import default_mode
from valle.audio.artifact import ENDINGS, read_codes
from valle.command.flags import SPLITS
from valle.command.stacks import with_flags
from valle.early_exit import EarlyExit, asked_exit
from valle.errors import UserError
from valle.inference import Engine
from valle.modes import LEVEL_0, SPEECH_TASKS, Demasking
from valle.prompts import prefix_of, prompt_of, transcription
from valle.reading import Reading, detect, read
from valle.request import FRAME_RATE, LEVELS, Prefix, Prompt, Request
from valle.text.sentences import SplitBy
from valle.voices import Voice, find_voice

NO_REFERENCE = ("", "none")


def make_request(engine: Engine, flags: argparse.Namespace, seed: int) -> Request:
    """The request for what the flags name. Raises UserError for what the model cannot do, or nobody could."""
    language = _language(engine, flags)
    references = find_references(flags.reference)
    if flags.task == "stt":
        return _transcription(engine, flags, references, language, seed)
    mode = default_mode(engine.model.config) if flags.modality == "auto" else flags.modality
    sources = _sources(engine, flags)
    if mode == "nar" and not sources:
        raise UserError("--modality nar speaks on from level 0; name speech with --load-from-artifact")
    by: SplitBy = "none" if len(sources) == 1 else SPLITS[flags.split_text_by]  # type: ignore[assignment]
    request = engine.request(
        flags.text,
        voice=_prompt(engine, references, flags.input_prompt_length),
        language=language,
        seed=seed,
        task=flags.task,
        mode=mode,
        # What `phn` is given is text, which the engine reads by a tokenizer of its own.
        sentences=() if flags.task == "phn" else read(engine, flags.text, language, _reading(flags), by),
        sources=sources,
        prefix=_prefix(engine, flags, references, language) if flags.task in SPEECH_TASKS else None,
        history=flags.context_history,
        demasking=_demasking(flags),
        refine=flags.refine_on_stop,
        max_levels=_levels(flags),
        **({} if flags.max_duration is None else {"max_seconds": flags.max_duration / FRAME_RATE}),
    )
    recipe = replace(request.recipe, early_exit=_early_exit(engine, flags))
    return replace(request, stack=with_flags(request.stack, flags, _deciding(request)), recipe=recipe)


def _deciding(request: Request) -> tuple[str, ...]:
    """The phases that decide level 0; of a task that does not speak its only one."""
    if request.task not in SPEECH_TASKS:
        return request.phases
    return tuple(phase for phase in request.phases if phase in LEVEL_0)


def find_references(names: str) -> list[Voice]:
    """The voices of `names`, with ; between. Raises UserError for one that is not there."""
    return [find_voice(name.strip()) for name in names.split(";") if name.strip() not in NO_REFERENCE]


def recordings(flags: argparse.Namespace) -> list[Voice]:
    """The recordings that are heard, be it for a voice or for what is said. Raises UserError as above."""
    return [*find_references(flags.reference), *_spoken_before(flags)]


def _spoken_before(flags: argparse.Namespace) -> list[Voice]:
    """The recording of ``--load-from-artifact``, where it names one and no codes."""
    given = flags.load_from_artifact
    return [] if given is None or Path(given).suffix in ENDINGS else [find_voice(given)]


def _levels(flags: argparse.Namespace) -> int:
    """Levels in all: the reference's flag counts those above level 0."""
    if flags.max_levels is None:
        return LEVELS
    if not 0 <= flags.max_levels < LEVELS:
        raise UserError(f"--max-levels must be from 0 to {LEVELS - 1} levels, not {flags.max_levels}")
    return int(flags.max_levels) + 1


def _language(engine: Engine, flags: argparse.Namespace) -> str:
    return detect(flags.text, engine.languages) if flags.language == "auto" else flags.language


def _reading(flags: argparse.Namespace) -> Reading:
    return Reading("ipa" if flags.no_phonemize else flags.phonemizer, flags.text_language)


def _prompt(engine: Engine, references: Sequence[Voice], seconds: float) -> Prompt | None:
    """All references as one prompt, of so many seconds each; None without any."""
    if seconds < 0:
        raise UserError(f"--input-prompt-length must be 0 or more seconds, not {seconds:g}")
    prompts = [prompt_of(engine, voice, seconds or None) for voice in references]
    if not prompts:
        return None
    codes = np.concatenate([prompt.codes for prompt in prompts])
    return Prompt(codes, engine.codec.hash, "; ".join(prompt.voice for prompt in prompts))


def _prefix(
    engine: Engine, flags: argparse.Namespace, references: Sequence[Voice], language: str
) -> Prefix | None:
    if flags.prefix_silence < 0:
        raise UserError(f"--prefix-silence must be 0 or more seconds, not {flags.prefix_silence:g}")
    if not flags.input_prompt_prefix and not flags.prefix_silence:
        return None
    if flags.input_prompt_prefix and not references:
        raise UserError("--input-prompt-prefix goes on from the reference; give one")
    voice = references[-1] if flags.input_prompt_prefix else None
    return prefix_of(engine, voice, language, silence=flags.prefix_silence)


def _sources(engine: Engine, flags: argparse.Namespace) -> tuple[Prompt, ...]:
    """The speech of ``--load-from-artifact``: codes as they are, a recording encoded."""
    if flags.load_from_artifact is None:
        if flags.denoise_start:
            raise UserError("--denoise-start keeps a part of speech; name it with --load-from-artifact")
        return ()
    path = Path(flags.load_from_artifact)
    if path.suffix in ENDINGS:
        return (Prompt(read_codes(path), engine.codec.hash, path.stem),)
    return tuple(prompt_of(engine, recording) for recording in _spoken_before(flags))


def _demasking(flags: argparse.Namespace) -> Demasking:
    asked = {"steps": flags.max_steps, "start": flags.denoise_start}
    return Demasking(**{name: value for name, value in asked.items() if value is not None})


def _early_exit(engine: Engine, flags: argparse.Namespace) -> EarlyExit | None:
    given = {
        "layer": flags.layer_skip_exit_layer,
        "entropy": flags.layer_skip_entropy_threshold,
        "varentropy": flags.layer_skip_varentropy_threshold,
    }
    return asked_exit(flags.layer_skip, max(1, engine.model.config.layers // 2), given)


def _transcription(
    engine: Engine, flags: argparse.Namespace, references: Sequence[Voice], language: str, seed: int
) -> Request:
    if not references:
        raise UserError("--task stt tells what a recording says; give it as REFERENCE")
    heard = _prompt(engine, references, flags.input_prompt_length)
    assert heard is not None
    request = transcription(engine, heard, language, seed=seed)
    return replace(request, stack=with_flags(request.stack, flags, request.phases))
