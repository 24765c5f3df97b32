"""What the stages know about the rows they work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers import noise as philox
from valle.samplers.errors import StackError

Integers = philox.Integers


@dataclass(frozen=True, slots=True)
class AttentionMeasures:
    """Attention of the last query, averaged over the heads of each layer, each [R, layers].

    Entropy in bits, varentropy in bits squared; agreement of the heads from 0 to 1; interaction is the mean
    absolute raw score.
    """

    entropy: Tensor
    varentropy: Tensor
    agreement: Tensor
    interaction: Tensor

    def over(self, layers: Sequence[int] = ()) -> AttentionMeasures:
        """The averages [R] over these layers, counted from 0, or over all.

        Raises StackError for a layer that the model does not have.
        """
        count = self.entropy.shape[1]
        if beyond := [layer for layer in layers if layer >= count]:
            raise StackError(f"there is no layer {beyond[0]}: the model has {count}, counted from 0")
        picked = list(layers) or slice(None)
        parts = {field.name: getattr(self, field.name)[:, picked].mean(1) for field in fields(self)}
        return AttentionMeasures(**parts)


@dataclass(frozen=True, slots=True)
class Rows:
    """R rows of one phase, which may be of different takes, segments, hypotheses, levels, steps and
    positions.

    ``past`` [R, P] holds the row's own earlier ids of the same codebook in the same segment, oldest first,
    padded at the end; ``past_length`` [R] says how many count. ``raw`` [R, V] are the conditional logits as
    the model gave them (put in by the runner), ``null`` [R, V] those of the null pass where there is
    guidance. ``occurrence`` is that of the stage that is running. Arrays of integers are numpy's, on the CPU.
    """

    phase: str
    seed: NDArray[np.uint64]
    take: Integers
    segment: Integers
    hypothesis: Integers
    level: Integers
    step: Integers
    position: Integers
    past: Tensor | None = None
    past_length: Tensor | None = None
    stop: int | None = None
    raw: Tensor | None = None
    null: Tensor | None = None
    attention: AttentionMeasures | None = None
    occurrence: int = 0

    @classmethod
    def of(
        cls,
        phase: str,
        count: int = 1,
        *,
        seed: Any = 0,
        take: Any = 0,
        segment: Any = 0,
        hypothesis: Any = 0,
        level: Any = 0,
        step: Any = 0,
        position: Any = 0,
        past: Tensor | None = None,
        past_length: Tensor | None = None,
        stop: int | None = None,
        null: Tensor | None = None,
        attention: AttentionMeasures | None = None,
    ) -> Rows:
        """Rows from integers or arrays [R]; an integer holds for every row.

        ``past`` [P] or [R, P]; without ``past_length`` all of it counts.
        """
        if past is not None:
            past = (past if past.ndim == 2 else past[None]).expand(count, -1)
            if past_length is None:
                past_length = torch.full((count,), past.shape[1], dtype=torch.int64, device=past.device)
        return cls(
            phase=phase,
            seed=_spread(seed, count, np.uint64),
            take=_spread(take, count, np.int64),
            segment=_spread(segment, count, np.int64),
            hypothesis=_spread(hypothesis, count, np.int64),
            level=_spread(level, count, np.int64),
            step=_spread(step, count, np.int64),
            position=_spread(position, count, np.int64),
            past=past,
            past_length=past_length,
            stop=stop,
            null=null,
            attention=attention,
        )

    @property
    def count(self) -> int:
        """R."""
        return len(self.step)

    def pick(self, index: Any) -> Rows:
        """The rows of these numbers, in this order."""
        at = np.asarray(index, dtype=np.int64)

        def picked(tensor: Tensor) -> Tensor:
            return tensor[torch.from_numpy(at).to(tensor.device)]

        def some(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else picked(tensor)

        attention = self.attention
        if attention is not None:
            parts = {field.name: picked(getattr(attention, field.name)) for field in fields(attention)}
            attention = replace(attention, **parts)
        return replace(
            self,
            seed=self.seed[at],
            take=self.take[at],
            segment=self.segment[at],
            hypothesis=self.hypothesis[at],
            level=self.level[at],
            step=self.step[at],
            position=self.position[at],
            past=some(self.past),
            past_length=some(self.past_length),
            raw=some(self.raw),
            null=some(self.null),
            attention=attention,
        )

    def noise(self, purpose: str, width: int, number: int = 0) -> NDArray[np.float64]:
        """Uniform numbers [R, width] for a named purpose of the running stage, inside (0, 1).

        ``number`` tells the draws of one row apart, for the purpose ``candidates``, which has many.
        """
        counter = philox.counters(
            philox.PURPOSES[purpose] + number,
            self.occurrence,
            philox.PHASE_NUMBERS[self.phase],
            segment=self.segment,
            hypothesis=self.hypothesis,
            level=self.level,
            step=self.step,
            position=self.position,
        )
        return philox.uniforms(self.seed, counter, width)

    def gumbel(self, purpose: str, width: int, number: int = 0) -> NDArray[np.float64]:
        """Gumbel noise [R, width] for a named purpose of the running stage."""
        return philox.gumbel(self.noise(purpose, width, number))

    def recent(self, window: int) -> tuple[Tensor, Tensor] | None:
        """The latest ids [R, W], newest first, and which of them count [R, W]; None where there is no past.

        ``window`` 0 takes the whole past.
        """
        if self.past is None or self.past_length is None or self.past.shape[1] == 0:
            return None
        width = self.past.shape[1] if window == 0 else min(window, self.past.shape[1])
        index = self.past_length[:, None] - 1 - torch.arange(width, device=self.past.device)
        return self.past.gather(1, index.clamp_min(0)), index >= 0


def _spread(value: Any, count: int, dtype: Any) -> Any:
    if isinstance(value, int):
        return np.array([value], dtype=dtype) if count == 1 else np.full(count, value, dtype=dtype)
    array = np.asarray(value, dtype=dtype)
    return array if array.shape == (count,) else np.broadcast_to(array, (count,))
