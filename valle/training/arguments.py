"""The command line of `python -m valle.training`."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = (
    "The recipe of the built-in voice, step by step or all of it, and training on one's own recordings."
)


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    found = argparse.ArgumentParser(prog="python -m valle.training", description=DESCRIPTION)
    found.add_argument(
        "--folder", type=Path, default=None, help="where the runs lie (the user's cache folder)"
    )
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--seed", type=int, default=0)
    commands = found.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="render the shards that the model is trained on")
    data.add_argument("--utterances", type=int, default=2000, help="in each shard")
    codec = commands.add_parser("codec", help="train the codec")
    codec.add_argument("--utterances", type=int, default=5000)
    codec.add_argument(
        "--decoder",
        action="store_true",
        help="train the decoder and pitch reader of the package on; no code changes",
    )
    encode = commands.add_parser(
        "encode", help="encode the rendered shards as they appear, with the package's codec"
    )
    recogniser = commands.add_parser(
        "recogniser", help="train the ears of the evaluation, on rendered shards"
    )
    model = commands.add_parser("model", help="train the model on the encoded shards")
    model.add_argument("--shards", type=int, default=None, help="how many shards to use (all that are there)")
    model.add_argument("--first-shards", type=int, default=None, help="shards to begin with (all)")
    model.add_argument(
        "--shard-every", type=int, default=60, help="steps after which there is one shard more"
    )
    model.add_argument(
        "--start",
        metavar="MODEL",
        default="builtin",
        help="where there is no saved run: the model file to go on from, or `fresh` to begin with nothing",
    )
    for command, steps in ((codec, 10000), (model, 2000), (recogniser, 2000)):
        command.add_argument("--steps", type=int, default=steps)
        command.add_argument(
            "--decay", type=float, default=0.3, help="share of the steps in which the rate falls"
        )
        command.add_argument("--finish", action="store_true", help="begin the decay now")
        command.add_argument("--more", type=int, default=0, help="so many steps after those of the saved run")
    for command in (data, encode):
        command.add_argument("--shards", type=int, default=10)
    recordings = commands.add_parser("recordings", help="make a shard of one's own recordings")
    recordings.add_argument(
        "recordings", type=Path, help="a folder of sound files, each with a .txt beside it"
    )
    export = commands.add_parser("export", help="write the package's files from the saved runs")
    export.add_argument(
        "what",
        choices=("codec", "decoder", "model", "random"),
        help="decoder: the codec after `codec --decoder`; random: a model that has learnt nothing",
    )
    export.add_argument("--out", type=Path, default=None, help="the file to write, instead of the package's")
    commands.add_parser("voices", help="record the package's voices")
    evaluate = commands.add_parser(
        "evaluate", help="measure a codec and a model, those of the package by default"
    )
    parts = ("codec", "heldout", "model")
    evaluate.add_argument("what", choices=parts, nargs="*", default=parts)
    evaluate.add_argument("--model", default="builtin", help="a model file")
    evaluate.add_argument("--codec", type=Path, default=None, help="a codec file, for `codec`")
    evaluate.add_argument("--count", type=int, default=100, help="sentences, and utterances for the codec")
    commands.add_parser("all", help="all of it, with the default settings, from the data to the evaluation")
    return found
