"""EnCodec at 24 kHz and 6 kbit/s, the codec of the published models, by the package `encodec`.

Source: Défossez et al. 2022, arXiv 2210.13438. Its weights are not part of this program; see
`valle.audio.weights`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from valle.audio import weights
from valle.audio.codec import Codes, Wave, tensors_hash
from valle.errors import UserError

if TYPE_CHECKING:
    from encodec import EncodecModel

NAME = "encodec"
LEVELS, SIZE = 8, 1024
SAMPLE_RATE, HOP = 24_000, 320
BANDWIDTH = 6.0
LOOKAHEAD = 6
"""Frames: the first layer of the decoder begins by looking at so many after the first, and at none later."""
AT_ONCE = 60 * SAMPLE_RATE
"""Samples that are coded in one go, as the package does; more go in pieces, so that memory stays bounded."""
PIECE = 10 * SAMPLE_RATE
_MAKE_CODES = ("encoder.", *(f"quantizer.vq.layers.{level}._codebook.embed" for level in range(LEVELS)))


class Encodec:
    """EnCodec with the weights of a file; see `valle.audio.codec.Codec`. Computes on the CPU."""

    name = NAME
    sample_rate = SAMPLE_RATE
    frame_rate = SAMPLE_RATE // HOP
    levels = LEVELS
    size = SIZE
    lookahead = LOOKAHEAD

    def __init__(self, model: EncodecModel) -> None:
        """Take a model of the package, which is not changed but for the bandwidth."""
        model.set_target_bandwidth(BANDWIDTH)
        self.model = model.eval().requires_grad_(False)
        tensors = {
            name: tensor.numpy()
            for name, tensor in model.state_dict().items()
            if name.startswith("encoder.") or name in _MAKE_CODES
        }
        self.hash = tensors_hash(tensors)

    @classmethod
    def load(cls, path: Path) -> Encodec:
        """Load the weights of a file, or of a folder with the package's file.

        Raises UserError for a file that is missing, damaged, or not the weights of this codec.
        """
        from valle.checkpoints.pickled import load_plain

        file = path / weights.FILE_NAME if path.is_dir() else path
        if not file.is_file():
            raise UserError(f"codec {file}: there is no such file")
        _check(file)
        state = load_plain(file)
        model = _untrained()
        _refuse_other(file, state, model.state_dict())
        model.load_state_dict(state)
        return cls(model)

    @torch.inference_mode()
    def encode(self, wave: Wave) -> Codes:
        """Codes [frames, 8] of a wave, as the package makes them. UserError if it is empty."""
        if wave.ndim != 1 or not len(wave):
            raise UserError(f"a wave to encode must be [samples] and not empty, not {list(wave.shape)}")
        samples = torch.from_numpy(wave.astype(np.float32))[None, None]
        if len(wave) <= AT_ONCE:
            ((codes, _),) = self.model.encode(samples)
        else:
            from valle.audio.encodec_stream import Stream

            stream = Stream(self.model.encoder.model)
            pieces = list(samples.split(PIECE, dim=-1))
            latents = [stream.run(piece, final=piece is pieces[-1]) for piece in pieces]
            frame_rate, bandwidth = self.model.frame_rate, self.model.bandwidth
            codes = self.model.quantizer.encode(torch.cat(latents, -1), frame_rate, bandwidth).transpose(0, 1)
        return np.ascontiguousarray(codes[0].T.numpy().astype(np.int16))

    @torch.inference_mode()
    def decode(self, codes: Codes) -> Wave:
        """The wave [frames * 320] of codes [frames, L], L of 1 to 8 leading codebooks."""
        checked = self._checked(codes)
        if not len(codes):
            return np.zeros(0, np.float32)
        if len(codes) * HOP > AT_ONCE:
            pieces = (codes[start : start + PIECE // HOP] for start in range(0, len(codes), PIECE // HOP))
            return np.concatenate(list(self.decode_chunks(pieces)))
        samples: Wave = self.model.decode([(checked, None)])[0, 0].numpy()
        return samples

    def decode_chunks(self, chunks: Iterable[Codes]) -> Iterator[Wave]:
        """Waves as chunks of codes arrive: nothing before the seventh frame, then all sound of each chunk."""
        from valle.audio.encodec_stream import Stream

        stream = Stream(self.model.decoder.model)
        held: list[Codes] = []
        begun = False
        for chunk in chain(chunks, [None]):
            if chunk is not None:
                self._checked(chunk)
                held.append(chunk)
            if chunk is None and not begun:
                yield self.decode(np.concatenate(held)) if held else np.zeros(0, np.float32)
                return
            waiting = sum(map(len, held))
            if waiting == 0 or (not begun and waiting <= LOOKAHEAD):
                yield np.zeros(0, np.float32)
                continue
            begun = True
            yield self._next(stream, np.concatenate(held))
            held = []

    @torch.inference_mode()
    def _next(self, stream: Any, codes: Codes) -> Wave:
        latents = self.model.quantizer.decode(self._checked(codes).transpose(0, 1))
        samples: Wave = stream.run(latents, final=False)[0, 0].numpy()
        return samples

    def _checked(self, codes: Codes) -> Tensor:
        """Codes as the package has them, [1, L, frames]."""
        if codes.ndim != 2 or not 1 <= codes.shape[1] <= LEVELS:
            raise UserError(f"codes must be [frames, 1 to {LEVELS}], not {list(codes.shape)}")
        if codes.size and not (codes.min() >= 0 and codes.max() < SIZE):
            raise UserError(f"codes must lie from 0 to {SIZE - 1}, not {codes.min()} to {codes.max()}")
        return torch.from_numpy(codes.T.astype(np.int64))[None]


def _untrained() -> EncodecModel:
    from encodec import EncodecModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch on the package's way of normalising weights
        return EncodecModel.encodec_model_24khz(pretrained=False)


def _check(file: Path) -> None:
    promised = weights.checksum_of(file.name)
    if promised is None:
        return
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if not digest.startswith(promised):
        raise UserError(f"codec {file}: is cut short or damaged (its sha256 does not begin with {promised})")


def _refuse_other(file: Path, state: Any, wanted: Mapping[str, Tensor]) -> None:
    found = state if isinstance(state, Mapping) else {}
    for name, tensor in wanted.items():
        shape = getattr(found.get(name), "shape", None)
        if shape is None:
            raise UserError(f"codec {file}: has no tensor {name}; it is not EnCodec's 24 kHz model")
        if shape != tensor.shape:
            raise UserError(
                f"codec {file}: tensor {name} is {list(shape)}, EnCodec's is {list(tensor.shape)}"
            )
    if extra := sorted(set(found) - set(wanted)):
        raise UserError(f"codec {file}: has the tensor {extra[0]}; it is not EnCodec's 24 kHz model")
