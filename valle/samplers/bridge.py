"""Stacks in other people's models: to and from the generation of ``transformers``, and llama3's function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from valle.samplers.errors import StackError
from valle.samplers.resolve import EffectiveStage
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, States
from valle.samplers.stack import Stack

_CANNOT_GO = {
    "null": "takes a second pass of the model; generate knows none but that of guidance_scale",
    "attention": "takes the attention of the model, which generate does not hand on",
}

_UNSAID: dict[str, Any] = {
    "num_beams": 1,
    "min_length": 0,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "begin_suppress_tokens": None,
    "watermarking_config": None,
}
"""What a generation may ask for and a stack cannot say, with the value that asks for nothing."""


class StackProcessors(LogitsProcessorList):  # type: ignore[misc]
    """A stack as the processors of ``generate``, and what else has to be asked of ``generate`` for it.

    ``arguments`` holds ``guidance_scale`` where the stack guides, and nothing otherwise::

        model.generate(ids, logits_processor=processors, **processors.arguments)
    """

    def __init__(self, processors: Iterable[Any], arguments: Mapping[str, Any]) -> None:
        super().__init__(processors)
        self.arguments = dict(arguments)


def to_transformers(
    stack: Stack, phase: str = "ar", *, seed: int = 0, level: int = 0, stop: int | None = None
) -> StackProcessors:
    """One list of a stack for ``model.generate(..., logits_processor=...)``.

    The stack decides the token itself: the row becomes 0 for it and -inf for the rest, so sampling and greedy
    generation both take it. ``seed`` is that of its draws, ``stop`` the end-of-sequence id for the stages
    that need one. The past of a row is all of its ids, the prompt's too, as in ``transformers``; steps count
    from the end of the prompt. Guidance is left to ``generate``, in the list's ``arguments``; ``generate``
    takes the log-softmax of both passes first. The list serves one generation at a time, beams excluded.

    Raises StackError for a stage that cannot go there.
    """
    arguments: dict[str, Any] = {}
    for stage in stack.effective(phase, level):
        if not stage.runs:
            continue
        if stage.declaration.kind == "guidance":
            arguments |= _guidance_arguments(stage)
        else:
            _require_fit(stage, stop)
    own = [stage for stage in stack.stages(phase, level) if stage.declaration.kind != "guidance"]
    sampler = Sampler(stack.replace(stack.list_for(phase, level), own), phase, level)
    return StackProcessors([_StackProcessor(sampler, seed, stop)], arguments)


def _require_fit(stage: EffectiveStage, stop: int | None) -> None:
    """Raise StackError for a stage that cannot decide from a row and the ids before it."""
    needs = stage.declaration.needs
    if stage.declaration.kind == "search":
        raise StackError(f"{stage.key} searches over several steps and cannot go into generate")
    for need, reason in _CANNOT_GO.items():
        if need in needs:
            raise StackError(f"{stage.key} cannot go into generate: it {reason}")
    if "stop" in needs and stop is None:
        raise StackError(f"{stage.key} needs the end-of-sequence id; give it as stop")


def _guidance_arguments(stage: EffectiveStage) -> dict[str, Any]:
    """What to ask of ``generate`` for a stage of guidance; StackError where that is more than a scale."""
    for name in ("rescale", "blend", "candidates"):
        parameter = stage.declaration.parameter(name)
        if parameter is not None and stage.parameters[name] != parameter.default:
            raise StackError(f"{stage.key}.{name} cannot go into generate: its guidance has a scale only")
    scale = stage.parameters["scale"]
    if not isinstance(scale, (int, float)) or stage.stage.when is not None:
        raise StackError(
            f"{stage.key} cannot go into generate: its guidance has the same scale at every step"
        )
    return {"guidance_scale": float(scale)}


class _StackProcessor:
    """Decides a token per row, and keeps the states of the stages from step to step of one generation."""

    def __init__(self, sampler: Sampler, seed: int, stop: int | None) -> None:
        self._sampler, self._seed, self._stop = sampler, seed, stop
        self._prompt = self._next = -1
        self._rows = 0
        self._states: States | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        count, length = input_ids.shape
        if (count, length) != (self._rows, self._next):
            self._rows, self._prompt, self._states = count, length, None
        self._next = length + 1
        rows = Rows.of(
            self._sampler.phase,
            count,
            seed=self._seed,
            hypothesis=np.arange(count),
            level=self._sampler.level,
            step=length - self._prompt,
            past=input_ids,
            stop=self._stop,
        )
        decision = self._sampler.decide(scores, rows, self._states, measure="none")
        self._states = decision.states
        return torch.full_like(scores, float("-inf")).scatter_(1, decision.tokens[:, None], 0.0)


def from_generation_config(config: GenerationConfig) -> Stack:
    """What a GenerationConfig asks for as a stack with one list, ``ar``, in the order of ``transformers``.

    What the config leaves open is what ``generate`` takes: greedy, or sampling from the 50 best. Raises
    StackError for what a stack cannot say, and for a value that is out of a stage's range.
    """
    for name, neutral in _UNSAID.items():
        if getattr(config, name, None) not in (None, neutral):
            raise StackError(f"{name} of the generation config cannot be said by a stack; leave it out")
    sampling = bool(config.do_sample)
    stages = [*_penalties(config), *(_warpers(config) if sampling else ())]
    return Stack.from_dict({"ar": [*stages, {"name": "draw" if sampling else "greedy"}]})


def _penalties(config: GenerationConfig) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = []
    if config.guidance_scale not in (None, 1.0):
        stages.append({"name": "guidance", "scale": config.guidance_scale, "log_softmax": True})
    if config.sequence_bias:
        stages.append({"name": "logit_bias", "biases": _biases(config.sequence_bias)})
    if config.repetition_penalty not in (None, 1.0):
        stages.append({"name": "repetition_penalty", "penalty": config.repetition_penalty, "window": 0})
    if config.no_repeat_ngram_size:
        stages.append({"name": "no_repeat_ngram", "size": config.no_repeat_ngram_size})
    if config.bad_words_ids:
        banned = [_single("bad_words_ids", ids) for ids in config.bad_words_ids]
        stages.append({"name": "ban_tokens", "ids": banned})
    if config.min_new_tokens:
        stages.append({"name": "minimum_length", "steps": config.min_new_tokens})
    if config.exponential_decay_length_penalty:
        start, factor = config.exponential_decay_length_penalty
        stages.append({"name": "exponential_decay_length", "start": start, "factor": factor})
    if config.suppress_tokens:
        stages.append({"name": "ban_tokens", "ids": list(config.suppress_tokens)})
    return stages


def _warpers(config: GenerationConfig) -> list[dict[str, Any]]:
    given = [
        ("temperature", "value", config.temperature),
        ("top_h", "h", config.top_h),
        ("top_k", "k", 50 if config.top_k is None else config.top_k),
        ("top_p", "p", config.top_p),
        ("min_p", "p", config.min_p),
        ("typical", "p", config.typical_p),
        ("epsilon", "epsilon", config.epsilon_cutoff),
        ("eta", "epsilon", config.eta_cutoff),
    ]
    return [{"name": name, parameter: value} for name, parameter, value in given if value is not None]


def _biases(biases: Any) -> dict[int, float]:
    pairs = biases.items() if isinstance(biases, dict) else biases
    return {_single("sequence_bias", ids): float(bias) for ids, bias in pairs}


def _single(name: str, ids: Any) -> int:
    """The only id of a sequence; StackError where there are more."""
    if len(ids) != 1:
        raise StackError(f"{name} of the generation config has a sequence of {len(ids)} ids; one id can go")
    return int(ids[0])


def sample_top_p(probs: Tensor, p: float, generator: torch.Generator | None = None) -> Tensor:
    """An id [R, 1] per row of probabilities [R, V], drawn as llama3's function of this name draws.

    An id is dropped where the probability of those before it exceeds ``p``, so an exact tie keeps one more
    than the smallest set. Without ``generator`` torch's own draws.
    """
    ordered, ids = probs.sort(dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = torch.where(before <= p, ordered, 0.0)
    return ids.gather(-1, torch.multinomial(kept, 1, generator=generator))
