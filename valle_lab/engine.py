"""What the laboratory needs of an engine: `valle.inference.Engine` is one, and tests bring their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from valle.control import Control
from valle.modes import Demasking
from valle.request import Codes, NullBranch, Prefix, Prompt, Recipe, Request, Sentence
from valle.samplers.stack import Stack
from valle.step import Step
from valle.take import Segment, Take
from valle.text.phonemes import Versions
from valle.text.sentences import SplitBy
from valle.text.tokens import Tokenizer
from valle.voices import Voice

if TYPE_CHECKING:
    from valle.decoding.forced import RawRows
    from valle.decoding.onlooker import Onlooker
    from valle.models.attention_maps import AttentionTrack
    from valle.models.exits import LayerMeasures


class Generation(Protocol):
    """A take in the making."""

    request: Request

    @property
    def take(self) -> Take: ...

    def __iter__(self) -> Iterator[Step]: ...

    def __next__(self) -> Step: ...


class BatchGeneration(Protocol):
    """Several takes in the making."""

    @property
    def requests(self) -> Sequence[Request]: ...

    @property
    def takes(self) -> Sequence[Take]: ...

    def take(self, name: str) -> Take: ...

    def __iter__(self) -> Iterator[Step]: ...

    def __next__(self) -> Step: ...


class Codec(Protocol):
    """What is told of a codec."""

    @property
    def name(self) -> str: ...

    @property
    def hash(self) -> str: ...

    def decode_chunks(self, chunks: Iterable[Codes]) -> Iterator[NDArray[np.float32]]: ...


class Engine(Protocol):
    """What is loaded, and what it can be asked for."""

    @property
    def model_name(self) -> str: ...

    @property
    def model_hash(self) -> str: ...

    @property
    def remarks(self) -> tuple[str, ...]: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def languages(self) -> tuple[str, ...]: ...

    @property
    def tasks(self) -> tuple[str, ...]: ...

    @property
    def modes(self) -> tuple[str, ...]: ...

    @property
    def layers(self) -> int: ...

    @property
    def default_stack(self) -> Stack: ...

    @property
    def stop(self) -> int: ...

    @property
    def attends(self) -> bool: ...

    @property
    def recipe(self) -> Recipe: ...

    def sentences(self, text: str, language: str = ..., by: SplitBy = ...) -> tuple[Sentence, ...]: ...

    def prompt(self, voice: Voice, start: float = 0.0, seconds: float | None = None) -> Prompt: ...

    def null_branch(
        self,
        text: str | None = ...,
        voice: Voice | Literal["none"] | None = ...,
        language: str = ...,
    ) -> NullBranch: ...

    def request(
        self,
        text: str,
        *,
        voice: Prompt | None = ...,
        language: str = ...,
        stack: Stack | None = ...,
        seed: int | None = ...,
        max_seconds: float = ...,
        by: SplitBy = ...,
        take: str = ...,
        null: NullBranch = ...,
        task: str = ...,
        mode: str | None = ...,
        sources: Sequence[Prompt] = ...,
        prefix: Prefix | None = ...,
        history: int = ...,
        ar_frames: int = ...,
        demasking: Demasking | None = ...,
        refine: bool = ...,
    ) -> Request: ...

    def versions(self, language: str) -> Versions: ...

    def generate(
        self, request: Request, control: Control | None = ..., *, onlooker: Onlooker | None = ...
    ) -> Generation: ...

    def reread(self, take: Take, segment: int, needs: frozenset[str] = ...) -> RawRows: ...

    def generate_batch(
        self, requests: Sequence[Request], controls: Sequence[Control] | None = ...
    ) -> BatchGeneration: ...

    def observe(self, request: Request, segment: int, level_0: Codes) -> AttentionTrack: ...

    def wave(self, segments: Sequence[Segment], levels: int | None = ...) -> NDArray[np.float32]: ...

    def measure_layers(self, request: Request, segment: int, level_0: Codes) -> LayerMeasures: ...

    def use_adapters(self, adapters: Sequence[tuple[str | Path, float]]) -> None: ...

    def close(self) -> None: ...
