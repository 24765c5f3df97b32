"""`python -m valle.training`: the recipe of the built-in voice, step by step or all of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from valle.training.runs import Run, Schedule, training_folder


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m valle.training", description=__doc__)
    parser.add_argument("--folder", type=Path, default=None, help="where the run lies (the user's cache folder)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(dest="command", required=True)
    codec = commands.add_parser("codec", help="train the codec")
    codec.add_argument("--utterances", type=int, default=5000)
    codec.add_argument("--steps", type=int, default=10000)
    codec.add_argument("--decay", type=float, default=0.35, help="share of the steps in which the rate falls")
    codec.add_argument("--finish", action="store_true", help="begin the decay now")
    data = commands.add_parser("data", help="render the shards that the model is trained on")
    data.add_argument("--shards", type=int, default=10)
    data.add_argument("--utterances", type=int, default=2000, help="in each shard")
    return parser


def _data(arguments: argparse.Namespace, folder: Path) -> None:
    from valle.training.speech import render_shard

    for index in range(arguments.shards):
        path = folder / f"rendered-{index:03}.npz"
        if not path.exists() and not (folder / f"speech-{index:03}.npz").exists():
            render_shard(arguments.utterances, 1000 * (arguments.seed + 1) + index).save(path)
            print(path, flush=True)


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
    schedule = Schedule.over(arguments.steps, arguments.decay)
    state = run.load()
    if state is not None:
        trainer.restore(state)
        schedule = Schedule(**state["schedule"])
        if arguments.finish:
            schedule = schedule.finishing(trainer.step, arguments.decay)
    train_codec(trainer, run, schedule)


def main() -> None:
    """Run the command that the command line names."""
    arguments = _arguments().parse_args()
    folder = arguments.folder or training_folder()
    folder.mkdir(parents=True, exist_ok=True)
    {"data": _data, "codec": _codec}[arguments.command](arguments, folder)


if __name__ == "__main__":
    main()
