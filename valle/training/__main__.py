"""`python -m valle.training`: the recipe of the built-in voice, step by step or all of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from valle.errors import UserError
from valle.training.runs import Run, Schedule, training_folder


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m valle.training", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the runs lie (the user's cache folder)"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="render the shards that the model is trained on")
    data.add_argument("--utterances", type=int, default=2000, help="in each shard")
    codec = commands.add_parser("codec", help="train the codec")
    codec.add_argument("--utterances", type=int, default=5000)
    encode = commands.add_parser(
        "encode", help="encode the rendered shards as they appear, with the package's codec"
    )
    model = commands.add_parser("model", help="train the model on the encoded shards")
    model.add_argument("--first-shards", type=int, default=1, help="shards to begin with")
    model.add_argument(
        "--shard-every", type=int, default=60, help="steps after which there is one shard more"
    )
    for command, steps in ((codec, 10000), (model, 2000)):
        command.add_argument("--steps", type=int, default=steps)
        command.add_argument(
            "--decay", type=float, default=0.3, help="share of the steps in which the rate falls"
        )
        command.add_argument("--finish", action="store_true", help="begin the decay now")
        command.add_argument("--more", type=int, default=0, help="so many steps after those of the saved run")
    for command in (data, encode, model):
        command.add_argument("--shards", type=int, default=10)
    export = commands.add_parser("export", help="write the package's files from the saved runs")
    export.add_argument(
        "what", choices=("codec", "model", "random"), help="random: a model that has learnt nothing"
    )
    commands.add_parser("voices", help="record the package's voices")
    evaluate = commands.add_parser("evaluate", help="measure the package's codec and model")
    evaluate.add_argument("what", choices=("codec", "model"), nargs="*", default=["codec", "model"])
    evaluate.add_argument("--count", type=int, default=20, help="sentences, or utterances for the codec")
    commands.add_parser("all", help="all of it, with the default settings, from the data to the evaluation")
    return parser


def _data(arguments: argparse.Namespace, folder: Path) -> None:
    from valle.training.speech import render_shard, rendered_path, speech_path

    for index in range(arguments.shards):
        path = rendered_path(folder, index)
        if not path.exists() and not speech_path(folder, index).exists():
            render_shard(arguments.utterances, 1000 * (arguments.seed + 1) + index).save(path)
            print(path, flush=True)


def _encode(arguments: argparse.Namespace, folder: Path) -> None:
    import torch

    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.export import BUILTIN
    from valle.training.speech import RenderedShard, encode_shard, rendered_path, speech_path

    torch.set_num_threads(arguments.threads)
    network = BuiltinCodec.load(BUILTIN / "codec.safetensors").network
    for index in range(arguments.shards):
        source, path = rendered_path(folder, index), speech_path(folder, index)
        while not (source.exists() or path.exists()):
            time.sleep(1.0)
        if not path.exists():
            encode_shard(RenderedShard.load(source), network).save(path)
            print(path, flush=True)


def _prepare(threads: int) -> None:
    """Set the threads, and let numbers near nought be nought: gradients have many, and they are slow."""
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def _schedule(arguments: argparse.Namespace, step: int, state: dict[str, Any] | None) -> Schedule:
    if state is None:
        return Schedule.over(arguments.steps, arguments.decay)
    schedule = Schedule(**state["schedule"])
    if arguments.more:
        return schedule.extended(step, arguments.more, arguments.decay)
    return schedule.finishing(step, arguments.decay) if arguments.finish else schedule


def _codec(arguments: argparse.Namespace, folder: Path) -> None:
    from valle.training.codec_data import CodecData, make_codec_data
    from valle.training.codec_training import CodecRecipe, CodecTrainer, train_codec

    _prepare(arguments.threads)
    path = folder / "codec_data.npz"
    if not path.exists():
        make_codec_data(arguments.utterances, arguments.seed).save(path)
    trainer = CodecTrainer(CodecData.load(path), CodecRecipe(seed=arguments.seed))
    run = Run(folder / "codec")
    run.stop_on_signals()
    state = run.load()
    if state is not None:
        trainer.restore(state)
    train_codec(trainer, run, _schedule(arguments, trainer.step, state))


def _model(arguments: argparse.Namespace, folder: Path) -> None:
    from valle.training.corpus import Corpus
    from valle.training.model_training import ModelRecipe, ModelTrainer, ShardSource, train_model

    _prepare(arguments.threads)
    trainer = ModelTrainer(ModelRecipe(seed=arguments.seed), Corpus())
    run = Run(folder / "model")
    run.stop_on_signals()
    state = run.load()
    if state is not None:
        trainer.restore(state)
    shards = ShardSource(folder, arguments.first_shards, arguments.shard_every, arguments.shards)
    train_model(trainer, run, _schedule(arguments, trainer.step, state), shards)


def _saved(folder: Path) -> dict[str, Any]:
    state = Run(folder).load()
    if state is None:
        raise UserError(f"{folder} holds no training state; train it first")
    return state


def _export(arguments: argparse.Namespace, folder: Path) -> None:
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.corpus import Corpus
    from valle.training.export import BUILTIN, export_codec, export_model, random_model
    from valle.training.model_training import ModelRecipe, ModelTrainer

    codec_path = BUILTIN / "codec.safetensors"
    if arguments.what == "codec":
        print(export_codec(_saved(folder / "codec"), codec_path))
        return
    codec, path = BuiltinCodec.load(codec_path), BUILTIN / "model.safetensors"
    if arguments.what == "random":
        print(export_model(random_model(arguments.seed), codec, 0, path, "random weights"))
        return
    trainer = ModelTrainer(ModelRecipe(), Corpus())
    trainer.restore(_saved(folder / "model"))
    print(export_model(trainer.averaged(), codec, trainer.step, path))


def _voices(_arguments: argparse.Namespace, _folder: Path) -> None:
    from valle.training.export import BUILTIN
    from valle.training.voices import record_voices

    for voice in record_voices(BUILTIN / "voices"):
        print(f"{voice.name}: {voice.seconds:.2f} s")


def _evaluate(arguments: argparse.Namespace, folder: Path) -> None:
    import torch

    from valle.audio.builtin.codec import BuiltinCodec
    from valle.inference import Engine
    from valle.training.evaluation import evaluate_codec_on_all, evaluate_model
    from valle.training.export import BUILTIN

    torch.set_num_threads(arguments.threads)
    found = {}
    if "codec" in arguments.what:
        found["codec"] = evaluate_codec_on_all(
            BuiltinCodec.load(BUILTIN / "codec.safetensors"), arguments.count
        )
    if "model" in arguments.what:
        engine = Engine.load(threads=arguments.threads)
        found["model"] = evaluate_model(engine, arguments.count)
        engine.close()
    text = json.dumps(found, indent=2)
    (folder / "evaluation.json").write_text(text + "\n")
    print(text)


def _all(arguments: argparse.Namespace, _folder: Path) -> None:
    """Every step in its order, each as if it had been called with its defaults."""
    common = ["--threads", str(arguments.threads), "--seed", str(arguments.seed)]
    if arguments.folder:
        common += ["--folder", str(arguments.folder)]
    steps = ("codec", "export codec", "voices", "data", "encode", "model", "export model", "evaluate")
    for step in steps:
        run([*common, *step.split()])


COMMANDS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "data": _data,
    "codec": _codec,
    "encode": _encode,
    "model": _model,
    "export": _export,
    "voices": _voices,
    "evaluate": _evaluate,
    "all": _all,
}


def run(words: list[str]) -> None:
    """Run one command of a command line."""
    arguments = _arguments().parse_args(words)
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
