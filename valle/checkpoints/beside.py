"""What stands beside a model's file: its YAML configuration, its tokenizer; and where a folder has its file.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from valle.checkpoints.reference_config import from_document
from valle.errors import UserError
from valle.text import tokenizer_json
from valle.text.tokens import Tokenizer

SAFE_ENDINGS = (".safetensors", ".sft")
PICKLED_ENDINGS = (".pth", ".pt")
ENDINGS = (*SAFE_ENDINGS, *PICKLED_ENDINGS)
YAML_ENDINGS = (".yaml", ".yml")
HF_CONFIG, HF_MODEL = "config.json", "model.safetensors"
TEXT_TOKENIZER = "text_tokenizer.json"
_LATEST = "latest"  # a text file of the reference's trainer with the step it saved last
_CHECKPOINTS = "ckpt"
_LARGEST_YAML = 1_000_000


def is_hugging_face(folder: Path) -> bool:
    """Whether a folder is one that transformers would load."""
    return (folder / HF_CONFIG).is_file() and (folder / HF_MODEL).is_file()


def is_model(path: Path) -> bool:
    """Whether a file or folder looks like a model, by its name."""
    return (path.suffix in ENDINGS and path.is_file()) or is_hugging_face(path)


def state_of(path: Path) -> Path:
    """The file with the tensors, or the Hugging Face folder, that a path names; the one in it stands for it.

    A folder of training has its newest state, a YAML file the state beside it or the one trained with it.
    Raises UserError for a path that is not there and where there is no state, or more than one.
    """
    if path.suffix in YAML_ENDINGS and path.is_file():
        same = [path.with_suffix(ending) for ending in ENDINGS]
        found = [file for file in same if file.is_file()] or _trained(path.parent / _CHECKPOINTS)
        return _only(path, found, f"beside it, or under {_CHECKPOINTS}/")
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"{path}: there is no such file or folder")
        return path.parent if path.name == HF_MODEL and is_hugging_face(path.parent) else path
    if is_hugging_face(path):
        return path
    return _only(path, _states(path) or _trained(path / _CHECKPOINTS), "in it")


def config_of(state: Path, asked: Path, has_own: bool = False) -> dict[str, Any] | None:
    """The configuration in YAML that belongs to a state file, if there is one.

    It is the file that was asked for, or one of the state's own name; for a state that has none of its own
    also `config.yaml` in its folder or at the root of its training. Raises UserError for a file that cannot
    be read or names no model.
    """
    for file, sure in _configs(state, asked):
        if not file.is_file() or (has_own and not sure):
            continue
        try:
            return from_document(_read_yaml(file), state.parent.parent.name)
        except UserError as error:
            if sure:
                raise UserError(f"{file}: {error}") from error
    return None


def tokenizer_beside(state: Path, asked: Path | None, limit: int) -> Tokenizer | None:
    """The tokenizer of a file that was asked for, or of `tokenizer.json` beside the state.

    Ids from `limit` on are left out. Raises UserError for a file that is missing or cannot be one.
    """
    if asked is not None:
        file = asked / tokenizer_json.FILE_NAME if asked.is_dir() else asked
        return tokenizer_json.read(file, limit)
    folder = state if state.is_dir() else state.parent
    file = folder / tokenizer_json.FILE_NAME
    return tokenizer_json.read(file, limit) if file.is_file() else None


def text_tokenizer_beside(state: Path, limit: int) -> Tokenizer | None:
    """The tokenizer of plain text, `text_tokenizer.json` beside the state, for models that read or write it.

    Raises UserError for a file that cannot be one.
    """
    file = (state if state.is_dir() else state.parent) / TEXT_TOKENIZER
    return tokenizer_json.read(file, limit) if file.is_file() else None


def _configs(state: Path, asked: Path) -> Iterator[tuple[Path, bool]]:
    """Files to look at, and whether one that cannot be used is an error."""
    if asked.suffix in YAML_ENDINGS:
        yield asked, True
    if state.is_dir():
        folders = [state]
    else:
        for ending in YAML_ENDINGS:
            yield state.with_suffix(ending), True
        parents = state.resolve().parents
        depth = next((place for place, folder in enumerate(parents) if folder.name == _CHECKPOINTS), 0)
        folders = [state.parent, *parents[depth + 1 : depth + 2]] if depth else [state.parent]
    for folder in folders:
        for ending in YAML_ENDINGS:
            yield folder / f"config{ending}", False


def _read_yaml(file: Path) -> Any:
    import yaml

    try:
        if file.stat().st_size > _LARGEST_YAML:
            raise UserError("is too large for a configuration")
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"is not valid YAML: {' '.join(str(error).split())}") from error


def _states(folder: Path) -> list[Path]:
    """The state that was saved last, or all model files of a folder."""
    latest = folder / _LATEST
    if latest.is_file():
        step = folder / latest.read_text(encoding="utf-8", errors="replace").strip()[:100]
        if step.is_dir() and step.parent == folder:
            return _states(step)
    return sorted(file for file in folder.iterdir() if file.suffix in ENDINGS and file.is_file())


def _trained(folder: Path) -> list[Path]:
    """The states of the models under a folder of checkpoints."""
    if not folder.is_dir():
        return []
    return [state for model in sorted(folder.iterdir()) if model.is_dir() for state in _states(model)]


def _only(path: Path, found: list[Path], where: str) -> Path:
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"{path}: there is no model file {where} ({', '.join(ENDINGS)})")
    names = ", ".join(str(file.relative_to(path if path.is_dir() else path.parent)) for file in found[:5])
    raise UserError(f"{path}: there is more than one model file {where}: {names}; name one")
