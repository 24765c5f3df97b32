"""The adapters that a model has taken in: put in, made stronger or weaker, taken out without a trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from valle.errors import UserError
from valle.models.adapters.adapter import Adapter, Matrices
from valle.models.adapters.lora import LoRALinear, LowRank

Form = Literal["parametrize", "linear"]


class Attached:
    """The adapters of one model, in the order in which they were put in.

    In the form `parametrize` the weights of the layers are parametrised, in `linear` the layers are replaced;
    both give the same but for the last digits.
    """

    def __init__(self, model: nn.Module, form: Form = "parametrize", model_hash: str = "") -> None:
        self._model, self._form, self._hash = model, form, model_hash
        self._adapters: dict[str, Adapter] = {}
        self._paths: dict[str, dict[str, LowRank]] = {}
        self._acting: dict[str, float] = {}

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """What is put in."""
        return tuple(self._adapters.values())

    def __contains__(self, name: str) -> bool:
        return name in self._adapters

    def add(self, adapter: Adapter) -> None:
        """Put an adapter in, at strength 1 for all phases.

        Raises UserError for a second one of its name, and for one that was made for another model.
        """
        if adapter.name in self._adapters:
            raise UserError(f"There is an adapter {adapter.name} already; take it out first.")
        self.check(adapter)
        paths = {}
        for name, matrices in adapter.layers.items():
            linear = self._model.get_submodule(name)
            assert isinstance(linear, nn.Linear | LoRALinear)
            path = LowRank(adapter.shape, matrices, linear.weight)
            path.train(self._model.training).requires_grad_(False)
            paths[name] = path
            self._put_in(name, linear, path)
        self._adapters[adapter.name], self._paths[adapter.name] = adapter, paths
        self._acting[adapter.name] = 1.0

    def remove(self, name: str) -> None:
        """Take an adapter out; the weights are those from before, bit for bit. Raises UserError if not in."""
        self._require(name)
        kept = [adapter for adapter in self.adapters if adapter.name != name]
        strengths, matrices = dict(self._acting), {each.name: self.layers(each.name) for each in kept}
        for path in {path for paths in self._paths.values() for path in paths}:
            self._restore(path)
        self._adapters, self._paths, self._acting = {}, {}, {}
        for adapter in kept:
            self.add(Adapter(**{**vars(adapter), "layers": matrices[adapter.name]}))
            self._make(adapter.name, strengths[adapter.name])

    def clear(self) -> None:
        """Take all of them out."""
        for name in tuple(self._adapters):
            self.remove(name)

    def act(self, strengths: Mapping[str, float], phase: str, level: int) -> None:
        """Have the adapters act in passes of a phase and level with these strengths, others not at all.

        Costs nothing where nothing changes. Raises UserError for an adapter that is not in.
        """
        for name in strengths:
            self._require(name)
        for name, adapter in self._adapters.items():
            wanted = strengths.get(name, 0.0) if adapter.shape.acts(phase, level) else 0.0
            if wanted != self._acting[name]:
                self._make(name, wanted)

    def layers(self, name: str) -> dict[str, Matrices]:
        """The matrices of an adapter as they are now. Raises UserError if it is not in."""
        self._require(name)
        return {layer: path.matrices for layer, path in self._paths[name].items()}

    def weights(self, name: str) -> Iterator[nn.Parameter]:
        """What training an adapter changes. Raises UserError if it is not in."""
        self._require(name)
        for path in self._paths[name].values():
            path.forget()
            yield from path.parameters()

    def _require(self, name: str) -> None:
        if name not in self._adapters:
            there = ", ".join(self._adapters) or "none"
            raise UserError(f"There is no adapter {name!r} loaded; there is {there}.")

    def _make(self, name: str, strength: float) -> None:
        for path in self._paths[name].values():
            path.strength = strength
        self._acting[name] = strength

    def check(self, adapter: Adapter) -> None:
        """Raise UserError for an adapter that was made for another model."""
        if adapter.model and self._hash and adapter.model != self._hash:
            raise UserError(
                f"The adapter {adapter.name} was trained on another model ({adapter.model[:12]}) than the "
                f"one that is loaded ({self._hash[:12]}); load that one, or train the adapter on this one."
            )
        modules = dict(self._model.named_modules())
        for name, matrices in adapter.layers.items():
            linear = modules.get(name)
            if not isinstance(linear, nn.Linear | LoRALinear):
                raise UserError(
                    f"The adapter {adapter.name} changes the layer {name}, which this model does not have: "
                    "it was made for another model."
                )
            wanted, own = _size(matrices), tuple(linear.weight.shape)
            if own not in (wanted, wanted[::-1]):
                raise UserError(
                    f"The adapter {adapter.name} changes a layer {name} of {list(wanted)}, that of this "
                    f"model is {list(own)}: it was made for another model."
                )

    def _put_in(self, name: str, linear: nn.Linear | LoRALinear, path: LowRank) -> None:
        if self._form == "parametrize":
            parametrize.register_parametrization(linear, "weight", path, unsafe=True)
            return
        if isinstance(linear, nn.Linear):
            linear = LoRALinear(linear)
            _replace(self._model, name, linear)
        linear.paths.append(path)

    def _restore(self, name: str) -> None:
        linear = self._model.get_submodule(name)
        if isinstance(linear, LoRALinear):
            _replace(self._model, name, linear.base)
        else:
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=False)


@torch.no_grad()
def merge(model: nn.Module, adapter: Adapter, strength: float = 1.0) -> None:
    """Change a model's weights for good, as the adapter would at this strength.

    Raises UserError for an adapter of another model.
    """
    Attached(model).check(adapter)
    for name, matrices in adapter.layers.items():
        weight: Tensor = model.get_submodule(name).weight  # type: ignore[assignment]
        weight += (matrices.change(weight) * (adapter.shape.scale * strength)).to(weight.dtype)


def _size(matrices: Matrices) -> tuple[int, int]:
    return matrices.up.shape[0], matrices.down.shape[1]


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)
