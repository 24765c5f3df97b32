"""The forward pass of the reference's files, written down a second time: plain torch, one row, no cache.

It follows the description of the format alone and imports nothing of this project, so that both can be held
against each other in configurations that no stored numbers cover.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

TASKS = ("tts", "tts-c", "ns", "sr", "tse", "soe", "mask", "eoe", "stt")
Segments = list[tuple[Tensor, int]]
"""Embeddings [N, D] of each segment, and how many positions the reference counts for it."""


class PlainForward:
    """The tensors of a file and its configuration, as `.sft` files have them."""

    def __init__(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
        self.tensors = {name: tensor.float() for name, tensor in tensors.items()}
        self.config, self.settings = config, config["experimental"]
        self.levels = sum(name.startswith("proms_emb.") for name in tensors)
        tables = sum(name.startswith("resps_emb.") for name in tensors)
        self.is_masked_first = tables == self.levels and "len" in config["capabilities"]

    def logits(self, **row: Any) -> Tensor:
        """What the row's head says at every place, [S, V]."""
        segments, head = self.arranged(**row)
        joined: list[Tensor] = []
        positions: list[int] = []
        for place, (embedded, counted) in enumerate(segments):
            last = place == len(segments) - 1
            joined += [embedded] if last else [embedded, self.tensors["sep"][None]]
            positions += range(counted + (0 if last else 1))
        hidden = torch.cat(joined)
        if self.settings["unified_position_ids"]:
            positions = list(range(len(hidden)))
        positions += [1] * (len(hidden) - len(positions))
        causal = not self.settings["noncausal_masks"] or head in ("ar", "phonemes", "len")
        return self._answer(head, self._body(hidden, torch.tensor(positions), causal))

    def arranged(
        self,
        task: str = "tts",
        phonemes: Sequence[int] | None = None,
        text: Sequence[int] = (),
        language: int | None = None,
        level: int = 0,
        prompt: Any = None,
        response: Any = None,
        masked: bool = False,
        digits: Sequence[int] = (),
    ) -> tuple[Segments, str]:
        """The segments of a row in order, and the head that answers it."""
        said = self._plain("raw_text_emb" if phonemes is None else "text_emb", phonemes or text)
        how = [] if language is None else [self._plain("langs_emb", [language])]
        how.append(self._plain("rvq_l_emb", [level]))
        if task == "stt":
            return [self._heard(response), *how, said], "phonemes"
        if task == "phn":
            return [self._plain("raw_text_emb", text), *how, said], "phonemes"
        if task == "un-phn":
            return [said, *how, self._plain("raw_text_emb", text)], "text"
        before = [said, *how, *([] if prompt is None else [self._prompt(prompt, level)])]
        if task == "len":
            return [*before, self._plain("len_emb", digits)], "len"
        head = "nar_len" if masked else f"nar.{level}" if level else "ar"
        return [*before, self._response(response, level, masked)], head

    def _plain(self, table: str, ids: Sequence[int]) -> tuple[Tensor, int]:
        return self.tensors[f"{table}.weight"][torch.as_tensor(ids, dtype=torch.long)], len(ids)

    def _code(self, kind: str, table: int, codes: Tensor) -> Tensor:
        return self.tensors[f"{kind}_emb.embeddings.{table}.weight"][codes]

    def _prompt(self, prompt: Any, level: int) -> tuple[Tensor, int]:
        made, counted = [], 0
        for part in prompt if isinstance(prompt, list) else [prompt]:
            if isinstance(part, str):
                made.append(self.tensors["tasks_emb.weight"][TASKS.index(part)][None])
                continue
            used = [max(0, level - 1)]
            if self.settings["audio_embedding_sums"] in (True, "prom"):
                used = list(range(max(1, level)))
            made.append(torch.stack([self._code("proms", each, part[:, each]) for each in used]).sum(0))
            counted += len(part)
        return torch.cat(made), counted

    def _response(self, codes: Tensor, level: int, masked: bool) -> tuple[Tensor, int]:
        if level == 0:
            made = self._code("resps", self.levels if masked and not self.is_masked_first else 0, codes[:, 0])
        elif self.settings["audio_embedding_sums"] in (True, "resp"):
            made = torch.stack([self._code("resps", each + 1, codes[:, each]) for each in range(level)]).sum(
                0
            )
        else:
            made = self._code("resps", level, codes[:, level - 1])
        return made, len(codes)

    def _heard(self, codes: Tensor) -> tuple[Tensor, int]:
        tables = [0, *range(2, self.levels)]
        columns = [0, *range(1, self.levels - 1)]
        pairs = zip(tables, columns, strict=True)
        return torch.stack([self._code("resps", t, codes[:, c]) for t, c in pairs]).sum(0), len(codes)

    def _body(self, hidden: Tensor, positions: Tensor, causal: bool) -> Tensor:
        length, dim = hidden.shape
        heads = self.config["size"]["heads"]
        width = dim // heads
        rates = 10_000.0 ** (-torch.arange(0, width, 2) / width)
        angles = (positions[:, None] * rates).repeat(1, 2)
        seen = torch.ones(length, length, dtype=torch.bool)
        seen = seen.tril() if causal else seen

        def turned(vectors: Tensor) -> Tensor:
            first, second = vectors.chunk(2, -1)
            return vectors * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

        for layer in range(self.config["size"]["layers"]):
            weight = {
                name.split(f"layers.{layer}.")[1].removesuffix(".weight"): tensor
                for name, tensor in self.tensors.items()
                if f"model.layers.{layer}." in name
            }
            normed = _normed(hidden, weight["input_layernorm"])
            query, key, value = (
                (normed @ weight[f"self_attn.{which}_proj"].T).view(length, heads, width).transpose(0, 1)
                for which in "qkv"
            )
            scores = turned(query) @ turned(key).transpose(1, 2) / math.sqrt(width)
            shares = scores.masked_fill(~seen, -math.inf).softmax(-1)
            gathered = (shares @ value).transpose(0, 1).reshape(length, dim)
            hidden = hidden + gathered @ weight["self_attn.o_proj"].T
            normed = _normed(hidden, weight["post_attention_layernorm"])
            gate = normed @ weight["mlp.gate_proj"].T
            gate = gate * (1.0 + torch.erf(gate / math.sqrt(2.0))) / 2.0
            hidden = hidden + (gate * (normed @ weight["mlp.up_proj"].T)) @ weight["mlp.down_proj"].T
        return _normed(hidden, self.tensors["model.norm.weight"])

    def _answer(self, head: str, hidden: Tensor) -> Tensor:
        names = ["ar", *(f"nar.{level}" for level in range(1, self.levels)), "nar_len", "phonemes"]
        if self.is_masked_first:
            names = ["nar_len", *names[1 : self.levels], "phonemes"]
        names += ["len"] if "len" in self.config["capabilities"] else []
        names += ["text"] if self.config["version"] >= 6 else []
        split = "classifier.weight" not in self.tensors
        name = f"classifiers.proj.{names.index(head)}" if split else "classifier"
        bias = self.tensors.get(f"{name}.bias")
        answer = hidden @ self.tensors[f"{name}.weight"].T
        return answer if bias is None else answer + bias


def _normed(hidden: Tensor, weight: Tensor) -> Tensor:
    return hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + 1e-6) * weight
