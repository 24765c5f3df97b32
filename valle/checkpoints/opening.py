"""Any model that can be named by a path: what kind of file it is, what it says, and the model itself.

Imports torch only where tensors are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valle.checkpoints import hub, native, reference
from valle.checkpoints.beside import HF_MODEL, PICKLED_ENDINGS, config_of, state_of, tokenizer_beside
from valle.checkpoints.container import Header, content_hash, read_header
from valle.checkpoints.details import Details, Original
from valle.checkpoints.fetching import fetch
from valle.checkpoints.older import (
    WITHOUT_MASKED_LEVEL,
    made_of_nothing,
    names_of_today,
    shapes_of_today,
)
from valle.checkpoints.reference import Said
from valle.checkpoints.reference_config import HF_EMBEDDINGS, Shapes
from valle.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from valle.checkpoints.loading import LoadedModel
    from valle.checkpoints.tensors import Tensors
    from valle.downloads import Progress


BUILTIN_MODEL = Path(__file__).parents[1] / "builtin" / "model.safetensors"


@dataclass(frozen=True, eq=False)
class Opened:
    """A model file whose numbers are not read yet.

    `lenient`: what belongs to no part of the model is ignored, and what may be larger than it is cut.
    """

    tensors: Tensors
    details: Details
    hash: str | None = None
    remarks: tuple[str, ...] = ()
    lenient: bool = False


def find(model: str, progress: Progress | None = None) -> Path:
    """The file or folder of `builtin`, a name of the hub (which is fetched if it is not here), or a path.

    `progress` is told how far the fetching is.
    """
    if model == "builtin":
        return BUILTIN_MODEL
    if model.startswith(hub.PREFIX):
        return fetch(hub.parse(model), progress)
    return Path(model)


def is_to_be_fetched(model: str) -> bool:
    """Whether `find` would ask the network."""
    return model.startswith(hub.PREFIX) and hub.cached(hub.parse(model)) is None


def load(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    tokenizer: Path | str | None = None,
) -> LoadedModel:
    """Load the model of a file or folder of any kind, in float32 unless `dtype` says otherwise.

    `tokenizer` names a tokenizer.json, or a folder with one, in place of the file's own. Raises UserError for
    what cannot be read, is not supported or does not fit, naming the file and what it is about.
    """
    return complete(open_model(path, tokenizer), device, dtype)


def complete(
    opened: Opened, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> LoadedModel:
    """Read the numbers of a model; UserError as `load` does."""
    from valle.checkpoints.loading import build

    loaded = build(opened.tensors, opened.details, device, dtype, opened.lenient)
    return replace(loaded, hash=opened.hash or loaded.hash, remarks=(*opened.remarks, *loaded.remarks))


def open_model(path: Path, tokenizer: Path | str | None = None) -> Opened:
    """Find out what a path names and what it says; no numbers are read. UserError as `load` does."""
    asked = None if tokenizer is None else Path(tokenizer)
    state = state_of(path)
    if state.is_dir():
        opened = _open_folder(state, path)
    elif state.suffix in PICKLED_ENDINGS:
        opened = _open_pickled(state, path)
    else:
        opened = _open_safe(state, path)
    return replace(opened, details=_with_tokenizer(opened.details, state, asked))


def describe(path: Path) -> Said:
    """What a model says about itself, without its numbers and without torch, which pickled files need.

    Raises UserError as `load` does.
    """
    state = state_of(path)
    if state.suffix in PICKLED_ENDINGS and not state.is_dir():
        raise UserError(f"{state}: only loading it tells what is in it")
    if state.is_dir():
        from valle.checkpoints import huggingface

        said = huggingface.describe(state, config_of(state, path))
    else:
        header = read_header(state)
        said = Said(native.read_details(state)) if native.is_native(header) else _said(state, path, header)
    return replace(said, details=_with_tokenizer(said.details, state, None))


def fingerprint(path: Path) -> str:
    """The content hash of a model's tensors, by which sessions know it; pickled files need torch for it.

    Raises UserError for what cannot be read.
    """
    state = state_of(path)
    if state.is_dir():
        state = state / HF_MODEL
    elif state.suffix in PICKLED_ENDINGS:
        from valle.checkpoints import pickled

        return pickled.read(state).tensors.hash()
    return content_hash(state, read_header(state))


def _open_safe(state: Path, asked: Path) -> Opened:
    from valle.checkpoints.tensors import from_file

    header = read_header(state)
    tensors = from_file(state, header)
    if native.is_native(header):
        return Opened(tensors, native.read_details(state))
    said = _said(state, asked, header)
    if HF_EMBEDDINGS in header.tensors:
        return _as_one_vocabulary(tensors, said, header)
    return _as_reference(tensors, said)


def _open_pickled(state: Path, asked: Path) -> Opened:
    from valle.checkpoints import pickled

    content = pickled.read(state)
    shapes = _shapes(content.tensors.shapes)
    said = reference.interpret(
        state,
        content.metadata,
        shapes,
        config_of(state, asked, bool(content.metadata.get("config"))),
        reference.texts_of(content.metadata),
    )
    if HF_EMBEDDINGS in content.tensors.stored:
        return _as_one_vocabulary(content.tensors, said)
    return _as_reference(content.tensors, said)


def _open_folder(folder: Path, asked: Path) -> Opened:
    from valle.checkpoints import huggingface

    tensors, said = huggingface.read(folder, config_of(folder, asked))
    return Opened(tensors, said.details, fingerprint(folder), said.remarks, lenient=True)


def _said(state: Path, asked: Path, header: Header) -> Said:
    shapes = _shapes({name: entry.shape for name, entry in header.tensors.items()})
    metadata: dict[str, Any] = reference.read_metadata(state, header)
    config = config_of(state, asked, bool(metadata.get("config")))
    return reference.interpret(state, metadata, shapes, config, header.metadata)


def _shapes(shapes: Shapes) -> Shapes:
    """Shapes by the names of today, those that are rows of a larger table among them."""
    from valle.checkpoints import huggingface

    return huggingface.shapes_told(shapes) if HF_EMBEDDINGS in shapes else shapes_of_today(shapes)


def _as_one_vocabulary(tensors: Tensors, said: Said, header: Header | None = None) -> Opened:
    """A file of a stock Llama, as the reference's `experimental.hf` has it; the hash is that of the file."""
    from valle.checkpoints import huggingface

    made, told = huggingface.read_single(tensors, said, header)
    return Opened(made, told.details, tensors.hash(), told.remarks, lenient=True)


def _as_reference(tensors: Tensors, said: Said) -> Opened:
    """Tensors under the names of today; the hash is that of the file."""
    names = names_of_today(tensors.shapes, said.details.config)
    made = made_of_nothing(names, said.details.config)
    renamed = {new: old for new, old in names.items() if new != old}
    if not renamed and not made:
        return Opened(tensors, said.details, None, said.remarks, lenient=True)
    from valle.checkpoints.tensors import DTYPES, Held

    dtype = tensors.stored[names["sep"]].dtype if "sep" in names else "F32"
    stored = {new: tensors.stored[old] for new, old in names.items()}
    stored |= {name: Held(dtype, shape) for name, shape in made.items()}

    def read(name: str) -> Tensor:
        import torch

        return torch.zeros(made[name], dtype=DTYPES[dtype]) if name in made else tensors.read(names[name])

    texts = said.details.original.texts if said.details.original is not None else ()
    original = Original("reference", texts, tuple(sorted(renamed.items())), tuple(made))
    remarks = (*said.remarks, *([WITHOUT_MASKED_LEVEL] if made else []))
    details = replace(said.details, original=original)
    return Opened(tensors.changed(stored, read), details, tensors.hash(), remarks, lenient=True)


def _with_tokenizer(details: Details, state: Path, asked: Path | None) -> Details:
    """Take the tokenizer that was asked for; else the one beside the file, unless it is another model's."""
    found = tokenizer_beside(state, asked, details.config.phoneme_tokens)
    if found is None or (asked is None and details.symbols and dict(found.table) != dict(details.symbols)):
        return details
    return replace(details, symbols=found.to_dict(), merges=found.merges)
