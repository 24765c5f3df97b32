"""``valle-lab transcribe``: what a recording says, as a model hears it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from valle_lab.cli.common import Common
from valle_lab.cli.output import ProgressLine, narrate, print_json


def transcribe(
    common: Common,
    file: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A recording, or the name of a voice.")],
    words: Annotated[bool, typer.Option("--words", help="Words that sound like it, too.")] = False,
    word_list: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The words to choose from, a line each.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="START+SECONDS", help="The part of the recording to hear.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int | None:
    """Print the phonemes that the model hears in a recording."""
    from valle.voices import find_voice, remarks_on
    from valle_lab.cli.arguments import parse_prompt
    from valle_lab.transcribing import transcribe_by

    part = None if prompt is None else parse_prompt(prompt)
    settings = common.settings()
    recording = find_voice(file, settings.paths.voices)
    for line in remarks_on([recording]):
        narrate(line)
    progress = ProgressLine()
    progress.show("listening")
    try:
        told = transcribe_by(settings, recording, part=part, words=words, word_file=word_list)
    finally:
        progress.clear()
    if json_output:
        print_json({"phonemes": told.phonemes, **({"words": told.words} if words or word_list else {})})
    else:
        print(told.phonemes)
        if words or word_list:
            print(told.words)
    return None
