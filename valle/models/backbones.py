"""What there is between the embeddings and the heads, by name, and what each can do; needs no torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from valle.errors import UserError


@dataclass(frozen=True)
class BackboneDeclaration:
    """One backbone: its name in files and settings, where its class is, and what it can do.

    attends: has attention, so that attention backends, maps and measures apply to it.
    looks_ahead: may see what comes after a position; without it there is level 0 only, step by step.
    experts: can have a mixture of experts in the place of each gated layer.
    state: what it keeps between steps.
    """

    name: str
    target: str
    help: str
    source: str
    attends: bool = True
    looks_ahead: bool = True
    experts: bool = False
    state: str = "keys and values"

    @property
    def limits(self) -> tuple[str, ...]:
        """What it cannot do and why, in words."""
        found = []
        if not self.looks_ahead:
            found.append("reads from left to right only: level 0, no NAR")
        if not self.attends:
            found.append("has no attention: no attention backends, maps or measures")
        return tuple(found)


_OURS = "valle.models.arch"
BACKBONES: dict[str, BackboneDeclaration] = {
    each.name: each
    for each in (
        BackboneDeclaration(
            "llama",
            f"{_OURS}.llama:Llama",
            "rotary attention and gated layers; what the published models have",
            "arXiv 2302.13971",
        ),
        BackboneDeclaration(
            "mixtral",
            f"{_OURS}.mixtral:Mixtral",
            "llama with a mixture of experts, two of them for each position",
            "arXiv 2401.04088",
            experts=True,
        ),
        BackboneDeclaration(
            "bitnet",
            f"{_OURS}.bitnet:BitNet",
            "llama whose linear layers have weights of -1, 0 and 1 and activations of 8 bits",
            "arXiv 2402.17764",
        ),
        BackboneDeclaration(
            "transformer",
            f"{_OURS}.transformer:Transformer",
            "plain attention and feed-forward layers, positions added to the embeddings",
            "arXiv 1706.03762",
        ),
        BackboneDeclaration(
            "retnet",
            f"{_OURS}.retnet:RetNet",
            "retention: what is past fades at a rate of its own in each head",
            "arXiv 2307.08621",
            attends=False,
            experts=True,
            state="one matrix a head",
        ),
        BackboneDeclaration(
            "retnet-hf",
            f"{_OURS}.retnet_hf:RetNetHF",
            "the same behind the interface of a transformers model",
            "arXiv 2307.08621",
            attends=False,
            experts=True,
            state="one matrix a head",
        ),
        BackboneDeclaration(
            "mamba",
            f"{_OURS}.mamba:Mamba",
            "selective state spaces",
            "arXiv 2312.00752",
            attends=False,
            looks_ahead=False,
            state="16 numbers a channel",
        ),
        BackboneDeclaration(
            "mamba2",
            f"{_OURS}.mamba2:Mamba2",
            "selective state spaces with one decay a head",
            "arXiv 2405.21060",
            attends=False,
            looks_ahead=False,
            state="64 numbers a channel",
        ),
    )
}


def find_backbone(name: str) -> BackboneDeclaration:
    """Return the backbone of a name; raises UserError for one that does not exist."""
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"unknown architecture {name!r}; there is {', '.join(BACKBONES)}{hint}")
    return BACKBONES[name]
