"""What all models share: embeddings, heads, the full pass over a padded batch, and the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from valle.models.arch import build
from valle.models.arch.attention import Mask, Span
from valle.models.arch.observer import Observer
from valle.models.arch.reading import Reading, Text
from valle.models.arch.together import Together, are_few
from valle.models.config import LENGTH_TOKENS, ModelConfig
from valle.models.layout import Inputs, Layout, Lookup, arrange, interleaved, is_in_place

__all__ = ["Base", "Inputs", "Losses"]

_EMBEDDING_SPREAD = 0.1
_WEIGHT_SPREAD = 0.02


@dataclass(frozen=True, eq=False)
class Losses:
    """Cross entropies in nats [R, T] of the ids each row should answer with; 0 where a row is padded.

    counted: bool [R, T], where there is a target; correct: bool [R, T], where the best id is the target.
    """

    cross_entropy: Tensor
    counted: Tensor
    correct: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean cross entropy over all targets of the batch."""
        return self.cross_entropy.sum() / self.counted.sum()


@dataclass(frozen=True, eq=False)
class Packed:
    """A padded batch: embeddings [R, S, D], positions [R, S] below `limit`; row r begins at `offsets[r]`."""

    embeddings: Tensor
    positions: Tensor
    limit: int
    mask: Mask
    offsets: tuple[int, ...]


class Codebooks(nn.Module):
    """Embedding tables of audio codes."""

    def __init__(self, sizes: Sequence[int], dim: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)

    def weight(self, index: int) -> Tensor:
        """Return the table of one codebook, [codes, D]."""
        return cast(nn.Embedding, self.embeddings[index]).weight


class Heads(nn.Module):
    """One linear head per kind of answer."""

    def __init__(self, sizes: Sequence[int], dim: int, bias: bool) -> None:
        super().__init__()
        self.proj = nn.ModuleList(nn.Linear(dim, size, bias=bias) for size in sizes)


class Base(nn.Module):
    """Embeddings, a backbone and heads under the tensor names of the reference's files."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        dim, codes = config.dim, config.audio_tokens
        levels = config.audio_levels
        self.sep = nn.Parameter(torch.empty(dim))
        self.dropout_token = nn.Parameter(torch.empty(dim))
        self.text_emb = nn.Embedding(config.phoneme_tokens, dim)
        if config.text_tokens:
            self.raw_text_emb = nn.Embedding(config.text_tokens, dim)
        self.proms_emb = Codebooks([codes] * levels, dim)
        self.resps_emb = Codebooks(config.response_sizes(), dim)
        self.langs_emb = nn.Embedding(config.languages, dim)
        self.tasks_emb = nn.Embedding(config.tasks, dim)
        self.tones_emb = nn.Embedding(config.tones, dim)
        self.rvq_l_emb = nn.Embedding(levels, dim)
        self.len_emb = nn.Embedding(LENGTH_TOKENS, dim)
        self.model = build(config)
        sizes = config.head_sizes()
        split, bias = config.split_classifiers, config.classifiers_bias
        self.classifiers = Heads(list(sizes.values()) if split else [], dim, bias)
        size = config.classifier_size or config.vocabulary
        self.classifier = None if split else nn.Linear(dim, size, bias=bias)
        self._heads = {name: index for index, name in enumerate(sizes)}
        self._answers = {name: Together() for name in sizes}
        self._initialise()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.sep.device

    @property
    def attends(self) -> bool:
        """Whether the backbone shows an observer queries and keys."""
        return self.model.attends

    def layouts(self, rows: Sequence[Inputs], growing: bool = False) -> list[Layout]:
        """Lay rows out as the passes below do; an observer finds its segments by them."""
        return [arrange(row, self.config, growing) for row in rows]

    @torch.inference_mode()
    def full(self, rows: Sequence[Inputs], observer: Observer | None = None) -> list[Tensor]:
        """Return the float32 logits of each row in one pass over all of it.

        In-place heads (NAR, masked level 0) give [T, V], one per frame; the others [T + 1, V], from the
        separator before the output on. Rows may be of different task, level and length.
        """
        layouts = self.layouts(rows)
        since = min(layout.outputs.start for layout in layouts)
        hidden = self._run(layouts, observer, since)
        return [
            self.answer(layout.head, hidden[row, layout.outputs.start - since : layout.outputs.stop - since])
            for row, layout in enumerate(layouts)
        ]

    def loss(
        self,
        rows: Sequence[Inputs],
        targets: Sequence[Tensor | None] | None = None,
        observer: Observer | None = None,
    ) -> Losses:
        """Return the cross entropies of what each row should answer, in one padded batch.

        The targets follow from the row: level 0 of the AR with the stop id appended, codebook `level` for
        NAR, the ids of the output for the tasks `len`, `stt`, `phn` and `un-phn`. Masked rows need theirs
        given: true ids [T], -100 where none is asked for. Under autocast the heads run in its dtype.
        """
        layouts = self.layouts(rows, growing=True)
        return self.judge(rows, layouts, self._run(layouts, observer), targets)

    def judge(
        self,
        rows: Sequence[Inputs],
        layouts: Sequence[Layout],
        hidden: Tensor,
        targets: Sequence[Tensor | None] | None = None,
    ) -> Losses:
        """Return the cross entropies of rows as `loss` does, from the hidden rows [R, S, D]."""
        given = targets if targets is not None else [None] * len(rows)
        wanted = [
            self._targets(row, layout) if target is None else target
            for row, layout, target in zip(rows, layouts, given, strict=True)
        ]
        entropies, hits = self._compare(layouts, wanted, hidden)
        counted = pad_sequence([target >= 0 for target in wanted], batch_first=True).to(self.device)
        return Losses(
            pad_sequence(entropies, batch_first=True), counted, pad_sequence(hits, batch_first=True)
        )

    def _compare(
        self, layouts: Sequence[Layout], wanted: Sequence[Tensor], hidden: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return cross entropies and hits of each row, each head being run once for all of its rows."""
        groups: dict[str, list[int]] = {}
        for row, layout in enumerate(layouts):
            groups.setdefault(layout.head, []).append(row)
        entropies, hits = list(wanted), list(wanted)
        for head, members in groups.items():
            lengths = [len(wanted[row]) for row in members]
            outputs = [hidden[row, layouts[row].outputs][: len(wanted[row])] for row in members]
            truth = torch.cat([wanted[row] for row in members]).to(hidden.device)
            logits = self.answer(head, torch.cat(outputs))
            entropy = functional.cross_entropy(logits, truth, reduction="none")
            hit = logits.detach().argmax(-1) == truth
            parts = zip(members, torch.split(entropy, lengths), torch.split(hit, lengths), strict=True)
            for row, row_entropy, row_hits in parts:
                entropies[row], hits[row] = row_entropy, row_hits
        return entropies, hits

    def answer(self, head: str, hidden: Tensor) -> Tensor:
        """Return the float32 logits of a head for hidden [..., D], computed in float32 outside autocast."""
        linear = self.classifier or cast(nn.Linear, self.classifiers.proj[self._heads[head]])
        if self.classifier is None and hidden.dim() == 2 and are_few(hidden):
            multiply = self._answers[head].product(linear)
            if multiply is not None:
                return multiply(hidden)
        weight: Tensor = linear.weight
        bias: Tensor | None = linear.bias
        if self.classifier is not None and self.config.classifier_offsets:
            rows = self.config.head_range(head)
            weight, bias = weight[rows], None if bias is None else bias[rows]
        bias = None if bias is None else bias.float()
        return functional.linear(hidden.float(), weight.float(), bias).float()

    def table(self, name: str) -> Tensor:
        """Return the embedding table that a layout calls `name`, [ids, D]."""
        kind, _, index = name.partition(".")
        match kind:
            case "prompt":
                return self.proms_emb.weight(int(index))
            case "response":
                return self.resps_emb.weight(int(index))
            case "separator":
                return self.sep.unsqueeze(0)
        tables = {
            "phonemes": "text_emb",
            "text": "raw_text_emb",
            "language": "langs_emb",
            "level": "rvq_l_emb",
            "task": "tasks_emb",
            "tone": "tones_emb",
            "digits": "len_emb",
        }
        return getattr(self, tables[kind]).weight

    def pack(self, layouts: Sequence[Layout], align_end: bool = False) -> Packed:
        """Embed and pad a batch, at the end or, with `align_end`, in front."""
        lengths = [layout.length for layout in layouts]
        width = max(lengths)
        offsets = tuple(width - length if align_end else 0 for length in lengths)
        positions = torch.zeros(len(layouts), width, dtype=torch.long)
        for row, layout in enumerate(layouts):
            positions[row, offsets[row] : offsets[row] + layout.length] = layout.positions
        return Packed(
            embeddings=self._embed(layouts, offsets, width),
            positions=positions.to(self.device),
            limit=int(positions.max()) + 1,
            mask=replace(
                mask_of(layouts, offsets, width, self.device), reading=self._reading(layouts, offsets)
            ),
            offsets=offsets,
        )

    def _reading(self, layouts: Sequence[Layout], offsets: Sequence[int]) -> Reading | None:
        layers = self.config.forward_attention
        if not layers:
            return None
        texts = [text_of(layout, offset) for layout, offset in zip(layouts, offsets, strict=True)]
        return Reading.of(texts, layers, self.device) if any(texts) else None

    def _run(self, layouts: Sequence[Layout], observer: Observer | None, since: int = 0) -> Tensor:
        """Return the hidden rows [R, S - since, D] of the places from `since` on."""
        packed = self.pack(layouts)
        return self.model(
            packed.embeddings, packed.positions, packed.limit, packed.mask, observer=observer, since=since
        )

    def _embed(self, layouts: Sequence[Layout], offsets: Sequence[int], width: int) -> Tensor:
        """Look all ids of one table up at once and add them where they belong; returns [R, width, D]."""
        by_table: dict[str, list[tuple[int, Lookup]]] = {}
        for row, (layout, offset) in enumerate(zip(layouts, offsets, strict=True)):
            for lookup in layout.lookups:
                by_table.setdefault(lookup.table, []).append((row * width + offset + lookup.start, lookup))
        flat = self.sep.new_zeros(len(layouts) * width, self.config.dim)
        for name, uses in by_table.items():
            ids = torch.cat([lookup.ids.long() for _, lookup in uses]).to(self.device)
            places = torch.cat(
                [start + lookup.stride * torch.arange(len(lookup.ids)) for start, lookup in uses]
            )
            flat = flat.index_add(0, places.to(self.device), functional.embedding(ids, self.table(name)))
        return flat.view(len(layouts), width, -1)

    def _targets(self, row: Inputs, layout: Layout) -> Tensor:
        if layout.head == "nar_len":
            raise ValueError("masked rows need their targets given")
        if is_in_place(layout.head):
            return _require(row.response)[:, row.level].long()
        if layout.head == "ar":
            codes = _require(row.response)
            ids = interleaved(codes) if self.config.interleave else codes[:, 0]
            return functional.pad(ids.long(), (0, 1), value=self.config.stop)
        output = {"phonemes": row.phonemes, "text": row.text, "len": row.digits}[layout.head]
        return _require(output).long()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Start small at the ends and where blocks add to the stream (GPT-2); the rest is torch's default."""
        residual_spread = _WEIGHT_SPREAD / (2 * self.config.layers) ** 0.5
        for name, parameter in self.named_parameters():
            if "emb" in name or name in ("sep", "dropout_token"):
                nn.init.normal_(parameter, 0.0, _EMBEDDING_SPREAD)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.normal_(parameter, 0.0, residual_spread)
            elif name.startswith("classifier"):
                nn.init.normal_(parameter, 0.0, 0.0 if name.endswith("bias") else _WEIGHT_SPREAD)


def mask_of(layouts: Sequence[Layout], offsets: Sequence[int], width: int, device: torch.device) -> Mask:
    """Return the mask of a padded batch; padding is never seen, and itself sees only itself."""
    in_front = any(offsets)
    causal = [layout.causal for layout in layouts]
    if all(causal) and not in_front:
        return Mask(causal=True)  # what is padded at the end comes after all that matters
    if not any(causal) and all(layout.length == width for layout in layouts):
        return Mask()
    starts = torch.tensor(offsets).view(-1, 1, 1, 1)
    ends = starts + torch.tensor([layout.length for layout in layouts]).view(-1, 1, 1, 1)
    key = torch.arange(width).view(1, 1, 1, -1)
    query = torch.arange(width).view(1, 1, -1, 1)
    free = ~torch.tensor(causal).view(-1, 1, 1, 1)
    keep = ((key >= starts) & (key < ends) & (free | (key <= query))) | (key == query)
    rows = tuple(
        Span(offset, offset + layout.length, layout.causal)
        for offset, layout in zip(offsets, layouts, strict=True)
    )
    return Mask(keep=keep.to(device), rows=rows)


def text_of(layout: Layout, offset: int) -> Text | None:
    """Return where a row that begins at `offset` has the text that its AR speaks, if it has one."""
    if layout.head != "ar" or "phonemes" not in layout.spans:
        return None
    span = layout.spans["phonemes"]
    return Text(offset + span.start, offset + span.stop, offset + layout.outputs.start)


def _require(ids: Tensor | None) -> Tensor:
    if ids is None:
        raise ValueError("a row without its answer has no loss")
    return ids
