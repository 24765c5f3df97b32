"""What is odd about a stack that can be used: remarks, without torch. Nothing is changed or refused here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from valle.samplers.declaration import plain
from valle.samplers.resolve import EffectiveStage
from valle.samplers.stack import Stack
from valle.samplers.values import Curve

LOW_TEMPERATURE = 0.7
"""From here down speech tends to loop or to fall silent (higgs-audio issues 126 and 151)."""

_FORBIDDING = frozenset({"ban_tokens", "allowed_range", "minimum_length", "no_repeat_ngram"})
_AGAINST_LOOPS = frozenset(
    {
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "no_repeat_ngram",
        "dry",
        "repetition_aware",
    }
)


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about one stage: ``list`` is a stack's key such as ``nar.3``, ``stage`` the stage's key in
    it."""

    list: str
    stage: str
    text: str


def lint(stack: Stack) -> tuple[Remark, ...]:
    """The remarks on a stack, in the order of its lists and stages."""
    return tuple(remark for name in stack.lists for remark in _of_list(name, stack))


def _of_list(name: str, stack: Stack) -> list[Remark]:
    stages = stack.effective(*_phase_and_level(name))
    running = [stage for stage in stages if stage.runs]
    found = [
        *_clamped_or_idle(stages),
        *_after_cuts(running),
        *_before_the_best(running),
        *_no_choice_left(running),
        *_around_entropix(running),
        *(_cold(running) if name == "ar" else ()),
    ]
    place = {stage.key: index for index, stage in enumerate(stages)}
    return [Remark(name, key, text) for key, text in sorted(found, key=lambda item: place[item[0]])]


def _phase_and_level(name: str) -> tuple[str, int]:
    phase, _, level = name.partition(".")
    return phase, int(level or 0)


def _clamped_or_idle(stages: Sequence[EffectiveStage]) -> Iterator[tuple[str, str]]:
    for stage in stages:
        for note in stage.notes:
            yield stage.key, note
        if stage.stage.on and stage.neutral:
            yield stage.key, f"does nothing: {', '.join(_neutral_values(stage))}"


def _neutral_values(stage: EffectiveStage) -> Iterator[str]:
    for parameter in stage.declaration.parameters:
        value = stage.parameters[parameter.name]
        values = value.values if isinstance(value, Curve) else (value,)
        if parameter.neutral is not None and all(plain(item) == plain(parameter.neutral) for item in values):
            yield f"{parameter.name} is {_shown(parameter.neutral)}"


def _shown(neutral: Any) -> str:
    if isinstance(neutral, bool):
        return str(neutral).lower()
    return f"{neutral:g}" if isinstance(neutral, (int, float)) else "empty"


def _after_cuts(running: Sequence[EffectiveStage]) -> Iterator[tuple[str, str]]:
    """Stages that stand behind a truncation, or behind a temperature of 0, and should not."""
    cut: EffectiveStage | None = None
    for stage in running[:-1]:
        if cut is not None and stage.stage.name in _FORBIDDING:
            yield stage.key, f"may leave no id at all, as {cut.key} has cut others before; move it up"
        elif cut is not None and _reorders(stage):
            yield stage.key, f"cannot bring back what {cut.key} has cut before it; move it up"
        elif cut is not None and _takes_the_best(cut):
            yield stage.key, f"has nothing left to do, as {cut.key} leaves one id"
        if cut is None and (stage.declaration.family == "truncation" or _takes_the_best(stage)):
            cut = stage


def _reorders(stage: EffectiveStage) -> bool:
    """Whether the stage makes other ids win; the gate of the stop token judges what is left, on purpose."""
    if stage.declaration.family == "length":
        return stage.stage.name != "stop_gate"
    return stage.declaration.family in ("bans", "penalties", "loops")


def _before_the_best(running: Sequence[EffectiveStage]) -> Iterator[tuple[str, str]]:
    """Stages whose work is lost, or turned round, because only the best id is taken afterwards."""
    end = next((at for at, stage in enumerate(running) if _takes_the_best(stage)), None)
    if end is None:
        return
    best, lost = running[end].key, True
    for stage in reversed(running[:end]):
        if lost and stage.declaration.keeps_argmax:
            yield stage.key, f"changes nothing: the best id stays the best, and {best} takes it"
        elif stage.stage.name == "xtc":
            yield stage.key, f"removes the best ids by chance, and {best} wants the best"
        elif stage.declaration.family == "truncation" and not stage.declaration.keeps_argmax:
            yield stage.key, f"may remove the best id, and {best} wants the best"
        lost = lost and stage.declaration.keeps_argmax


def _no_choice_left(running: Sequence[EffectiveStage]) -> Iterator[tuple[str, str]]:
    """A search behind a temperature of 0."""
    best = next((stage for stage in running[:-1] if _takes_the_best(stage)), None)
    if best is not None and running[-1].declaration.kind == "search":
        yield running[-1].key, f"has one hypothesis and no other, as {best.key} leaves one id"


def _takes_the_best(stage: EffectiveStage) -> bool:
    if stage.stage.name == "temperature":
        return stage.stage.when is None and _lowest(stage) == 0.0 == _highest(stage)
    return stage.stage.name == "greedy"


def _cold(running: Sequence[EffectiveStage]) -> Iterator[tuple[str, str]]:
    if any(stage.stage.name in _AGAINST_LOOPS for stage in running):
        return
    dividing = [stage for stage in running if stage.stage.name == "temperature" and stage.stage.when is None]
    advice = "may loop or fall silent; a repetition_penalty helps"
    if running[-1].stage.name in ("greedy", "beam_search"):
        yield running[-1].key, f"always what is most likely: {advice}"
    elif dividing and (lowest := prod(map(_lowest, dividing))) <= LOW_TEMPERATURE:
        yield dividing[-1].key, f"a temperature of {lowest:g} {advice}"


def _around_entropix(running: Sequence[EffectiveStage]) -> Iterator[tuple[str, str]]:
    """Regions of the chooser that nothing falls into, and stages that do its work before it."""
    chooser = running[-1]
    if chooser.stage.name != "entropix":
        return
    if chooser.parameters["low_varentropy"] == 0.0:
        yield chooser.key, "no row is sure and none is even: no varentropy lies below a low_varentropy of 0"
    if chooser.parameters["medium_entropy"] == 0.0:
        yield chooser.key, "no row is forked: every entropy lies above a medium_entropy of 0"
    if chooser.parameters["of"] == "raw" and running[0].declaration.kind == "guidance":
        yield chooser.key, "measures the logits before guidance; with of = here, the guided ones"
    for stage in running[:-1]:
        if stage.declaration.family == "temperature":
            yield stage.key, f"comes on top of the temperature that {chooser.key} sets by region"


def _lowest(stage: EffectiveStage) -> float:
    return min(_numbers(stage))


def _highest(stage: EffectiveStage) -> float:
    return max(_numbers(stage))


def _numbers(stage: EffectiveStage) -> tuple[float, ...]:
    value = stage.parameters["value"]
    if isinstance(value, Curve):
        return value.values
    return (value,) if isinstance(value, (int, float)) else (1.0,)
