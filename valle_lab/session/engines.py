"""The engine that a recorded take was made with, found by the content of its model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from valle.checkpoints import hub, opening
from valle.checkpoints.beside import ENDINGS, is_model
from valle.errors import UserError
from valle.inference import Engine
from valle_lab.adapters import adapter_of_hash, parse_adapters
from valle_lab.session import schema

EVERYWHERE = ("auto", "sdpa", "math", "eager")
"""Attention backends that every device has."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What was asked for where takes are replayed; None takes what was recorded."""

    model: str | None = None
    """The model to replay on, and no other: `builtin`, a file, or a name in the models folder."""
    usual_model: str = "builtin"
    """The model of the settings."""
    folder: Path | None = None
    """Where models are kept."""
    any_model: bool = False
    codec: str = "auto"
    """The codec of that model; one that is found by its content has its own."""
    device: str | None = None
    dtype: str | None = None
    attention: str | None = None
    tokenizer: str = "auto"
    """The tokenizer of that model."""
    force_codec: bool = False
    lora: str | None = None
    """Adapters to replay with, and no others; empty for none."""
    adapters: Path | None = None
    """Where adapters are kept."""


class Engines:
    """Gives takes their engine, and keeps the last one loaded."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._key: tuple[str, ...] | None = None
        self._engine: Engine | None = None
        self._loaded: tuple[tuple[str, float], ...] = ()

    def __call__(self, record: schema.Take) -> Engine:
        """The engine with the take's model, device, dtype and attention, where the choices leave them open.

        Raises UserError where the model is not here, or cannot be loaded.
        """
        choices, recipe = self._choices, record.request.recipe
        wanted = self._model(record.origin.model)
        key = (
            wanted,
            choices.codec if wanted == self._usual() else "auto",
            choices.device or _device(recipe.device),
            choices.dtype or recipe.dtype,
            choices.attention or _attention(recipe),
        )
        adapters = self._adapters(recipe)
        if self._engine is None or key != self._key:
            self.close()
            model, codec, device, dtype, attention = key
            own = wanted == self._usual()
            self._engine = Engine.load(
                model,
                codec=codec,
                device=device,
                dtype=dtype,
                attention=attention,
                tokenizer=choices.tokenizer if own and choices.tokenizer != "auto" else None,
                force_codec=choices.force_codec and own,
            )
            self._key, self._loaded = key, ()
        if adapters != self._loaded:
            self._engine.use_adapters(adapters)
            self._loaded = adapters
        return self._engine

    def close(self) -> None:
        """Let go of the engine that is loaded."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _adapters(self, recipe: schema.Recipe) -> tuple[tuple[str, float], ...]:
        """The files of the adapters that were asked for, or of the recorded ones."""
        folder = self._choices.adapters
        if self._choices.lora is not None:
            return parse_adapters(self._choices.lora, folder or Path())
        found = []
        for use in recipe.adapters:
            file = None if folder is None else adapter_of_hash(use.sha256, folder)
            if file is None:
                raise UserError(
                    f"it was made with the adapter {use.name} ({use.sha256[:12]}), which is not here; name "
                    "its file with --lora, or judge it without one with --lora ''"
                )
            found.append((str(file), use.strength))
        return tuple(found)

    def _usual(self) -> str:
        """The model that was asked for, or that of the settings, whose codec the settings name too."""
        return find_model(self._choices.model or self._choices.usual_model, self._choices.folder)

    def _model(self, wanted: schema.Content) -> str:
        """What the engine is to load: `builtin`, or a file."""
        choices, usual = self._choices, self._usual()
        asked_for = choices.model is not None
        if (asked_for and choices.any_model) or _hash_of(usual) == wanted.sha256:
            return usual
        others = dict.fromkeys(("builtin", *_kept(choices.folder)))
        found = next((model for model in others if _hash_of(model) == wanted.sha256), None)
        if found is not None and not asked_for:
            return found
        if choices.any_model:
            return usual
        release = f", from {wanted.release}" if wanted.release else ""
        made = f"it was made with the model {wanted.name} ({wanted.sha256[:12]}{release})"
        if found is None:
            raise UserError(
                f"{made}, which is not here; name its file with --model, or judge it on another one with "
                "--any-model"
            )
        raise UserError(
            f"{made}, which {choices.model} is not, but {found} is; leave out --model, or judge it on that "
            "one with --any-model"
        )


def find_model(name: str, folder: Path | str | None) -> str:
    """`builtin`, a name of the hub, or a path, also of a model in the folder. UserError if there is none."""
    if name == "builtin":
        return name
    if name.startswith(hub.PREFIX):
        return str(hub.parse(name))
    candidates = [Path(name)]
    if folder is not None:
        candidates += [Path(folder) / f"{name}{ending}" for ending in ("", *ENDINGS)]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        raise UserError(
            f"the model {name!r} is not there; give builtin, a model's file or folder, or hf:OWNER/NAME"
        )
    return str(found)


def _kept(folder: Path | None) -> Iterator[str]:
    if folder is not None and folder.is_dir():
        yield from sorted(str(path) for path in folder.iterdir() if is_model(path))
    yield from (str(name) for name, _ in hub.all_cached())


@cache
def _hash_of(model: str) -> str | None:
    try:
        return opening.fingerprint(opening.find(model))
    except UserError:
        return None


def _attention(recorded: schema.Recipe) -> str:
    """The recorded attention backend, or the best one where that cannot be used here."""
    if recorded.attention in EVERYWHERE:
        return recorded.attention
    from valle.models.arch.attention import resolve

    try:
        return resolve(recorded.attention, _device(recorded.device), recorded.dtype)
    except UserError:
        return "auto"


def _device(recorded: str) -> str:
    """The recorded device, or the best one where that is not here."""
    if recorded == "cpu":
        return recorded
    import torch

    return recorded if recorded.startswith("cuda") and torch.cuda.is_available() else "auto"
