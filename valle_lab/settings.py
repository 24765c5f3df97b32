"""What a person can set once and for all: `lab.toml`, read in layers, checked, and frozen.

The commented `lab.toml` at the top of the project is the only place that holds a default.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from valle import folders
from valle.errors import UserError
from valle_lab import setting_checks as checks
from valle_lab.setting_checks import TABLE, Check

FILE_NAME = "lab.toml"
COMMAND_LINE = "command line"
MOST_SECONDS = 600


class SettingsError(UserError):
    """A setting cannot be used; the message names the file, the key and the value."""


@dataclass(frozen=True, slots=True)
class _Each:
    """A table of any keys, whose values are checked one by one."""

    check: Check


Name = Annotated[str, checks.name]
Folder = Annotated[Path, checks.folder]
Sink = Literal["auto", "device", "player", "none"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class AudioSettings:
    """The table `[audio]`: where sound goes."""

    sink: Annotated[Sink, checks.one_of(get_args(Sink))]
    device: Name
    player: Name


@dataclass(frozen=True)
class PathSettings:
    """The table `[paths]`, with `auto` resolved to folders in the user's data folder."""

    out: Folder
    sessions: Folder
    voices: Folder
    presets: Folder
    models: Folder
    adapters: Folder


@dataclass(frozen=True)
class Settings:
    """All settings; their meaning and defaults are in `lab.toml`.

    `stacks` is the dict form of a Stack, empty where the model's own stacks hold; `keys` a key per command.
    """

    model: Name
    codec: Name
    force_codec: Annotated[bool, checks.switch]
    tokenizer: Name
    device: Annotated[str, checks.device]
    dtype: Annotated[Dtype, checks.one_of(get_args(Dtype))]
    threads: Annotated[Literal["auto"] | int, checks.threads]
    attention: Name
    lora: Annotated[str, checks.text]
    language: Name
    voice: Name
    seed: Annotated[Literal["new"] | int, checks.seed]
    max_duration: Annotated[float, checks.number(0, MOST_SECONDS, above=True)]
    memory_budget_gb: Annotated[float, checks.number(0, 4096)]
    theme: Name
    audio: AudioSettings
    paths: PathSettings
    keys: Annotated[dict[str, str], _Each(checks.text)]
    stacks: Annotated[dict[str, Any], checks.stacks]


def template() -> str:
    """The text of the commented `lab.toml` that holds the defaults."""
    here = Path(__file__).resolve().parent
    installed = here / FILE_NAME
    return (installed if installed.is_file() else here.parent / FILE_NAME).read_text(encoding="utf-8")


def user_settings_file() -> Path:
    """Where a person's own `lab.toml` is looked for, whether it is there or not."""
    return folders.config() / FILE_NAME


def load_settings(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read all layers, the strongest last: defaults, the user's file, ./lab.toml, `config`, `overrides`.

    `overrides` come from the command line: dotted keys (`audio.sink`); None stands for an option not given.
    Raises SettingsError for a file that cannot be read, an unknown key, or a value that is not possible.
    """
    merged: dict[str, Any] = tomllib.loads(template())
    origins: dict[tuple[str, ...], str] = {}
    for source, layer in _layers(config, overrides or {}):
        _merge(merged, layer, source, origins)
    settings: Settings = _read_table(Settings, merged, origins)
    return settings


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


def _read_table(
    table: type[Any], given: Any, origins: Mapping[tuple[str, ...], str], place: tuple[str, ...] = ()
) -> Any:
    """A table with every value checked. Raises SettingsError for the first that is wrong."""
    _check_table(given, place, origins)
    known = get_type_hints(table, include_extras=True)
    for key in given:
        if key not in known:
            full, near = ".".join((*place, key)), _nearest(key, list(known))
            raise SettingsError(f"{_source((*place, key), origins)}: unknown key {full!r}; {near}.")
    return table(
        **{key: _read_value(hint, given[key], origins, (*place, key)) for key, hint in known.items()}
    )


def _read_value(hint: Any, given: Any, origins: Mapping[tuple[str, ...], str], place: tuple[str, ...]) -> Any:
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return _read_table(hint, given, origins, place)
    (check,) = hint.__metadata__
    if isinstance(check, _Each):
        _check_table(given, place, origins)
        return {name: _checked(check.check, value, origins, (*place, name)) for name, value in given.items()}
    return _checked(check, given, origins, place)


def _check_table(given: Any, place: tuple[str, ...], origins: Mapping[tuple[str, ...], str]) -> None:
    if not isinstance(given, dict):
        raise _refused(place, given, TABLE, origins)


def _checked(check: Check, given: Any, origins: Mapping[tuple[str, ...], str], place: tuple[str, ...]) -> Any:
    try:
        return check(place[-1], given)
    except ValueError as error:
        raise _refused(place, given, str(error), origins) from None


def _refused(
    place: tuple[str, ...], given: Any, advice: str, origins: Mapping[tuple[str, ...], str]
) -> SettingsError:
    key = ".".join(place)
    return SettingsError(f"{_source(place, origins)}: {key} = {_shown(given)} is not possible; {advice}.")


def _source(place: tuple[str, ...], origins: Mapping[tuple[str, ...], str]) -> str:
    """Who gave a value, or the nearest table that holds it."""
    above = (place[:length] for length in range(len(place), 0, -1))
    return next((origins[part] for part in above if part in origins), FILE_NAME)


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "known here: " + ", ".join(known)


def _shown(value: object, most: int = 60) -> str:
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= most else text[: most - 3] + "..."
