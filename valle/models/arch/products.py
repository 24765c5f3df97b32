"""Products with the weights of a step, which take about as long as fetching these.

Weights that are numbers of float16, as those of a model from a float16 file are, are kept and fetched as such
and multiplied in float32: the same sums from half the bytes, in half to a fifth of the time (measured at dim
192 for 1 to 4 rows, and never slower up to 128). PyTorch does this by FBGEMM, and says that the function for
it may go: the one that shall take its place needs 30 microseconds to be called, more than most products take.
Without it, and for all other weights, a product reads float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

Product = Callable[[Tensor], Tensor]
"""Gives for hidden [R, D] its product with weights, [R, outputs]."""


def product(*weights: Tensor) -> Product:
    """Return the product with weights [outputs, D] that lie side by side, in float32 on the CPU.

    The weights are copied, unless it is one that is best read as it lies.
    """
    with torch.inference_mode(False), torch.no_grad():
        if halving_is_known() and all(is_half(weight) for weight in weights):
            return _halved(torch.cat(weights))
        if len(weights) == 1 and weights[0].shape[0] <= weights[0].shape[1]:
            return _as_it_lies(weights[0])
        # A matrix of more outputs than inputs is fetched faster when it lies input by input (measured at dim
        # 192 and 1024: all products of a step take a quarter less).
        return _transposed(torch.cat([weight.t() for weight in weights], 1))


def is_half(weight: Tensor) -> bool:
    """Whether every number of a weight is one of float16."""
    return torch.equal(weight.half().float(), weight)


@cache
def halving_is_known() -> bool:
    """Whether this PyTorch, on this processor, can multiply by float16 in float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells once that the function may go
        try:
            found = _halved(torch.full((1, 1), 0.5))(torch.full((1, 1), 3.0))
        except (AttributeError, RuntimeError):
            return False
    return found.item() == 1.5


def _halved(weight: Tensor) -> Product:
    packed = torch.fbgemm_pack_gemm_matrix_fp16(weight)
    multiply, bias = torch.fbgemm_linear_fp16_weight_fp32_activation, weight.new_zeros(len(weight))
    return lambda hidden: multiply(hidden, packed, bias)


def _as_it_lies(weight: Tensor) -> Product:
    return lambda hidden: functional.linear(hidden, weight)


def _transposed(weight: Tensor) -> Product:
    return lambda hidden: torch.mm(hidden, weight)
