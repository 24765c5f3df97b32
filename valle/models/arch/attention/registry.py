"""The registry of attention backends: what there is by name, and why one cannot be used here."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec

import torch
from torch import Tensor

from valle.errors import UserError
from valle.models.arch.attention.mask import Mask

Attend = Callable[[Tensor, Tensor, Tensor, Mask], Tensor]
"""Called with query [R, H, Tq, d], key and value [R, H, Tk, d]; returns [R, H, Tq, d]."""
HALF = ("float16", "bfloat16")
AUTO = "auto"
STAND_IN = "stand-in"
BFLOAT16_FROM = (8, 0)
"""The first cards that compute in bfloat16."""
_OURS = "valle.models.arch.attention"


@dataclass(frozen=True)
class Backend:
    """One way to compute attention.

    target: module and function. devices: types of device that it runs on. dtypes: what it computes with on a
    card, empty for all. package: what must be installed beside torch, in the version `least` or a newer one.
    capability: the least that the card must have, and the first that it must not. rocm: whether it runs on
    AMD cards.
    """

    name: str
    target: str
    help: str
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtypes: tuple[str, ...] = ()
    package: str = ""
    install: str = ""
    least: tuple[int, int] = (0, 0)
    capability: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (99, 0))
    rocm: bool = True
    aliases: tuple[str, ...] = ()
    tested_on: str = "cpu"
    """On what it was run; `stand-in` where only its calls were."""

    @property
    def tested(self) -> str:
        """How far it was tested, for people."""
        return "untested on a device" if self.tested_on == STAND_IN else self.tested_on

    def problem(self, device: str = "cpu", dtype: str = "float32") -> str | None:
        """Why it cannot be used with a device and a dtype, and what would help; None if it can."""
        kind = device.partition(":")[0]
        if self.package and find_spec(self.package) is None:
            return f"the package {self.package} is not installed; {self.install}"
        if (older := _older(self.package, self.least)) is not None:
            return f"the package {self.package} is {older}; {self.install}"
        if self.name == "fused" and kind == "cpu" and os.environ.get("TRITON_INTERPRET") == "1":
            return None
        if kind not in self.devices:
            return f"it runs on {' and '.join(self.devices)}, not on {kind}; use sdpa there"
        if self.dtypes and kind != "cpu" and dtype not in self.dtypes:
            return (
                f"it computes in {' or '.join(self.dtypes)}, not in {dtype}; choose one of them with --dtype"
            )
        return _card_problem(self, device, dtype) if kind == "cuda" else None

    def load(self) -> Attend:
        """The function itself."""
        return _load(self.target)


BACKENDS: dict[str, Backend] = {
    each.name: each
    for each in (
        Backend("eager", f"{_OURS}.plain:eager", "two products, the softmax in float32"),
        Backend("default", f"{_OURS}.plain:default", "written out in float64, names what is not finite"),
        Backend("sdpa", f"{_OURS}.torch_kernels:sdpa", "whichever of torch's kernels torch thinks best"),
        Backend("math", f"{_OURS}.torch_kernels:math", "torch's own without a fused kernel"),
        Backend(
            "flash",
            f"{_OURS}.torch_kernels:flash",
            "torch's flash kernel",
            dtypes=HALF,
            capability=((8, 0), (99, 0)),
        ),
        Backend(
            "mem_efficient",
            f"{_OURS}.torch_kernels:mem_efficient",
            "torch's memory-efficient kernel",
            devices=("cuda",),
            tested_on=STAND_IN,
        ),
        Backend(
            "cudnn",
            f"{_OURS}.torch_kernels:cudnn",
            "cuDNN's kernel, by torch",
            devices=("cuda",),
            dtypes=HALF,
            capability=((8, 0), (99, 0)),
            rocm=False,
            tested_on=STAND_IN,
        ),
        Backend("flex", f"{_OURS}.torch_kernels:flex", "torch's flex_attention, compiled on a GPU"),
        Backend(
            "flash_attention_2",
            f"{_OURS}.packages:flash_attention_2",
            "version 2 of flash-attention",
            devices=("cuda",),
            dtypes=HALF,
            package="flash_attn",
            install='install "flash-attn>=2.1", which needs a card of Ampere or newer and the CUDA compiler',
            least=(2, 1),
            capability=((8, 0), (99, 0)),
            tested_on=STAND_IN,
        ),
        Backend(
            "flash_attn",
            f"{_OURS}.packages:flash_attn",
            "flash-attention of the version that is installed, 1 or 2",
            devices=("cuda",),
            dtypes=HALF,
            package="flash_attn",
            install='install "flash-attn<2" for a card of Turing, else "flash-attn>=2.1"',
            capability=((7, 5), (99, 0)),
            tested_on=STAND_IN,
        ),
        Backend(
            "flash_attn_v100",
            f"{_OURS}.packages:flash_attn_v100",
            "the port of flash-attention to Volta cards",
            devices=("cuda",),
            dtypes=("float16",),
            package="flash_attn_v100",
            install="build it from github.com/ZRayZzz/flash-attention-v100, for a V100",
            capability=((7, 0), (7, 3)),
            rocm=False,
            tested_on=STAND_IN,
        ),
        Backend(
            "xformers",
            f"{_OURS}.packages:xformers",
            "the memory-efficient attention of xformers",
            devices=("cuda",),
            package="xformers",
            install="install xformers in the version that fits this torch",
            tested_on=STAND_IN,
        ),
        Backend(
            "fused",
            f"{_OURS}.fused:fused",
            "our own kernel in Triton, each row with its own span",
            devices=("cuda",),
            package="triton",
            install="install triton; there is none for macOS and Windows",
            capability=((7, 0), (99, 0)),
            aliases=("fused_attn",),
            tested_on="cpu, interpreted",
        ),
    )
}


@dataclass(frozen=True)
class Availability:
    """A backend on one device: whether it can be used, or why not."""

    backend: Backend
    problem: str | None


def availability(device: str = "cpu", dtype: str = "float32") -> list[Availability]:
    """All backends, each with the reason if it cannot be used with this device and dtype."""
    return [Availability(backend, backend.problem(device, dtype)) for backend in BACKENDS.values()]


def resolve(name: str, device: str = "cpu", dtype: str = "float32") -> str:
    """The name of the backend that a name, an alias or `auto` stands for on a device.

    `auto` takes flash_attention_2 where it is installed and can be used, else sdpa, which has a kernel for
    every device and chooses the fastest that fits. Raises UserError for a name that does not exist, and for a
    backend that cannot be used there, with what would help.
    """
    if name == AUTO:
        usable = BACKENDS["flash_attention_2"].problem(device, dtype) is None
        return "flash_attention_2" if usable else "sdpa"
    backend = find_backend(name)
    if (problem := backend.problem(device, dtype)) is not None:
        raise UserError(f"The attention backend {name} cannot be used here: {problem}.")
    return backend.name


def find_backend(name: str) -> Backend:
    """The backend of a name or an alias; raises UserError for one that does not exist."""
    for backend in BACKENDS.values():
        if name == backend.name or name in backend.aliases:
            return backend
    near = difflib.get_close_matches(name, (AUTO, *BACKENDS), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    names = ", ".join((AUTO, *BACKENDS))
    raise UserError(f"unknown attention backend {name!r}; there is {names}{hint}")


def find(name: str) -> Attend:
    """The function of a backend that can be used on the CPU, or of the one that `auto` is everywhere."""
    return BACKENDS["sdpa" if name == AUTO else find_backend(name).name].load()


def _older(package: str, least: tuple[int, int]) -> str | None:
    """The version of an installed package that is older than the least; None where that is not so."""
    try:
        found = metadata.version(package) if any(least) else ""
    except metadata.PackageNotFoundError:
        return None  # a module that lies on the path by itself tells no version
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    return found if found and numbers < least else None


@cache
def _load(target: str) -> Attend:
    module, _, name = target.partition(":")
    attend: Attend = getattr(import_module(module), name)
    return attend


def _card_problem(backend: Backend, device: str, dtype: str) -> str | None:
    if not torch.cuda.is_available():
        return "this torch sees no CUDA device; use sdpa"
    if torch.version.hip is not None:
        return None if backend.rocm else "it is not made for AMD cards; use sdpa"
    found = torch.cuda.get_device_capability(device)
    least, beyond = backend.capability
    if not least <= found < beyond:
        card = torch.cuda.get_device_name(device)
        return f"it is not made for {card} (compute capability {found[0]}.{found[1]}); use sdpa"
    if dtype == "bfloat16" and backend.dtypes and found < BFLOAT16_FROM:
        return "the card is too old for bfloat16; choose --dtype float16"
    return None
