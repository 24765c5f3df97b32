"""What the flags ask for in vain: most belong to speech, some to phases that not every mode has."""

from __future__ import annotations

import argparse

from valle.command.flags import parser
from valle.modes import LEVEL_0, SPEECH_TASKS
from valle.request import Request

_OF_LAYERS = (
    "layer_skip",
    "layer_skip_exit_layer",
    "layer_skip_entropy_threshold",
    "layer_skip_varentropy_threshold",
)
_OF_LEVELS = ("nar_temperature", "min_nar_temperature")
_OF_LEVEL_0 = (
    "ar_temperature",
    "min_ar_temperature",
    "repetition_penalty",
    "length_penalty",
    "beam_width",
    "mirostat_tau",
    "dry_multiplier",
    "entropix_sampling",
)
_OF_PHASES = ((_OF_LAYERS, ("ar",)), (_OF_LEVELS, ("nar",)), (_OF_LEVEL_0, LEVEL_0))
"""Flags, and the phases of which they need one."""
_OF_SPEECH = (
    "out",
    "out_path",
    "modality",
    "context_history",
    "max_duration",
    "max_levels",
    "max_steps",
    "denoise_start",
    "load_from_artifact",
    "refine_on_stop",
    "play",
    "input_prompt_prefix",
    "prefix_silence",
    *_OF_LEVELS,
    *_OF_LAYERS,
)
_OF_PHONEMES = ("text_language", "phonemizer", "no_phonemize", "split_text_by")
_OF_VOICES = ("reference", "input_prompt_length")
_IDLE = {
    "len": _OF_SPEECH,
    "stt": (*_OF_SPEECH, *_OF_PHONEMES),
    "phn": (*_OF_SPEECH, *_OF_PHONEMES, *_OF_VOICES),
    "un-phn": (*_OF_SPEECH, *_OF_VOICES),
}
"""The flags that have no part in a task."""
_ARGUMENTS = ("reference", "out")


def in_vain(flags: argparse.Namespace, request: Request) -> list[str]:
    """A line that names what was given and has no part in the task or mode, where there is something."""
    if request.task in SPEECH_TASKS:
        where = f"mode {request.mode}"
        idle = [name for names, phases in _OF_PHASES if not {*phases} & {*request.phases} for name in names]
    else:
        where, idle = f"task {request.task}", [*_IDLE[request.task]]
    default = parser().get_default
    given = [_shown(name) for name in idle if getattr(flags, name) != default(name)]
    return [f"no part in {where}: {', '.join(given)}"] if given else []


def _shown(name: str) -> str:
    return name.upper() if name in _ARGUMENTS else f"--{name.replace('_', '-')}"
