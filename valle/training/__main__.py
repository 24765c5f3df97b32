"""`python -m valle.training`: the recipe of the built-in voice, step by step or all of it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

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
    for command in (data, encode, model):
        command.add_argument("--shards", type=int, default=10)
    export = commands.add_parser("export", help="write the package's files from the saved runs")
    export.add_argument(
        "what", choices=("codec", "model", "random"), help="random: a model that has learnt nothing"
    )
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


def _schedule(
    arguments: argparse.Namespace, run: Run, step: int, state: dict[str, object] | None
) -> Schedule:
    if state is None:
        return Schedule.over(arguments.steps, arguments.decay)
    schedule = Schedule(**state["schedule"])  # type: ignore[arg-type]
    return schedule.finishing(step, arguments.decay) if arguments.finish else schedule


def _codec(arguments: argparse.Namespace, folder: Path) -> None:
    import torch

    from valle.training.codec_data import CodecData, make_codec_data
    from valle.training.codec_training import CodecRecipe, CodecTrainer, train_codec

    torch.set_num_threads(arguments.threads)
    path = folder / "codec_data.npz"
    if not path.exists():
        make_codec_data(arguments.utterances, arguments.seed).save(path)
    trainer = CodecTrainer(CodecData.load(path), CodecRecipe(seed=arguments.seed))
    run = Run(folder / "codec")
    run.stop_on_signals()
    state = run.load()
    if state is not None:
        trainer.restore(state)
    train_codec(trainer, run, _schedule(arguments, run, trainer.step, state))


def _model(arguments: argparse.Namespace, folder: Path) -> None:
    import torch

    from valle.training.corpus import Corpus
    from valle.training.model_training import ModelRecipe, ModelTrainer, ShardSource, train_model

    torch.set_num_threads(arguments.threads)
    trainer = ModelTrainer(ModelRecipe(seed=arguments.seed), Corpus())
    run = Run(folder / "model")
    run.stop_on_signals()
    state = run.load()
    if state is not None:
        trainer.restore(state)
    shards = ShardSource(folder, arguments.first_shards, arguments.shard_every, arguments.shards)
    train_model(trainer, run, _schedule(arguments, run, trainer.step, state), shards)


def _export(arguments: argparse.Namespace, folder: Path) -> None:
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.corpus import Corpus
    from valle.training.export import BUILTIN, export_codec, export_model, random_model
    from valle.training.model_training import ModelRecipe, ModelTrainer

    codec_path = BUILTIN / "codec.safetensors"
    if arguments.what == "codec":
        print(export_codec(Run(folder / "codec").load() or {}, codec_path))
        return
    codec, path = BuiltinCodec.load(codec_path), BUILTIN / "model.safetensors"
    if arguments.what == "random":
        print(export_model(random_model(arguments.seed), codec, 0, path, "random weights"))
        return
    trainer = ModelTrainer(ModelRecipe(), Corpus())
    trainer.restore(Run(folder / "model").load() or {})
    print(export_model(trainer.model, codec, trainer.step, path))


def main() -> None:
    """Run the command that the command line names."""
    arguments = _arguments().parse_args()
    folder = arguments.folder or training_folder()
    folder.mkdir(parents=True, exist_ok=True)
    commands = {"data": _data, "codec": _codec, "encode": _encode, "model": _model, "export": _export}
    commands[arguments.command](arguments, folder)


if __name__ == "__main__":
    main()
