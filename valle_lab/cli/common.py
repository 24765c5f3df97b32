"""Options that every command has, declared once and handed to a command as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from valle_lab.settings import Settings

SETTINGS = (
    "model",
    "codec",
    "tokenizer",
    "force_codec",
    "device",
    "dtype",
    "threads",
    "language",
    "attention",
    "lora",
)
"""The options that are also keys of the settings."""


@dataclass(frozen=True, slots=True)
class Common:
    """What is run, and where; None leaves the choice to the settings."""

    model: Annotated[str | None, typer.Option(metavar="MODEL", help="A model's name or file.")] = None
    codec: Annotated[str | None, typer.Option(metavar="CODEC", help="auto is the model's own.")] = None
    force_codec: Annotated[
        bool | None, typer.Option("--force-codec", help="Take that codec though it is not the model's own.")
    ] = None
    tokenizer: Annotated[
        str | None, typer.Option(metavar="FILE", help="The model's tokenizer.json, if it is not beside it.")
    ] = None
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")] = None
    dtype: Annotated[
        str | None, typer.Option(metavar="DTYPE", help="auto, float32, float16 or bfloat16.")
    ] = None
    threads: Annotated[int | None, typer.Option(metavar="N", help="CPU threads that compute.")] = None
    language: Annotated[str | None, typer.Option(metavar="CODE", help="Language of the text, as en.")] = None
    attention: Annotated[str | None, typer.Option(metavar="BACKEND", help="auto takes the best.")] = None
    lora: Annotated[
        str | None, typer.Option(metavar="NAME|FILE[@STRENGTH]", help="Adapters, with commas between.")
    ] = None
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Settings that come before ./lab.toml.")
    ] = None
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False

    def under(self, outer: Common | None) -> Common:
        """These options; where one is not given, that of the command line before the command's name."""
        if outer is None:
            return self
        missing = [field.name for field in fields(self) if getattr(self, field.name) is field.default]
        return replace(self, **{name: getattr(outer, name) for name in missing})

    def settings(self, **more: Any) -> Settings:
        """The settings, with these options and `more` of the command line over them. Raises UserError."""
        from valle_lab.settings import load_settings

        return load_settings(self.config, {**self.given, **more})

    @property
    def given(self) -> dict[str, Any]:
        """The options that are keys of the settings; None where one was not given."""
        return {name: getattr(self, name) for name in SETTINGS}


def with_options(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Make a command for typer of a function that takes options in dataclasses, `common` among them.

    typer reads options off a signature, so the wrapper's signature is the function's own, with the fields of
    each dataclass in its place. A function that has a parameter `context` gets typer's.
    """
    own = inspect.signature(command, eval_str=True).parameters
    annotations: dict[str, Any] = {name: item.annotation for name, item in own.items()}
    groups: dict[str, Any] = {name: kind for name, kind in annotations.items() if is_dataclass(kind)}

    def wrapper(context: typer.Context, **values: Any) -> int | None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        values["common"] = values["common"].under(context.find_object(Common))
        if "context" in own:
            values["context"] = context
        return command(**values)

    plain = [item for name, item in own.items() if name not in groups and name != "context"]
    grouped = [item for group in reversed(groups.values()) for item in _as_parameters(group)]
    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in [*plain, *grouped]),
    ]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


@cache
def _as_parameters(group: type[Any]) -> tuple[inspect.Parameter, ...]:
    hints = get_type_hints(group, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return tuple(
        inspect.Parameter(field.name, keyword, default=field.default, annotation=hints[field.name])
        for field in fields(group)
    )
