"""``valle-lab convert``: a model from one format into another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import narrate, print_json

if TYPE_CHECKING:
    import torch

WORDS = {
    "native": "our own format",
    "reference": "the reference's format",
    "huggingface": "a Hugging Face folder",
}


def convert(
    common: Common,
    source: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, file or folder, or hf:OWNER/NAME.")
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="NAME.safetensors (ours), NAME.sft (the reference's), or a folder."
        ),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int | None:
    """Write a model in another format; tensors keep their dtype unless --dtype names one."""
    from valle.checkpoints.convert import convert as convert_model
    from valle.checkpoints.convert import format_of
    from valle.checkpoints.opening import find
    from valle_lab.session.engines import find_model

    format_of(target)
    if not overwrite and (any(target.iterdir()) if target.is_dir() else target.exists()):
        raise UserError(f"{target} is there already; name another one, or add --overwrite")
    path = find(find_model(source, common.settings().paths.models))
    tokenizer = None if common.tokenizer is None else Path(common.tokenizer)
    written = convert_model(path, target, _dtype(common.dtype), tokenizer)
    for remark in written.remarks:
        narrate(remark)
    if written.lost:
        narrate(f"{WORDS[written.format]} has no place for: {'; '.join(written.lost)}")
    if json_output:
        lists = {"remarks": list(written.remarks), "lost": list(written.lost)}
        print_json({"path": str(written.path), "format": written.format, **lists})
    else:
        print(written.path)
    return None


def _dtype(name: str | None) -> torch.dtype | None:
    import torch

    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if name is None or name == "auto":
        return None
    if name not in known:
        raise UserError(f"--dtype {name!r} must be one of {', '.join(known)}")
    return known[name]
