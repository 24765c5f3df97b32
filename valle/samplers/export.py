"""A stack in the words of other programs, and what of it they have no words for. Without torch.

llama.cpp and the reference (e-c-k-e-r/vall-e) are told by flags of their command lines, transformers by the
arguments of its ``generate``. A setting that has no counterpart is left out and named, never approximated in
silence.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valle.samplers.declaration import plain
from valle.samplers.errors import StackError, nearest
from valle.samplers.export_tables import LLAMA_CPP, REFERENCE, TRANSFORMERS, Said
from valle.samplers.resolve import EffectiveStage
from valle.samplers.stack import Stack
from valle.samplers.values import Curve


@dataclass(frozen=True, slots=True)
class Export:
    """What another program can be told of a stack: ``settings`` in order, a name may come again; and
    ``unsaid``, a line for everything that it cannot be told or understands in another way."""

    settings: tuple[tuple[str, Any], ...]
    unsaid: tuple[str, ...]

    @property
    def command_line(self) -> str:
        """The settings as flags, quoted for a shell."""
        return shlex.join(
            word
            for name, value in self.settings
            for word in (name, *(() if value is True else (_text(value),)))
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """The settings as arguments of a function."""
        return dict(self.settings)


def export(stack: Stack, program: str) -> Export:
    """The stack for one of PROGRAMS. Raises StackError for another."""
    if program not in PROGRAMS:
        raise StackError(f'stacks are not exported to "{program}"; {nearest(program, tuple(PROGRAMS))}')
    return PROGRAMS[program](stack)


def to_llama_cpp(stack: Stack) -> Export:
    """The first list of a stack as flags of llama.cpp; ``--samplers`` says which of them run, and in which
    order, so that its own defaults stay out.

    Its past includes the prompt, and a logit bias comes before everything else there.
    """
    spoken = _Spoken("llama.cpp", *_first(stack, "llama.cpp"))
    chooser = spoken.stages[-1]
    if chooser.stage.name == "mirostat":
        for stage in spoken.stages[:-1]:
            if stage.stage.name not in ("temperature", "logit_bias", "ban_tokens"):
                spoken.refuse(stage, "its mirostat takes the place of all but the temperature")
    spoken.say(LLAMA_CPP)
    spoken.said = [name for name in spoken.said if LLAMA_CPP[name].slot]
    samplers = list(dict.fromkeys(LLAMA_CPP[name].slot for name in spoken.said))
    if chooser.stage.name == "greedy":
        _cold_end(spoken, samplers)
    if not samplers:
        samplers.append("temperature")
        spoken.settings.append(("--temp", 1.0))
    order = [] if chooser.stage.name == "mirostat" else [("--samplers", ";".join(samplers))]
    return Export((*order, *spoken.settings), tuple(spoken.unsaid))


def to_reference(stack: Stack) -> Export:
    """A stack as flags of the reference, ``python -m vall_e``: those of level 0 hold for all levels there,
    save the temperature."""
    name, stages, _ = _first(stack, "the reference")
    spoken = _Spoken("the reference", name, stages, ())
    spoken.say(REFERENCE)
    spoken.in_order(REFERENCE)
    if stages[-1].stage.name == "greedy":
        spoken.settings = [item for item in spoken.settings if item[0] != "--ar-temperature"]
        spoken.settings.append(("--ar-temperature", 0.0))
    elif not any(key == "--ar-temperature" for key, _ in spoken.settings):
        spoken.settings.append(("--ar-temperature", 1.0))
    for other in stack.lists:
        if other == "nar":
            _deeper_levels(spoken, stack.effective("nar"))
        elif other != name:
            spoken.unsaid.append(f"{other}: its flags have no list of its own for this")
    return Export(tuple(spoken.settings), tuple(spoken.unsaid))


def to_generate(stack: Stack) -> Export:
    """The first list of a stack as arguments of transformers' ``generate``, or of its ``GenerationConfig``.

    ``Stack.to_transformers`` says more: there the stack itself decides.
    """
    spoken = _Spoken("transformers", *_first(stack, "transformers"))
    spoken.say(TRANSFORMERS)
    spoken.in_order(TRANSFORMERS)
    given = {name for name, _ in spoken.settings}
    if "do_sample" not in given:
        spoken.settings.append(("do_sample", True))
    if ("do_sample", True) in spoken.settings and "top_k" not in given:
        spoken.settings.append(("top_k", 0))
    return Export(tuple(spoken.settings), tuple(spoken.unsaid))


PROGRAMS: Mapping[str, Callable[[Stack], Export]] = {
    "llama.cpp": to_llama_cpp,
    "reference": to_reference,
    "transformers": to_generate,
}


class _Spoken:
    """The stages of one list while they are put into another program's words."""

    def __init__(
        self, program: str, name: str, stages: Sequence[EffectiveStage], unsaid: Iterable[str]
    ) -> None:
        self.program, self.list = program, name
        self.stages = [stage for stage in stages if stage.runs]
        self.settings: list[tuple[str, Any]] = []
        self.unsaid = list(unsaid)
        self.said: list[str] = []
        self.refused: set[str] = set()

    def refuse(self, stage: EffectiveStage, reason: str) -> None:
        """Leave a stage out."""
        self.refused.add(stage.key)
        self.unsaid.append(f"{stage.key}: {reason}")

    def say(self, table: Mapping[str, Said]) -> None:
        """Say every stage that the program has, in the order of the list."""
        taken: set[str] = set()
        for stage in self.stages:
            said = table.get(stage.stage.name)
            if stage.key in self.refused:
                continue
            if said is None:
                instead = "; it draws instead" if stage.declaration.decides else ""
                self.refuse(stage, f"{self.program} has no such stage{instead}")
            elif stage.stage.when is not None:
                self.refuse(stage, f"{self.program} knows no conditions")
            elif curve := next((key for key in said.names if _curved(stage, key)), None):
                self.refuse(stage, f"{self.program} holds {curve} still, it cannot follow a curve")
            elif not said.repeats and (said.kind or stage.stage.name) in taken:
                self.refuse(stage, f"{self.program} has one of a kind")
            else:
                taken.add(said.kind or stage.stage.name)
                self._say(stage, said)

    def _say(self, stage: EffectiveStage, said: Said) -> None:
        settings, unsaid = said.words(stage.parameters)
        earlier = dict(self.settings)
        for name, value in settings:
            if name in earlier and not said.repeats and earlier[name] != value:
                unsaid = [*unsaid, f"{name} is {_text(earlier[name])} already"]
            elif name not in earlier or said.repeats:
                self.settings.append((name, value))
        self.unsaid += [f"{stage.key}: {reason}" for reason in unsaid]
        self.said.append(stage.stage.name)

    def in_order(self, table: Mapping[str, Said]) -> None:
        """Name the stages that the program runs at another place than the list has them."""
        places = list(table)
        latest = -1
        for name in self.said:
            if places.index(name) < latest:
                self.unsaid.append(f"{name}: {self.program} has it before {places[latest]}")
            latest = max(latest, places.index(name))


def _first(stack: Stack, program: str) -> tuple[str, tuple[EffectiveStage, ...], list[str]]:
    """The list of level 0, its stages, and a line for every other list."""
    name = next((name for name in ("ar", "nar_len") if name in stack.lists), next(iter(stack.lists)))
    phase, _, level = name.partition(".")
    others = [f"{other}: {program} has one list; this is {name}" for other in stack.lists if other != name]
    return name, stack.effective(phase, int(level or 0)), others


def _cold_end(spoken: _Spoken, samplers: list[str]) -> None:
    """Greedy in llama.cpp: a temperature of 0, or a top-k of 1, whichever is still free."""
    for slot, setting in (("temperature", ("--temp", 0.0)), ("top_k", ("--top-k", 1))):
        if slot not in samplers:
            samplers.append(slot)
            spoken.settings.append(setting)
            return
    spoken.unsaid.append("greedy: llama.cpp would need a second temperature or top_k, at the end")


def _deeper_levels(spoken: _Spoken, stages: Sequence[EffectiveStage]) -> None:
    """The list ``nar``: a temperature of its own, everything else as in level 0."""
    running = [stage for stage in stages if stage.runs]
    if running[-1].stage.name == "greedy":
        spoken.settings.append(("--nar-temperature", 0.0))
        return
    heat = [stage.parameters["value"] for stage in running if stage.stage.name == "temperature"]
    value = heat[0] if heat else 1.0
    if len(heat) > 1 or isinstance(value, Curve):
        spoken.unsaid.append("nar: the reference has one temperature there, and holds it still")
        return
    spoken.settings.append(("--nar-temperature", value))
    own = {stage.stage.name: plain(stage.parameters) for stage in running}
    first = {stage.stage.name: plain(stage.parameters) for stage in spoken.stages}
    own.pop("temperature", None)
    if any(first.get(name) != parameters for name, parameters in own.items()):
        spoken.unsaid.append(f"nar: the reference takes the stages of {spoken.list} there")


def _curved(stage: EffectiveStage, parameter: str) -> bool:
    return isinstance(stage.parameters[parameter], Curve)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
