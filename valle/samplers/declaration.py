"""What a stage is called, what it may be given and where it may stand: data, without torch.

A declaration is the only place where a parameter is described. The sliders of the lab, ``valle-lab
samplers``, the JSON schema, the documentation and every error message about a parameter are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PHASES = ("ar", "nar", "nar_len", "len", "stt", "phn", "un_phn")
"""The phases in the order of their numbers in the noise counter."""

TEXT_PHASES = ("stt", "phn", "un_phn")
"""The phases whose tokens are text or phonemes."""

ParameterType = Literal["number", "integer", "boolean", "choice", "ids", "biases"]
Kind = Literal["guidance", "stage", "chooser", "search"]
Need = Literal["history", "null", "attention", "stop"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a stage.

    ``default`` is what a stage gets that does not name the parameter, ``neutral`` the value that makes the
    stage a no-op (None where no value does). ``minimum`` and ``maximum`` are inclusive. ``fixed`` parameters
    set a shape, a list or a mode and take no curve. ``bounded_by`` names the parameter of the same stage that
    this one may not exceed. ``logarithmic`` asks for a slider on a logarithmic scale.
    """

    name: str
    type: ParameterType
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    neutral: Any = None
    unit: str = ""
    source: str = ""
    choices: tuple[str, ...] = ()
    fixed: bool = False
    logarithmic: bool = False
    bounded_by: str | None = None

    @property
    def curved(self) -> bool:
        """Whether the parameter may follow a curve."""
        return self.type in ("number", "integer") and not self.fixed


@dataclass(frozen=True, slots=True)
class StageDeclaration:
    """One kind of stage: its name, its parameters, where it may stand, and which function does the work.

    ``function`` is written ``module:function`` and resolved at first use, so that a declaration imports
    nothing: ``apply`` for guidance and stages, ``choose`` for choosers. ``start`` and ``accept`` are given by
    stages that keep a state, ``gather`` by those whose rows look at each other where one pass decides many
    positions. ``refused`` maps a phase to the reason why the stage makes no sense there.
    ``place`` orders the usual places in a stack, low first. ``purpose`` names the noise that the stage draws.
    ``keeps_argmax`` promises that the most likely id of a row survives with the highest value.
    ``neutral_when`` says whether any neutral parameter makes the stage a no-op, or only all of them together.
    ``also`` are the names that other programs have for it: it is found by them, not given by them.
    """

    name: str
    family: str
    kind: Kind
    help: str
    source: str
    place: int
    function: str
    parameters: tuple[Parameter, ...] = ()
    start: str | None = None
    accept: str | None = None
    gather: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[Need] = frozenset()
    purpose: str | None = None
    keeps_argmax: bool = False
    neutral_when: Literal["any", "all"] = "any"
    also: tuple[str, ...] = ()

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases in which the stage may stand."""
        return tuple(phase for phase in PHASES if phase not in self.refused)

    @property
    def stateful(self) -> bool:
        """Whether the stage keeps a state from step to step."""
        return self.start is not None

    @property
    def decides(self) -> bool:
        """Whether the stage stands last and decides the token."""
        return self.kind in ("chooser", "search")

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of that name, or None."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


def describe(declaration: StageDeclaration) -> dict[str, Any]:
    """The declaration as the JSON object that ``valle-lab samplers --json`` prints."""
    return {
        "name": declaration.name,
        "family": declaration.family,
        "kind": declaration.kind,
        "phases": list(declaration.phases),
        "refused": dict(declaration.refused),
        "also": list(declaration.also),
        "help": declaration.help,
        "source": declaration.source,
        "stateful": declaration.stateful,
        "needs": sorted(declaration.needs),
        "keeps_argmax": declaration.keeps_argmax,
        "parameters": [describe_parameter(parameter) for parameter in declaration.parameters],
    }


def describe_parameter(parameter: Parameter) -> dict[str, Any]:
    """One parameter as JSON."""
    return {
        "name": parameter.name,
        "type": parameter.type,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "step": parameter.step,
        "default": plain(parameter.default),
        "neutral": plain(parameter.neutral),
        "unit": parameter.unit,
        "help": parameter.help,
        "source": parameter.source,
        "choices": list(parameter.choices),
        "fixed": parameter.fixed,
        "logarithmic": parameter.logarithmic,
        "bounded_by": parameter.bounded_by,
    }


def plain(value: Any) -> Any:
    """A parameter's value in the types of JSON and TOML."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return value
