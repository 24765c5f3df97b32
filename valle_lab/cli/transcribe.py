"""``valle-lab transcribe``: what a recording says, as a model hears it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from valle_lab.cli.common import Common
from valle_lab.cli.output import ProgressLine, print_json

if TYPE_CHECKING:
    from valle.inference import Engine


def transcribe(
    common: Common,
    file: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A recording, or the name of a voice.")],
    words: Annotated[bool, typer.Option("--words", help="Words that sound like it, too.")] = False,
    word_list: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The words to choose from, a line each.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int | None:
    """Print the phonemes that the model hears in a recording."""
    from valle.voices import find_voice
    from valle_lab.model_choice import model_choice
    from valle_lab.transcribing import transcribe as heard
    from valle_lab.worker.inprocess import InProcessWorker

    settings = common.settings()
    recording = find_voice(file, settings.paths.voices)
    progress = ProgressLine()
    progress.show("listening")
    worker = InProcessWorker()
    try:
        worker.load(model_choice(settings)).result()
        engine = cast("Engine", worker.service.engine)
        told = heard(engine, recording, settings.language, words=words, word_file=word_list)
    finally:
        progress.clear()
        worker.close()
    if json_output:
        print_json({"phonemes": told.phonemes, **({"words": told.words} if words or word_list else {})})
    else:
        print(told.phonemes)
        if words or word_list:
            print(told.words)
    return None
