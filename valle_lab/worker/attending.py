"""From queries and keys to what is shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from valle_lab.views import Alignment, AttentionLook, AttentionView, HeadView, Reader

if TYPE_CHECKING:
    from valle.models.attention_maps import AttentionTrack

READERS = 6
"""Heads that the map is made from, at most."""


def attention_view(track: AttentionTrack, look: AttentionLook, symbols: tuple[str, ...]) -> AttentionView:
    """Where the model looks in one decision, clamped to those that there are."""
    rows = len(track)
    row = rows - 1 if look.row is None else min(max(look.row, 0), rows - 1)
    shares = track.shares(max(0, row + 1 - max(1, look.over)), row + 1)
    return AttentionView(
        take=look.take,
        segment=look.segment or 0,
        row=row,
        rows=rows,
        symbols=symbols,
        shares=shares.mean(axis=2),
        head=_head(track, look, row),
        alignment=_alignment(track) if look.aligned else None,
    )


def _head(track: AttentionTrack, look: AttentionLook, row: int) -> HeadView | None:
    if look.layer is None or look.head is None:
        return None
    layer, head = min(look.layer, track.layers - 1), min(look.head, track.heads - 1)
    weights = track.head(layer, head, row)
    return HeadView(layer, head, weights["phonemes"], weights["prompt"], weights["response"])


def _alignment(track: AttentionTrack) -> Alignment:
    """The map of the heads that read along, each counting as much as it does."""
    from valle.models.attention_maps import best_heads, monotone_paths

    text = track.text(0, len(track))
    readers = [Reader(*found) for found in best_heads(text, READERS, whole=False)]
    weight = np.array([max(reader.monotony, 1e-6) for reader in readers], np.float32)
    maps = np.stack([text[reader.layer, reader.head] for reader in readers])
    joined = np.tensordot(weight / weight.sum(), maps, 1)
    paths, _ = monotone_paths(joined[None], whole=False)
    return Alignment(tuple(readers), joined.astype(np.float32), paths[0].astype(np.int32))
