"""``valle-lab voices``: which voices can be named with ``--voice``, and how one is added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common, with_options
from valle_lab.cli.output import narrate, print_json, print_table

if TYPE_CHECKING:
    from valle.voices import Voice


def group() -> typer.Typer:
    """The command, with its own command `add`."""
    voices = typer.Typer(
        help="List the voices, or add one.",
        rich_markup_mode=None,
        invoke_without_command=True,
        callback=with_options(list_all),
    )
    voices.command("add")(with_options(add))
    return voices


def list_all(
    common: Common,
    context: typer.Context,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """List the voices of the package and of the voices folder in the settings."""
    context.obj = common
    if context.invoked_subcommand is not None:
        return None
    from valle.voices import list_voices

    voices = list_voices(common.settings().paths.voices)
    if json_output:
        print_json([_described(voice) for voice in voices])
    else:
        print_table([("voice", "language", "seconds", "description"), *map(_row, voices)])
    return None


def add(
    common: Common,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording: wav, flac, ogg or mp3.")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="By default the file's name.")] = None,
    transcript: Annotated[str, typer.Option(metavar="TEXT", help="What is said in it.")] = "",
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it sounds like.")] = "",
    transcribe: Annotated[
        bool, typer.Option("--transcribe", help="Have the model hear what is said in it.")
    ] = False,
) -> int | None:
    """Make a voice from a recording; it is kept in the voices folder of the settings."""
    from valle.audio.wav import cut_short
    from valle.voices import add_voice, find_voice

    settings = common.settings()
    if (remark := cut_short(file)) is not None:
        narrate(remark)
    phonemes = _phonemes(transcript, settings.language)
    if transcribe and not transcript:
        from valle_lab.transcribing import transcribe_by

        told = transcribe_by(settings, find_voice(file), words=True)
        transcript, phonemes = told.words, told.phonemes
    voice = add_voice(
        file,
        name=name,
        transcript=transcript,
        language=settings.language,
        phonemes=phonemes,
        description=description,
        folder=settings.paths.voices,
    )
    print(voice.name)
    return None


def _phonemes(transcript: str, language: str) -> str:
    from valle.text.phonemes import Phonemizer

    with Phonemizer(language) as phonemizer:
        return phonemizer.phonemize(transcript) if transcript else ""


def _row(voice: Voice) -> tuple[str, ...]:
    seconds = _seconds(voice)
    shown = "cannot be read" if seconds is None else f"{seconds:.1f}"
    return voice.name, voice.language or "-", shown, voice.description or voice.origin or "-"


def _described(voice: Voice) -> dict[str, Any]:
    return {
        "name": voice.name,
        "language": voice.language,
        "seconds": _seconds(voice),
        "transcript": voice.transcript,
        "phonemes": voice.phonemes,
        "description": voice.description,
        "origin": voice.origin,
        "recording": str(voice.recording),
    }


def _seconds(voice: Voice) -> float | None:
    """How long the recording is; None where it cannot be read, so that the others are listed all the same."""
    try:
        return voice.seconds
    except UserError:
        return None
