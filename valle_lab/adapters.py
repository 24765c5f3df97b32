"""Files of adapters: which there are, and which one a name, a path or a hash means; needs no torch."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valle.adapter_use import check_strength
from valle.errors import UserError

ENDINGS = (".safetensors", ".sft", ".pth", ".pt")
METADATA = ("valle-lab.adapter", "lora", "config")


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """An adapter in the folder of adapters, as far as its file says without being read in full."""

    name: str
    """What ``--lora`` and ``adapter.load`` take."""
    file: str
    problem: str | None = None
    rank: int | None = None
    phases: tuple[str, ...] = ()
    model: str = ""
    """Hash of the model that it is for; empty where the file does not know it."""
    bytes: int | None = None


def known_adapters(folder: Path) -> list[AdapterFile]:
    """The adapters of a folder by name; a file that cannot be used says why."""
    return [_described(file) for file in _files(folder)]


def find_adapter(name: str, folder: Path) -> Path:
    """The file of an adapter, by path or by its name in the folder. UserError if there is none."""
    given = Path(name).expanduser()
    names = [folder / f"{name}{ending}" for ending in ENDINGS]
    found = next((file for file in (given, *names) if file.is_file()), None)
    if found is None:
        near = difflib.get_close_matches(name, [file.stem for file in _files(folder)], n=1)
        hint = f"did you mean {near[0]}?" if near else f"give a file, or the name of one in {folder}"
        raise UserError(f"the adapter {name!r} is not there; {hint}")
    return found


def parse_adapters(text: str, folder: Path) -> tuple[tuple[str, float], ...]:
    """`NAME|FILE[@STRENGTH]`, several with commas between, as files and strengths. UserError if wrong."""
    return tuple(_parse(part.strip(), folder) for part in text.split(",") if part.strip())


def adapter_of_hash(sha256: str, folder: Path) -> Path | None:
    """The file of an adapter of this content, where the folder has it."""
    return next((file for file in _files(folder) if _hash(file) == sha256), None)


def _parse(text: str, folder: Path) -> tuple[str, float]:
    name, separator, strength = text.rpartition("@")
    if not separator:
        return str(find_adapter(text, folder)), 1.0
    try:
        value = float(strength)
    except ValueError:
        raise UserError(f"--lora {text!r}: the strength behind @ must be a number, as in voice@0.5") from None
    return str(find_adapter(name, folder)), check_strength(name, value)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix in ENDINGS) if folder.is_dir() else []


def _hash(file: Path) -> str | None:
    try:
        if file.suffix in (".pth", ".pt"):
            from valle.models.adapters import load

            return load(file).hash
        from valle.checkpoints.container import content_hash, read_header

        return content_hash(file, read_header(file))
    except UserError:
        return None


def _described(file: Path) -> AdapterFile:
    size = file.stat().st_size
    if file.suffix in (".pth", ".pt"):
        return AdapterFile(file.stem, str(file), bytes=size)
    from valle.checkpoints.container import read_header

    try:
        header = read_header(file)
    except UserError as error:
        return AdapterFile(file.stem, str(file), problem=str(error), bytes=size)
    if not any(name.endswith(".lora_A") for name in header.tensors):
        return AdapterFile(file.stem, str(file), problem="it is no adapter", bytes=size)
    text = next((header.metadata[key] for key in METADATA if key in header.metadata), "{}")
    said = _plain(text)
    shape = said.get("shape", said)
    rank = next(entry.shape[0] for name, entry in header.tensors.items() if name.endswith(".lora_A"))
    phases = shape.get("phases", ()) if isinstance(shape, dict) else ()
    model = said.get("model", "")
    return AdapterFile(
        file.stem,
        str(file),
        rank=rank,
        phases=tuple(map(str, phases)) if isinstance(phases, list) else (),
        model=model if isinstance(model, str) else "",
        bytes=size,
    )


def _plain(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
