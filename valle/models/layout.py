"""How one row becomes a sequence: which embedding goes where, at which position, read by which head.

The layout is that of the VALL-E by e-c-k-e-r: segments joined by a separator, the segment that is being
produced last. Everything here is data about ids, without a weight, so that it can be checked by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from valle.models.config import TASKS, ModelConfig

Prompt = Tensor | Sequence[Tensor | str]

_SPEECH = ("phonemes", "language", "level", "prompt", "tone", "response")
_INTERLEAVED = ("phonemes", "language", "prompt", "tone", "response")
_SEGMENTS = {
    "len": ("phonemes", "language", "level", "prompt", "tone", "digits"),
    "stt": ("response", "language", "level", "phonemes"),
    "phn": ("text", "language", "level", "phonemes"),
    "un-phn": ("phonemes", "language", "level", "text"),
}
_HEADS = {"len": "len", "stt": "phonemes", "phn": "phonemes", "un-phn": "text"}
_CAUSAL_HEADS = ("ar", "len", "phonemes")
_POSITION_WHERE_UNCOUNTED = 1  # the reference fills up its too short list of positions with ones
_SEPARATORS_OVERLOOKED = frozenset(("tts-c", "tse", "soe", "mask", "eoe"))
"""Tasks that the reference has no entry for in its table of what a task puts out."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """One row: what is said, how, in whose voice, and what exists of the answer so far.

    phonemes, text: ids [N], start and end ids included; for `tts` the text may stand in for the phonemes.
    language: row of the language embedding, None leaves the segment out.
    level: 0 to 7, the codebook that is asked for.
    prompt: codes [frames, 8]; or a list of such codes and task names (`["ns", codes]`); None: no voice.
    response: codes [frames, levels] made so far, at least `level` levels of them (all of them for `stt`).
    masked: level 0 is demasked in place instead of continued; the id 1024 in `response` is the mask.
    digits: ids [N] of the `len` task so far, the first is 0.
    tone: row of the tone embedding; left out unless the model has the capability `tone`.
    """

    task: str = "tts"
    phonemes: Tensor | None = None
    text: Tensor | None = None
    language: int | None = None
    level: int = 0
    prompt: Prompt | None = None
    response: Tensor | None = None
    masked: bool = False
    digits: Tensor | None = None
    tone: int | None = None


@dataclass(frozen=True, eq=False)
class Lookup:
    """Rows `ids` of one embedding table, added into the sequence from `start` on, every `stride` places."""

    table: str
    ids: Tensor
    start: int
    stride: int = 1


@dataclass(frozen=True, eq=False)
class Segment:
    """One part of the sequence; `start` of its lookups counts from the segment's own beginning."""

    name: str
    length: int
    lookups: tuple[Lookup, ...]
    task_tokens: int = 0


@dataclass(frozen=True, eq=False)
class Layout:
    """One row laid out.

    positions: [length]; `next_position` is where a token appended to the output would stand.
    outputs: the rows that `head` reads. In place for NAR; else from the separator before the output on, so
        that the n-th of them predicts the n-th id of the output.
    spans: segment name to its rows, its separator not included.
    forward: the layers whose first head reads the phonemes forward while this row is continued.
    """

    length: int
    lookups: tuple[Lookup, ...]
    positions: Tensor
    next_position: int
    causal: bool
    head: str
    outputs: slice
    spans: dict[str, slice]
    forward: tuple[int, ...] = ()


def head_name(row: Inputs) -> str:
    """Return the head that answers the row."""
    if row.task in _HEADS:
        return _HEADS[row.task]
    if row.level:
        return f"nar.{row.level}"
    return "nar_len" if row.masked else "ar"


def is_in_place(head: str) -> bool:
    """Say whether the head predicts the ids at their own rows (and not the next id)."""
    return head.startswith("nar")


def is_causal(head: str, config: ModelConfig) -> bool:
    """Say whether rows of this head see only what is before them."""
    return not config.noncausal_masks or head in _CAUSAL_HEADS


def segments(row: Inputs, config: ModelConfig) -> list[Segment]:
    """Return the segments of a row in order, the output last; absent conditions are left out.

    Raises ValueError for a task or level that does not exist and for a condition that must not be absent.
    """
    if row.task not in TASKS and row.task not in _SEGMENTS:
        raise ValueError(f"unknown task {row.task!r}")
    if not 0 <= row.level < config.audio_levels:
        raise ValueError(f"level {row.level} is not one of 0 to {config.audio_levels - 1}")
    names = _SEGMENTS.get(row.task, _INTERLEAVED if config.interleave else _SPEECH)
    made = [_segment(name, row, config, is_output=name == names[-1]) for name in names]
    return [segment for segment in made if segment is not None]


def arrange(row: Inputs, config: ModelConfig, growing: bool = False) -> Layout:
    """Lay a row out.

    growing: the output is about to be continued. It matters only where task tokens are not counted: the
    reference then puts the last rows of every finished sequence at position 1, as many as it overlooked, and
    a sequence that grows must keep the position that each row had when the model was trained.
    """
    parts = segments(row, config)
    lookups: list[Lookup] = []
    spans: dict[str, slice] = {}
    length = 0
    for part in parts:
        lookups += (replace(each, start=each.start + length) for each in part.lookups)
        spans[part.name] = slice(length, length + part.length)
        length += part.length
        if part is not parts[-1]:
            lookups.append(Lookup("separator", torch.zeros(1, dtype=torch.long), length))
            length += 1
    head = head_name(row)
    output = spans[parts[-1].name]
    positions, next_position = _positions(row.task, parts, config, growing)
    return Layout(
        length=length,
        lookups=tuple(lookups),
        positions=positions,
        next_position=next_position,
        causal=is_causal(head, config),
        head=head,
        outputs=output if is_in_place(head) else slice(output.start - 1, output.stop),
        spans=spans,
        forward=config.forward_attention if head == "ar" and "phonemes" in spans else (),
    )


def _positions(task: str, parts: Sequence[Segment], config: ModelConfig, growing: bool) -> tuple[Tensor, int]:
    separators = [1] * (len(parts) - 1) + [0]
    lengths = [part.length + separator for part, separator in zip(parts, separators, strict=True)]
    total = sum(lengths)
    if config.unified_position_ids:
        return torch.arange(total), total
    missing = 0
    if not config.task_tokens_counted:
        overlooked = separators if task in _SEPARATORS_OVERLOOKED else [0] * len(parts)
        uncounted = [part.task_tokens + each for part, each in zip(parts, overlooked, strict=True)]
        missing = sum(uncounted)
        lengths = [length - each for length, each in zip(lengths, uncounted, strict=True)]
    if growing:
        lengths[-1] += missing
    positions = torch.cat([torch.arange(length) for length in lengths])
    filler = torch.full((total - len(positions),), _POSITION_WHERE_UNCOUNTED)
    return torch.cat([positions, filler]), parts[-1].length + missing


def _segment(name: str, row: Inputs, config: ModelConfig, is_output: bool) -> Segment | None:
    if name == "phonemes" and row.phonemes is None and row.text is not None and not is_output:
        name = "text"
    match name:
        case "phonemes" | "text" | "digits":
            ids = getattr(row, name)
            if ids is None and not is_output:
                raise ValueError(f"a row of task {row.task} needs {name}")
            return _plain(name, torch.zeros(0, dtype=torch.long) if ids is None else ids)
        case "language":
            return None if row.language is None else _plain(name, torch.tensor([row.language]))
        case "tone":
            heard = row.tone is not None and "tone" in config.capabilities
            return _plain(name, torch.tensor([row.tone])) if heard else None
        case "level":
            return _plain(name, torch.tensor([row.level]))
        case "prompt":
            return None if row.prompt is None else _prompt(row.prompt, row.level, config)
        case _:
            return _response(row, config)


def _plain(name: str, ids: Tensor) -> Segment:
    return Segment(name, len(ids), (Lookup(name, ids, 0),))


def _prompt(prompt: Prompt, level: int, config: ModelConfig) -> Segment:
    pieces: Sequence[Tensor | str] = [prompt] if isinstance(prompt, Tensor) else prompt
    levels: Iterable[int] = [max(level - 1, 0)]
    if config.sums_prompt:
        levels = range(max(level, 1))
    lookups: list[Lookup] = []
    length = 0
    for piece in pieces:
        if isinstance(piece, str):
            lookups.append(Lookup("task", torch.tensor([TASKS.index(piece)]), length))
            length += 1
        else:
            lookups += (Lookup(f"prompt.{each}", piece[:, each], length) for each in levels)
            length += len(piece)
    task_tokens = sum(isinstance(piece, str) for piece in pieces)
    return Segment("prompt", length, tuple(lookups), task_tokens)


def _response(row: Inputs, config: ModelConfig) -> Segment:
    codes = row.response
    if codes is None:
        if row.level or row.masked or row.task == "stt":
            raise ValueError(f"a row of task {row.task}, level {row.level} needs a response")
        codes = torch.zeros(0, 1, dtype=torch.long)
    if config.interleave and row.task not in _SEGMENTS:
        return _interleaved_response(interleaved(codes), config)
    tables = _response_tables(row, codes.shape[1], config)
    lookups = tuple(Lookup(f"response.{table}", codes[:, level], 0) for table, level in tables)
    return Segment("response", len(codes), lookups)


def interleaved(codes: Tensor) -> Tensor:
    """All codebooks in turn, frame by frame, [frames * levels]; a single column is that already."""
    return codes.reshape(-1)


def _interleaved_response(ids: Tensor, config: ModelConfig) -> Segment:
    """Each id by the table of its own codebook."""
    levels = range(config.audio_levels)
    lookups = tuple(
        Lookup(f"response.{level}", ids[level :: len(levels)], level, len(levels)) for level in levels
    )
    return Segment("response", len(ids), lookups)


def _response_tables(row: Inputs, levels: int, config: ModelConfig) -> list[tuple[int, int]]:
    """Return the pairs (embedding table, codebook) whose sum stands for a frame.

    Table 0 is level 0 of the AR, table q what level q sees of codebook q - 1, the last the masked level 0.
    """
    if row.task == "stt":  # the reference sums table 0 and 2 to 7, and leaves the last codebook out
        heard = min(levels, config.audio_levels)
        return [(0, 0), *((level + 1, level) for level in range(1, heard - 1))]
    if row.level == 0:
        return [(config.audio_levels if row.masked else 0, 0)]
    if config.sums_response:
        return [(level + 1, level) for level in range(row.level)]
    return [(row.level, row.level - 1)]
