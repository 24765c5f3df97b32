"""The commands that train the codec, the model and the recogniser, and write what they have become."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from valle.errors import UserError
from valle.training.runs import Run, Schedule

if TYPE_CHECKING:
    from valle.training.model_training import ModelTrainer

DECODER_RATE = 6e-4


class Trainer(Protocol):
    """What every trainer can do."""

    def restore(self, state: dict[str, Any]) -> None: ...


def _prepare(threads: int) -> None:
    """Set the threads, and let numbers near nought be nought: gradients have many, and they are slow."""
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def _resumed(trainer: Trainer, folder: Path) -> tuple[Run, dict[str, Any] | None]:
    """The run in a folder, and the state that the trainer goes on from if one was saved."""
    run = Run(folder)
    run.stop_on_signals()
    state = run.load()
    if state is not None:
        trainer.restore(state)
    return run, state


def _schedule(arguments: argparse.Namespace, step: int, state: dict[str, Any] | None) -> Schedule:
    if state is None:
        return Schedule.over(arguments.steps, arguments.decay, begin=step)
    schedule = Schedule(**state["schedule"])
    if arguments.more:
        return schedule.extended(step, arguments.more, arguments.decay)
    return schedule.finishing(step, arguments.decay) if arguments.finish else schedule


def codec(arguments: argparse.Namespace, folder: Path) -> None:
    """Train the codec, or its decoder alone."""
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.codec_data import CodecData, make_codec_data
    from valle.training.codec_training import CodecRecipe, CodecTrainer, train_codec
    from valle.training.export import BUILTIN

    _prepare(arguments.threads)
    path = folder / "codec_data.npz"
    if not path.exists():
        make_codec_data(arguments.utterances, arguments.seed).save(path)
    recipe = CodecRecipe(seed=arguments.seed)
    if arguments.decoder:
        recipe = replace(recipe, frozen=True, learning_rate=DECODER_RATE)
    trainer = CodecTrainer(CodecData.load(path), recipe)
    run, state = _resumed(trainer, folder / ("decoder" if arguments.decoder else "codec"))
    if state is None and arguments.decoder:
        trainer.adopt(BuiltinCodec.load(BUILTIN / "codec.safetensors").network)
    train_codec(trainer, run, _schedule(arguments, trainer.step, state))


def model(arguments: argparse.Namespace, folder: Path) -> None:
    """Train the model on the encoded shards that are there."""
    from valle.training.corpus import Corpus
    from valle.training.model_training import ModelRecipe, ModelTrainer, ShardSource, train_model
    from valle.training.speech import speech_path

    _prepare(arguments.threads)
    trainer = ModelTrainer(ModelRecipe(seed=arguments.seed), Corpus())
    run, state = _resumed(trainer, folder / "model")
    if state is None and arguments.start != "fresh":
        _start(trainer, arguments.start)
    there = next(index for index in itertools.count() if not speech_path(folder, index).exists())
    total = arguments.shards or there
    if not total:
        raise UserError(f"{folder} holds no shard; make one with `data` and `encode`, or with `recordings`")
    shards = ShardSource(folder, arguments.first_shards or total, arguments.shard_every, total)
    train_model(trainer, run, _schedule(arguments, trainer.step, state), shards)


def _start(trainer: ModelTrainer, name: str) -> None:
    """Go on from the weights of a model file, of as many steps as it says."""
    from valle.checkpoints import native
    from valle.inference import BUILTIN_MODEL

    path = BUILTIN_MODEL if name == "builtin" else Path(name)
    if not path.is_file():
        raise UserError(f"The model {name!r} is not there; give the path of a model file, or `fresh`.")
    loaded = native.load(path)
    trainer.adopt(loaded.model, loaded.details.steps)


def recogniser(arguments: argparse.Namespace, folder: Path) -> None:
    """Train the ears of the evaluation."""
    from valle.training.recogniser_training import (
        RecogniserRecipe,
        RecogniserTrainer,
        load_rendered,
        train_recogniser,
    )

    _prepare(arguments.threads)
    paths = sorted(folder.glob("rendered-*.npz"))
    if not paths:
        raise UserError(f"{folder} holds no rendered shard; make some with `data --shards 4`")
    trainer = RecogniserTrainer(load_rendered(paths), RecogniserRecipe(seed=arguments.seed))
    run, state = _resumed(trainer, folder / "recogniser")
    train_recogniser(trainer, run, _schedule(arguments, trainer.step, state))


def _saved(folder: Path) -> dict[str, Any]:
    state = Run(folder).load()
    if state is None:
        raise UserError(f"{folder} holds no training state; train it first")
    return state


def export(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the package's files, or another, from the saved runs."""
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.corpus import Corpus
    from valle.training.export import BUILTIN, export_codec, export_model, random_model
    from valle.training.model_training import ModelRecipe, ModelTrainer

    codec_path = BUILTIN / "codec.safetensors"
    if arguments.what in ("codec", "decoder"):
        print(export_codec(_saved(folder / arguments.what), arguments.out or codec_path))
        return
    codec, path = BuiltinCodec.load(codec_path), arguments.out or BUILTIN / "model.safetensors"
    if arguments.what == "random":
        print(export_model(random_model(arguments.seed), codec, 0, path, "random weights"))
        return
    trainer = ModelTrainer(ModelRecipe(), Corpus())
    trainer.restore(_saved(folder / "model"))
    print(export_model(trainer.averaged(), codec, trainer.step, path))
