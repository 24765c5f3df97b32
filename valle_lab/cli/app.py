"""The commands of ``valle-lab``, put together."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated

import typer

import valle
from valle_lab.cli import (
    attention,
    audition,
    convert,
    diff,
    doctor,
    export,
    layers,
    models,
    presets,
    repl,
    replay,
    samplers,
    say,
    transcribe,
    voices,
    wins,
)
from valle_lab.cli.common import Common, with_options
from valle_lab.cli.screen import open_screen

HELP = """A laboratory for the decoding of VALL-E style speech models.

Without a command it opens the lab in the terminal. Results go to stdout, progress and errors to stderr. Exit
codes: 0 done, 1 the work's own verdict is negative, 2 usage, configuration or input, 130 interrupted."""


@cache
def command() -> Callable[..., int | None]:
    """The whole command line as one callable, ready for ``standalone_mode=False``."""
    # Plain help: importing rich alone would take longer than the help may take.
    app = typer.Typer(
        name="valle-lab",
        help=HELP,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        invoke_without_command=True,
        callback=with_options(lab),
    )
    app.command("say")(with_options(say.say))
    app.command("replay")(with_options(replay.replay))
    app.command("repl")(with_options(repl.repl))
    app.command("audition")(with_options(audition.audition))
    app.command("diff")(with_options(diff.diff))
    app.command("wins")(with_options(wins.wins))
    app.command("export")(with_options(export.export))
    app.command("transcribe")(with_options(transcribe.transcribe))
    app.add_typer(voices.group(), name="voices")
    app.command("samplers")(with_options(samplers.samplers))
    app.command("presets")(with_options(presets.presets))
    app.command("models")(with_options(models.models))
    app.command("convert")(with_options(convert.convert))
    app.command("attention")(with_options(attention.attention))
    app.command("layers")(with_options(layers.layers))
    app.command("doctor")(with_options(doctor.doctor))
    return typer.main.get_command(app)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"valle-lab {valle.__version__}")
        raise typer.Exit


def lab(
    common: Common,
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
    no_audio: Annotated[
        bool, typer.Option("--no-audio", help="Look for no sound device; takes can be saved as files.")
    ] = False,
) -> int | None:
    """Open the lab, unless a command follows; that command then finds the options given so far."""
    context.obj = common
    if context.invoked_subcommand is not None:
        return None
    return open_screen(common.config, **common.given, **({"audio.sink": "none"} if no_audio else {}))
