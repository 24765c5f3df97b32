"""The stages that other programs have, with the names of their settings. Data, without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from valle.samplers.declaration import plain

ALL_OF_A_PAST = 100_000
"""A window for programs in which 0 switches a stage off and nothing means all of the past."""

Settings = list[tuple[str, Any]]
Words = tuple[Settings, list[str]]


@dataclass(frozen=True, slots=True)
class Said:
    """How a program says a stage.

    ``names`` maps parameters to its settings, ``fixed`` others to what they always are there. ``windows`` are
    parameters whose 0 means all of the past. ``constant`` settings go with the stage. ``slot`` is what the
    program calls it in its order. Of a ``kind``, the stage's own name unless told otherwise, the program has
    one, save where it ``repeats``. ``remark`` says what it does otherwise. ``special`` takes the place of
    ``names`` and ``fixed``.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    windows: tuple[str, ...] = ()
    constant: tuple[tuple[str, Any], ...] = ()
    slot: str = ""
    kind: str = ""
    remark: str = ""
    repeats: bool = False
    special: Callable[[Mapping[str, Any]], Words] | None = None

    def words(self, parameters: Mapping[str, Any]) -> Words:
        """The settings for these parameters, and what of them cannot be said."""
        if self.special is not None:
            return self.special(parameters)
        settings: Settings = [*self.constant]
        for key, name in self.names.items():
            value = plain(parameters[key])
            settings.append((name, ALL_OF_A_PAST if key in self.windows and value == 0 else value))
        unsaid = [
            f"{key} is {_shown(value)} there, not {_shown(parameters[key])}"
            for key, value in self.fixed.items()
            if plain(parameters[key]) != plain(value)
        ]
        return settings, unsaid + ([self.remark] if self.remark else [])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence | Mapping) and not isinstance(value, str):
        return "empty" if not value else str(plain(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _llama_dynamic(parameters: Mapping[str, Any]) -> Words:
    """A temperature and how far it goes to both sides."""
    low, high = parameters["minimum"], parameters["maximum"]
    if parameters["form"] != "entropy":
        return [], ["llama.cpp has the entropy form only"]
    return [
        ("--temp", (low + high) / 2),
        ("--dynatemp-range", (high - low) / 2),
        ("--dynatemp-exp", parameters["exponent"]),
    ], []


def _llama_breakers(parameters: Mapping[str, Any]) -> Words:
    said = Said(_DRY_NAMES, windows=("range",))
    settings, _ = said.words(parameters)
    unsaid = ["its breakers are strings, not ids"] if parameters["breakers"] else []
    return [*settings, ("--dry-sequence-breaker", "none")], unsaid


def _llama_biases(pairs: Iterable[tuple[int, float]]) -> Words:
    return [("--logit-bias", f"{token}{bias:+g}") for token, bias in pairs], []


def _both(*names: str) -> Callable[[Mapping[str, Any]], Words]:
    """Several parameters in one setting, a list."""
    setting, *keys = names
    return lambda parameters: ([(setting, [parameters[key] for key in keys])], [])


_DRY_NAMES = {
    "multiplier": "--dry-multiplier",
    "base": "--dry-base",
    "allowed_length": "--dry-allowed-length",
    "range": "--dry-penalty-last-n",
}
_ONLY_A_SCALE = {"rescale": 0.0, "blend": 1.0, "candidates": 0}
_PER_ID = {"decay": 0.0, "count": "id", "normalize": False}
_LAST_N = {"window": "--repeat-last-n"}

LLAMA_CPP: Mapping[str, Said] = {
    "logit_bias": Said(repeats=True, special=lambda given: _llama_biases(given["biases"].items())),
    "ban_tokens": Said(
        repeats=True, special=lambda given: _llama_biases((token, float("-inf")) for token in given["ids"])
    ),
    "repetition_penalty": Said(
        {"penalty": "--repeat-penalty", **_LAST_N}, _PER_ID, windows=("window",), slot="penalties"
    ),
    "frequency_penalty": Said(
        {"penalty": "--frequency-penalty", **_LAST_N}, windows=("window",), slot="penalties"
    ),
    "presence_penalty": Said(
        {"penalty": "--presence-penalty", **_LAST_N}, windows=("window",), slot="penalties"
    ),
    "dry": Said(_DRY_NAMES, slot="dry", special=_llama_breakers),
    "top_n_sigma": Said({"n": "--top-nsigma"}, slot="top_n_sigma"),
    "top_k": Said({"k": "--top-k"}, slot="top_k"),
    "typical": Said({"p": "--typical"}, slot="typ_p"),
    "top_p": Said({"p": "--top-p"}, {"rule": "reach"}, slot="top_p"),
    "min_p": Said({"p": "--min-p"}, slot="min_p"),
    "xtc": Said({"probability": "--xtc-probability", "threshold": "--xtc-threshold"}, slot="xtc"),
    "temperature": Said({"value": "--temp"}, slot="temperature"),
    "dynamic_temperature": Said(
        dict.fromkeys(("minimum", "maximum", "exponent"), ""),
        slot="temperature",
        kind="temperature",
        special=_llama_dynamic,
    ),
    "greedy": Said(),
    "draw": Said(),
    "mirostat": Said(
        {"version": "--mirostat", "target": "--mirostat-ent", "learning_rate": "--mirostat-lr"},
        {"candidates": 100, "surprise": "kept"},
    ),
    "adaptive_p": Said({"target": "--adaptive-target", "decay": "--adaptive-decay"}, slot="adaptive_p"),
}
"""The flags of llama.cpp, as its server's readme lists them (build of mid-2026)."""

_REFERENCE_DRY = {key: name for key, name in _DRY_NAMES.items() if key != "range"}

REFERENCE: Mapping[str, Said] = {
    "guidance": Said(
        {"scale": "--cfg-strength", "rescale": "--cfg-rescale"},
        {"log_softmax": False, "rescale_over": "sequence", "blend": 1.0, "candidates": 0},
    ),
    "repetition_penalty": Said(
        {"penalty": "--repetition-penalty", "decay": "--repetition-penalty-decay"},
        {"window": 0, "count": "occurrence", "normalize": False},
        remark="it divides negative logits too, which makes their ids likelier, and its decay grows with the "
        "distance",
    ),
    "length_penalty": Said(
        {"penalty": "--length-penalty"}, {"ids": ()}, remark="it divides negative logits too"
    ),
    "min_p": Said({"p": "--min-p"}, remark="it keeps 32 ids at least"),
    "top_k": Said({"k": "--top-k"}),
    "top_p": Said({"p": "--top-p"}, {"rule": "llama3"}),
    "temperature": Said({"value": "--ar-temperature"}),
    "dynamic_temperature": Said(
        {"maximum": "--ar-temperature", "minimum": "--min-ar-temperature"},
        {"form": "sigmoid", "steepness": 10.0, "center": 0.5},
        kind="temperature",
        remark="its command line loses the minimum",
    ),
    "top_n_sigma": Said({"n": "--top-no"}, remark="its n is always 1, and after a cut it leaves no id"),
    "dry": Said(
        _REFERENCE_DRY,
        {"range": 0, "breakers": ()},
        remark="it lowers the matched id instead of the next one, and none at an allowed length above 1",
    ),
    "greedy": Said(),
    "draw": Said(),
    "mirostat": Said(
        {"target": "--mirostat-tau", "learning_rate": "--mirostat-eta"},
        {"version": 1, "surprise": "row"},
        remark="its mirostat is never run",
    ),
    "beam_search": Said({"width": "--beam-width"}, remark="its beams forget where they came from"),
    "entropix": Said(constant=(("--entropix-sampling", True),), remark="its thresholds have no flags"),
}
"""The flags of e-c-k-e-r/vall-e in the order in which its sampler runs them."""

TRANSFORMERS: Mapping[str, Said] = {
    "guidance": Said({"scale": "guidance_scale"}, {"log_softmax": True, **_ONLY_A_SCALE}),
    "logit_bias": Said(
        special=lambda given: (
            [("sequence_bias", [[[token], bias] for token, bias in given["biases"].items()])],
            [],
        )
    ),
    "repetition_penalty": Said({"penalty": "repetition_penalty"}, {"window": 0, **_PER_ID}),
    "no_repeat_ngram": Said({"size": "no_repeat_ngram_size"}, {"window": 0}),
    "minimum_length": Said({"steps": "min_new_tokens"}),
    "exponential_decay_length": Said(
        dict.fromkeys(("start", "factor"), ""),
        special=_both("exponential_decay_length_penalty", "start", "factor"),
    ),
    "ban_tokens": Said({"ids": "suppress_tokens"}),
    "temperature": Said({"value": "temperature"}),
    "top_h": Said({"h": "top_h"}, {"candidates": 100}),
    "top_k": Said({"k": "top_k"}),
    "top_p": Said({"p": "top_p"}, {"rule": "reach"}),
    "min_p": Said({"p": "min_p"}),
    "typical": Said({"p": "typical_p"}),
    "epsilon": Said({"epsilon": "epsilon_cutoff"}),
    "eta": Said({"epsilon": "eta_cutoff"}),
    "greedy": Said(constant=(("do_sample", False),)),
    "draw": Said(constant=(("do_sample", True),)),
    "beam_search": Said(
        {"width": "num_beams", "length_penalty": "length_penalty"}, constant=(("do_sample", False),)
    ),
}
"""The arguments of transformers' generate, version 5, in the order in which it runs them."""
