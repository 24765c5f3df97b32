"""What the sampling flags make of a model's stack."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from valle.errors import UserError
from valle.samplers.stack import Stack

_TRUNCATIONS = {"top_k.k": "top_k", "top_p.p": "top_p", "min_p.p": "min_p", "top_n_sigma.n": "top_no"}
_PENALTIES = {
    "repetition_penalty.penalty": "repetition_penalty",
    "repetition_penalty.decay": "repetition_penalty_decay",
    "dry.multiplier": "dry_multiplier",
    "dry.base": "dry_base",
    "dry.allowed_length": "dry_allowed_length",
}
"""Parameters of stages, and the flags that set them."""
_COMPANIONS = {
    "repetition_penalty_decay": "repetition_penalty",
    "dry_base": "dry_multiplier",
    "dry_allowed_length": "dry_multiplier",
    "mirostat_eta": "mirostat_tau",
}
_OFF = {"top_k.k": 0, "top_p.p": 1.0, "min_p.p": 0.0, "top_n_sigma.n": 0.0}
"""Values of the flags that mean: not at all. A stage may not have them."""


def with_flags(stack: Stack, flags: argparse.Namespace, deciding: Sequence[str]) -> Stack:
    """The stack with what was asked for; `deciding` are the phases that decide level 0, or the only one.

    Raises UserError for a value that a stage does not take, and for flags that exclude each other.
    """
    _check_companions(flags)
    for phase in deciding:
        stack = _with_temperature(stack, phase, _temperature(flags, "ar"), _minimum(flags, "ar"))
        for target, flag in (_TRUNCATIONS | _PENALTIES).items():
            stack = _with_value(stack, phase, target, getattr(flags, flag))
    for phase in deciding[:1]:  # what goes from one id to the next, which demasking after an AR does not
        if flags.length_penalty:
            stack = stack.set(f"{phase}:length_penalty.penalty", flags.length_penalty)
        for setting, value in _chooser(flags):
            stack = stack.set(f"{phase}:{setting}", value)
    if "nar" in stack.lists:
        stack = _with_temperature(stack, "nar", _temperature(flags, "nar"), _minimum(flags, "nar"))
        for target, flag in _TRUNCATIONS.items():
            stack = _with_value(stack, "nar", target, getattr(flags, flag))
    for phase in (*deciding, "nar"):
        if phase in stack.lists:
            stack = _with_guidance(stack, phase, flags)
    guided = flags.cfg_strength is not None or any(_guided(stack, phase) for phase in stack.lists)
    if flags.cfg_rescale and not guided:
        raise UserError("--cfg-rescale has an effect only with --cfg-strength; add it")
    return stack


def _check_companions(flags: argparse.Namespace) -> None:
    """Raise UserError for a flag that says how something is done that is not asked for."""
    for flag, main in _COMPANIONS.items():
        name = flag.replace("_", "-")
        if getattr(flags, flag) and not getattr(flags, main):
            raise UserError(f"--{name} has an effect only with --{main.replace('_', '-')}; add it")


def _with_value(stack: Stack, phase: str, target: str, value: float | None) -> Stack:
    """A parameter of a stage; where the value means that there is to be none, the stage is switched off."""
    if value is None:
        return stack
    stage = target.partition(".")[0]
    if value == _OFF.get(target):
        present = any(each.name == stage for each in stack.stages(phase))
        return stack.switch(f"{phase}:{stage}", False) if present else stack
    return stack.set(f"{phase}:{target}", value)


def _with_temperature(stack: Stack, phase: str, value: float | None, minimum: float | None) -> Stack:
    """The temperature, drawing where it is above 0; with a minimum below it, one that follows the entropy."""
    if value is None:
        if minimum is not None:
            raise UserError("a minimum temperature goes with a temperature above it; give both")
        return stack
    if value > 0 and stack.stages(phase)[-1].name == "greedy":
        stack = stack.add(f"{phase}:draw")
    if minimum is None:
        return stack.set(f"{phase}:temperature.value", value)
    if minimum >= value:
        raise UserError(f"the minimum temperature {minimum:g} must be below the temperature {value:g}")
    stack = stack.set(f"{phase}:temperature.value", 1.0)
    for name, each in (("minimum", minimum), ("maximum", value), ("form", "sigmoid")):
        stack = stack.set(f"{phase}:dynamic_temperature.{name}", each)
    return stack


def _temperature(flags: argparse.Namespace, which: str) -> float | None:
    own: float | None = getattr(flags, f"{which}_temperature")
    return flags.temperature if own is None else own


def _minimum(flags: argparse.Namespace, which: str) -> float | None:
    """The minimum temperature; a negative one is none, as in the reference."""
    own: float | None = getattr(flags, f"min_{which}_temperature")
    found = flags.min_temperature if own is None else own
    return None if found is None or found < 0 else found


def _chooser(flags: argparse.Namespace) -> Iterator[tuple[str, float | bool]]:
    """The settings of what decides level 0, where it is to be another than the model's."""
    asked = [
        name
        for name, wanted in (
            ("--mirostat-tau", flags.mirostat_tau),
            ("--beam-width", flags.beam_width and flags.beam_width > 1),
            ("--entropix-sampling", flags.entropix_sampling),
        )
        if wanted
    ]
    if flags.beam_width is not None and flags.beam_width < 0:
        raise UserError(f"--beam-width must be 0 or more, not {flags.beam_width}")
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)} both decide the token; give one of them")
    if flags.mirostat_tau:
        yield "mirostat.target", flags.mirostat_tau
        if flags.mirostat_eta:
            yield "mirostat.learning_rate", flags.mirostat_eta
    if flags.beam_width and flags.beam_width > 1:
        yield "beam_search.width", flags.beam_width
    if flags.entropix_sampling:
        yield "entropix.on", True


def _with_guidance(stack: Stack, phase: str, flags: argparse.Namespace) -> Stack:
    strength, rescale = flags.cfg_strength, flags.cfg_rescale
    there = _guided(stack, phase)
    if strength in (0, 1):
        return stack.switch(f"{phase}:guidance", False) if there else stack
    if strength is not None:
        stack = stack.set(f"{phase}:guidance.scale", strength)
    if rescale is not None and (there or strength is not None):
        stack = stack.set(f"{phase}:guidance.rescale", rescale)
        stack = stack.set(f"{phase}:guidance.rescale_over", "sequence")
    return stack


def _guided(stack: Stack, phase: str) -> bool:
    return any(stage.name == "guidance" for stage in stack.stages(phase))
