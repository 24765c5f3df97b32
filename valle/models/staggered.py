"""A row whose positions have come through different numbers of layers: what leaving early needs.

LayerSkip (arXiv 2404.16710) leaves a model at an early layer and lets the others catch up later, from the
hidden states that are there. The layers that a position has left out are run when a later position first
needs their keys and values, for all positions that wait, in one pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.arch.attention import Mask
from valle.models.arch.cache import Cache, KeyValues
from valle.models.arch.llama import Llama
from valle.models.arch.observer import Observer
from valle.models.base import Inputs


class Window:
    """A cache in which the last positions are written up to a common end, layer by layer."""

    def __init__(self, state: KeyValues, end: int) -> None:
        self._state, self._end = state, end
        self.reading = state.reading

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write key and value [R, H, T, d] of the last T positions; return those of all, as views."""
        end, begin = self._end, self._end - key.shape[2]
        keys, values = self._state.keys[layer], self._state.values[layer]
        keys[:, :, begin:end] = key
        values[:, :, begin:end] = value
        return keys[:, :, :end], values[:, :, :end]


class Staggered:
    """One row that is written token by token. No position is ever deeper than the one before it.

    `layers` is how many the model has.
    """

    def __init__(self, model: ArNar, row: Inputs, capacity: int, observer: Observer | None = None) -> None:
        """Read the row with all layers, with room for `capacity` tokens; `first` are its next logits [1, V].

        Raises UserError for a backbone that has no layers of attention to leave out.
        """
        if not isinstance(model.model, Llama):
            raise UserError(
                f"The backbone {model.config.architecture} cannot be left at an early layer: what its layers "
                "keep is not filled in later."
            )
        self._model, self._backbone = model, model.model
        self.layers = model.config.layers
        cache, self.first = model.begin([row], capacity, observer)
        self._cache: Cache = cache
        assert isinstance(cache.state, KeyValues)
        self._state = cache.state
        self._hidden = self.first.new_zeros(1, 0, model.config.dim, dtype=model.sep.dtype)
        self._depths: list[int] = []
        self._table = model.table("response.0")

    @property
    def waiting(self) -> int:
        """Positions that some layer has not seen yet."""
        return sum(depth < self.layers for depth in self._depths)

    @torch.inference_mode()
    def append(self, token: Tensor) -> None:
        """Put a token [1] behind what is there; no layer has seen it yet."""
        done = sum(depth == self.layers for depth in self._depths)
        self._state.length += done
        self._depths = [*self._depths[done:], 0]
        embedded = functional.embedding(token.to(self._hidden.device), self._table)[None]
        embedded = self._backbone.place(embedded, self._positions(1, self._cache.step + 1))
        self._hidden = torch.cat([self._hidden[:, done:], embedded], 1)
        self._cache.step += 1

    @torch.inference_mode()
    def deepen(self, depth: int, observer: Observer | None = None) -> None:
        """Have the last position come through so many layers, and those before it that wait with it."""
        for layer in range(self._depths[-1], depth):
            first = next(at for at, reached in enumerate(self._depths) if reached <= layer)
            count = len(self._depths) - first
            window = Window(self._state, self._state.length + len(self._depths))
            positions = self._positions(count, self._cache.step)
            limit = self._cache.first_positions[0] + self._cache.step
            common = self._backbone.common(positions, limit, Mask(causal=count > 1), window, observer)
            block: nn.Module = self._backbone.layers[layer]
            self._hidden = torch.cat([self._hidden[:, :first], block(self._hidden[:, first:], common)], 1)
            self._depths[first:] = [layer + 1] * count

    @torch.inference_mode()
    def answer(self, count: int = 1) -> Tensor:
        """The float32 logits [count, V] after the last positions, by the layers that these have seen."""
        return self._model.answer("ar", self._backbone.norm(self._hidden[0, -count:]))

    def back(self, count: int) -> None:
        """Forget the last positions; none of them may have been followed by another `append` when done."""
        if count:
            self._hidden, self._depths = self._hidden[:, :-count], self._depths[:-count]
            self._cache.step -= count

    def _positions(self, count: int, step: int) -> Tensor:
        """Where the last tokens stand once there are `step` of them, [1, count]."""
        first = self._cache.first_positions[0]
        return torch.arange(first + step - count, first + step, device=self._hidden.device)[None]
