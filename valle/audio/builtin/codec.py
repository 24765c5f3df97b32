"""The built-in codec: 24 kHz, 75 frames a second, eight codebooks of 1024."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from valle.audio.builtin.network import CodecNetwork, CodecShape, PitchReader, frame_phases, pulse_train
from valle.audio.builtin.pitch import HOP, SAMPLE_RATE, track_pitch
from valle.audio.builtin.source import frame_noise
from valle.audio.codec import Codes, Wave, tensors_hash
from valle.errors import UserError

NAME = "builtin-1"
# Of a sample: 2 frames of overlapping windows, 3 of each block, 1 for the source's bands, 2 for its windows,
# 1 for the edges of its pitch, and what the pitch reader sees. The window centres are half a frame off.
SOURCE_REACH = 2 + CodecShape.decoder_blocks * 3 + 1 + 2 + 1
LOOKAHEAD = SOURCE_REACH + PitchReader.REACH
LOWEST_PITCH, HIGHEST_PITCH = 55.0, 550.0
MAKE_CODES = ("encoder.", "codebooks")
"""How the names of the tensors begin that the codes depend on."""


def save_network(network: CodecNetwork, path: Path, name: str = NAME) -> None:
    """Write the network's tensors in float16, with name and sizes as metadata."""
    tensors = {key: value.detach().half().numpy() for key, value in network.state_dict().items()}
    metadata = {"format": "valle-codec", "name": name, "shape": json.dumps(asdict(network.shape))}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    save_file(tensors, temporary, metadata)
    temporary.chmod(0o644)
    temporary.replace(path)


def codes_hash(tensors: Mapping[str, NDArray[np.generic]]) -> str:
    """The hash of what makes codes: the encoder and the codebooks.

    What only makes sound of codes is left out, so that a better decoder disowns no voice and no session.
    """
    return tensors_hash({key: value for key, value in tensors.items() if key.startswith(MAKE_CODES)})


class BuiltinCodec:
    """The codec in a file that `save_network` wrote; see `valle.audio.codec.Codec`."""

    sample_rate = SAMPLE_RATE
    frame_rate = SAMPLE_RATE // HOP
    lookahead = LOOKAHEAD

    def __init__(self, network: CodecNetwork, name: str, fingerprint: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.name = name
        self.hash = fingerprint
        self.levels = network.shape.levels
        self.size = network.shape.size

    @classmethod
    def load(cls, path: Path) -> BuiltinCodec:
        """Read a codec; UserError for a file that is missing or is not one."""
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(f"codec {path}: cannot be read ({error})") from error
        if metadata.get("format") != "valle-codec":
            raise UserError(f"codec {path}: is not a file of the built-in codec")
        # Files that do not say how many spectra a frame has are of decoders that shape one.
        network = CodecNetwork(CodecShape(**{"spectra": 1, **json.loads(metadata["shape"])}))
        network.load_state_dict({key: torch.from_numpy(value).float() for key, value in tensors.items()})
        return cls(network, metadata["name"], codes_hash(tensors))

    @torch.inference_mode()
    def encode(self, wave: Wave) -> Codes:
        """Codes [frames, 8] of a wave; the last frame is filled up with silence. UserError if empty."""
        if wave.ndim != 1 or not len(wave):
            raise UserError(f"a wave to encode must be [samples] and not empty, not {list(wave.shape)}")
        padded = np.pad(wave.astype(np.float32), (0, -len(wave) % HOP))
        pitch, voicing = track_pitch(padded)
        inputs = [torch.from_numpy(values)[None] for values in (padded, pitch, voicing)]
        codes = self.network.quantise(self.network.encoder(*inputs))[0]
        return codes.numpy().astype(np.int16)

    def decode(self, codes: Codes) -> Wave:
        """The wave [frames * 320] of codes [frames, L], L of 1 to 8 leading codebooks."""
        stream = _Stream(self.network)
        stream.add(self._checked(codes))
        return stream.take(final=True)

    def decode_chunks(self, chunks: Iterable[Codes]) -> Iterator[Wave]:
        """Waves as chunks of codes arrive, the last one after the chunks have ended."""
        stream = _Stream(self.network)
        for chunk in chunks:
            stream.add(self._checked(chunk))
            yield stream.take(final=False)
        yield stream.take(final=True)

    def _checked(self, codes: Codes) -> Tensor:
        if codes.ndim != 2 or not 1 <= codes.shape[1] <= self.levels:
            raise UserError(f"codes must be [frames, 1 to {self.levels}], not {list(codes.shape)}")
        if codes.size and not (codes.min() >= 0 and codes.max() < self.size):
            raise UserError(f"codes must lie from 0 to {self.size - 1}, not {codes.min()} to {codes.max()}")
        return torch.from_numpy(codes.astype(np.int64))


class _Stream:
    """Decodes codes piece by piece. It keeps all codes, and pitch, voicing and phase of each frame."""

    def __init__(self, network: CodecNetwork) -> None:
        self._network = network
        self._codes: Tensor | None = None
        self._given = 0
        self._pitch = torch.zeros(0)
        self._voicing = torch.zeros(0)
        self._phase = torch.zeros(1, dtype=torch.float64)

    def add(self, codes: Tensor) -> None:
        """Append codes [frames, L]; every piece must have the same L."""
        if self._codes is not None and codes.shape[1] != self._codes.shape[1]:
            raise UserError("all chunks of codes must have the same number of levels")
        self._codes = codes if self._codes is None else torch.cat([self._codes, codes])

    @torch.inference_mode()
    def take(self, final: bool) -> NDArray[np.float32]:
        """The sound that is settled and was not given yet; with `final`, all that is left."""
        if self._codes is None:
            return np.zeros(0, np.float32)
        known = len(self._codes)
        end = known if final else max(self._given, known - LOOKAHEAD)
        if end == self._given:
            return np.zeros(0, np.float32)
        self._read_pitch(known if final else known - PitchReader.REACH)
        begin = max(0, self._given - SOURCE_REACH)
        stop = len(self._pitch)
        latents = self._network.vectors(self._codes[begin:stop][None])[0]
        # One frame more in front settles the edge of the first; its sound is thrown away.
        before = max(0, begin - 1)
        pitch, voicing = self._pitch[None, before:stop], self._voicing[None, before:stop]
        pulses = pulse_train(pitch, voicing, self._phase[None, before:stop])[:, (begin - before) * HOP :]
        noise = torch.from_numpy(frame_noise(begin, stop - begin))[None]
        wave = self._network.decoder(latents, pulses, noise)[0]
        piece = wave[(self._given - begin) * HOP : (end - begin) * HOP]
        self._given = end
        samples: NDArray[np.float32] = piece.numpy()
        return samples

    def _read_pitch(self, stop: int) -> None:
        """Settle pitch, voicing and phase of the frames up to `stop`."""
        assert self._codes is not None
        settled = len(self._pitch)
        begin = max(0, settled - PitchReader.REACH)
        total, first = self._network.vectors(self._codes[None, begin:])
        pitch, odds = (
            values[0, settled - begin : stop - begin] for values in self._network.pitch_reader(first, total)
        )
        self._pitch = torch.cat([self._pitch, pitch.clamp(LOWEST_PITCH, HIGHEST_PITCH)])
        self._voicing = torch.cat([self._voicing, (odds > 0).float()])
        # The turn of the last frame is not settled: its end depends on the next frame's pitch.
        known = len(self._phase) - 1
        around = max(0, known - 1)
        turns = frame_phases(self._pitch[None, around:])[0, known - around :]
        phases = self._phase[-1] + torch.cat([torch.zeros(1, dtype=torch.float64), turns[:-1].cumsum(0)])
        self._phase = torch.cat([self._phase[:-1], phases])
