"""The encoded utterances in memory, and the batches that the model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.errors import UserError
from valle.models.base import Inputs
from valle.text.tokens import BOS, EOS
from valle.training.aims import Aim, heard, said
from valle.training.speech import SpeechShard

SHORTEST_PROMPT, LONGEST_PROMPT = 38, 260
PROMPT_CANDIDATES = 4
STOP = MASK = 1024
SPAN = 8
IGNORED = -100
DIGITS_START, DIGITS_STOP = 0, 10
LEVELS = 7
ENGLISH = 0


class Kind(StrEnum):
    """What a batch teaches."""

    AR = "ar"
    NAR = "nar"
    NAR_LEN = "nar_len"
    LEN = "len"
    STT = "stt"


@dataclass(frozen=True)
class Mix:
    """The share of each kind of batch, of each level among NAR rows, and of rows that lack conditions.

    `hidden` is the highest share of an AR row's past that is hidden from it: half of all codes of level 0 are
    those of the frame before, and a model that can always copy is slow to look at the text.
    `without_text` leaves the text alone out. Of what is read, not of what is asked for, `token_error` is the
    share of codes that become any other code, and `token_dropout` the share of frames that become the dropout
    token.
    `other_past` is the share of the AR rows whose past is the same line in another voice, where there is one:
    what was said so far tells the voice so well that a model has little need of its prompt, and when it has
    begun to slip into a similar voice it goes on in that.
    """

    kinds: tuple[float, ...] = (0.66, 0.27, 0.03, 0.02, 0.02)
    levels: tuple[float, ...] = (4, 3, 2, 2, 1, 1, 1)
    without_voice: float = 0.07
    without_both: float = 0.07
    hidden: float = 1.0
    without_text: float = 0.0
    token_error: float = 0.0
    token_dropout: float = 0.0
    other_past: float = 0.35

    def __post_init__(self) -> None:
        for name, count in (("kinds", len(Kind)), ("levels", LEVELS)):
            shares = getattr(self, name)
            if len(shares) != count:
                raise UserError(f"recipe: {name} has {len(shares)} shares, it must have {count}")
            if min(shares) < 0 or not sum(shares):
                raise UserError(f"recipe: {name} {shares} must be shares of which some are above 0")
        conditions = ("without_voice", "without_text", "without_both")
        for name in (*conditions, "hidden", "token_error", "token_dropout", "other_past"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"recipe: {name} is {getattr(self, name)}, it must be from 0 to 1")
        if sum(getattr(self, name) for name in conditions) > 1:
            raise UserError("recipe: without_voice, without_text and without_both are more than 1 together")

    def causal(self) -> Mix:
        """The same for a model that reads from left to right only: without the levels above 0."""
        ahead = (Kind.NAR, Kind.NAR_LEN)
        kinds = zip(Kind, self.kinds, strict=True)
        return replace(self, kinds=tuple(0.0 if kind in ahead else share for kind, share in kinds))

    def kind(self, random: np.random.Generator) -> Kind:
        """The kind of the next batch."""
        return list(Kind)[int(random.choice(len(self.kinds), p=np.array(self.kinds) / sum(self.kinds)))]

    def level(self, random: np.random.Generator) -> int:
        """The level of a NAR row, 1 to 7."""
        return 1 + int(random.choice(len(self.levels), p=np.array(self.levels) / sum(self.levels)))


@dataclass(frozen=True, eq=False)
class Utterance:
    """One utterance: codes [frames, 8], ids [N], for each frame the place of its symbol, speaker and rate.

    A recording has no alignment.
    """

    codes: NDArray[np.int16]
    ids: NDArray[np.int16]
    alignment: NDArray[np.int16] | None
    speaker: int
    rate: int

    @property
    def length(self) -> int:
        """Roughly how many rows it takes in a sequence, its prompt left out."""
        return len(self.ids) + len(self.codes)


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows with their targets where these do not follow from the row, and their aims where there are timings.

    `holes` are, for each row, the frames of its segments that are left out, bool [frames].
    """

    kind: Kind
    rows: list[Inputs]
    targets: list[Tensor | None]
    aims: list[Aim | None]
    holes: list[dict[str, Tensor]] = field(default_factory=list)


class Corpus:
    """All utterances so far, ordered by length so that a batch holds rows of similar length."""

    def __init__(self) -> None:
        self._utterances: list[Utterance] = []
        self._by_length: NDArray[np.int64] = np.zeros(0, np.int64)
        self._by_speaker: dict[int, list[int]] = {}
        self._by_line: dict[bytes, list[int]] = {}
        self._rates: NDArray[np.int16] = np.zeros(0, np.int16)

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, index: int) -> Utterance:
        return self._utterances[index]

    def add(self, shard: SpeechShard) -> None:
        """Take the utterances of a shard in."""
        for i in range(len(shard.speakers)):
            frames = slice(int(shard.starts[i]), int(shard.starts[i + 1]))
            ids = slice(int(shard.id_starts[i]), int(shard.id_starts[i + 1]))
            speaker = int(shard.speakers[i])
            self._by_speaker.setdefault(speaker, []).append(len(self._utterances))
            self._by_line.setdefault(shard.ids[ids].tobytes(), []).append(len(self._utterances))
            alignment = shard.alignment[frames] if shard.alignment[frames.start] >= 0 else None
            rate = int(shard.rates[i])
            self._utterances.append(Utterance(shard.codes[frames], shard.ids[ids], alignment, speaker, rate))
        self._by_length = np.argsort([each.length for each in self._utterances], kind="stable")
        self._rates = np.array([each.rate for each in self._utterances], np.int16)

    def prompt(self, index: int, random: np.random.Generator) -> NDArray[np.int16] | None:
        """A part of another utterance of the same speaker, the nearest in rate of a few, [frames, 8].

        None where the speaker has no other utterance.
        """
        own = self._utterances[index]
        others = self._by_speaker[own.speaker]
        if len(others) == 1:
            return None
        picked = np.array(others)[random.integers(0, len(others), PROMPT_CANDIDATES)]
        distance = np.abs(self._rates[picked] - own.rate) + 1000 * (picked == index)
        codes = self._utterances[int(picked[distance.argmin()])].codes
        wanted = SHORTEST_PROMPT + int((LONGEST_PROMPT - SHORTEST_PROMPT) * random.random() ** 2)
        length = min(wanted, len(codes))
        start = int(random.integers(0, len(codes) - length + 1))
        return codes[start : start + length]

    def other_past(self, index: int, random: np.random.Generator) -> NDArray[np.int16] | None:
        """The codes of an utterance, [frames, 8], that from some frame on are those of another voice.

        The other voice says the same line, laid along the utterance by its symbols; half of the time from the
        first frame on. None where no other voice says the line, or it is not known when.
        """
        own = self._utterances[index]
        alike = (self._utterances[place] for place in self._by_line[own.ids.tobytes()])
        others = [each for each in alike if each.speaker != own.speaker]
        if not others:
            return None
        other = others[int(random.integers(len(others)))]
        if own.alignment is None or other.alignment is None:
            return None
        begin = max(0, int(random.integers(-len(own.codes), len(own.codes))))
        laid = other.codes[laid_along(own.alignment, other.alignment)]
        return np.concatenate([own.codes[:begin], laid[begin:]])

    def batch(self, kind: Kind, mix: Mix, budget: int, random: np.random.Generator) -> Batch:
        """Utterances of similar length, as many as the budget of sequence rows has room for."""
        center = int(random.integers(0, len(self)))
        typical = self._utterances[int(self._by_length[center])].length + 105
        count = max(2, min(48, round(budget / typical)))
        near = self._by_length[max(0, center - count) : center + count]
        chosen = random.choice(near, min(count, len(near)), replace=False)
        batch = Batch(kind, [], [], [])
        for index in chosen:
            past = None
            if kind is Kind.AR and mix.other_past and random.random() < mix.other_past:
                past = self.other_past(int(index), random)
            prompt = self.prompt(int(index), random)
            row, target, aim = make_row(self._utterances[int(index)], prompt, kind, mix, random, past)
            batch.rows.append(with_errors(row, kind, mix.token_error, random))
            batch.holes.append(some_holes(row, mix.token_dropout, random))
            batch.targets.append(target)
            batch.aims.append(aim)
        return batch


def _tensor(values: NDArray[np.int16] | Sequence[int]) -> Tensor:
    return torch.from_numpy(np.asarray(values).astype(np.int64))


def digits(frames: int) -> list[int]:
    """A number of frames as the ids of the `len` task."""
    return [DIGITS_START, *(int(digit) for digit in str(frames)), DIGITS_STOP]


def make_row(
    utterance: Utterance,
    prompt: NDArray[np.int16] | None,
    kind: Kind,
    mix: Mix,
    random: np.random.Generator,
    past: NDArray[np.int16] | None = None,
) -> tuple[Inputs, Tensor | None, Aim | None]:
    """One row of a kind, its target where it needs one, its aim where it has text and speech.

    An AR row that has a prompt may read another `past` [frames, 8] than what it is asked for.
    """
    ids, codes = _tensor(utterance.ids), _tensor(utterance.codes)
    if kind is Kind.STT:
        aim = heard(utterance.alignment, len(ids))
        return Inputs("stt", phonemes=ids, language=ENGLISH, response=codes), None, aim
    alignment = utterance.alignment
    fate = random.random()
    if fate < mix.without_both and kind is not Kind.LEN:
        ids, prompt, alignment = torch.tensor([BOS, EOS]), None, None
    elif fate < mix.without_both + mix.without_voice:
        prompt = None
    elif fate < mix.without_both + mix.without_voice + mix.without_text and kind is not Kind.LEN:
        ids, alignment = torch.tensor([BOS, EOS]), None
    voice = None if prompt is None else _tensor(prompt)
    if kind is Kind.LEN:
        count = torch.tensor(digits(len(codes)))
        return Inputs("len", phonemes=ids, language=ENGLISH, prompt=voice, digits=count), None, None
    if kind is Kind.NAR:
        level = mix.level(random)
        row = Inputs(phonemes=ids, language=ENGLISH, level=level, prompt=voice, response=codes)
        return row, None, said(alignment)
    first = codes[:, :1]
    if kind is Kind.NAR_LEN:
        hidden = torch.from_numpy(random.random(len(codes)) < np.cos(random.random() * np.pi / 2))
        hidden[int(random.integers(len(codes)))] = True
        shown = first.masked_fill(hidden[:, None], MASK)
        row = Inputs(phonemes=ids, language=ENGLISH, prompt=voice, response=shown, masked=True)
        return row, first[:, 0].masked_fill(~hidden, IGNORED), said(alignment)
    if alignment is not None:
        alignment = np.append(alignment, np.int16(len(ids) - 1))
    read = first if past is None or voice is None else _tensor(past)[:, :1]
    shown = read.masked_fill(torch.from_numpy(_spans(len(codes), mix.hidden, random))[:, None], MASK)
    target = torch.cat([first[:, 0], torch.tensor([STOP])])
    return Inputs(phonemes=ids, language=ENGLISH, prompt=voice, response=shown), target, said(alignment)


def laid_along(own: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.int64]:
    """Which frame of the `other` speech of a line goes with each frame of one's `own`, [frames].

    Both are given as the symbol that sounds in each frame, never falling; a frame in the middle of a symbol
    goes with one in the middle of the same symbol.
    """
    found = np.interp(_progress(own), _progress(other), np.arange(len(other)))
    return np.rint(found).astype(np.int64)


def _progress(alignment: NDArray[np.int16]) -> NDArray[np.float64]:
    """How far each frame is in the text: its symbol, and how much of that is over at its middle."""
    _, symbol, lengths = np.unique(alignment, return_inverse=True, return_counts=True)
    since = np.arange(len(alignment)) - (np.cumsum(lengths) - lengths)[symbol]
    progress: NDArray[np.float64] = alignment + (since + 0.5) / lengths[symbol]
    return progress


def _spans(frames: int, highest: float, random: np.random.Generator) -> NDArray[np.bool_]:
    """Spans of frames to hide, covering a random share of at most `highest`."""
    starts = random.random(frames) < random.random() * highest / SPAN
    covered = np.convolve(starts, np.ones(SPAN))[:frames]
    return covered > 0


def with_errors(row: Inputs, kind: Kind, share: float, random: np.random.Generator) -> Inputs:
    """The row with a share of the codes that it reads made others, as if they had been sampled wrong."""
    if not share:
        return row

    def spoilt(codes: Tensor) -> Tensor:
        wrong = torch.from_numpy(random.random(codes.shape) < share) & (codes < STOP)
        return torch.where(wrong, torch.from_numpy(random.integers(0, STOP, codes.shape)), codes)

    response = row.response
    if response is not None:
        asked = slice(row.level, None) if kind is Kind.NAR else slice(0)
        read = spoilt(response)
        read[:, asked] = response[:, asked]
        response = read
    prompt = spoilt(row.prompt) if isinstance(row.prompt, Tensor) else row.prompt
    return replace(row, prompt=prompt, response=response)


def some_holes(row: Inputs, share: float, random: np.random.Generator) -> dict[str, Tensor]:
    """Which frames of a row's prompt and response are left out."""
    if not share:
        return {}
    segments = {"prompt": row.prompt, "response": row.response}
    return {
        name: torch.from_numpy(random.random(len(codes)) < share)
        for name, codes in segments.items()
        if isinstance(codes, Tensor)
    }
