"""``valle-lab models``: which models can be named with ``--model``."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import print_json, print_table

if TYPE_CHECKING:
    from valle.checkpoints.container import Header
    from valle.checkpoints.details import Details


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that can be loaded, or why it cannot."""

    name: str
    """What ``--model`` takes."""
    file: str
    problem: str | None = None
    sha256: str | None = None
    """Over the tensors; what a session knows its model by."""
    parameters: int | None = None
    bytes: int | None = None
    codec: str | None = None
    languages: tuple[str, ...] = ()
    steps: int | None = None
    """How many steps it was trained."""


def models(
    common: Common,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """List the built-in model, and those in the models folder."""
    found = known_models(common.settings().paths.models)
    if json_output:
        print_json([asdict(model) for model in found])
    else:
        print_table([("model", "parameters", "languages", "codec", "file"), *map(_row, found)])
    return None


def known_models(folder: Path) -> list[ModelFile]:
    """The built-in model, then the model files of a folder by name; a file that cannot be used says why."""
    from valle.inference import BUILTIN_MODEL
    from valle_lab.session.engines import ENDINGS

    own = sorted(file for file in folder.glob("*") if file.suffix in ENDINGS)
    return [describe("builtin", BUILTIN_MODEL), *(describe(file.stem, file) for file in own)]


def describe(name: str, file: Path) -> ModelFile:
    """What a model file says about itself, read without torch."""
    from valle.checkpoints.container import content_hash, read_header

    try:
        header = read_header(file)
        details = _details(file, header)
        digest = content_hash(file, header)
    except UserError as error:
        return ModelFile(name, str(file), problem=str(error))
    return ModelFile(
        name,
        str(file),
        sha256=digest,
        parameters=sum(math.prod(entry.shape) for entry in header.tensors.values()),
        bytes=file.stat().st_size,
        codec=details.codec.name,
        languages=tuple(details.languages),
        steps=details.steps,
    )


def _details(file: Path, header: Header) -> Details:
    from valle.checkpoints import native, reference

    return native.read_details(file) if native.is_native(header) else reference.read_details(file)


def _row(model: ModelFile) -> tuple[str, ...]:
    if model.problem is not None:
        return model.name, "-", "-", "-", model.problem
    millions = f"{(model.parameters or 0) / 1e6:.1f} M"
    return model.name, millions, " ".join(model.languages), model.codec or "-", model.file
