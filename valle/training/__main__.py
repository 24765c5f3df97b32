"""`python -m valle.training`: the recipe of the built-in voice, step by step or all of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from valle.errors import UserError
from valle.training import adapter_training, evaluate, make_data, train
from valle.training.arguments import parser
from valle.training.runs import training_folder


def _all(arguments: argparse.Namespace, _folder: Path) -> None:
    """Every step in its order, each as if it had been called with its defaults."""
    common = ["--threads", str(arguments.threads), "--seed", str(arguments.seed)]
    if arguments.folder:
        common += ["--folder", str(arguments.folder)]
    codec = ("codec", "export codec", "voices", "data", "encode")
    for step in (*codec, "model --start fresh", "export model", "recogniser", "evaluate"):
        run([*common, *step.split()])


def _plot(arguments: argparse.Namespace, folder: Path) -> None:
    """Draw the metrics of a run."""
    from valle_lab.figures.training import draw_metrics

    print(draw_metrics(folder / arguments.run, arguments.out))


COMMANDS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "data": make_data.data,
    "codec": train.codec,
    "encode": make_data.encode,
    "recordings": make_data.recordings,
    "recogniser": train.recogniser,
    "model": train.model,
    "adapter": adapter_training.adapter,
    "export": train.export,
    "voices": make_data.voices,
    "evaluate": evaluate.evaluate,
    "plot": _plot,
    "all": _all,
}


def run(words: list[str]) -> None:
    """Run one command of a command line."""
    arguments = parser().parse_args(words)
    folder = arguments.folder or training_folder()
    folder.mkdir(parents=True, exist_ok=True)
    COMMANDS[arguments.command](arguments, folder)


def main() -> None:
    """Run the command that the command line names; an error of the user's is one line and exit code 2."""
    try:
        run(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
