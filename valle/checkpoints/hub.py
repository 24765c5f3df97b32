"""Models of the Hugging Face hub by name: `hf:OWNER/NAME` or `hf:OWNER/NAME:PATH`, also with `@REVISION`.

What was fetched once is found in the cache of `huggingface_hub` without a network, and without that library.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import platformdirs

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
APPLICATION = "valle-lab"
_NAME = re.compile(
    r"hf:(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>[\w.-]{1,96}))?(?::(?P<path>[^:\0\\]{1,500}))?"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FOLDER_FILES = (HF_CONFIG, HF_MODEL, FILE_NAME, TEXT_TOKENIZER, "tokenizer_config.json")


@dataclass(frozen=True)
class HubName:
    """A model of the hub; an empty path leaves the choice to the repository."""

    repo: str
    path: str = ""
    revision: str = "main"

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


def cached(name: HubName) -> Path | None:
    """The file or folder of a model that was fetched before, or None.

    Raises UserError where the repository has several models and none is named.
    """
    snapshot = _snapshot(cache_folder() / f"models--{name.repo.replace('/', '--')}", name.revision)
    if snapshot is None:
        return None
    chosen = _choose(name, _files(snapshot), required=False)
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


def fetch(name: HubName, progress: bool = True) -> Path:
    """The file or folder of a model, from the cache or else from the hub, with what belongs to it.

    Raises UserError, saying what to do by hand, where it can be had from neither.
    """
    found = cached(name)
    if found is not None:
        return found
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    (enable_progress_bars if progress else disable_progress_bars)()
    endpoint, cache = os.environ.get("HF_ENDPOINT"), cache_folder()
    try:
        there = HfApi(endpoint=endpoint).model_info(name.repo, revision=name.revision)
        files = [sibling.rfilename for sibling in there.siblings or ()]
        chosen = _choose(name, files, required=True)
        for file in _wanted(str(chosen), files):
            path = hf_hub_download(
                name.repo, file, revision=name.revision, cache_dir=cache, endpoint=endpoint
            )
            _check(Path(path), name)
    except (OSError, HfHubHTTPError, HFValidationError, RuntimeError, ValueError) as error:
        raise UserError(_by_hand(name, error)) from error
    # The library speaks to the network through httpx, whose errors it lets through.
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "httpcore")):
            raise
        raise UserError(_by_hand(name, error)) from error
    found = cached(name)
    if found is None:
        raise UserError(_by_hand(name, OSError(f"it is not in {cache} afterwards")))
    return found


def _by_hand(name: HubName, error: Exception) -> str:
    path = name.path or USUAL.get(name.repo, "the model's file")
    folder = platformdirs.user_data_path(APPLICATION) / "models"
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return (
        f"{name}: cannot be fetched ({reason[:160]}). Get {path} of https://huggingface.co/{name.repo} some "
        f"other way, put it into {folder} and give its name or path with --model"
    )


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


def _choose(name: HubName, files: Iterable[str], required: bool) -> str | None:
    """The model of a repository that a name means, None if it is not among the files."""
    files = list(files)
    models = _models(files)
    wanted = name.path or USUAL.get(name.repo, "")
    if wanted:
        inside = [model for model in models if model == wanted or model.startswith(f"{wanted}/")]
    else:
        inside = ["."] if "." in models else models
    if len(inside) == 1:
        return inside[0]
    if not inside and not required:
        return None
    where = f"{wanted} of it" if wanted else "it"
    if not inside:
        raise UserError(f"{name}: there is no model file in {where}; it has {_listed(models)}")
    raise UserError(f"{name}: there are several models in {where}: {_listed(inside)}; add :PATH")


def _listed(models: list[str]) -> str:
    more = f" and {len(models) - 5} more" if len(models) > 5 else ""
    return ", ".join(models[:5]) + more if models else "none"


def _wanted(chosen: str, files: Iterable[str]) -> list[str]:
    """What to fetch of a repository: the model, and its tokenizer and configuration if they are beside it."""
    path = PurePosixPath(chosen)
    if path.suffix in ENDINGS:
        tokenizers = [path.with_name(name) for name in (FILE_NAME, TEXT_TOKENIZER)]
        beside = [path, *tokenizers, *(path.with_suffix(ending) for ending in YAML_ENDINGS)]
    else:
        beside = [path / file for file in _FOLDER_FILES]
    known = set(files)
    return [str(file) for file in beside if str(file) in known]


def _check(file: Path, name: HubName) -> None:
    """Large files lie in the cache under their sha256."""
    blob = file.resolve()
    if not _SHA256.fullmatch(blob.name):
        return
    with blob.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != blob.name:
        blob.unlink()
        file.unlink(missing_ok=True)
        raise UserError(f"{name}: what came of {file.name} is damaged, and was taken away; try again")


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
