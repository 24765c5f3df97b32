"""``valle-lab say``: speak once, and keep the wav and the session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valle_lab.cli.common import Common

if TYPE_CHECKING:
    pass

LONG_TEXT = 2000
"""Characters beyond which a text is spoken only where its splitting is asked for."""


@dataclass(frozen=True, slots=True)
class SayOptions:
    """How a text is spoken; None leaves the choice to the settings."""

    voice: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="A voice, or a recording.")] = None
    seed: Annotated[int | None, typer.Option(metavar="N", help="0 to 2^64 - 1; without it, a new one.")] = (
        None
    )
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="A preset's stack.")] = None
    stack: Annotated[Path | None, typer.Option(metavar="FILE", help="A stack in TOML or JSON.")] = None
    set: Annotated[
        list[str] | None, typer.Option(metavar="[PHASE[.LEVEL]:]stage.param=value", help="Repeatable.")
    ] = None
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SEGMENT/][PHASE[.LEVEL]:]STEP:stage.param=value",
            help="Changes it at a step; repeatable.",
        ),
    ] = None
    mode: Annotated[str, typer.Option(metavar="ar+nar", help="How the levels are decoded.")] = "ar+nar"
    task: Annotated[str, typer.Option(metavar="tts", help="What the model is to do.")] = "tts"
    prompt: Annotated[
        str | None, typer.Option(metavar="START+SECONDS", help="The part of the voice's recording to use.")
    ] = None
    max_duration: Annotated[
        float | None, typer.Option(metavar="S", help="The most seconds that one sentence may sound.")
    ] = None
    split: Annotated[bool, typer.Option("--split", help="Speak a long text, in pieces.")] = False
    split_by: Annotated[str, typer.Option(metavar="sentence|line", help="What is a piece.")] = "sentence"
    out: Annotated[Path | None, typer.Option(metavar="FILE.wav", help="Where the sound goes.")] = None
    session: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Where the session goes, if not beside it.")
    ] = None
    play: Annotated[bool, typer.Option("--play", help="Play it when it is done.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False


def say(
    common: Common,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads it from stdin.")],
    options: SayOptions,
) -> int | None:
    """Speak a text once; its session is always saved."""
    return None
