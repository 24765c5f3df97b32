"""How a model is trained, and the settings of a run that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from valle.errors import UserError
from valle.models.backbones import find_backbone
from valle.models.config import ModelConfig
from valle.training.corpus import Mix
from valle.training.precision import Precision

PHONEME_TOKENS = 256
Optimizer = Literal["muon", "adamw"]
Loss = Literal["answer", "whole", "pieces"]


def builtin_config(dim: int = 192, layers: int = 6, heads: int = 4) -> ModelConfig:
    """The configuration of the built-in model: that of the published models, small."""
    return ModelRecipe(dim=dim, layers=layers, heads=heads).config()


@dataclass(frozen=True)
class ModelRecipe:
    """How the model is trained: `batches` of about `budget` sequence rows each are one step.

    ffn: 0 is four times dim. optimizer: muon for the matrices inside and AdamW for the rest, or adamw for
    all. loss: that of the answer alone; of the whole sequence, every id of it alike; or in pieces, the text
    and the prompt being counted with the two factors (level 0 only, where they can be foretold).
    router_weight: how much a mixture of experts is pushed to use all of them alike.
    checkpointing: whether blocks are run a second time for their gradients, which saves memory.
    guide_layers: whose first attention head is pushed to the phoneme of the frame that a row predicts, by
    guide_weight each; hearing_layers: whose first head is pushed to the frames of the phoneme that a row of
    `stt` predicts.
    forward_attention: whose first head, one that is guided, reads the text forward in the AR; of a backbone
    without attention and of the last layer none does.
    layer_dropout, early_exit: how often the last layer is left out, and how much early layers are asked, so
    that the model can be left early; see `valle.training.layer_skip`.
    Raises UserError for a number that makes no sense.
    """

    dim: int = 192
    layers: int = 6
    heads: int = 4
    budget: int = 2000
    batches: int = 2
    hidden_rate: float = 0.02
    other_rate: float = 2e-3
    guide_layers: tuple[int, ...] = (2,)
    hearing_layers: tuple[int, ...] = (3,)
    guide_weight: float = 1.0
    forward_attention: tuple[int, ...] = (2,)
    clip: float = 1.0
    average: float = 0.99
    least_hidden: float = 0.25
    seed: int = 0
    mix: Mix = field(default_factory=Mix)
    architecture: str = "llama"
    ffn: int = 0
    experts: int = 1
    bitnet: bool = False
    optimizer: Optimizer = "muon"
    precision: Precision = "auto"
    loss: Loss = "answer"
    text_factor: float = 0.1
    prompt_factor: float = 0.1
    router_weight: float = 0.02
    checkpointing: bool = False
    layer_dropout: float = 0.0
    early_exit: float = 0.0

    def __post_init__(self) -> None:
        for name in ("budget", "batches", "hidden_rate", "other_rate", "clip"):
            if getattr(self, name) <= 0:
                raise UserError(f"recipe: {name} is {getattr(self, name)}, it must be more than 0")
        for name in ("layer_dropout", "early_exit"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"recipe: {name} is {getattr(self, name)}, it must be from 0 to 1")
        if (self.layer_dropout or self.early_exit) and not find_backbone(self.architecture).attends:
            raise UserError(f"recipe: {self.architecture} has no layers that can be left early")

    def config(self) -> ModelConfig:
        """The model that is trained."""
        backbone = find_backbone(self.architecture)
        forward = [layer for layer in self.forward_attention if layer < self.layers - 1 and backbone.attends]
        return ModelConfig(
            dim=self.dim,
            layers=self.layers,
            heads=self.heads,
            ffn=self.ffn or 4 * self.dim,
            languages=1,
            capabilities=("ar", "nar", "len") if backbone.looks_ahead else ("ar", "len"),
            classifiers_bias=False,
            phoneme_tokens=PHONEME_TOKENS,
            architecture=self.architecture,
            experts=self.experts,
            bitnet=self.bitnet,
            forward_attention=tuple(forward),
        )

    def suited_mix(self) -> Mix:
        """The mix without the kinds of batch that the backbone cannot read."""
        return self.mix if find_backbone(self.architecture).looks_ahead else self.mix.causal()


SHAPE = frozenset({"dim", "layers", "heads", "architecture", "ffn", "experts", "bitnet", "optimizer"})
"""Settings that the saved weights and optimisers have."""
FREE = frozenset({"checkpointing"})
"""Settings that may differ from call to call: they change no loss."""


def settle(given: Mapping[str, Any], saved: ModelRecipe | None, stretch: bool = False) -> ModelRecipe:
    """The recipe of the settings that were given, the others being those of the saved run or the defaults.

    Settings of the mix may stand among the others. In a new `stretch` of a run all but its shape may change.
    Raises UserError where a setting differs from the saved run's, and for a mix that has no sense.
    """
    base = saved or ModelRecipe()
    flat = {**asdict(base), **asdict(base.mix)}
    mixed = {each.name for each in fields(Mix)}
    for name, value in given.items():
        fixed = saved is not None and name not in FREE and (name in SHAPE or not stretch)
        if fixed and flat[name] != value:
            raise UserError(
                f"The saved run was begun with {name} {flat[name]}, not {value}; leave --"
                f"{name.replace('_', '-')} out to go on with it, or begin another with --name NAME."
            )
    mix = replace(base.mix, **{name: value for name, value in given.items() if name in mixed})
    return replace(base, mix=mix, **{name: value for name, value in given.items() if name not in mixed})


def restored(saved: Mapping[str, Any]) -> ModelRecipe:
    """The recipe that a saved run has kept."""

    def with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}

    return ModelRecipe(**{**with_tuples(saved), "mix": Mix(**with_tuples(saved["mix"]))})
