"""What a model is, as far as it changes what the model computes; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from valle.errors import UserError

EmbeddingSums = Literal["both", "prompt", "response", "none"]

LENGTH_TOKENS = 11  # the digits 0 to 9, and stop
TASKS = ("tts", "tts-c", "ns", "sr", "tse", "soe", "mask", "eoe", "stt")  # rows of the task embedding

_COUNTS = (
    "dim",
    "layers",
    "heads",
    "ffn",
    "languages",
    "tasks",
    "tones",
    "audio_levels",
    "audio_tokens",
    "phoneme_tokens",
    "experts",
)

_FLAGS = (
    "split_classifiers",
    "classifier_offsets",
    "classifiers_bias",
    "unified_position_ids",
    "noncausal_masks",
    "task_tokens_counted",
    "bitnet",
    "hf",
    "interleave",
)
_LISTS: dict[str, tuple[type, str]] = {
    "capabilities": (str, "words"),
    "rvq_level_range": (int, "levels"),
    "forward_attention": (int, "layers"),
}
_LARGEST = 1 << 20
_MOST = {"layers": 1024, "audio_levels": 64, "experts": 256}  # beyond this a file lies


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of a VALL-E model.

    `ffn` is the width of the gated layer itself (the reference writes the factor 4).
    `audio_embedding_sums` says which codes are embedded as the sum over the levels so far.
    `task_tokens_counted` is False for weights of the reference, whose restarting positions overlook the
    task token in front of a prompt, and all separators of some tasks, `tts-c` among them.
    `classifier_size` is the number of outputs of the one head where heads are not split; 0 is one for each id
    of the vocabulary.
    `hf`, `interleave` and `rvq_level_range` are the reference's: one vocabulary on a stock causal model,
    all codebooks by the AR in turn, and the levels that the model was trained for.
    `classifier_offsets` says that a single head answers each phase in a range of its own, as the one
    vocabulary has it, and not from its first row on.
    `experts` are those of each layer, 1 being no mixture; `bitnet` makes all linear layers of the backbone
    ternary.
    `forward_attention` are the layers whose first head reads the text forward while level 0 is written by
    the AR; not the last one.
    Raises UserError for sizes that cannot be built.
    """

    dim: int
    layers: int
    heads: int
    ffn: int
    version: int = 5
    languages: int = 6
    tasks: int = 9
    tones: int = 1
    capabilities: tuple[str, ...] = ("ar", "nar", "len")
    split_classifiers: bool = True
    classifier_offsets: bool = False
    classifiers_bias: bool = True
    audio_embedding_sums: EmbeddingSums = "both"
    unified_position_ids: bool = False
    noncausal_masks: bool = True
    task_tokens_counted: bool = True
    audio_levels: int = 8
    audio_tokens: int = 1024
    phoneme_tokens: int = 256
    text_tokens: int = 0
    architecture: str = "llama"
    attention: str = "auto"
    experts: int = 1
    bitnet: bool = False
    classifier_size: int = 0
    hf: bool = False
    interleave: bool = False
    rvq_level_range: tuple[int, ...] = ()
    forward_attention: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in _COUNTS:
            _require(name, getattr(self, name), 1)
        _require("text_tokens", self.text_tokens, 0)
        _require("classifier_size", self.classifier_size, 0)
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            raise UserError(
                f"model config: dim {self.dim} must split into {self.heads} heads of an even size"
            )
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"model config: {name} is {getattr(self, name)!r}, it must be true or false")
        for name, (kind, words) in _LISTS.items():
            if not all(type(each) is kind for each in getattr(self, name)):
                raise UserError(f"model config: {name} is {list(getattr(self, name))}, it must list {words}")
        for name in ("architecture", "attention"):
            if not isinstance(getattr(self, name), str):
                raise UserError(f"model config: {name} is {getattr(self, name)!r}, it must be a word")
        if self.audio_embedding_sums not in ("both", "prompt", "response", "none"):
            raise UserError(
                f"model config: audio_embedding_sums is {self.audio_embedding_sums!r}, "
                "it must be both, prompt, response or none"
            )
        self._check_forward_attention()

    def _check_forward_attention(self) -> None:
        for layer in self.forward_attention:
            if not 0 <= layer < self.layers - 1:
                raise UserError(
                    f"model config: forward_attention names layer {layer}, it must be one from 0 to "
                    f"{self.layers - 2}"
                )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.heads

    @property
    def stop(self) -> int:
        """The id that ends level 0 of the AR; the masked level 0 uses the same id as its mask."""
        return self.audio_tokens

    @property
    def sums_prompt(self) -> bool:
        """Whether prompt codes are embedded as a sum over levels."""
        return self.audio_embedding_sums in ("both", "prompt")

    @property
    def sums_response(self) -> bool:
        """Whether response codes are embedded as a sum over levels."""
        return self.audio_embedding_sums in ("both", "response")

    def response_sizes(self) -> list[int]:
        """Rows of the tables that the response is embedded with, in the order of the file.

        Table 0 is level 0 of the AR, table q what level q sees of codebook q - 1, the last the masked level
        0; where codebooks are interleaved there is one of each codebook, and any of them may be stopped at.
        """
        codes = self.audio_tokens
        if self.interleave:
            return [codes + 1] * self.audio_levels
        return [codes + 1, *[codes] * (self.audio_levels - 1), codes + 1]

    @property
    def vocabulary(self) -> int:
        """Ids of the one vocabulary over everything (17,702 in the released layout)."""
        separator = 1
        conditions = self.audio_levels + self.languages + self.tasks + LENGTH_TOKENS + self.tones + separator
        prompt = self.audio_levels * self.audio_tokens
        stop_and_mask = 2
        response = (self.audio_levels + 1) * self.audio_tokens + stop_and_mask
        return self.phoneme_tokens + conditions + prompt + response

    def head_range(self, head: str) -> slice:
        """Where a head's outputs lie in the one vocabulary; UserError for the text head, which has no place.

        Order: phonemes, levels, languages, tasks, digits, tones, separator, prompt, response. One head that
        is larger leaves room for more languages and tasks: the reference's always has that of six and nine.
        """
        sizes = self.head_sizes()
        room = max(0, self.classifier_size - self.vocabulary)
        digits = self.phoneme_tokens + self.audio_levels + self.languages + self.tasks + room
        response = digits + LENGTH_TOKENS + self.tones + 1 + self.audio_levels * self.audio_tokens
        starts = {"phonemes": 0, "len": digits}
        for name, rows in zip(
            ("ar", *(f"nar.{q}" for q in range(1, self.audio_levels)), "nar_len"),
            self.response_sizes(),
            strict=True,
        ):
            starts[name] = response
            response += rows
        if head not in starts:
            raise UserError(f"The one vocabulary has no ids for the head {head}.")
        return slice(starts[head], starts[head] + sizes[head])

    def head_sizes(self) -> dict[str, int]:
        """Return the split heads in the order of the file, name to number of outputs."""
        sizes = {"ar": self.audio_tokens + 1}
        for level in range(1, self.audio_levels):
            sizes[f"nar.{level}"] = self.audio_tokens
        sizes["nar_len"] = self.audio_tokens
        sizes["phonemes"] = self.phoneme_tokens
        if "len" in self.capabilities:
            sizes["len"] = LENGTH_TOKENS
        if self.version >= 6 and self.text_tokens:
            sizes["text"] = self.text_tokens
        return sizes


def _require(name: str, value: int, least: int) -> None:
    most = _MOST.get(name, _LARGEST)
    if type(value) is not int or not least <= value <= most:
        raise UserError(
            f"model config: {name} is {value!r}, it must be a whole number from {least} to {most}"
        )
