"""The commands that make what is trained on, and the recordings of the package."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from valle.errors import UserError

if TYPE_CHECKING:
    from valle.training.recordings import Recording
    from valle.training.speech import SpeechShard

VOICES_A_LINE = 2
"""So that the past of a row can be in another voice than what is asked for."""
RECORDINGS = "recordings.jsonl"
"""What the shard of a run was encoded from, a line each."""


def data(arguments: argparse.Namespace, folder: Path) -> None:
    """Render shards: waves, pitch, ids, alignment."""
    from valle.training.speech import render_shard, rendered_path, speech_path

    for index in range(arguments.shards):
        path = rendered_path(folder, index)
        if not path.exists() and not speech_path(folder, index).exists():
            seed = 1000 * (arguments.seed + 1) + index
            render_shard(arguments.utterances, seed, voices=VOICES_A_LINE).save(path)
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
    from valle.training.recordings import find_recordings
    from valle.training.speech import speech_path

    path = next(path for path in (speech_path(folder, i) for i in itertools.count()) if not path.exists())
    _save(_encoded(find_recordings(arguments.recordings)), path)


def keep_recordings(source: Path, place: Path) -> None:
    """Encode a folder of recordings into the shard of a run in `place`, unless it is there already.

    Raises UserError where recordings cannot be found or used, and where the run's shard is of others.
    """
    from valle.training.recordings import find_recordings, listing
    from valle.training.speech import speech_path

    found, path, list_path = find_recordings(source), speech_path(place, 0), place / RECORDINGS
    own = listing(found, source)
    if not path.exists():
        shard = _encoded(found)
        place.mkdir(parents=True, exist_ok=True)
        list_path.write_text(own, encoding="utf-8")
        _save(shard, path)
    elif not list_path.exists() or list_path.read_text(encoding="utf-8") != own:
        raise UserError(
            f"{source}: holds other recordings than those that the run began with ({list_path}); "
            "leave --recordings out to go on with it, or begin another with --name NAME."
        )


def _encoded(found: list[Recording]) -> SpeechShard:
    """The shard of recordings, in codes of the package's codec; what cannot be used is named."""
    from valle.audio.builtin.codec import BuiltinCodec
    from valle.training.export import BUILTIN
    from valle.training.recordings import encode_recordings

    shard, left_out = encode_recordings(found, BuiltinCodec.load(BUILTIN / "codec.safetensors"))
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    return shard


def _save(shard: SpeechShard, path: Path) -> None:
    from valle.request import FRAME_RATE

    shard.save(path)
    print(f"{path}: {len(shard.speakers)} recordings, {len(shard.codes) / FRAME_RATE:.1f} s")


def voices(_arguments: argparse.Namespace, _folder: Path) -> None:
    """Record the voices of the package."""
    from valle.training.export import BUILTIN
    from valle.training.voices import record_voices

    for voice in record_voices(BUILTIN / "voices"):
        print(f"{voice.name}: {voice.seconds:.2f} s")
