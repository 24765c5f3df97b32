"""Stand-ins for attention that cannot run here: packages, by functions of the same signature, and torch's own
kernels of other devices. Each says no to what the real one does not take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend

from valle.models.arch.attention import Mask, torch_kernels
from valle.models.arch.attention.plain import eager


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
) -> Tensor:
    """[R, T, H, d]; the last query and the last key are aligned."""
    return eager(*(each.transpose(1, 2) for each in (q, k, v)), Mask(causal=causal)).transpose(1, 2)


def _varlen(
    top_left: bool, q: Tensor, k: Tensor, v: Tensor, of_q: Tensor, of_k: Tensor, causal: bool
) -> Tensor:
    assert of_q.dtype == of_k.dtype == torch.int32 and len(of_q) == len(of_k)
    parts = []
    for row in range(len(of_q) - 1):
        own, keys = slice(int(of_q[row]), int(of_q[row + 1])), slice(int(of_k[row]), int(of_k[row + 1]))
        query, key, value = (each[None].transpose(1, 2) for each in (q[own], k[keys], v[keys]))
        mask = Mask(causal=causal)
        if top_left and causal:
            mask = Mask(keep=torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()[None, None])
        parts.append(eager(query, key, value, mask)[0].transpose(0, 1))
    return torch.cat(parts)


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
) -> Tensor:
    assert max_seqlen_q == int(cu_seqlens_q.diff().max()) and max_seqlen_k == int(cu_seqlens_k.diff().max())
    return _varlen(False, q, k, v, cu_seqlens_q, cu_seqlens_k, causal)


def flash_attn_unpadded_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float,
    softmax_scale: float | None = None,
    causal: bool = False,
) -> Tensor:
    """Version 1: the first query and the first key are aligned."""
    return _varlen(True, q, k, v, cu_seqlens_q, cu_seqlens_k, causal)


def volta_func(q: Tensor, k: Tensor, v: Tensor, softmax_scale: float, causal: bool) -> Tensor:
    """As its readme says: as many queries as keys, heads of 128, lengths of whole blocks of 32."""
    assert q.shape == k.shape and q.shape[1] % 32 == 0 and q.shape[3] == 128
    query = q * softmax_scale * 128**0.5
    return eager(query.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), Mask(causal=causal)).transpose(
        1, 2
    )


class LowerTriangularFromBottomRightMask:
    pass


def memory_efficient_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_bias: LowerTriangularFromBottomRightMask | None = None,
    p: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    assert attn_bias is None or isinstance(attn_bias, LowerTriangularFromBottomRightMask)
    return flash_attn_func(query, key, value, causal=attn_bias is not None)


PACKAGES = {
    "flash_attention_2": {
        "flash_attn": {
            "flash_attn_func": flash_attn_func,
            "flash_attn_varlen_func": flash_attn_varlen_func,
        }
    },
    "flash_attn": {
        "flash_attn": {},
        "flash_attn.flash_attn_interface": {"flash_attn_unpadded_func": flash_attn_unpadded_func},
    },
    "flash_attn_v100": {"flash_attn_v100": {"flash_attn_func": volta_func}},
    "xformers": {
        "xformers.ops": {"memory_efficient_attention": memory_efficient_attention},
        "xformers.ops.fmha.attn_bias": {
            "LowerTriangularFromBottomRightMask": LowerTriangularFromBottomRightMask
        },
    },
}


NAMES = (*PACKAGES, "mem_efficient", "cudnn")


def install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Put the stand-in of a backend of NAMES where its adapter looks for it."""
    if name not in PACKAGES:
        _install_kernels(monkeypatch)
        return
    for package, functions in PACKAGES[name].items():
        module = ModuleType(package)
        for function, body in functions.items():
            setattr(module, function, body)
        monkeypatch.setitem(sys.modules, package, module)


def _install_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's scaled_dot_product_attention, with what cuDNN's kernel demands where that is insisted on."""
    insisted: list[SDPBackend] = []

    @contextmanager
    def sdpa_kernel(kernel: SDPBackend) -> Iterator[None]:
        insisted.append(kernel)
        yield
        insisted.pop()

    def attention(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        assert attn_mask is None or insisted != [SDPBackend.CUDNN_ATTENTION]
        assert not is_causal or query.shape[2] == key.shape[2]
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attn_mask, is_causal=is_causal
        )

    monkeypatch.setattr(torch_kernels, "sdpa_kernel", sdpa_kernel)
    monkeypatch.setattr(torch_kernels, "functional", SimpleNamespace(scaled_dot_product_attention=attention))
