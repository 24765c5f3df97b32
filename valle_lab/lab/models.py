"""Commands on the model and its process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.cli.models import ModelFile
    from valle_lab.lab.lab import Lab


def load(lab: Lab, model: str) -> None:
    """Load a model, by name or path; the takes stay."""
    from valle_lab.session.engines import find_model

    # A name that is nowhere costs nobody the model that is loaded.
    find_model(model, lab.settings.paths.models)
    lab.load(replace(lab.choice, model=model))


def known(lab: Lab) -> list[ModelFile]:
    """List the built-in model and those in the models folder."""
    from valle_lab.cli.models import known_models

    return known_models(lab.settings.paths.models)


def restart(lab: Lab) -> None:
    """Start the model's process again; what it was doing is lost, takes and session are kept."""
    lab.start_worker()


def _names(lab: Lab) -> list[str]:
    from valle.checkpoints.beside import is_model
    from valle.checkpoints.hub import all_cached

    own = sorted(path.stem for path in lab.settings.paths.models.glob("*") if is_model(path))
    return ["builtin", *own, *(str(name) for name, _ in all_cached())]


def _while_speaking(lab: Lab) -> str | None:
    return "a take is being made; stop it first." if lab.running else None


COMMANDS = (
    command("model.load", load, unavailable=_while_speaking, complete={"model": _names}, rest="model"),
    command("model.list", known),
    command("model.restart", restart, key="f9"),
)
