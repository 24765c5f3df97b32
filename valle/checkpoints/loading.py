"""From the tensors of a file to a model that can be used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from valle.checkpoints.details import KEPT, Details
from valle.checkpoints.tensors import Held, Tensors
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.choice import model_of
from valle.models.config import ModelConfig

_HEAD = re.compile(r"classifiers?(\.proj\.\d+)?\.(weight|bias)")
_LATER_LEVEL = re.compile(r"resps_emb\.embeddings\.[1-9]\d*\.weight")


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready for inference, what its file says about it, and the hash of its tensors as stored.

    `remarks` tell a person what was ignored or assumed.
    """

    model: ArNar
    details: Details
    hash: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Fitted:
    """The tensors that a model takes, in its own shapes, and what became of the others."""

    tensors: Tensors
    remarks: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Names of tensors of the file that were cut, or belong to no part of the model."""


def build(
    tensors: Tensors, details: Details, device: torch.device | str, dtype: torch.dtype | None, lenient: bool
) -> LoadedModel:
    """Make the model of `details` of the tensors of a file, float32 unless `dtype` says otherwise.

    `lenient` ignores what belongs to no part of the model and cuts what is too large where no row of it is
    missed, as files of the reference need it. Raises UserError for a tensor that is missing, unknown or of
    another shape, and for a file that changes or breaks off while it is read.
    """
    model = skeleton(details.config)
    fitted = fit(tensors, model, lenient)
    try:
        read = {
            name: _convert(name, fitted.tensors.read(name), device, dtype) for name in fitted.tensors.stored
        }
        fingerprint = tensors.hash()
    except OSError as error:
        raise UserError(f"{tensors.path}: cannot be read: {error.strerror or error}") from error
    model.load_state_dict(read, assign=True)
    return LoadedModel(model.eval().requires_grad_(False), details, fingerprint, fitted.remarks)


def skeleton(config: ModelConfig) -> ArNar:
    """The model of a configuration, without numbers."""
    with torch.device("meta"), _NoInitialisation():
        return model_of(config)


def fit(tensors: Tensors, model: ArNar, lenient: bool) -> Fitted:
    """Choose and cut the tensors that a model takes.

    Raises UserError, naming tensor and both shapes, if they do not fit.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = tensors.stored
    cut: dict[str, int] = {}
    for name, shape in wanted.items():
        if name not in found:
            raise UserError(f"{tensors.path}: tensor {name} is missing; the config asks for {list(shape)}")
        if found[name].shape == shape:
            continue
        if not (lenient and _may_be_larger(name, model.config) and _is_larger(found[name].shape, shape)):
            held = list(found[name].shape)
            raise UserError(f"{tensors.path}: tensor {name} is {held}, the config asks for {list(shape)}")
        cut[name] = shape[0]
    extra = sorted(name for name in found if name not in wanted and not name.startswith(KEPT))
    if extra and not lenient:
        first = f"tensor {extra[0]} {list(found[extra[0]].shape)}"
        raise UserError(f"{tensors.path}: {first} belongs to no part of the model")
    stored = {name: Held(found[name].dtype, shape) for name, shape in wanted.items()}

    def read(name: str) -> Tensor:
        tensor = tensors.read(name)
        return tensor[: cut[name]].clone() if name in cut else tensor

    remarks = [
        f"{name} has {found[name].shape[0]} rows, the first {rows} are used" for name, rows in cut.items()
    ]
    if extra:
        remarks.append(f"tensors without a use are ignored: {', '.join(extra)}")
    return Fitted(tensors.changed(stored, read), tuple(remarks), (*cut, *extra))


def _may_be_larger(name: str, config: ModelConfig) -> bool:
    """Whether nothing reads the rows at the end of a tensor that has too many.

    They are those of heads, and in the first files without NAR the stop that every level had.
    """
    is_level = "nar" not in config.capabilities and _LATER_LEVEL.fullmatch(name) is not None
    return is_level or _HEAD.fullmatch(name) is not None


def _is_larger(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and shape[0] > wanted[0] and shape[1:] == wanted[1:]


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


def _convert(name: str, tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
    """Heads stay in float32, because logits are computed in it."""
    kept = torch.float32 if dtype is None or name.startswith("classifier") else dtype
    return tensor.to(device, kept)
