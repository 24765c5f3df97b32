"""What takes that are compared differ in: of each, in words, what the others have otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from valle.request import Request
from valle.samplers.resolve import EffectiveStage, resolve
from valle.samplers.stack import Stack

SAME = "the same"
"""What a take is called where it was asked for as the others were."""
Facts = Mapping[str, str | None]


def peculiarities(requests: Sequence[Request]) -> tuple[str, ...]:
    """Of each request what it has otherwise than the others, such as `temperature.value 0.7`.

    Stages count as they run: one that is switched off or does nothing is as good as absent.
    """
    of_stacks = _of_stacks([request.stack for request in requests])
    facts = [_facts(request) for request in requests]
    names = [name for name in facts[0] if len({fact[name] for fact in facts}) > 1]
    words = [
        [*stack, *(f"{name} {fact[name]}" for name in names)]
        for stack, fact in zip(of_stacks, facts, strict=True)
    ]
    return tuple(", ".join(parts) or SAME for parts in words)


def _of_stacks(stacks: Sequence[Stack]) -> list[list[str]]:
    words: list[list[str]] = [[] for _ in stacks]
    for number, name in enumerate(dict.fromkeys(name for stack in stacks for name in stack.lists)):
        prefix = "" if number == 0 else f"{name}:"
        sides = [_stages(stack, name) for stack in stacks]
        running = [[key for key, stage in stages.items() if stage.runs] for stages in sides]
        for key in dict.fromkeys(key for keys in running for key in keys):
            told = _of_stage(prefix + key, [_parameters(stages.get(key)) for stages in sides])
            for own, more in zip(words, told, strict=True):
                own += more
        if len({frozenset(keys) for keys in running}) == 1 and len(set(map(tuple, running))) > 1:
            for own, keys in zip(words, running, strict=True):
                own.append(f"{prefix}order {' '.join(keys)}")
    return words


def _stages(stack: Stack, name: str) -> dict[str, EffectiveStage]:
    """The stages of a list in order, by their keys."""
    return {stage.key: stage for stage in resolve(stack.lists.get(name, ()))}


def _parameters(stage: EffectiveStage | None) -> dict[str, str] | None:
    """The parameters of a stage as text; None where it is not there or switched off."""
    if stage is None or not stage.stage.on:
        return None
    when = {} if stage.stage.when is None else {"when": str(stage.stage.when.to_dict())}
    return {**{name: _shown(value) for name, value in stage.parameters.items()}, **when}


def _of_stage(key: str, sides: Sequence[dict[str, str] | None]) -> list[list[str]]:
    """What each side has of a stage that the others have otherwise; None is a side without it."""
    present = [side for side in sides if side is not None]
    names = list(dict.fromkeys(name for side in present for name in side))
    apart = [name for name in names if len({side.get(name) for side in present}) > 1]
    if len(present) < len(sides):
        # A stage with one parameter is told with its value; of others the name is enough.
        apart = names if len(names) == 1 else apart
        return [
            [f"no {key}"] if side is None else ([f"{key}.{n} {side.get(n)}" for n in apart] or [key])
            for side in sides
        ]
    return [[f"{key}.{name} {side.get(name)}" for name in apart] for side in present]


def _facts(request: Request) -> Facts:
    """All else that a listener may hear, by name."""
    prompt = request.prompt
    adapters = [f"{use.name}@{use.strength:g}" for use in request.recipe.adapters]
    return {
        "voice": "none" if prompt is None else f"{prompt.voice} {len(prompt.codes)} frames",
        "seed": str(request.seed),
        "text": " ".join(sentence.text for sentence in request.sentences)[:60],
        "mode": request.mode,
        "adapters": " ".join(adapters) or "none",
        "early exit": "none" if request.recipe.early_exit is None else str(request.recipe.early_exit),
    }


def _shown(value: object) -> str:
    to_dict = getattr(value, "to_dict", None)
    if to_dict is not None:
        return str(to_dict())
    return f"{value:g}" if isinstance(value, float) else str(value)
