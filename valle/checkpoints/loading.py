"""From the tensors of a file to a model that can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.overrides import TorchFunctionMode

from valle.checkpoints.container import Header, content_hash
from valle.checkpoints.details import Details
from valle.errors import UserError
from valle.models.ar_nar import ArNar


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready for inference, what its file says about it, and the hash of its tensors as stored."""

    model: ArNar
    details: Details
    hash: str


def load_tensors(
    path: Path, header: Header, details: Details, device: torch.device | str, dtype: torch.dtype | None
) -> LoadedModel:
    """Build the model of `details` around the tensors of a file, float32 unless `dtype` says otherwise.

    Raises UserError for a tensor that is missing, unknown or of another shape, and for a file that changes
    or breaks off while it is read.
    """
    with torch.device("meta"), _NoInitialisation():
        model = ArNar(details.config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    check_shapes(path, {name: entry.shape for name, entry in header.tensors.items()}, wanted)
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: _convert(name, file.get_tensor(name), device, dtype) for name in wanted}
        fingerprint = content_hash(path, header)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    model.load_state_dict(tensors, assign=True)
    return LoadedModel(model.eval().requires_grad_(False), details, fingerprint)


class _NoInitialisation(TorchFunctionMode):
    """Leaves parameters as they are made.

    Drawing numbers for tensors without storage imports torch._dynamo, which takes longer than all else here.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def check_shapes(
    path: Path, found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise UserError, naming tensor and both shapes, unless a file holds exactly what the model has."""
    for name, shape in wanted.items():
        if name not in found:
            raise UserError(f"{path}: tensor {name} is missing; the config asks for {list(shape)}")
        if found[name] != shape:
            raise UserError(
                f"{path}: tensor {name} is {list(found[name])}, the config asks for {list(shape)}"
            )
    if extra := sorted(set(found) - set(wanted)):
        raise UserError(f"{path}: tensor {extra[0]} {list(found[extra[0]])} belongs to no part of the model")


def _convert(name: str, tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
    """Copy out of the mapped file; heads stay in float32, because logits are computed in it."""
    kept = torch.float32 if dtype is None or name.startswith("classifier") else dtype
    return tensor.to(device, kept, copy=True)
