"""Our own model file: safetensors with the reference's tensor names, the rest as JSON in its metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from valle.checkpoints import container
from valle.checkpoints.container import Header, content_hash, read_header
from valle.checkpoints.details import CodecName, Details
from valle.errors import UserError

if TYPE_CHECKING:
    import torch

    from valle.checkpoints.loading import LoadedModel
    from valle.checkpoints.tensors import Tensors
    from valle.models.ar_nar import ArNar

__all__ = ["CodecName", "Details", "details_of", "is_native", "load", "read_details", "save", "write"]

_KEY = "valle-lab.model"  # one key only: safetensors writes several in random order
_VERSION = 1
_DETAILS = TypeAdapter(Details)


def save(path: Path, model: ArNar, details: Details, dtype: torch.dtype | None = None) -> str:
    """Write a model, float16 unless `dtype` says otherwise, whole or not at all; return its hash.

    Raises UserError where the file cannot be written and ValueError for weights that the dtype cannot hold.
    """
    import torch

    from valle.checkpoints.tensors import from_memory

    stored = dtype or torch.float16
    tensors = {name: tensor.detach().to("cpu", stored) for name, tensor in model.state_dict().items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"tensor {name} is not finite as {stored}")
    return write(path, from_memory(path, tensors), details)


def write(path: Path, tensors: Tensors, details: Details) -> str:
    """Write tensors as they are, whole or not at all; return the hash of the file.

    Raises UserError where the file cannot be written.
    """
    document = {"version": _VERSION, **asdict(details)}
    text = json.dumps(document, ensure_ascii=True, sort_keys=True, allow_nan=False)
    container.write(path, tensors.stored, tensors.blocks, {_KEY: text})
    return content_hash(path, read_header(path))


def is_native(header: Header) -> bool:
    """Say whether a safetensors file is of this format."""
    return _KEY in header.metadata


def read_details(path: Path) -> Details:
    """Read what a file says about its model, without a tensor and without torch.

    Raises UserError for a file that is unreadable, of another format or of a newer version.
    """
    return _details(path, read_header(path))


def details_of(document: Any) -> Details:
    """Make details of a document of JSON; UserError naming the key that is wrong."""
    try:
        return _DETAILS.validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{key}: {first['msg']}" if key else first["msg"]) from error


def load(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> LoadedModel:
    """Load a model, in float32 unless `dtype` says otherwise (the heads are float32 always).

    Raises UserError as `read_details` does, and for a tensor that is missing, unknown or of another shape.
    """
    from valle.checkpoints.loading import build
    from valle.checkpoints.tensors import from_file

    header = read_header(path)
    details = _details(path, header)
    return build(from_file(path, header), details, device, dtype, lenient=False)


def _details(path: Path, header: Header) -> Details:
    text = header.metadata.get(_KEY)
    if text is None:
        raise UserError(f"{path}: is not a model file of this program")
    try:
        document = json.loads(text)
        version = document.pop("version")
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise UserError(f"{path}: its metadata {_KEY} is damaged; fetch or export it again") from error
    if type(version) is not int or version > _VERSION:
        raise UserError(f"{path}: has version {version} of the format, this program reads up to {_VERSION}")
    try:
        return details_of(document)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
