"""The commands that train the codec, the model and the recogniser, and write what they have become."""

from __future__ import annotations

import argparse
import gc
import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valle.errors import UserError
from valle.training.arguments import given_settings

if TYPE_CHECKING:
    from valle.training.codec_data import CodecData
    from valle.training.model_recipe import ModelRecipe
    from valle.training.model_training import ModelTrainer, ShardSource
    from valle.training.processes import Processes
    from valle.training.runs import Run, Schedule, Trainer

DECODER_RATE = 6e-4
WARMUP, DECAY = 100, 0.3


def _prepare(threads: int) -> None:
    """Set the threads, and let numbers near nought be nought: gradients have many, and they are slow."""
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def _resumed(trainer: Trainer, folder: Path) -> tuple[Run, dict[str, Any] | None]:
    """The run in a folder, and the state that the trainer goes on from if one was saved."""
    from valle.training.runs import Run

    run = Run(folder)
    run.stop_on_signals()
    state = run.load()
    if state is not None:
        trainer.restore(state)
    return run, state


def _schedule(arguments: argparse.Namespace, step: int, state: dict[str, Any] | None) -> Schedule:
    """The schedule of a fresh run, or of the saved one, which the command line must not contradict."""
    from valle.training.runs import Schedule, fall_of

    for name, least in (("steps", 1), ("more", 0), ("warmup", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise UserError(f"--{name} is {value}, it must be {least} or more")
    decay = DECAY if arguments.decay is None else arguments.decay
    if not 0 < decay <= 1:
        raise UserError(f"--decay is {decay:g}, it must be a share above 0, 1 at most")
    if state is None:
        steps, warmup = arguments.steps or arguments.usual_steps, arguments.warmup or WARMUP
        return Schedule.over(steps, decay, warmup, begin=step, fall=arguments.fall or "linear")
    schedule = Schedule(**state["schedule"])
    _require_same("warmup", arguments.warmup, schedule.warmup)
    if arguments.more or arguments.finish:
        schedule = replace(schedule, fall=arguments.fall or schedule.fall)
        if arguments.more:
            return schedule.extended(step, arguments.more, decay)
        return schedule.finishing(step, decay)
    planned = schedule.last_step - schedule.begin
    if arguments.steps not in (None, planned):
        raise UserError(
            f"The saved run is one of {planned} steps, not {arguments.steps}; leave --steps out to go on, "
            "or give --more N for N steps after them."
        )
    _require_same("fall", arguments.fall, schedule.fall)
    if arguments.decay is not None and fall_of(planned, decay) != schedule.decay_steps:
        _require_same("decay", decay, round(schedule.decay_steps / planned, 3))
    return schedule


def _require_same(name: str, given: object, saved: object) -> None:
    if given not in (None, saved):
        raise UserError(
            f"The saved run was begun with {name} {saved}, not {given}; leave --{name} out to go on with it."
        )


def codec(arguments: argparse.Namespace, folder: Path) -> None:
    """Train the codec, or its decoder alone."""
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.codec_data import CodecData, make_codec_data
    from valle.training.codec_training import CodecRecipe, CodecTrainer
    from valle.training.export import BUILTIN
    from valle.training.phoneme_ear import phoneme_ear
    from valle.training.runs import train

    if arguments.spoken and not arguments.decoder:
        raise UserError("--spoken has an effect only with --decoder; add it")
    _prepare(arguments.threads)
    path = folder / "codec_data.npz"
    if not path.exists():
        make_codec_data(arguments.utterances, arguments.seed).save(path)
    recipe = CodecRecipe(seed=arguments.seed)
    if arguments.decoder:
        recipe = replace(recipe, frozen=True, learning_rate=DECODER_RATE)
    data = own = CodecData.load(path)
    if arguments.spoken:
        data = own.joined(_spoken(folder, arguments))
    ear = phoneme_ear(folder / "phoneme_ear.pt", own) if arguments.decoder else None
    trainer = CodecTrainer(data, recipe, ear)
    run, state = _resumed(trainer, folder / ("decoder" if arguments.decoder else "codec"))
    if state is None and arguments.decoder:
        trainer.adopt(BuiltinCodec.load(BUILTIN / "codec.safetensors").network)
    train(trainer, run, _schedule(arguments, trainer.step, state))


def _spoken(folder: Path, arguments: argparse.Namespace) -> CodecData:
    """What the package's model makes of the first shard, made once."""
    from valle.checkpoints import native
    from valle.inference import BUILTIN_MODEL
    from valle.training.codec_data import CodecData
    from valle.training.speech import RenderedShard, SpeechShard, rendered_path, speech_path
    from valle.training.spoken import spoken_data

    path = folder / "spoken.npz"
    if not path.exists():
        for needed in (rendered_path(folder, 0), speech_path(folder, 0)):
            if not needed.exists():
                raise UserError(f"{needed} is not there; make it with `data` and `encode`")
        shards = RenderedShard.load(rendered_path(folder, 0)), SpeechShard.load(speech_path(folder, 0))
        own = native.load(BUILTIN_MODEL).model
        spoken_data(own, *shards, arguments.spoken, arguments.seed).save(path)
    return CodecData.load(path)


def model(arguments: argparse.Namespace, folder: Path) -> None:
    """Train a model on the encoded shards that are there, or on recordings; alone, or under torchrun."""
    from valle.training.processes import Processes

    _prepare(arguments.threads)
    processes = Processes.join(arguments.device)
    try:
        _train_model(arguments, folder, processes)
    finally:
        processes.leave()
        gc.unfreeze()  # else nothing in cycles is freed at exit, and triton tells of each of its objects


def _train_model(arguments: argparse.Namespace, folder: Path, processes: Processes) -> None:
    from valle.training.corpus import Corpus
    from valle.training.model_training import ModelTrainer
    from valle.training.runs import STATE, Run, train

    place = folder / arguments.run
    state = Run(place).load() if (place / STATE).exists() else None
    recipe = _recipe(arguments, state)
    trainer = ModelTrainer(recipe, Corpus(), processes)
    if state is not None:
        trainer.restore(state)
    schedule = None if state is None else _schedule(arguments, trainer.step, state)
    shards = _shards(arguments, folder, processes, begun=state is not None)
    if state is None:
        _start(trainer, arguments.start)
        schedule = _schedule(arguments, trainer.step, None)
    assert schedule is not None
    run = Run(place)
    run.stop_on_signals()
    begin = schedule.begin
    train(trainer, run, schedule, 25, lambda step: shards.fill(trainer.corpus, step - begin), processes)


def _recipe(arguments: argparse.Namespace, state: dict[str, Any] | None) -> ModelRecipe:
    """The recipe of a fresh run, or of the saved one, which the command line must not contradict."""
    from valle.training.model_recipe import ModelRecipe, restored, settle

    given = given_settings(arguments)
    if state is None:
        return settle({"seed": arguments.seed, **given}, None)
    saved = restored(state["recipe"]) if "recipe" in state else ModelRecipe(seed=arguments.seed)
    if arguments.seed:
        given["seed"] = arguments.seed
    return settle(given, saved, stretch=arguments.more > 0)


def _shards(arguments: argparse.Namespace, folder: Path, processes: Processes, begun: bool) -> ShardSource:
    """What is trained on: the shards of the folder, or that of the recordings, which is kept with the run."""
    from valle.training.make_data import keep_recordings
    from valle.training.model_training import ShardSource
    from valle.training.speech import speech_path

    place, recordings = folder / arguments.run, arguments.recordings
    has_own = speech_path(place, 0).exists()
    if begun and not has_own and recordings is not None and not arguments.more:
        raise UserError(
            "The saved run is not one of recordings; leave --recordings out to go on with it, give --more N "
            "to train it on them for N steps, or begin another with --name NAME."
        )
    if recordings is not None and processes.is_first:
        keep_recordings(recordings, place)
    if recordings is not None or has_own:
        return ShardSource(place, 1, arguments.shard_every, 1)
    there = next(index for index in itertools.count() if not speech_path(folder, index).exists())
    total = arguments.shards or there
    if not total:
        raise UserError(
            f"{folder} holds no shard; make one with `data` and `encode`, or train with --recordings FOLDER"
        )
    return ShardSource(folder, arguments.first_shards or total, arguments.shard_every, total)


def _start(trainer: ModelTrainer, name: str | None) -> None:
    """Go on from the weights of a model file, of as many steps as it says, or begin with nothing.

    Without a name it is the model of the package, where that has the shape of the one that is trained.
    """
    from valle.checkpoints import native
    from valle.inference import BUILTIN_MODEL

    if name is None:
        same = native.read_details(BUILTIN_MODEL).config == trainer.model.config
        name = "builtin" if same else "fresh"
    if name == "fresh":
        return
    path = BUILTIN_MODEL if name == "builtin" else Path(name)
    if not path.is_file():
        raise UserError(f"The model {name!r} is not there; give the path of a model file, or `fresh`.")
    loaded = native.load(path)
    trainer.adopt(loaded.model, loaded.details.steps)


def recogniser(arguments: argparse.Namespace, folder: Path) -> None:
    """Train the ears of the evaluation."""
    from valle.training.recogniser_training import RecogniserRecipe, RecogniserTrainer, load_rendered
    from valle.training.runs import train

    _prepare(arguments.threads)
    paths = sorted(folder.glob("rendered-*.npz"))
    if not paths:
        raise UserError(f"{folder} holds no rendered shard; make some with `data --shards 4`")
    trainer = RecogniserTrainer(load_rendered(paths), RecogniserRecipe(seed=arguments.seed))
    run, state = _resumed(trainer, folder / "recogniser")
    train(trainer, run, _schedule(arguments, trainer.step, state))


def _saved(folder: Path) -> dict[str, Any]:
    from valle.training.runs import STATE, Run

    state = Run(folder).load() if (folder / STATE).exists() else None
    if state is None:
        raise UserError(f"{folder} holds no training state; train it first")
    return state


def export(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the package's files, or another, from the saved runs."""
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.corpus import Corpus
    from valle.training.export import BUILTIN, export_codec, export_model, random_model
    from valle.training.model_recipe import ModelRecipe, restored
    from valle.training.model_training import ModelTrainer

    codec_path = BUILTIN / "codec.safetensors"
    if arguments.what in ("codec", "decoder"):
        print(export_codec(_saved(folder / arguments.what), arguments.out or codec_path))
        return
    codec, path = BuiltinCodec.load(codec_path), arguments.out or BUILTIN / "model.safetensors"
    if arguments.what == "random":
        print(export_model(random_model(arguments.seed), codec, 0, path, "random weights"))
        return
    state = _saved(folder / arguments.run)
    recipe = restored(state["recipe"]) if "recipe" in state else ModelRecipe()
    if arguments.out is None and recipe.config() != ModelRecipe().config():
        raise UserError(
            f"The run {arguments.run!r} is not of the built-in model's shape; name a file with --out."
        )
    trainer = ModelTrainer(recipe, Corpus())
    trainer.restore(state)
    print(export_model(trainer.averaged(), codec, trainer.step, path))
