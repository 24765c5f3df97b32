"""The command that measures a codec and a model."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valle.errors import UserError
from valle.training.runs import STATE

if TYPE_CHECKING:
    from valle.inference import Engine
    from valle.training.recogniser import Recogniser

HELDOUT_SEED = 987654


def evaluate(arguments: argparse.Namespace, folder: Path) -> None:
    """Measure, print, and keep what was found in `evaluation.json`."""
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
    from valle.training.evaluation import evaluate_model

    return _heard(evaluate_model, arguments, folder)


def _evaluate_tasks(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from valle.training.task_evaluation import evaluate_tasks

    return _heard(evaluate_tasks, arguments, folder)


def _heard(
    measure: Callable[[Engine, Recogniser, int], dict[str, Any]], arguments: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """What is measured of a model with the ears of the evaluation."""
    from valle.inference import Engine
    from valle.training.recogniser import load_recogniser

    ears = folder / "recogniser" / STATE
    if not ears.exists():
        raise UserError(f"{ears} is not there; make it with `data --shards 4` and `recogniser`")
    engine = Engine.load(arguments.model, threads=arguments.threads)
    try:
        return measure(engine, load_recogniser(ears), arguments.count)
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
    "tasks": _evaluate_tasks,
}
