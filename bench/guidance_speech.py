"""What guidance does to speech: the built-in voice over scales and forms, as a table in Markdown.

Every form speaks the same sentences with the same voices and seeds. Phoneme errors are what a recogniser that
has heard espeak-ng alone hears (train it with `python -m valle.training recogniser`); a text is identified if
the take is nearer to espeak-ng's rendering of it than to those of the other sentences, by the distance of
dynamic time warping; a voice likewise by its print.

    python bench/guidance_speech.py --count 40 --seeds 3 --out docs/guidance-measured.md
    python bench/guidance_speech.py --count 3 --scales 1 2 --forms plain
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from valle.errors import UserError
from valle.inference import Engine
from valle.request import Prompt, Request
from valle.samplers import Stack
from valle.training.evaluation import (
    Listener,
    Sitter,
    TakeResult,
    known_sitters,
    sentences,
    summary,
)
from valle.training.recogniser import load_recogniser
from valle.training.runs import training_folder
from valle.training.text import common_line, unseen_line

FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "log-softmax": {"log_softmax": True},
    "blend 0.7": {"blend": 0.7},
    "rescale 0.7, row": {"rescale": 0.7},
    "rescale 0.7, sequence": {"rescale": 0.7, "rescale_over": "sequence"},
}
PLACES = {"ar": ("ar",), "ar+nar": ("ar", "nar")}


def guided(stack: Stack, lists: Sequence[str], scale: float, form: str) -> Stack:
    """The stack with guidance first in these of its lists; a scale of 1 leaves it as it is."""
    if scale == 1.0:
        return stack
    for name in lists:
        for key, value in {"scale": scale, **FORMS[form]}.items():
            stack = stack.set(f"{name}:guidance.{key}", value)
    return stack


def takes(
    listener: Listener, texts: Sequence[str], sitters: Sequence[Sitter], stack: Stack, seeds: int
) -> Iterator[TakeResult]:
    """Every sentence in the next of the voices, with every seed."""
    for seed in range(seeds):

        def request(text: str, prompt: Prompt, seed: int = seed) -> Request:
            return listener.engine.request(text, voice=prompt, stack=stack, seed=seed)

        yield from listener.takes(texts, sitters, request)


def settings(options: argparse.Namespace) -> Iterator[tuple[str, str, float]]:
    """Where, form and scale of each line; what a scale of 1 does depends on neither."""
    if 1.0 in options.scales:
        yield "-", "off", 1.0
    for where in options.where:
        for form in options.forms:
            for scale in options.scales:
                if scale != 1.0:
                    yield where, form, scale


def table(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the table, as they are measured."""
    folder = options.recogniser or training_folder() / "recogniser" / "state.pt"
    if not folder.is_file():
        raise UserError(f"{folder} is not there; python -m valle.training recogniser makes it")
    engine = Engine.load(options.model, device=options.device, threads=options.threads)
    sitters = known_sitters()
    listener = Listener(engine, load_recogniser(folder), sitters)
    line = unseen_line if options.unseen else common_line
    texts = sentences(options.count, line)
    words = "unseen" if options.unseen else "common"
    yield f"{options.count} sentences of {words} words, {options.seeds} seeds, {engine.model_hash[:12]}."
    yield "Errors are phonemes heard wrong, with the standard error of their mean.\n"
    yield "| where | form | scale | errors | text | voice | ended by itself | length | DTW | real time |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for where, form, scale in settings(options):
        stack = guided(engine.default_stack, PLACES.get(where, ()), scale, form)
        results = list(takes(listener, texts, sitters[: options.voices], stack, options.seeds))
        found = summary(results)
        errors = np.array([result.errors for result in results])
        spread = errors.std(ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else 0.0
        yield (
            f"| {where} | {form} | {scale:g} | {found['errors']:.1%} ± {spread:.1%} "
            f"| {found['text_identified']:.0%} | {found['voice_identified']:.0%} | {found['stopped']:.0%} "
            f"| {found['length_ratio']:.2f} | {found['distance']:.2f} | {found['real_time_factor']:.2f} |"
        )
    engine.close()


def parse() -> argparse.Namespace:
    """Read the command line; the defaults are the table of the documents."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 1.5, 2.0, 3.0, 4.0])
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--where", nargs="+", choices=list(PLACES), default=list(PLACES))
    parser.add_argument("--count", type=int, default=40, help="sentences")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--voices", type=int, default=4, help="voices that take turns")
    parser.add_argument("--unseen", action="store_true", help="words that were never trained on")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recogniser", type=Path, help="a file that the training of the recogniser saved")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    return parser.parse_args()


def main() -> None:
    """Print the table line by line, and write it at the end."""
    options = parse()
    lines = []
    for line in table(options):
        print(line, flush=True)
        lines.append(line)
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
