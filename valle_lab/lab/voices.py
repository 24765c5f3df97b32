"""Commands on the voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from valle.voices import find_voice
from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

AUTO = "auto"


def choose(lab: Lab, voice: str) -> None:
    """Choose the voice of the next take, by name or as a recording's path; `auto` is the model's first."""
    if voice != AUTO:
        find_voice(voice, lab.settings.paths.voices)
    lab.voice = voice
    lab.mark("voices")


def without(lab: Lab) -> None:
    """Speak without a voice's prompt: the model chooses one."""
    lab.voice = None
    lab.mark("voices")


def _voices(lab: Lab) -> tuple[str, ...]:
    return lab.description.voices if lab.description else ()


COMMANDS = (
    command("voice.choose", choose, complete={"voice": _voices}, rest="voice"),
    command("voice.none", without),
)
