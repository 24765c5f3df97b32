"""Models of the Hugging Face hub by name: `hf:OWNER/NAME` or `hf:OWNER/NAME:PATH`, also with `@REVISION`.

What was fetched once is found in the cache of `huggingface_hub` without a network, and without that library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from valle.checkpoints.beside import (
    ENDINGS,
    HF_CONFIG,
    HF_MODEL,
    PICKLED_ENDINGS,
    TEXT_TOKENIZER,
    YAML_ENDINGS,
)
from valle.checkpoints.reference_config import HF_EMBEDDINGS
from valle.errors import UserError
from valle.text.tokenizer_json import FILE_NAME

PREFIX = "hf:"
USUAL = {"ecker/vall-e": "models/ckpt/ar+nar-len-llama-8/ckpt/fp32.sft"}
"""The model of a repository that has several."""
_NAME = re.compile(
    r"hf:(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>[\w.-]{1,96}))?(?::(?P<path>[^:\0\\]{1,500}))?"
)
_FOLDER_FILES = (HF_CONFIG, FILE_NAME, TEXT_TOKENIZER, "tokenizer_config.json", HF_MODEL)


@dataclass(frozen=True)
class HubName:
    """A model of the hub; an empty path leaves the choice to the repository."""

    repo: str
    path: str = ""
    revision: str = "main"

    @property
    def file(self) -> str:
        """The path, or the usual one of the repository; empty where there is only one model."""
        return self.path or USUAL.get(self.repo, "")

    def __str__(self) -> str:
        at = "" if self.revision == "main" else f"@{self.revision}"
        return f"{PREFIX}{self.repo}{at}{f':{self.path}' if self.path else ''}"


def parse(name: str) -> HubName:
    """Read a name; UserError if it is none."""
    found = _NAME.fullmatch(name)
    path = (found["path"] or "").strip("/") if found else ""
    if found is None or ".." in PurePosixPath(path).parts:
        raise UserError(f"{name!r} is no name of the hub; write hf:OWNER/NAME or hf:OWNER/NAME:PATH")
    return HubName(found["repo"], path, found["revision"] or "main")


def cache_folder() -> Path:
    """Where `huggingface_hub` keeps what it fetches."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "huggingface"
    hub = Path(os.environ.get("HF_HOME", home)) / "hub"
    return Path(os.environ.get("HF_HUB_CACHE", hub)).expanduser()


def repository_folder(name: HubName) -> Path:
    """Where that library keeps what it fetches of a model's repository."""
    return cache_folder() / f"models--{name.repo.replace('/', '--')}"


def cached(name: HubName) -> Path | None:
    """The file or folder of a model that was fetched before, or None.

    Raises UserError where the repository has several models and none is named.
    """
    snapshot = _snapshot(repository_folder(name), name.revision)
    if snapshot is None:
        return None
    chosen = _choose(name, _files(snapshot))
    return None if chosen is None else snapshot / chosen


def all_cached() -> Iterator[tuple[HubName, Path]]:
    """The models in the cache that look like ours, by name."""
    folder = cache_folder()
    for repository in sorted(folder.glob("models--*--*")) if folder.is_dir() else ():
        snapshot = _snapshot(repository, "main")
        owner, _, name = repository.name.removeprefix("models--").partition("--")
        for file in _models(_files(snapshot)) if snapshot is not None else ():
            path = snapshot / file if snapshot is not None else Path()
            if _is_ours(path):
                yield HubName(f"{owner}/{name}", "" if file == "." else file), path


def _snapshot(repository: Path, revision: str) -> Path | None:
    """The folder of a revision in the library's cache; a revision is a commit or a name for one."""
    try:
        commit = (repository / "refs" / revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commit = revision
    snapshot = repository / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() else None


def _files(snapshot: Path) -> list[str]:
    return sorted(file.relative_to(snapshot).as_posix() for file in snapshot.rglob("*") if file.is_file())


def _models(files: Iterable[str]) -> list[str]:
    """The model files among files, and `.` or a folder's name where it is one that transformers loads."""
    known = set(files)
    found = []
    for file in sorted(known):
        path = PurePosixPath(file)
        if path.name == HF_MODEL and str(path.parent / HF_CONFIG) in known:
            found.append(str(path.parent))
        elif path.suffix in ENDINGS:
            found.append(file)
    return found


def choose(name: HubName, files: Iterable[str]) -> str:
    """The model of a repository that a name means. Raises UserError if none or several are meant."""
    files = list(files)
    chosen = _choose(name, files)
    if chosen is None:
        raise UserError(f"{name}: there is no model file in {_place(name)}; it has {_listed(_models(files))}")
    return chosen


def _choose(name: HubName, files: Iterable[str]) -> str | None:
    """The model that a name means, None if it is not among the files; UserError if there are several."""
    models, asked = _models(files), name.file
    if asked:
        inside = [model for model in models if model == asked or model.startswith(f"{asked}/")]
    else:
        inside = ["."] if "." in models else models
    if len(inside) > 1:
        raise UserError(f"{name}: there are several models in {_place(name)}: {_listed(inside)}; add :PATH")
    return inside[0] if inside else None


def _place(name: HubName) -> str:
    return f"{name.file} of it" if name.file else "it"


def _listed(models: list[str]) -> str:
    more = f" and {len(models) - 5} more" if len(models) > 5 else ""
    return ", ".join(models[:5]) + more if models else "none"


def wanted(chosen: str, files: Iterable[str]) -> list[str]:
    """What to fetch of a repository: tokenizer and configuration if they are beside the model, and the model.

    The model comes last: once it is here, all is.
    """
    path = PurePosixPath(chosen)
    if path.suffix in ENDINGS:
        tokenizers = [path.with_name(name) for name in (FILE_NAME, TEXT_TOKENIZER)]
        beside = [*tokenizers, *(path.with_suffix(ending) for ending in YAML_ENDINGS), path]
    else:
        beside = [path / file for file in _FOLDER_FILES]
    known = set(files)
    return [str(file) for file in beside if str(file) in known]


def _is_ours(path: Path) -> bool:
    from valle.checkpoints import native
    from valle.checkpoints.container import read_header

    if path.suffix in PICKLED_ENDINGS:
        return False
    try:
        header = read_header(path / HF_MODEL if path.is_dir() else path)
    except UserError:
        return False
    if path.is_dir():
        return HF_EMBEDDINGS in header.tensors and _has_our_words(path)
    return native.is_native(header) or "proms_emb.embeddings.0.weight" in header.tensors


def _has_our_words(folder: Path) -> bool:
    file = folder / FILE_NAME
    return file.is_file() and "<|RVQ:0|>" in file.read_text(encoding="utf-8", errors="replace")
