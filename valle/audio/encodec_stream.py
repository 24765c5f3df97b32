"""EnCodec's causal layers, piece by piece: each keeps what it still needs of the pieces before."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Stream:
    """Runs the layers of EnCodec's encoder or decoder over a sequence that comes in pieces.

    What all pieces give together is what the package makes of the whole. The first piece must be longer than
    6 frames, the padding of the widest layer; the encoder's pieces, but for the last, multiples of a frame.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        from encodec import modules
        from encodec.modules.seanet import SEANetResnetBlock

        self._layers = layers
        self._by_kind = {
            modules.SConv1d: self._convolution,
            modules.SConvTranspose1d: self._transposed,
            modules.SLSTM: self._recurrence,
            SEANetResnetBlock: self._block,
        }
        self._kept: dict[nn.Module, Tensor] = {}
        self._states: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def run(self, piece: Tensor, final: bool) -> Tensor:
        """What the layers make of the next piece [1, channels, length]; `final` says that it is the last."""
        return self._sequence(self._layers, piece, final)

    def _sequence(self, layers: nn.Sequential, x: Tensor, final: bool) -> Tensor:
        for layer in layers:
            kind = self._by_kind.get(type(layer))
            x = layer(x) if kind is None else kind(layer, x, final)
        return x

    def _block(self, layer: Any, x: Tensor, final: bool) -> Tensor:
        around = x if isinstance(layer.shortcut, nn.Identity) else self._convolution(layer.shortcut, x, final)
        return around + self._sequence(layer.block, x, final)

    def _convolution(self, layer: Any, x: Tensor, final: bool) -> Tensor:
        convolution = layer.conv.conv
        (kernel,), (stride,), (dilation,) = convolution.kernel_size, convolution.stride, convolution.dilation
        before = (kernel - 1) * dilation - (stride - 1)
        if layer in self._kept:
            x = torch.cat([self._kept[layer], x], -1)
        elif before:
            x = functional.pad(x, (before, 0), layer.pad_mode)
        if final and (missing := -(x.shape[-1] - before) % stride):
            x = functional.pad(x, (0, missing), layer.pad_mode)
        self._kept[layer] = x[..., x.shape[-1] - before :]
        made: Tensor = layer.conv(x)
        return made

    def _transposed(self, layer: Any, x: Tensor, final: bool) -> Tensor:
        """An input reaches over its own outputs and the next; those of the one before are given again."""
        (stride,) = layer.convtr.convtr.stride
        length = x.shape[-1] * stride
        if layer in self._kept:
            before, x = self._kept[layer], torch.cat([self._kept[layer], x], -1)
        else:
            before = x[..., :0]
        self._kept[layer] = x[..., -1:]
        made: Tensor = layer.convtr(x)[..., before.shape[-1] * stride :][..., :length]
        return made

    def _recurrence(self, layer: Any, x: Tensor, final: bool) -> Tensor:
        steps = x.permute(2, 0, 1)
        given, self._states[layer] = layer.lstm(steps, self._states.get(layer))
        made: Tensor = given + steps if layer.skip else given
        return made.permute(1, 2, 0)
