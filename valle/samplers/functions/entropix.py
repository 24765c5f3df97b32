"""Entropix: a chooser that looks at entropy, varentropy and attention (xjdr, entropix, its first version).

Where that one forces a temperature or a number of ids, the user's own scales it here, so that a temperature
of 0 is greedy; with its parameters the values are its own. Its top-p keeps the best ids, its min-p acts, and
its regions do not overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.errors import StackError
from valle.samplers.functions.choosers import best_of, column, draw_from, log_probabilities
from valle.samplers.functions.common import Choice, Parameters
from valle.samplers.functions.repetition_aware import nucleus_of
from valle.samplers.measures import entropies
from valle.samplers.regions import BETWEEN, EVEN, FORKED, LOST, SURE, regions
from valle.samplers.rows import AttentionMeasures, Rows

Floats = NDArray[np.float64]

PUBLISHED_TEMPERATURE = 0.666
EVEN_OFFSET, EVEN_BY_ENTROPY = 1.3, 0.2
FORKED_OFFSET, FORKED_BY_INTERACTION = 1.2, 0.3
LOST_OFFSET, LOST_BY_VARENTROPY, LOST_TOP_P = 2.0, 0.5, 0.2
HOTTEST, LOST_LEAST = 1.5 / PUBLISHED_TEMPERATURE, 2.0 / PUBLISHED_TEMPERATURE
"""Factors of the temperature: the most where the model is even or forked, the least where it is lost."""
BETWEEN_LOGITS, BETWEEN_ATTENTION, BETWEEN_AGREEMENT = 0.3, 0.2, 0.2
BETWEEN_TOP_P, BETWEEN_INTERACTION, BETWEEN_MIN_P = 0.1, 0.3, 0.5


@dataclass(frozen=True, slots=True)
class Draw:
    """How each row is drawn from, all [R, 1]."""

    temperature: Floats
    top_p: Floats
    top_k: Floats
    min_p: Floats


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rows are judged by, all [R, 1]: the measures of the logits and those of attention."""

    entropy: Floats
    varentropy: Floats
    attention_entropy: Floats
    attention_varentropy: Floats
    agreement: Floats
    interaction: Floats


def entropix(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Choice:
    """The best id of rows that are sure, an id drawn from others, the best of several draws in between."""
    if rows.attention is None:
        raise StackError("entropix needs the attention of the model, and these rows come without it")
    final = logits.cpu().numpy()
    seen = _seen(logits, rows, rows.attention.over(parameters["layers"]), parameters["of"])
    values = {key: column(value) for key, value in parameters.items() if key not in ("of", "layers")}
    region = regions(seen.entropy, seen.varentropy, values)
    chance = steered(seen, region, values)
    greedy = (region == SURE) | (chance.temperature == 0.0)
    drawn_from = candidates(final, chance)
    choice = draw_from(final, drawn_from, rows, "choose")
    if (between := (region == BETWEEN) & ~greedy).any():
        best = _best_of_draws(final, drawn_from, choice, rows, parameters["draws"])
        choice = _where(between[:, 0], best, choice)
    if greedy.any():
        choice = _where(greedy[:, 0], best_of(final, final.astype(np.float64)), choice)
    return choice


def steered(seen: Seen, region: NDArray[np.int8], values: Parameters) -> Draw:
    """How each row is drawn from, by its region [R, 1] and by what its attention does."""
    uncertain = seen.entropy + seen.varentropy
    looking = seen.attention_entropy + seen.attention_varentropy
    hotter = {
        EVEN: np.minimum(EVEN_OFFSET + EVEN_BY_ENTROPY * seen.attention_entropy, HOTTEST),
        FORKED: np.minimum(FORKED_OFFSET + FORKED_BY_INTERACTION * seen.interaction, HOTTEST),
        LOST: np.maximum(LOST_OFFSET + LOST_BY_VARENTROPY * seen.attention_varentropy, LOST_LEAST),
        BETWEEN: 1.0
        + BETWEEN_LOGITS * uncertain
        + BETWEEN_ATTENTION * looking
        - BETWEEN_AGREEMENT * seen.agreement,
    }
    top_p, top_k, min_p = (np.asarray(values[name], np.float64) for name in ("top_p", "top_k", "min_p"))
    least = np.minimum(top_p, np.maximum(0.5, top_p - LOST_TOP_P * seen.attention_entropy))
    wider = np.clip(top_p * (1.0 + BETWEEN_TOP_P * seen.attention_varentropy), 0.0, 1.0)
    more = 1.0 + BETWEEN_INTERACTION * seen.interaction - BETWEEN_AGREEMENT * seen.agreement
    lower = np.maximum(min_p * (1.0 - BETWEEN_MIN_P * uncertain), np.minimum(min_p, 0.01))
    return Draw(
        temperature=values["temperature"] * _by_region(region, hotter, 1.0),
        top_p=_by_region(region, {LOST: least, BETWEEN: wider}, top_p),
        top_k=_by_region(
            region,
            {
                FORKED: np.floor(top_k * (1.0 + 0.5 * (1.0 - seen.agreement))),
                BETWEEN: np.minimum(np.rint(top_k * more), np.maximum(top_k, 100.0)),
            },
            top_k,
        ),
        min_p=_by_region(region, {BETWEEN: lower}, min_p),
    )


def candidates(final: NDArray[np.float32], chance: Draw) -> NDArray[np.floating[Any]]:
    """The logits [R, V] that each row is drawn from: at its temperature, what its cuts leave."""
    with np.errstate(divide="ignore"):
        share = np.log(chance.min_p)
    tempered = final / np.where(chance.temperature > 0.0, chance.temperature, 1.0)
    likely = tempered >= tempered.max(-1, keepdims=True) + share
    return nucleus_of(np.where(likely, tempered, -np.inf), chance.top_p, chance.top_k)


def _best_of_draws(
    final: NDArray[np.float32], drawn_from: NDArray[np.floating[Any]], first: Choice, rows: Rows, draws: int
) -> Choice:
    """The most likely of several draws from each row, each with noise of its own; the first is given."""
    tokens = [first.token]
    for number in range(1, draws):
        noise = rows.gumbel("candidates", final.shape[-1], number)
        tokens.append((drawn_from + noise).argmax(-1))
    scores = np.full(final.shape, -np.inf)
    drawn = np.stack(tokens, -1)
    np.put_along_axis(scores, drawn, np.take_along_axis(log_probabilities(final), drawn, -1), -1)
    return best_of(final, scores)


def _seen(logits: Tensor, rows: Rows, attention: AttentionMeasures, of: str) -> Seen:
    measured = entropies(rows.raw if of == "raw" and rows.raw is not None else logits.float())
    parts = (attention.entropy, attention.varentropy, attention.agreement, attention.interaction)
    return Seen(
        _numbers(measured["entropy"]),
        _numbers(measured["varentropy"]),
        *(_numbers(part[:, None]) for part in parts),
    )


def _numbers(tensor: Tensor) -> Floats:
    numbers: Floats = tensor.cpu().double().numpy()
    return numbers


def _by_region(region: NDArray[np.int8], chosen: dict[int, Any], otherwise: Any) -> Floats:
    return np.select([region == number for number in chosen], list(chosen.values()), otherwise)


def _where(condition: NDArray[np.bool_], one: Choice, other: Choice) -> Choice:
    return Choice(
        token=np.where(condition, one.token, other.token),
        log_probability=np.where(condition, one.log_probability, other.log_probability),
        runner_up=np.where(condition, one.runner_up, other.runner_up),
        margin=np.where(condition, one.margin, other.margin),
    )
