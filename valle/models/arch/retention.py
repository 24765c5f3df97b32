"""Retention in its three forms, which compute the same (Sun et al., arXiv 2307.08621, equations 3 to 7).

All take query, key and value [R, H, T, d] and the logarithm of the decay of each head [H], and return
[R, H, T, d] in float32. The paper's norms inside are left out: that of each head, which follows, undoes them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from valle.models.arch.attention import Mask

CHUNK = 128


def decays(heads: int, device: torch.device) -> Tensor:
    """Return the logarithms of 1 - 2^-5, 1 - 2^-6, ... one for each head, [H] (equation 8)."""
    logarithms = [math.log1p(-(2.0 ** (-5 - head))) for head in range(heads)]
    return torch.tensor(logarithms, dtype=torch.float32, device=device)


def parallel(query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, mask: Mask) -> Tensor:
    """Weigh every position by its distance, forwards as well as back where the mask lets it be seen."""
    places = torch.arange(query.shape[2], device=query.device)
    distance = places[:, None] - places
    weights = torch.exp(log_decay.view(-1, 1, 1) * distance.abs())
    if mask.causal:
        weights = weights * (distance >= 0)
    scores = _scores(query, key) * weights
    if mask.keep is not None:
        scores = scores * mask.keep
    return scores @ value.float()


def recurrent(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Take one position, T = 1, into a state [R, H, d, d]; return the answer and the next state."""
    held = log_decay.exp().view(-1, 1, 1) * state + key.float().transpose(-2, -1) @ value.float()
    return query.float() @ held * query.shape[-1] ** -0.5, held


def chunkwise(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, state: Tensor, chunk: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """Take any number of positions in: parallel inside a chunk, recurrent from chunk to chunk."""
    answers = []
    parts = zip(query.split(chunk, 2), key.split(chunk, 2), value.split(chunk, 2), strict=True)
    for part_query, part_key, part_value in parts:
        length = part_query.shape[2]
        places = torch.arange(length, device=query.device)
        inside = parallel(part_query, part_key, part_value, log_decay, Mask(causal=True))
        since = torch.exp(log_decay[:, None] * (places + 1)).unsqueeze(-1)
        before = part_query.float() @ state * since * query.shape[-1] ** -0.5
        answers.append(inside + before)
        until = torch.exp(log_decay[:, None] * (length - 1 - places)).unsqueeze(-1)
        added = (part_key.float() * until).transpose(-2, -1) @ part_value.float()
        state = torch.exp(log_decay * length).view(-1, 1, 1) * state + added
    return torch.cat(answers, 2), state


def _scores(query: Tensor, key: Tensor) -> Tensor:
    return query.float() @ key.float().transpose(-2, -1) * query.shape[-1] ** -0.5
