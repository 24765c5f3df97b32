"""A model from one format into another, tensor by tensor, and what is lost by it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from valle.checkpoints import container, native, reference, stock_llama
from valle.checkpoints.details import KEPT, Details
from valle.checkpoints.loading import fit, skeleton
from valle.checkpoints.opening import open_model
from valle.checkpoints.tensors import Held, Tensors, held
from valle.errors import UserError

Format = Literal["native", "reference", "huggingface"]


@dataclass(frozen=True)
class Converted:
    """What was written, and what a person should know: what was ignored or assumed, and what was lost."""

    path: Path
    format: Format
    remarks: tuple[str, ...]
    lost: tuple[str, ...]


def format_of(target: Path) -> Format:
    """The format that a target's name asks for: `.safetensors` ours, `.sft` the reference's, else a folder.

    Raises UserError for another ending.
    """
    if target.suffix == ".safetensors":
        return "native"
    if target.suffix == ".sft":
        return "reference"
    if target.suffix and not target.is_dir():
        raise UserError(
            f"{target}: end the name with .safetensors (our format) or .sft (the reference's), or name a "
            "folder (Hugging Face's)"
        )
    return "huggingface"


def convert(
    source: Path, target: Path, dtype: torch.dtype | None = None, tokenizer: Path | None = None
) -> Converted:
    """Write the model of a file or folder in the format that the target's name asks for.

    Tensors keep their dtype unless one is given. What a format has no place for is kept in our own, so that a
    file comes back bit for bit. Raises UserError as loading does, and where the target cannot be written.
    """
    format = format_of(target)
    opened = open_model(source, tokenizer)
    fitted = fit(opened.tensors, skeleton(opened.details.config), opened.lenient)
    tensors = _with_kept(opened.tensors, fitted.tensors, fitted.changed)
    if dtype is not None:
        tensors = _cast(tensors, dtype)
    lost: list[str] = []
    if format == "native":
        native.write(target, tensors, opened.details)
    elif format == "reference":
        lost = _write_reference(target, tensors, opened.details)
    else:
        lost = stock_llama.lost(tensors, opened.details)
        stock_llama.write(target, tensors, opened.details)
    return Converted(target, format, (*opened.remarks, *fitted.remarks), tuple(lost))


def _with_kept(whole: Tensors, fitted: Tensors, changed: tuple[str, ...]) -> Tensors:
    """The tensors of a model, and beside them those of its file that were cut or have no use."""
    kept = {KEPT + name: name for name in changed}
    kept |= {name: name for name in whole.stored if name.startswith(KEPT)}
    stored = {**fitted.stored, **{new: whole.stored[old] for new, old in kept.items()}}

    def read(name: str) -> Tensor:
        return whole.read(kept[name]) if name in kept else fitted.read(name)

    return fitted.changed(stored, read)


def _write_reference(target: Path, tensors: Tensors, details: Details) -> list[str]:
    """Write a `.sft` file; what was kept takes the place of what was made of it."""
    original = details.original
    came = original is not None and original.format == "reference"
    there = dict(original.renamed) if original is not None else {}
    made = original.made if original is not None else ()
    names = {
        there.get(name, name): name
        for name in tensors.stored
        if not name.startswith(KEPT) and name not in made
    }
    lost = reference.lost(details)
    for name in tensors.stored:
        if name.startswith(KEPT) and came:
            own = name.removeprefix(KEPT)
            names[there.get(own, own)] = name
        elif name.startswith(KEPT):
            lost.append(f"tensor {name.removeprefix(KEPT)}")
    stored = {name: tensors.stored[own] for name, own in names.items()}
    container.write(target, stored, lambda name: tensors.blocks(names[name]), reference.metadata_of(details))
    return lost


def _cast(tensors: Tensors, dtype: torch.dtype) -> Tensors:
    name_of = held(torch.empty(0, dtype=dtype)).dtype
    stored = {name: Held(name_of, each.shape) for name, each in tensors.stored.items()}

    def read(name: str) -> Tensor:
        cast = tensors.read(name).to(dtype)
        if not cast.isfinite().all():
            raise UserError(f"{tensors.path}: tensor {name} is not finite as {dtype}; choose another --dtype")
        return cast

    return replace(tensors, stored=stored, read=read)
