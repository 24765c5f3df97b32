"""Adapters as files: our own, and those of the reference (e-c-k-e-r/vall-e), `.sft` or `.pth`."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from valle.checkpoints.container import content_hash, read_header
from valle.errors import UserError
from valle.models.adapters.adapter import Adapter, AdapterShape, Matrices

_KEY = "valle-lab.adapter"
_VERSION = 1
_SHAPE = TypeAdapter(AdapterShape)
_TENSOR = re.compile(r"(?P<layer>.+?)(\.parametrizations\.weight\.\d+)?\.lora_(?P<which>[AB])")
_PICKLED = (".pth", ".pt")
_NAME = re.compile(r"[^\w.-]+")


def save(path: Path, adapter: Adapter, dtype: torch.dtype = torch.float16) -> Adapter:
    """Write an adapter alone, whole or not at all; returns it as the file has it.

    Raises UserError where the file cannot be written and ValueError for numbers that the dtype cannot hold.
    """
    tensors = {}
    for layer, matrices in adapter.layers.items():
        tensors[f"{layer}.lora_A"] = matrices.down.to("cpu", dtype).contiguous()
        tensors[f"{layer}.lora_B"] = matrices.up.to("cpu", dtype).contiguous()
    if strange := next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None):
        raise ValueError(f"tensor {strange} is not finite as {dtype}")
    document = {
        "version": _VERSION,
        "name": adapter.name,
        "shape": asdict(adapter.shape),
        "model": adapter.model,
        "steps": adapter.steps,
    }
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            save_file(tensors, temporary, {_KEY: json.dumps(document, sort_keys=True, allow_nan=False)})
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    return load(path)


def load(path: Path) -> Adapter:
    """Read an adapter, our own or the reference's; it is named by the file.

    Raises UserError for a file that is not there, unreadable, damaged, or no adapter.
    """
    if path.suffix.lower() in _PICKLED:
        return _from_pickle(path)
    header = read_header(path)
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in header.tensors}
        fingerprint = content_hash(path, header)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    layers = _layers(path, tensors)
    if _KEY in header.metadata:
        adapter = _own(path, header.metadata[_KEY], layers)
    else:
        adapter = _reference(path, header.metadata, layers)
    return replace(adapter, hash=fingerprint)


def _from_pickle(path: Path) -> Adapter:
    from valle.checkpoints import pickled

    found = pickled.read(path)
    tensors = {name: found.tensors.read(name) for name in found.tensors.shapes}
    return replace(_reference(path, found.metadata, _layers(path, tensors)), hash=found.tensors.hash())


def _layers(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Matrices]:
    """The pairs of matrices by layer. Raises UserError for tensors that are no pairs of one rank."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _TENSOR.fullmatch(name)
        if match is None or tensor.ndim != 2:
            raise UserError(f"{path}: {name} is no matrix of an adapter; it seems to be another kind of file")
        found.setdefault(match["layer"], {})[match["which"]] = tensor
    if not found:
        raise UserError(f"{path}: holds no matrices of an adapter")
    for layer, pair in found.items():
        if len(pair) != 2 or pair["A"].shape[0] != pair["B"].shape[1]:
            raise UserError(f"{path}: the matrices lora_A and lora_B of {layer} do not belong together")
        if not all(tensor.isfinite().all() for tensor in pair.values()):
            raise UserError(f"{path}: the matrices of {layer} are not finite")
    return {layer: Matrices(pair["A"], pair["B"]) for layer, pair in found.items()}


def _own(path: Path, text: str, layers: Mapping[str, Matrices]) -> Adapter:
    try:
        document = json.loads(text)
        version, model, steps = int(document["version"]), str(document["model"]), int(document["steps"])
        if version > _VERSION:
            raise UserError(f"{path}: has version {version}, this program reads up to {_VERSION}")
        shape = _SHAPE.validate_json(json.dumps(document["shape"]))
    except UserError as error:
        raise error if str(error).startswith(str(path)) else UserError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError) as error:
        raise UserError(f"{path}: its metadata {_KEY} is damaged; fetch or train it again") from error
    _check_rank(path, shape.rank, layers)
    return Adapter(_name(path), shape, layers, model=model, steps=steps)


def _reference(path: Path, metadata: Mapping[str, Any], layers: Mapping[str, Matrices]) -> Adapter:
    """The reference writes its settings as JSON text beside the tensors, and not every version of it does."""
    config = metadata.get("lora", metadata.get("config", {}))
    try:
        config = json.loads(config) if isinstance(config, str) else config
        config = config[0] if isinstance(config, list) and config else config
        rank = next(iter(layers.values())).down.shape[0]
        alpha = float(config.get("alpha", rank))
        levels = tuple(int(level) for level in config.get("rvq_levels") or ())
        claimed = int(config.get("rank", rank))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise UserError(f"{path}: its settings of the adapter cannot be understood: {error}") from error
    try:
        shape = AdapterShape(rank=claimed, alpha=alpha, modules=_modules(layers), levels=levels)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    _check_rank(path, claimed, layers)
    return Adapter(_name(path), shape, layers)


def _check_rank(path: Path, rank: int, layers: Mapping[str, Matrices]) -> None:
    for layer, matrices in layers.items():
        if matrices.down.shape[0] != rank:
            raise UserError(f"{path}: {layer} has rank {matrices.down.shape[0]}, its settings say {rank}")


def _modules(layers: Mapping[str, Matrices]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer.rpartition(".")[2] for layer in layers))


def _name(path: Path) -> str:
    return _NAME.sub("-", path.stem)[:100] or "adapter"
