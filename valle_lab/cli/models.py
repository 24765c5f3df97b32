"""``valle-lab models``: which models can be named with ``--model``, and fetching those that are not here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import narrate, print_json, print_table


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
    remarks: tuple[str, ...] = ()
    """What is ignored or assumed where it is read."""
    backbone: str | None = None
    """What is between its embeddings and its heads; ``--backbones`` says what each can do."""


def models(
    common: Common,
    fetch: Annotated[
        str | None,
        typer.Option(metavar="hf:OWNER/NAME[:PATH]|encodec", help="Fetch this from the network first."),
    ] = None,
    backbones: Annotated[
        bool, typer.Option("--backbones", help="List only the backbones that a model can have.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """List the built-in model, those of the models folder and of the hub; then what backbones can do."""
    if backbones:
        _list_backbones(json_output)
        return None
    if fetch is not None:
        narrate(f"{fetch} is in {_fetch(fetch)}")
    found = known_models(common.settings().paths.models)
    if json_output:
        print_json([asdict(model) for model in found])
    else:
        heads = ("model", "backbone", "parameters", "languages", "codec", "file")
        print_table([heads, *map(_row, found)])
        print()
        _list_backbones(json_output)
    return None


def _list_backbones(json_output: bool) -> None:
    from valle.models.backbones import BACKBONES

    if json_output:
        print_json([{**asdict(each), "limits": each.limits} for each in BACKBONES.values()])
        return
    rows = (
        (each.name, _yes(each.looks_ahead), _yes(each.attends), _yes(each.experts), each.state, each.help)
        for each in BACKBONES.values()
    )
    print_table([("backbone", "NAR", "attention", "experts", "keeps of the past", "is"), *rows])


def _yes(able: bool) -> str:
    return "yes" if able else "no"


def known_models(folder: Path) -> list[ModelFile]:
    """The built-in model, those of a folder, those of the hub's cache; one that cannot be used says why."""
    from valle.checkpoints import hub
    from valle.checkpoints.beside import is_model
    from valle.checkpoints.opening import BUILTIN_MODEL

    own = sorted(path for path in folder.glob("*") if is_model(path))
    fetched = [describe(str(name), path) for name, path in hub.all_cached()]
    return [describe("builtin", BUILTIN_MODEL), *(describe(path.stem, path) for path in own), *fetched]


def describe(name: str, file: Path) -> ModelFile:
    """What a model says about itself, read without torch; a pickled file says nothing before it is loaded."""
    from valle.checkpoints.beside import HF_MODEL, PICKLED_ENDINGS
    from valle.checkpoints.container import content_hash, read_header
    from valle.checkpoints.opening import describe as describe_model

    if file.suffix in PICKLED_ENDINGS:
        return ModelFile(name, str(file), bytes=file.stat().st_size)
    try:
        said = describe_model(file)
        state = file / HF_MODEL if file.is_dir() else file
        header = read_header(state)
        digest = content_hash(state, header)
    except UserError as error:
        return ModelFile(name, str(file), problem=str(error))
    return ModelFile(
        name,
        str(file),
        sha256=digest,
        parameters=sum(math.prod(entry.shape) for entry in header.tensors.values()),
        bytes=state.stat().st_size,
        codec=said.details.codec.name,
        languages=tuple(said.details.languages),
        steps=said.details.steps,
        remarks=said.remarks,
        backbone=said.details.config.architecture,
    )


def _fetch(name: str) -> Path:
    if name == "encodec":
        from valle.audio.opening import fetch_encodec

        return fetch_encodec()
    from valle.checkpoints.fetching import fetch
    from valle.checkpoints.hub import parse

    return fetch(parse(name))


def _row(model: ModelFile) -> tuple[str, ...]:
    if model.problem is not None:
        return model.name, "-", "-", "-", "-", model.problem
    millions = f"{model.parameters / 1e6:.1f} M" if model.parameters is not None else "-"
    backbone, codec = model.backbone or "-", model.codec or "-"
    return model.name, backbone, millions, " ".join(model.languages), codec, model.file
