"""`python -m valle.training`: what each of its commands does."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valle.errors import UserError
from valle.training.arguments import parser
from valle.training.runs import STATE, Run, Schedule, training_folder

if TYPE_CHECKING:
    from valle.training.model_training import ModelTrainer

FRAME_RATE = 75
HELDOUT_SEED = 987654


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
        return Schedule.over(arguments.steps, arguments.decay, begin=step)
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
    from valle.training.speech import speech_path

    _prepare(arguments.threads)
    trainer = ModelTrainer(ModelRecipe(seed=arguments.seed), Corpus())
    run = Run(folder / "model")
    run.stop_on_signals()
    state = run.load()
    if state is not None:
        trainer.restore(state)
    elif arguments.start != "fresh":
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


def _recordings(arguments: argparse.Namespace, folder: Path) -> None:
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.export import BUILTIN
    from valle.training.recordings import encode_recordings, find_recordings
    from valle.training.speech import speech_path

    found = find_recordings(arguments.recordings)
    shard, left_out = encode_recordings(found, BuiltinCodec.load(BUILTIN / "codec.safetensors"))
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    path = next(path for path in (speech_path(folder, i) for i in itertools.count()) if not path.exists())
    shard.save(path)
    print(f"{path}: {len(shard.speakers)} recordings, {len(shard.codes) / FRAME_RATE:.1f} s")


def _recogniser(arguments: argparse.Namespace, folder: Path) -> None:
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
    run = Run(folder / "recogniser")
    run.stop_on_signals()
    state = run.load()
    if state is not None:
        trainer.restore(state)
    train_recogniser(trainer, run, _schedule(arguments, trainer.step, state))


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
        print(export_codec(_saved(folder / "codec"), arguments.out or codec_path))
        return
    codec, path = BuiltinCodec.load(codec_path), arguments.out or BUILTIN / "model.safetensors"
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

    torch.set_num_threads(arguments.threads)
    path = folder / "evaluation.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for what in arguments.what:
        found[what] = EVALUATIONS[what](arguments, folder)
        path.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def _evaluate_codec(arguments: argparse.Namespace, _folder: Path) -> dict[str, Any]:
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.codec_evaluation import evaluate_codec_on_all
    from valle.training.export import BUILTIN

    codec = BuiltinCodec.load(arguments.codec or BUILTIN / "codec.safetensors")
    return evaluate_codec_on_all(codec, arguments.count)


def _evaluate_model(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from valle.inference import Engine
    from valle.training.evaluation import evaluate_model
    from valle.training.recogniser import load_recogniser

    ears = folder / "recogniser" / STATE
    if not ears.exists():
        raise UserError(f"{ears} is not there; make it with `data --shards 4` and `recogniser`")
    engine = Engine.load(arguments.model, threads=arguments.threads)
    try:
        return evaluate_model(engine, load_recogniser(ears), arguments.count)
    finally:
        engine.close()


def _evaluate_heldout(arguments: argparse.Namespace, _folder: Path) -> dict[str, Any]:
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.checkpoints import native
    from valle.inference import BUILTIN_CODEC, BUILTIN_MODEL
    from valle.training.corpus import Corpus
    from valle.training.heldout import heldout_losses
    from valle.training.speech import encode_shard, render_shard
    from valle.training.text import unseen_line

    model = native.load(BUILTIN_MODEL if arguments.model == "builtin" else Path(arguments.model)).model
    corpus = Corpus()
    shard = render_shard(max(100, arguments.count), HELDOUT_SEED, unseen_line)
    corpus.add(encode_shard(shard, BuiltinCodec.load(BUILTIN_CODEC).network))
    return heldout_losses(model, corpus)


EVALUATIONS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "codec": _evaluate_codec,
    "heldout": _evaluate_heldout,
    "model": _evaluate_model,
}


def _all(arguments: argparse.Namespace, _folder: Path) -> None:
    """Every step in its order, each as if it had been called with its defaults."""
    common = ["--threads", str(arguments.threads), "--seed", str(arguments.seed)]
    if arguments.folder:
        common += ["--folder", str(arguments.folder)]
    codec = ("codec", "export codec", "voices", "data", "encode")
    for step in (*codec, "model --start fresh", "export model", "recogniser", "evaluate"):
        run([*common, *step.split()])


COMMANDS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "data": _data,
    "codec": _codec,
    "encode": _encode,
    "recordings": _recordings,
    "recogniser": _recogniser,
    "model": _model,
    "export": _export,
    "voices": _voices,
    "evaluate": _evaluate,
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
