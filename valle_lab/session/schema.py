"""The session file: all that a take can be made again from, and the evidence that a replay is judged by."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from valle.adapter_use import STRONGEST
from valle.control import EventKind
from valle.early_exit import MOST_BITS, MOST_DRAFTED, MOST_LAYERS
from valle.modes import Confidence, ConfidenceOf
from valle.request import FRAME_RATE, LEVELS, SEED_LIMIT
from valle_lab.session.base import Array, Identifier, Model, Name, Plain, Seconds, Sha256, Text, holding
from valle_lab.session.checks import check_event, check_segment, check_stack, check_take, check_trial
from valle_lab.session.seal import LABELS

SchemaName = Literal["valle-lab/session"]
VERSION = "1.0"

MAX_TAKES, MAX_SEGMENTS, MAX_STEPS, MAX_EVENTS = 10_000, 1_000, 100_000, 100_000
MAX_FRAMES = 45_000
"""Ten minutes in one segment."""
MAX_ID = 32_767
"""The highest id of a head; `checks` knows the highest that a phase of audio decides."""

Phase = Literal["ar", "nar", "nar_len", "len", "stt", "phn", "un_phn", "refine"]
Ending = Literal["stop", "length", "finish", "cancel"]
StackDict = Annotated[dict[Name, list[dict[Name, Plain]]], Field(max_length=100)]
Level = Annotated[Array, holding("int16", dimensions=1, least=0, most=1023)]
Decisions = Annotated[Array, holding("int16", dimensions=2, least=0, most=MAX_ID)]
Evident = Annotated[Array, holding("float32", dimensions=2)]
Shown = Annotated[Array, holding("float16", "float32", dimensions=2, infinite=True)]
Counts = Annotated[Array, holding("int16", "int32", dimensions=3, least=-1)]
Curves = Annotated[Array, holding("float16", "float32", dimensions=3, infinite=True)]


class Header(Model):
    """Which format this is."""

    name: SchemaName = "valle-lab/session"
    version: Annotated[str, Field(pattern=r"\A[0-9]{1,4}\.[0-9]{1,4}\z")] = VERSION

    @model_validator(mode="after")
    def _can_be_read(self) -> Header:
        ours = re.match("[0-9]+", VERSION)
        if int(self.version.partition(".")[0]) != int(ours[0] if ours else 0):
            raise ValueError(
                f"the file has version {self.version}, this program reads {VERSION}; update valle-lab"
            )
        return self


class Content(Model):
    """A model, codec or tokenizer: named for people, hashed for replay."""

    name: Name
    sha256: Sha256
    release: Name = ""
    """Where it comes from, such as a release or a repository."""


class Environment(Model):
    """What computed the take. Nothing of it tells the machine or its user by name."""

    valle: Name = ""
    python: Name = ""
    torch: Name = ""
    numpy: Name = ""
    espeak: Name = ""
    phonemizer: Name = ""
    os: Name = ""
    machine: Name = ""
    cpu_flags: Annotated[tuple[Name, ...], Field(max_length=64)] = ()


class Origin(Model):
    """What made a take."""

    model: Content
    codec: Content
    tokenizer: Content
    environment: Environment = Environment()


class Place(Model):
    """Where a decision stands in a take."""

    segment: Annotated[int, Field(ge=0, lt=MAX_SEGMENTS)]
    phase: Phase
    level: Annotated[int, Field(ge=0, lt=LEVELS)]
    step: Annotated[int, Field(ge=0, le=MAX_STEPS)]


class Event(Model):
    """One change to the take while it was made; it took effect before the decision at its place."""

    kind: EventKind
    name: Name = ""
    value: Plain = None
    place: Place

    @model_validator(mode="after")
    def _value_suits_the_kind(self) -> Event:
        check_event(self.kind, self.value)
        return self


class Sentence(Model):
    """The text of one segment, and what the model got of it."""

    text: Text
    phonemes: Text
    ids: Annotated[Array, holding("int16", "int32", dimensions=1, least=0, most=65_535)]


class Part(Model):
    """Which part of the voice's recording it was, in seconds; without `seconds` to its end."""

    start: Seconds = 0.0
    seconds: Seconds | None = None
    looped: Seconds | None = None
    """How long the part was made by repeating it."""


class Prompt(Model):
    """The voice, as codes [frames, levels] of one codec."""

    codes: Annotated[Array, holding("int16", dimensions=2, least=0, most=1023)]
    codec: Sha256
    voice: Name = ""
    part: Part | None = None
    """None where it was not known."""


class NullBranch(Model):
    """What the null pass of guidance was given in place of text and voice: nothing, the same, or another."""

    text: Sentence | Literal["none", "same"] = "none"
    voice: Prompt | Literal["none", "same"] = "none"


class Prefix(Model):
    """Speech that every segment went on from, as codes [frames, levels], and what is said in it."""

    sentence: Sentence
    codes: Annotated[Array, holding("int16", dimensions=2, least=0, most=1023)]
    codec: Sha256


class Demasking(Model):
    """How masked frames were decided, round by round; `valle.modes.Demasking` says what each means."""

    steps: Annotated[int, Field(ge=1, le=1000)] = 25
    start: Annotated[float, Field(ge=0, le=1)] = 0.0
    end: Annotated[float, Field(ge=0, le=1)] = 1.0
    remasking: bool = True
    noise: Annotated[float, Field(ge=0, le=100)] = 0.0
    confidence: Confidence = "taken"
    confidence_of: ConfidenceOf = "guided"
    frames: Annotated[int, Field(ge=0, le=MAX_FRAMES)] = 0
    stretch: Annotated[float, Field(ge=0.1, le=10)] = 1.0


class AdapterUse(Model):
    """An adapter that was loaded, at the strength that the take began with."""

    name: Name
    sha256: Sha256
    strength: Annotated[float, Field(ge=-STRONGEST, le=STRONGEST, allow_inf_nan=False)]


class EarlyExit(Model):
    """How level 0 was decided without all layers; thresholds in bits and bits squared."""

    layer: Annotated[int, Field(ge=1, le=MOST_LAYERS)]
    entropy: Annotated[float, Field(ge=0, le=MOST_BITS, allow_inf_nan=False)]
    varentropy: Annotated[float, Field(ge=0, le=MOST_BITS, allow_inf_nan=False)]
    draft: Annotated[int, Field(ge=0, le=MOST_DRAFTED)] = 0


class Recipe(Model):
    """What changes the last bits of a logit."""

    device: Identifier = "cpu"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    threads: Annotated[int, Field(ge=1, le=4096)] = 1
    attention: Identifier = "auto"
    guidance: Literal["one batch", "two passes"] = "one batch"
    batch: Annotated[tuple[Identifier, ...], Field(max_length=MAX_TAKES)] = ()
    adapters: Annotated[tuple[AdapterUse, ...], Field(max_length=64)] = ()
    early_exit: EarlyExit | None = None


class Request(Model):
    """What was asked for."""

    sentences: Annotated[tuple[Sentence, ...], Field(min_length=1, max_length=MAX_SEGMENTS)]
    language: Identifier
    prompt: Prompt | None = None
    task: Identifier = "tts"
    mode: Identifier = "ar+nar"
    max_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)]
    max_levels: Annotated[int, Field(ge=1, le=LEVELS)] = LEVELS
    seed: Annotated[int, Field(ge=0, lt=SEED_LIMIT)]
    noise: Identifier
    """Name of the scheme that makes noise of the seed."""
    stack: Annotated[StackDict, AfterValidator(check_stack)]
    """As asked for; `effective` of the take is what it came to."""
    recipe: Recipe = Recipe()
    null: NullBranch = NullBranch()
    sources: Annotated[tuple[Prompt, ...], Field(max_length=MAX_SEGMENTS)] = ()
    """Speech that was there already, one of each segment."""
    prefix: Prefix | None = None
    history: Annotated[int, Field(ge=0, le=MAX_SEGMENTS)] = 0
    between: Annotated[tuple[Annotated[int, Field(ge=0, le=65_535)], ...], Field(max_length=16)] = ()
    ar_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] = FRAME_RATE
    demasking: Demasking = Demasking()
    refine: bool = False


class Evidence(Model):
    """Numbers of the model's own float32 logits, [rows, positions], or [rows, positions, 8] for the best."""

    logsumexp: Evident
    chosen: Evident
    top_ids: Annotated[Array, holding("int16", dimensions=3, least=0, most=MAX_ID)] | None = None
    top_logits: Annotated[Array, holding("float32", dimensions=3)] | None = None


class NullEvidence(Evidence):
    """The same of the null pass, for the decisions that were guided."""

    rows: Annotated[Array, holding("int32", dimensions=1, least=0, most=MAX_STEPS)]


class Measures(Model):
    """The distribution after each stage, [stages, rows, positions]; `kept` is 0 where a stage was not."""

    stages: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    kept: Counts
    removed: Curves
    entropy: Curves
    varentropy: Curves
    divergence: Curves
    rank: Counts
    probability: Curves
    stop_probability: Curves | None = None
    """None in phases that have no stop."""


class Alternative(Model):
    """A hypothesis that a search did not take."""

    codes: Level
    log_probability: Annotated[float, Field(allow_inf_nan=False)]
    """Of all its decisions, after the stack, in nats."""
    score: Annotated[float, Field(allow_inf_nan=False)]
    """What it was compared by, the higher the better."""
    stopped: bool
    hypothesis: Annotated[int, Field(ge=0, le=MAX_STEPS)] = 0


class Trace(Model):
    """The decisions of one phase of a segment, a row each, in order; `nar` has a row per level."""

    phase: Phase
    tokens: Decisions
    """What was fed on, [rows, positions]; the decision to stop is the last row where `ended` is `stop`.

    In `nar_len` a row are all frames as they were after a round; in `refine` the version that was kept."""
    choices: Decisions | None = None
    """What the stack chose, where that is not the same."""
    log_probability: Shown
    runner_up: Annotated[Array, holding("int16", dimensions=2, least=-1, most=MAX_ID)]
    margin: Shown
    seconds: Annotated[Array, holding("float32", dimensions=1, least=0)]
    """Time to compute each row."""
    ended: Ending | None = None
    """Why the last of these decisions was the last, where no event was the reason."""
    evidence: Evidence
    null_evidence: NullEvidence | None = None
    measures: Measures
    hypothesis: Annotated[Array, holding("int16", dimensions=1, least=0)] | None = None
    """Which hypothesis of a search each row was, where that is not 0."""
    exit_layer: Annotated[Array, holding("int16", dimensions=1, least=0, most=MOST_LAYERS)] | None = None
    """By how many layers each row was decided, 0 being all; None where all were."""
    drafted: Annotated[Array, holding("int16", dimensions=1, least=-1, most=1)] | None = None
    """Where early layers had drafted: 1 this token, -1 another; None where they never had."""
    masked: Annotated[Array, holding("int16", dimensions=2, least=0, most=1)] | None = None
    """Which frames each round of `nar_len` decided, [rows, positions]."""
    others: Annotated[tuple[Alternative, ...], Field(max_length=1000)] = ()
    """What else a search found, the best first."""


class Segment(Model):
    """One sentence as codes, level by level, and how they were decided."""

    levels: Annotated[tuple[Level, ...], Field(min_length=LEVELS, max_length=LEVELS)]
    stop: Ending
    traces: Annotated[tuple[Trace, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _holds_together(self) -> Segment:
        check_segment(self)
        return self


class Take(Model):
    """One generation."""

    id: Identifier
    parent: Identifier | None = None
    fork: Place | None = None
    """The first decision that differs from the parent's."""
    origin: Origin
    request: Request
    effective: StackDict
    events: Annotated[tuple[Event, ...], Field(max_length=MAX_EVENTS)] = ()
    segments: Annotated[tuple[Segment, ...], Field(max_length=MAX_SEGMENTS)] = ()
    codes_sha256: Annotated[tuple[Sha256, ...], Field(min_length=LEVELS, max_length=LEVELS)]
    """One a level, over the segments in order: sha256 of the codes as int16, little-endian."""
    seconds: Seconds = 0.0
    told: Text = ""
    """What a take that gives no speech came to: phonemes, text, or numbers of frames."""
    ratings: Plain = Field(default_factory=list)
    """What listeners said; read by `valle_lab.session.opinions`, and never a reason to refuse the file."""
    notes: Plain = Field(default_factory=list)

    @model_validator(mode="after")
    def _holds_together(self) -> Take:
        check_take(self)
        return self


class Trial(Model):
    """A blind comparison of takes, which were heard as X, Y and Z in an order that was sealed before."""

    id: Identifier
    takes: Annotated[tuple[Identifier, ...], Field(min_length=2, max_length=len(LABELS))]
    """In an order that has nothing to do with that of the labels."""
    names: Annotated[tuple[Name, ...], Field(max_length=len(LABELS))] = ()
    """What each of them stands for, such as a preset; without names what differs between them tells."""
    seal: Sha256
    """See `valle_lab.session.seal`."""
    order: Annotated[tuple[Identifier, ...], Field(max_length=len(LABELS))] | None = None
    """The takes by label; it and the salt are there only after the choice."""
    salt: Sha256 | None = None
    choice: Literal["X", "Y", "Z", "none"] | None = None
    """`none`: no difference was heard."""

    @model_validator(mode="after")
    def _holds_together(self) -> Trial:
        check_trial(self)
        return self


class Session(Model):
    """A file of takes."""

    header: Header = Field(alias="schema")
    takes: Annotated[tuple[Take, ...], Field(max_length=MAX_TAKES)] = ()
    trials: Annotated[tuple[Trial, ...], Field(max_length=MAX_TAKES)] = ()
    ratings: Plain = Field(default_factory=list)
    notes: Plain = Field(default_factory=list)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Session:
        ids = [take.id for take in self.takes]
        if double := next((name for name in ids if ids.count(name) > 1), None):
            raise ValueError(f"takes: there are two of id {double[:60]!r}")
        return self

    def take(self, name: str | None = None) -> Take:
        """The take of this id, or of this number from 1; the last one without a name. KeyError if none."""
        if name is None and self.takes:
            return self.takes[-1]
        by_id: dict[str | None, Take] = {str(number): take for number, take in enumerate(self.takes, 1)}
        by_id |= {take.id: take for take in self.takes}
        return by_id[name]


def new_session(*takes: Take, **unknown: Any) -> Session:
    """A session of these takes in this version's format."""
    return Session.model_validate({"schema": Header(), "takes": takes, **unknown}, strict=False)
