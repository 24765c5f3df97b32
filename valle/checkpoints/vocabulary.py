"""The one vocabulary over everything, 17,702 ids in the released layout, as Hugging Face folders have it.

Source: `convert_to_hf_llama` of e-c-k-e-r/vall-e. Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from valle.checkpoints.reference_config import LANGUAGES
from valle.models.config import LENGTH_TOKENS, TASKS, ModelConfig


@dataclass(frozen=True)
class Piece:
    """Ids `begin` to `end` of the one vocabulary: their embeddings, and where there is one their head.

    `head_rows` may be fewer than ids: the mask is never an answer. `token` makes the tokenizer's strings.
    """

    embedding: str
    head: str | None
    begin: int
    end: int
    head_rows: int
    token: str


def pieces(config: ModelConfig) -> list[Piece]:
    """The parts of the one vocabulary in order."""
    heads = {name: index for index, name in enumerate(config.head_sizes())}
    codes, levels = config.audio_tokens, config.audio_levels
    parts: list[tuple[str, str | None, int, str]] = [
        ("text_emb.weight", "phonemes", config.phoneme_tokens, ""),
        ("rvq_l_emb.weight", None, levels, "<|RVQ:{}|>"),
        ("langs_emb.weight", None, config.languages, "<|lang:{}|>"),
        ("tasks_emb.weight", None, config.tasks, "<|task:{}|>"),
        ("len_emb.weight", "len" if "len" in heads else None, LENGTH_TOKENS, "<|len:{}|>"),
        ("tones_emb.weight", None, config.tones, "<|tone:{}|>"),
        ("sep", None, 1, "<|sep|>"),
    ]
    for level in range(levels):
        parts.append((f"proms_emb.embeddings.{level}.weight", None, codes, f"<|P|{level}|{{}}|>"))
    parts.append(("resps_emb.embeddings.0.weight", "ar", codes + 1, "<|R|AR|0:0|{}|>"))
    for level in range(1, levels):
        token = f"<|R|NAR|{level - 1}:{level}|{{}}|>"
        parts.append((f"resps_emb.embeddings.{level}.weight", f"nar.{level}", codes, token))
    parts.append((f"resps_emb.embeddings.{levels}.weight", "nar_len", codes + 1, "<|R|NAR|0:0|{}|>"))
    made = []
    begin = 0
    for embedding, head, rows, token in parts:
        name = None if head is None else f"classifiers.proj.{heads[head]}.weight"
        answers = 0 if head is None else config.head_sizes()[head]
        made.append(Piece(embedding, name, begin, begin + rows, answers, token))
        begin += rows
    return made


def tokens(config: ModelConfig) -> dict[str, int]:
    """The tokenizer's strings of all ids that are no phonemes."""
    names = {"lang": LANGUAGES, "task": TASKS, "tone": ("neutral",)}
    found = {}
    for piece in pieces(config)[1:]:
        kind = names.get(piece.token.removeprefix("<|").partition(":")[0], ())
        for place in range(piece.end - piece.begin):
            word = kind[place] if place < len(kind) else place
            found[piece.token.format(word)] = piece.begin + place
    return found


def unanswered(config: ModelConfig) -> list[tuple[int, int]]:
    """Ranges of ids that no head answers with."""
    ranges = []
    free = 0
    for piece in pieces(config):
        if piece.head is not None:
            ranges.append((free, piece.begin))
            free = piece.begin + piece.head_rows
    ranges.append((free, config.vocabulary))
    return [(begin, end) for begin, end in ranges if end > begin]
