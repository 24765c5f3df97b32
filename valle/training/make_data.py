"""The commands that make what is trained on, and the recordings of the package."""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path


def data(arguments: argparse.Namespace, folder: Path) -> None:
    """Render shards: waves, pitch, ids, alignment."""
    from valle.training.speech import render_shard, rendered_path, speech_path

    for index in range(arguments.shards):
        path = rendered_path(folder, index)
        if not path.exists() and not speech_path(folder, index).exists():
            render_shard(arguments.utterances, 1000 * (arguments.seed + 1) + index).save(path)
            print(path, flush=True)


def encode(arguments: argparse.Namespace, folder: Path) -> None:
    """Turn rendered shards into codes of the package's codec, as they appear."""
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


def recordings(arguments: argparse.Namespace, folder: Path) -> None:
    """Make a shard of one's own recordings; what cannot be used is named."""
    from valle.training.speech import speech_path
    from valle.training.train import encode_folder

    path = next(path for path in (speech_path(folder, i) for i in itertools.count()) if not path.exists())
    encode_folder(arguments.recordings, path)


def voices(_arguments: argparse.Namespace, _folder: Path) -> None:
    """Record the voices of the package."""
    from valle.training.export import BUILTIN
    from valle.training.voices import record_voices

    for voice in record_voices(BUILTIN / "voices"):
        print(f"{voice.name}: {voice.seconds:.2f} s")
