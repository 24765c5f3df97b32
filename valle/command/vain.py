"""What the flags ask for in vain: most belong to speech, and not every task speaks."""

from __future__ import annotations

import argparse

from valle.command.flags import parser
from valle.modes import SPEECH_TASKS

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
    "nar_temperature",
    "min_nar_temperature",
    "layer_skip",
    "layer_skip_exit_layer",
    "layer_skip_entropy_threshold",
    "layer_skip_varentropy_threshold",
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


def in_vain(flags: argparse.Namespace) -> list[str]:
    """A line that names what was given and has no part in the task, where there is something."""
    if flags.task in SPEECH_TASKS:
        return []
    default = parser().get_default
    given = [_shown(name) for name in _IDLE[flags.task] if getattr(flags, name) != default(name)]
    return [f"no part in task {flags.task}: {', '.join(given)}"] if given else []


def _shown(name: str) -> str:
    return name.upper() if name in _ARGUMENTS else f"--{name.replace('_', '-')}"
