"""Files in configurations that no stored numbers cover, against a forward pass that was written apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_forward import PlainForward
from safetensors import safe_open
from safetensors.torch import load_file

from valle.checkpoints import opening
from valle.models.base import Inputs
from valle.models.config import EmbeddingSums, ModelConfig

from .conftest import TINY, Writer

SUMS: dict[EmbeddingSums, object] = {"both": True, "none": False, "prompt": "prom", "response": "resp"}
OPEN = replace(TINY, dim=30, heads=5, layers=2, ffn=120, noncausal_masks=True, unified_position_ids=False)
TEXT = replace(OPEN, version=6, text_tokens=15, audio_embedding_sums="response", classifiers_bias=False)
CONFIGURATIONS: dict[str, ModelConfig] = {
    "released": replace(OPEN, audio_embedding_sums="both"),
    "causal, positions that run on, no sums": replace(
        OPEN, noncausal_masks=False, unified_position_ids=True, audio_embedding_sums="none"
    ),
    "sums of the prompt alone, causal": replace(OPEN, noncausal_masks=False, audio_embedding_sums="prompt"),
    "text head": TEXT,
    "text head in the place of len": replace(TEXT, capabilities=("ar", "nar")),
    "one head": replace(OPEN, split_classifiers=False, audio_embedding_sums="both", classifier_size=90),
    "one head, no bias, positions that run on": replace(
        OPEN, split_classifiers=False, classifier_size=90, classifiers_bias=False, unified_position_ids=True
    ),
    "four languages, four levels, one attention head": replace(
        OPEN, dim=14, heads=1, ffn=56, languages=4, audio_levels=4, audio_embedding_sums="both"
    ),
}
PARITY = Path(__file__).parents[2] / "data" / "parity"
Row = dict[str, Any]


def written(config: ModelConfig, write_sft: Writer) -> tuple[Any, PlainForward]:
    """The model as it is loaded, and the other reading of the same file."""
    size = {
        "dim": config.dim,
        "heads": config.heads,
        "layers": config.layers,
        "audio_tokens": config.audio_tokens,
        "phoneme_tokens": config.phoneme_tokens,
        "text_tokens": 15,
        "resp_levels": config.audio_levels,
    }
    path = write_sft(
        config,
        config={
            "size": size,
            "version": config.version,
            "langs": config.languages,
            "capabilities": list(config.capabilities),
        },
        experimental={
            "audio_embedding_sums": SUMS[config.audio_embedding_sums],
            "unified_position_ids": config.unified_position_ids,
            "noncausal_masks": config.noncausal_masks,
        },
    )
    with safe_open(path, "pt") as file:
        document = json.loads(file.metadata()["config"])
    return opening.load(path).model, PlainForward(load_file(path), document)


def rows_of(config: ModelConfig) -> list[Row]:
    """A row of every kind that the model answers."""
    drawn = torch.Generator().manual_seed(5)

    def codes(frames: int) -> torch.Tensor:
        return torch.randint(0, config.audio_tokens, (frames, config.audio_levels), generator=drawn)

    spoken = {"phonemes": [1, 7, 4, 9, 2], "language": 2, "prompt": codes(6)}
    masked = codes(5)
    masked[::2] = config.stop
    rows: list[Row] = [
        *({**spoken, "level": level, "response": codes(4)} for level in range(config.audio_levels)),
        {**spoken, "response": codes(0), "language": None},
        {"phonemes": [1, 2], "language": 2, "response": codes(3)},
        {**spoken, "response": codes(3), "task": "ns", "prompt": ["ns", codes(4)]},
        {**spoken, "response": codes(3), "level": 2, "prompt": [codes(2), codes(3)]},
        {**spoken, "response": masked, "masked": True},
        {**spoken, "task": "stt", "response": codes(5), "prompt": None},
    ]
    if "len" in config.capabilities:
        rows.append({**spoken, "task": "len", "digits": [0, 3, 1]})
    if config.text_tokens:
        text = {"text": [1, 8, 3, 2], "language": 1}
        rows += [
            {**text, "response": codes(3), "prompt": codes(2)},
            {**text, "task": "phn", "phonemes": [1, 5, 6]},
            {**text, "task": "un-phn", "phonemes": [1, 5, 6]},
        ]
    return rows


def inputs(row: Row) -> Inputs:
    as_tensors = {name: torch.tensor(value) for name, value in row.items() if name in TENSORS and value}
    return Inputs(**{**row, **as_tensors})


TENSORS = ("phonemes", "text", "digits")
OUTPUTS = {"len": "digits", "stt": "phonemes", "phn": "phonemes", "tts": "response"}


def furthest(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> float:
    """The largest difference; the other reading answers at every place, ours where it is read."""
    pairs = zip(ours, theirs, strict=True)
    return max(float((one - other[-len(one) :]).abs().max()) for one, other in pairs)


def test_the_other_reading_gives_the_stored_numbers_too() -> None:
    file = PARITY / "f_v6_text_tasks" / "model.sft"
    with safe_open(file, "pt") as opened:
        plain = PlainForward(load_file(file), json.loads(opened.metadata()["config"]))
    stored = load_file(file.with_name("golden.safetensors"))
    given = json.loads(file.with_name("inputs.json").read_text())["inputs"]
    voice, speech = torch.tensor(given["PROM"]), torch.tensor(given["RESP"])
    spoken = {"phonemes": given["PHN"], "language": 0, "prompt": voice, "response": speech}
    for name, changes in {
        "ar": {},
        "ar_ns": {"task": "ns", "prompt": ["ns", voice]},
        "nar_l7": {"level": 7},
        "stt": {"task": "stt"},
        "unphn_task": {"task": "un-phn", "text": given["TEXT"]},
    }.items():
        theirs = stored[f"{name}.logits"]
        assert furthest([theirs], [plain.logits(**{**spoken, **changes})]) < 1e-4, name


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_numbers_of_both_readings_are_the_same(name: str, write_sft: Writer) -> None:
    config = CONFIGURATIONS[name]
    model, plain = written(config, write_sft)
    rows = rows_of(config)
    theirs = [plain.logits(**row) for row in rows]
    alone = [model.full([inputs(row)])[0] for row in rows]
    assert furthest(alone, theirs) < 1e-4
    assert furthest(model.full([inputs(row) for row in rows]), theirs) < 1e-4
    stepped = [
        row
        for row in rows
        if row.get("task", "tts") in OUTPUTS and not row.get("level") and not row.get("masked")
    ]
    for row in stepped:
        output = OUTPUTS[row.get("task", "tts")]
        given = row[output][:1] if output != "response" else row[output][:0]
        rest = torch.as_tensor(row[output][len(given) :])
        cache, logits = model.begin([inputs({**row, output: given})], len(rest) + 1)
        made = [logits[0]]
        for token in rest if rest.ndim == 1 else rest[:, 0]:
            made.append(model.advance(cache, token[None])[0])
        assert furthest([torch.stack(made)], [plain.logits(**row)]) < 1e-4
