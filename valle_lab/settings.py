"""What a person can set once and for all: `lab.toml`, read in layers, checked, and frozen.

The commented `lab.toml` at the top of the project is the only place that holds a default.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from valle.errors import UserError
from valle.samplers.stack import Stack

APPLICATION = "valle-lab"
FILE_NAME = "lab.toml"
COMMAND_LINE = "command line"
SEED_LIMIT = 2**64
MOST_THREADS = 1024
MOST_SECONDS = 600


class SettingsError(UserError):
    """A setting cannot be used; the message names the file, the key and the value."""


def _threads(value: object) -> object:
    if value == "auto" or (type(value) is int and 1 <= value <= MOST_THREADS):
        return value
    raise ValueError(f'use "auto" or a number from 1 to {MOST_THREADS}')


def _seed(value: object) -> object:
    if value == "new" or (type(value) is int and 0 <= value < SEED_LIMIT):
        return value
    raise ValueError('use "new" or a number from 0 to 2^64 - 1')


def _device(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
        return value
    raise ValueError('use "auto", "cpu", "cuda" or "cuda:N"')


def _folder(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError('use the name of a folder, or "auto"')
    if value == "auto":
        return Path(platformdirs.user_data_dir(APPLICATION)) / str(info.field_name)
    return Path(value).expanduser()


def _stacks(value: dict[str, Any]) -> dict[str, Any]:
    if value:
        try:
            Stack.from_dict(value)
        except UserError as error:
            raise ValueError(str(error).rstrip(".")) from None
    return value


Name = Annotated[str, Field(min_length=1, max_length=4096)]
Folder = Annotated[Path, BeforeValidator(_folder)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AudioSettings(_Table):
    """The table `[audio]`: where sound goes."""

    sink: Literal["auto", "device", "player", "none"]
    device: Name
    player: Name


class PathSettings(_Table):
    """The table `[paths]`, with `auto` resolved to folders in the user's data folder."""

    out: Folder
    sessions: Folder
    voices: Folder
    presets: Folder
    models: Folder
    adapters: Folder


class Settings(_Table):
    """All settings; their meaning and defaults are in `lab.toml`.

    `stacks` is the dict form of a Stack, empty where the model's own stacks hold; `keys` a key per command.
    """

    model: Name
    codec: Name
    force_codec: bool
    tokenizer: Name
    device: Annotated[str, BeforeValidator(_device)]
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    threads: Annotated[Literal["auto"] | int, BeforeValidator(_threads)]
    attention: Name
    lora: Annotated[str, Field(max_length=4096)]
    language: Name
    voice: Name
    seed: Annotated[Literal["new"] | int, BeforeValidator(_seed)]
    max_duration: Annotated[float, Field(gt=0, le=MOST_SECONDS, allow_inf_nan=False)]
    memory_budget_gb: Annotated[float, Field(ge=0, le=4096, allow_inf_nan=False)]
    theme: Name
    audio: AudioSettings
    paths: PathSettings
    keys: dict[str, str]
    stacks: Annotated[dict[str, Any], AfterValidator(_stacks)]


def template() -> str:
    """The text of the commented `lab.toml` that holds the defaults."""
    here = Path(__file__).resolve().parent
    installed = here / FILE_NAME
    return (installed if installed.is_file() else here.parent / FILE_NAME).read_text(encoding="utf-8")


def user_settings_file() -> Path:
    """Where a person's own `lab.toml` is looked for, whether it is there or not."""
    return Path(platformdirs.user_config_dir(APPLICATION)) / FILE_NAME


def load_settings(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read all layers, the strongest last: defaults, the user's file, ./lab.toml, `config`, `overrides`.

    `overrides` come from the command line: dotted keys (`audio.sink`); None stands for an option not given.
    Raises SettingsError for a file that cannot be read, an unknown key, or a value that is not possible.
    """
    merged: dict[str, Any] = tomllib.loads(template())
    origins: dict[tuple[str, ...], str] = {}
    for source, layer in _layers(config, overrides or {}):
        _merge(merged, layer, source, origins)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise _explained(error, origins) from None


def _layers(config: Path | None, overrides: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if config is not None and not config.exists():
        raise SettingsError(f"{config}: there is no such settings file.")
    for file in (user_settings_file(), Path(FILE_NAME), config):
        if file is not None and file.exists():
            layer = _read(file)
            if isinstance(keys := layer.get("keys"), dict):
                layer["keys"] = dict(_dotted(keys))
            yield str(file), layer
    yield COMMAND_LINE, _nested({key: value for key, value in overrides.items() if value is not None})


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: this is not valid TOML: {error}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: this is not a text file in UTF-8.") from None
    except OSError as error:
        raise SettingsError(f"{file}: it cannot be read: {error.strerror}.") from None


def _dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names of commands have a dot, which TOML without quotes reads as a table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *tables, name = key.split(".")
        branch = tree
        for table in tables:
            branch = branch.setdefault(table, {})
        branch[name] = value
    return tree


def _merge(
    target: dict[str, Any],
    layer: Mapping[str, Any],
    source: str,
    origins: dict[tuple[str, ...], str],
    prefix: tuple[str, ...] = (),
) -> None:
    """Put a layer over what is there, table by table, and remember which source gave each key."""
    for key, value in layer.items():
        place = (*prefix, key)
        origins[place] = source
        below = target.get(key)
        if isinstance(value, Mapping) and isinstance(below, dict):
            _merge(below, value, source, origins, place)
        else:
            target[key] = value


def _explained(error: ValidationError, origins: Mapping[tuple[str, ...], str]) -> SettingsError:
    """The first thing that is wrong, as one sentence."""
    first = error.errors(include_url=False)[0]
    place = tuple(str(part) for part in first["loc"])
    known = [place[:length] for length in range(len(place), 0, -1) if place[:length] in origins]
    place = known[0] if known else place
    source, key = origins.get(place, FILE_NAME), ".".join(place)
    if first["type"] == "extra_forbidden":
        return SettingsError(f"{source}: unknown key {key!r}; {_nearest(place)}.")
    return SettingsError(f"{source}: {key} = {_shown(first['input'])} is not possible; {_advice(first)}.")


def _advice(first: Mapping[str, Any]) -> str:
    context = first.get("ctx", {})
    match first["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"use {context['expected']}"
        case "model_type" | "dict_type":
            return "it is a table"
    return str(first["msg"]).lower().replace("input", "it", 1)


def _nearest(place: tuple[str, ...]) -> str:
    tables: dict[tuple[str, ...], type[BaseModel]] = {("audio",): AudioSettings, ("paths",): PathSettings}
    known = list(tables.get(place[:-1], Settings).model_fields)
    near = difflib.get_close_matches(place[-1], known, n=1)
    return f"did you mean {near[0]!r}?" if near else "known here: " + ", ".join(known)


def _shown(value: object, most: int = 60) -> str:
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= most else text[: most - 3] + "..."
