"""The command line of `python -m valle.training`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from valle.errors import UserError
from valle.training import adapter_training

DESCRIPTION = (
    "The recipe of the built-in voice, step by step or all of it, and training on one's own recordings."
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are those of the user, and one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; `{self.prog} --help` tells what there is")


def parser() -> argparse.ArgumentParser:
    """Every command with its options; parsing raises UserError for what is none of them."""
    found = _Parser(prog="python -m valle.training", description=DESCRIPTION)
    found.add_argument(
        "--folder", type=Path, default=None, help="where the runs lie (the user's cache folder)"
    )
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--seed", type=int, default=0)
    commands = found.add_subparsers(dest="command", required=True)
    _add_data(commands)
    _add_trainings(commands)
    _add_results(commands)
    commands.add_parser("all", help="all of it, with the default settings, from the data to the evaluation")
    return found


Commands = argparse._SubParsersAction
"""What commands are added to; argparse has no public name for it."""


def _add_data(commands: Commands[_Parser]) -> None:
    """What is trained on."""
    data = commands.add_parser("data", help="render the shards that the model is trained on")
    data.add_argument("--utterances", type=int, default=2000, help="in each shard")
    encode = commands.add_parser(
        "encode", help="encode the rendered shards as they appear, with the package's codec"
    )
    for command in (data, encode):
        command.add_argument("--shards", type=int, default=10)
    recordings = commands.add_parser("recordings", help="make a shard of one's own recordings")
    recordings.add_argument(
        "recordings", type=Path, help="a folder of sound files, each with a .txt beside it"
    )
    commands.add_parser("voices", help="record the package's voices")


def _add_trainings(commands: Commands[_Parser]) -> None:
    """What is trained."""
    codec = commands.add_parser("codec", help="train the codec")
    codec.add_argument("--utterances", type=int, default=5000)
    codec.add_argument(
        "--decoder",
        action="store_true",
        help="train the decoder and pitch reader of the package on; no code changes",
    )
    codec.add_argument(
        "--spoken",
        type=int,
        default=0,
        help="with --decoder: learn also from what the package's model makes of so many utterances",
    )
    recogniser = commands.add_parser(
        "recogniser", help="train the ears of the evaluation, on rendered shards"
    )
    model = commands.add_parser("model", help="train a model on the encoded shards, or on recordings")
    _add_model_options(model)
    for command, steps in ((codec, 10000), (model, 2000), (recogniser, 2000)):
        command.add_argument("--steps", type=int, default=None, help=f"of a fresh run ({steps})")
        command.set_defaults(usual_steps=steps)
        command.add_argument("--warmup", type=int, help="steps in which the rate of a fresh run rises (100)")
        command.add_argument("--fall", choices=("linear", "cosine"), help="how it falls (linear)")
        command.add_argument("--decay", type=float, help="share of the steps in which the rate falls (0.3)")
        goes_on = command.add_mutually_exclusive_group()
        goes_on.add_argument("--finish", action="store_true", help="begin the decay now")
        goes_on.add_argument("--more", type=int, default=0, help="so many steps after those of the saved run")
    adapter_training.add_options(commands.add_parser("adapter", help="train an adapter on recordings"))


def _add_results(commands: Commands[_Parser]) -> None:
    """What a run has become."""
    export = commands.add_parser("export", help="write the package's files from the saved runs")
    export.add_argument(
        "what",
        choices=("codec", "decoder", "model", "random"),
        help="decoder: the codec after `codec --decoder`; random: a model that has learnt nothing",
    )
    export.add_argument("--out", type=Path, default=None, help="the file to write, instead of the package's")
    export.add_argument("--name", dest="run", default="model", help="of the run of a model")
    plot = commands.add_parser("plot", help="draw the metrics of a run, into its folder")
    plot.add_argument("--name", dest="run", default="model", help="of the run")
    plot.add_argument("--out", type=Path, default=None, help="the file to write")
    evaluate = commands.add_parser(
        "evaluate", help="measure a codec and a model, those of the package by default"
    )
    parts = ("codec", "heldout", "model", "tasks")
    evaluate.add_argument("what", choices=parts, nargs="*", default=parts)
    evaluate.add_argument("--model", default="builtin", help="a model file")
    evaluate.add_argument("--codec", type=Path, default=None, help="a codec file, for `codec`")
    evaluate.add_argument("--count", type=int, default=100, help="sentences, and utterances for the codec")


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split(","))


SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "architecture": (str, "the backbone: `valle-lab models` lists them"),
    "dim": (int, "width of the stream"),
    "layers": (int, "how many"),
    "heads": (int, "of attention or retention"),
    "ffn": (int, "width of the gated layers; 0 is four times dim"),
    "experts": (int, "of each layer, for a backbone that has a mixture of them"),
    "budget": (int, "sequence rows in a batch, about"),
    "batches": (int, "batches whose gradients are one step, over all processes"),
    "optimizer": (str, "muon for the matrices inside and AdamW for the rest, or adamw for all"),
    "hidden_rate": (float, "base rate of Muon"),
    "other_rate": (float, "base rate of AdamW"),
    "precision": (str, "bfloat16 (mixed), float32, or auto: bfloat16 where the hardware has it"),
    "loss": (str, "of the answer, of the whole sequence, or in pieces"),
    "text_factor": (float, "of the text's piece of the loss"),
    "prompt_factor": (float, "of the prompt's piece of the loss"),
    "router_weight": (float, "of the loss that spreads the work over the experts"),
    "layer_dropout": (float, "how often the last layer is left out, earlier ones less (LayerSkip)"),
    "early_exit": (float, "how much early layers are asked for the answer (LayerSkip)"),
    "kinds": (_numbers, "shares of the batches: ar,nar,nar_len,len,stt"),
    "levels": (_numbers, "shares of the levels 1 to 7 among NAR rows"),
    "without_voice": (float, "share of the rows without voice, for guidance"),
    "without_text": (float, "share of the rows without text"),
    "without_both": (float, "share of the rows without both"),
    "hidden": (float, "highest share of the past that is hidden"),
    "other_past": (float, "share of the AR rows whose past is the same line in another voice"),
    "token_error": (float, "share of the codes read that are made others"),
    "token_dropout": (float, "share of the frames read that are left out"),
}
"""Settings of a recipe: what makes a value of a word, and what they are."""
CHOICES = {
    "optimizer": ("muon", "adamw"),
    "precision": ("auto", "bfloat16", "float32"),
    "loss": ("answer", "whole", "pieces"),
}
SWITCHES = {
    "bitnet": "make the linear layers of the backbone ternary",
    "checkpointing": "run blocks a second time for their gradients, which saves memory",
}


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of the recipe that stand on the command line."""
    named = {name: getattr(arguments, name) for name in SETTINGS}
    switched = {name: True for name in SWITCHES if getattr(arguments, name)}
    return {**{name: value for name, value in named.items() if value is not None}, **switched}


def _add_model_options(model: argparse.ArgumentParser) -> None:
    model.add_argument(
        "--name", dest="run", default="model", help="of the run, and of its folder under --folder"
    )
    model.add_argument(
        "--recordings", type=Path, default=None, help="train on a folder of sound files and texts"
    )
    model.add_argument("--shards", type=int, default=None, help="how many shards to use (all that are there)")
    model.add_argument("--first-shards", type=int, default=None, help="shards to begin with (all)")
    model.add_argument(
        "--shard-every", type=int, default=60, help="steps after which there is one shard more"
    )
    model.add_argument(
        "--start",
        "--begin",  # torchrun takes the other for one of its own
        dest="start",
        metavar="MODEL",
        default=None,
        help="where there is no saved run: the model file to go on from, `builtin`, or `fresh` to begin with "
        "nothing (builtin, where the model has its shape)",
    )
    model.add_argument("--device", default="auto", help="auto, cpu or cuda")
    for name, (kind, text) in SETTINGS.items():
        names = [f"--{name.replace('_', '-')}", *(["--arch-type"] if name == "architecture" else [])]
        model.add_argument(*names, dest=name, type=kind, choices=CHOICES.get(name), default=None, help=text)
    for name, text in SWITCHES.items():
        model.add_argument(f"--{name}", action="store_true", help=text)
