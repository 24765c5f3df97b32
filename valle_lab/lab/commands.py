"""All commands of the lab, from one file per subject."""

from __future__ import annotations

from valle_lab.lab import (
    about,
    adapters,
    audition,
    comparison,
    editing,
    forks,
    layers,
    listening,
    models,
    modes,
    preferences,
    presets,
    recall,
    session,
    sheet,
    stack,
    takes,
    text,
    transcripts,
    trials,
    voices,
    whatif,
)
from valle_lab.lab.registry import Registry


def all_commands() -> Registry:
    """The registry that palette, footer, help, completion and documentation are made from."""
    return Registry(
        (
            *takes.COMMANDS,
            *about.COMMANDS,
            *recall.COMMANDS,
            *listening.COMMANDS,
            *audition.COMMANDS,
            *sheet.COMMANDS,
            *comparison.COMMANDS,
            *trials.COMMANDS,
            *transcripts.COMMANDS,
            *text.COMMANDS,
            *modes.COMMANDS,
            *editing.COMMANDS,
            *voices.COMMANDS,
            *stack.COMMANDS,
            *whatif.COMMANDS,
            *forks.COMMANDS,
            *presets.COMMANDS,
            *models.COMMANDS,
            *adapters.COMMANDS,
            *layers.COMMANDS,
            *session.COMMANDS,
            *preferences.COMMANDS,
        )
    )
