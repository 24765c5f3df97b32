"""How sure each layer of a model is, and how often it agrees with all of them: what thresholds are made from.

Told by one pass over takes that are there, without changing anything of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from valle.models.ar_nar import ArNar
from valle.models.arch.llama import Llama
from valle.models.base import Inputs
from valle.samplers.measures import BIT

Floats = NDArray[np.float32]
_FLOOR = -80.0


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """Of each layer but the last and each decision, [layers - 1, decisions].

    Entropy in bits and varentropy in bits squared of the layer's own logits; `agrees`: whether its best id is
    that of all layers; `divergence`: Kullback-Leibler, in bits, of all layers' distribution from the layer's.
    """

    entropy: Floats
    varentropy: Floats
    agrees: NDArray[np.bool_]
    divergence: Floats

    def __len__(self) -> int:
        return self.entropy.shape[1]


@torch.inference_mode()
def layer_measures(model: ArNar, row: Inputs) -> LayerMeasures:
    """Measure the decisions of a row's level 0, response included; the row is read in one pass.

    Raises ValueError for a backbone without layers of attention.
    """
    if not isinstance(model.model, Llama):
        raise ValueError(f"{model.config.architecture} has no layers that can be left early")
    backbone = model.model
    streams: list[Tensor] = []
    handles = [
        block.register_forward_hook(lambda _module, _inputs, output: streams.append(output))
        for block in backbone.layers
    ]
    try:
        (final,) = model.full([row])
    finally:
        for handle in handles:
            handle.remove()
    (layout,) = model.layouts([row])
    norm: nn.Module = backbone.norm
    early = [model.answer("ar", norm(stream[0, layout.outputs])) for stream in streams[:-1]]
    return _measured(torch.stack(early), final)


def joined(parts: list[LayerMeasures]) -> LayerMeasures:
    """The decisions of several rows."""
    names = ("entropy", "varentropy", "agrees", "divergence")
    return LayerMeasures(*(np.concatenate([getattr(part, name) for part in parts], 1) for name in names))


def _measured(early: Tensor, final: Tensor) -> LayerMeasures:
    log_early, log_final = early.log_softmax(-1), final.log_softmax(-1)
    probability = log_early.exp()
    bits = -BIT * log_early.clamp_min(_FLOOR)
    entropy = (probability * bits).sum(-1)
    varentropy = (probability * (bits - entropy[..., None]) ** 2).sum(-1)
    divergence = BIT * (log_final.exp() * (log_final - log_early)).sum(-1)
    agrees = early.argmax(-1) == final.argmax(-1)
    return LayerMeasures(
        entropy.cpu().numpy(), varentropy.cpu().numpy(), agrees.cpu().numpy(), divergence.cpu().numpy()
    )
