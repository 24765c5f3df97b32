"""Two more losses that the reference trains with: over the whole sequence, and segment by segment.

`Base.loss` asks for the output alone. Its files were trained to foretell what they are given as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from valle.models.base import Base, Inputs
from valle.models.layout import Layout, is_in_place

IGNORED = -100


def whole_loss(model: Base, rows: Sequence[Inputs]) -> Tensor:
    """Mean over the rows of each row's mean cross entropy over its whole sequence, in nats.

    Causal rows answer with the id after theirs, the others with their own. Separators, summed codes and ids
    that the row's head does not have are not asked for.
    """
    return torch.stack([_entropy(logits, targets) for logits, targets in _answers(model, rows)]).mean()


def segment_loss(model: Base, rows: Sequence[Inputs], factors: Mapping[str, float]) -> Tensor:
    """Sum over the segments named in `factors` of the factor times the mean over rows, in nats.

    In a causal row the first id of a segment is not asked for: the row before it belongs to another segment,
    but for the output, which the separator before it foretells. Raises ValueError for a segment that no row
    has.
    """
    layouts = model.layouts(rows, growing=True)
    found: dict[str, list[Tensor]] = {name: [] for name in factors}
    for layout, (logits, targets) in zip(layouts, _answers(model, rows), strict=True):
        shift = 0 if is_in_place(layout.head) or not layout.causal else 1
        for name, span in layout.spans.items():
            part = slice(span.start, span.stop - shift)
            if name == list(layout.spans)[-1]:
                part = slice(span.start - shift, span.stop)
            if name in found and (targets[part] != IGNORED).any():
                found[name].append(_entropy(logits[part], targets[part]))
    if missing := [name for name, parts in found.items() if not parts]:
        raise ValueError(f"no row has a segment {missing[0]} that can be asked for")
    return torch.stack([factors[name] * torch.stack(parts).mean() for name, parts in found.items()]).sum()


def _answers(model: Base, rows: Sequence[Inputs]) -> list[tuple[Tensor, Tensor]]:
    """Of each row the logits [S, V] of its head at every place, and what each is to answer [S]."""
    layouts = model.layouts(rows, growing=True)
    packed = model.pack(layouts)
    hidden = model.model(packed.embeddings, packed.positions, packed.limit, packed.mask)
    made = []
    for at, (row, layout) in enumerate(zip(rows, layouts, strict=True)):
        logits = model.answer(layout.head, hidden[at, : layout.length])
        targets = _targets(model, row, layout).to(logits.device)
        made.append((logits, targets.masked_fill(targets >= logits.shape[-1], IGNORED)))
    return made


def _targets(model: Base, row: Inputs, layout: Layout) -> Tensor:
    """What each place of a sequence is to answer with."""
    config = model.config
    own = torch.full((layout.length,), IGNORED)
    for name, span in layout.spans.items():
        tables = [
            each for each in layout.lookups if span.start <= each.start < span.stop and each.stride == 1
        ]
        summed = len(tables) > 1 or (name == "prompt" and config.sums_prompt)
        if not summed and len(tables) == 1 and len(tables[0].ids) == span.stop - span.start:
            own[span] = tables[0].ids.long()
    output = layout.outputs
    if is_in_place(layout.head) and row.response is not None and row.level < row.response.shape[1]:
        own[output] = row.response[:, row.level].long()
    if is_in_place(layout.head) or not layout.causal:
        return own
    after = torch.cat([own[1:], torch.tensor([IGNORED])])
    if layout.head == "ar":
        after[-1] = config.stop
    return after


def _entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits, targets, ignore_index=IGNORED)
