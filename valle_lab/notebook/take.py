"""A take in a notebook: its sound, its codes, its numbers and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from valle.audio.wav import Wave
from valle.errors import UserError
from valle.request import FRAME_RATE, Codes
from valle.take import codes_sha256
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import with_wave
from valle_lab.lab.timeline import Measure
from valle_lab.text_views import in_words
from valle_lab.views import AttentionLook, AttentionView, Look, StepView

if TYPE_CHECKING:
    from valle.step import Step
    from valle.whatif import WhatIf
    from valle_lab.export.files import Export, Kind
    from valle_lab.figures import Picture
    from valle_lab.notebook.lab import Lab
    from valle_lab.session.judge import Judgement, Mode

EVERY_ROW = 1_000_000
PATIENCE = 10.0
"""Seconds beyond a wave's own length after which its playing is not waited for."""


def told(view: object) -> str:
    """Anything that the lab gives, in words: a step, a what-if, a list of voices, as the REPL prints it."""
    return "\n".join(in_words(view))


class Take:
    """One take of a lab. Rows are the decisions of level 0, from 0; without one it is the least sure."""

    def __init__(self, lab: Lab, inner: LabTake) -> None:
        self._lab = lab
        self.inner = inner
        """The take as the lab's controller has it."""

    def __repr__(self) -> str:
        return f"<Take {in_words(self.inner)[0]}>"

    def _repr_html_(self) -> str:
        from valle_lab.notebook.show import take_html

        return take_html(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Take) and other.inner is self.inner

    def __hash__(self) -> int:
        return id(self.inner)

    def __len__(self) -> int:
        """How many decisions of level 0 there are."""
        return len(self.inner.timeline)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def text(self) -> str:
        return self.inner.text

    @property
    def seed(self) -> int:
        return self.inner.seed

    @property
    def voice(self) -> str | None:
        return self.inner.voice

    @property
    def stop(self) -> str:
        """Why it ended: `stop`, `length`, `finish` or `cancel`; empty while it is made."""
        return self.inner.stop

    @property
    def frames(self) -> int:
        return self.inner.timeline.frames

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return self.frames / FRAME_RATE

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step that made it."""
        return tuple(self.inner.steps)

    @property
    def codes(self) -> Codes:
        """The codes of all segments, [frames, levels], of those levels that all of them have."""
        parts = [segment.codes() for segment in self.inner.segments if segment.frames]
        if not parts:
            return np.zeros((0, 1), np.int16)
        levels = min(part.shape[1] for part in parts)
        return np.concatenate([part[:, :levels] for part in parts])

    @property
    def codes_sha256(self) -> tuple[str, ...]:
        """One hash a level, as in the session: two takes are the same where these are."""
        return codes_sha256(self.inner.segments)

    @property
    def wave(self) -> Wave:
        """The sound [samples], mono, 24 kHz; empty where there is none."""
        answer: Future[Wave] = Future()
        if not self.inner.segments:
            return np.zeros(0, np.float32)
        with_wave(self._lab.controller, self.inner, answer.set_result)
        return self._lab.wait_for(answer)

    @property
    def rating(self) -> float | None:
        """Stars, 0 to 5."""
        return self.inner.rating

    def measure(self, name: Measure) -> NDArray[np.float64]:
        """A measure at every decision: entropy, varentropy, margin, stop, rank, final_entropy, kept."""
        return self.inner.timeline.values(name)

    def table(self) -> dict[str, list[Any]]:
        """The whole trace by columns, as `pandas.DataFrame` and the csv of an export have it."""
        from valle_lab.export.tables import trace_columns

        return trace_columns(self.inner.take)

    def step(self, row: int | None = None, position: int = 0) -> StepView:
        """Everything about one decision: each stage, the logits, the best candidates. Raises UserError."""
        place = self.inner.timeline.place(self._row(row))
        return self._lab.wait_for(self._lab.controller.see(Look(self.name, place, position)))

    def fork(self, row: int, *, token: int | None = None, seed: int | None = None) -> Take:
        """Go back to a decision and on from there: with the lab's stack, or another token, or another seed.

        The fork is a take of its own, and the chosen one. Raises UserError where it cannot be made.
        """
        if token is not None and seed is not None:
            raise UserError("A fork takes another token or another seed, not both; fork the fork.")
        place = str(self.inner.timeline.place(self._row(row)))
        self._lab.run("take.choose", self.name)
        if token is not None:
            made: Take = self._lab.run("fork.force", token, place)
        elif seed is not None:
            made = self._lab.run("fork.reseed", seed, place)
        else:
            made = self._lab.run("fork.here", place)
        return made

    def what_if(self, row: int | None = None) -> StepView:
        """What the lab's stack as it is now would have chosen there, on the same logits and noise."""
        place = self.inner.timeline.place(self._row(row))
        with self._chosen():
            seen: StepView = self._lab.run("whatif.step", str(place))
        return seen

    def what_if_all(self) -> WhatIf:
        """The same of all decisions: `first_change`, `changed`, `exact`."""
        found: WhatIf = self._lab.run("whatif.take", self.name)
        return found

    def explain(self, row: int | None = None) -> str:
        """Why the token of a decision was chosen, in words."""
        return told(self.step(row))

    def attend(self, segment: int = 0, row: int | None = None, *, over: int = EVERY_ROW) -> AttentionView:
        """Where the model looks: shares of each head, means over the last `over` decisions until `row`."""
        return self._lab.wait_for(
            self._lab.controller.attend(AttentionLook(self.name, segment, row, over, aligned=True))
        )

    def timeline(self, row: int | None = None) -> Picture:
        """Entropy, varentropy, margin, probability of stop and rank at every decision; `row` is marked."""
        from valle_lab import figures

        return figures.timeline(self.inner.timeline, None if row is None else self._row(row))

    def stages(self) -> Picture:
        """What each stage of the stack left, decision by decision."""
        from valle_lab import figures

        return figures.stages(self.inner.timeline)

    def levels(self) -> Picture:
        """What the passes of the NAR were like."""
        from valle_lab import figures

        return figures.levels(self.inner.levels)

    def rounds(self) -> Picture:
        """What the rounds of demasking decided, where level 0 was made so."""
        from valle_lab import figures

        return figures.rounds(self.inner.steps)

    def waterfall(self, row: int | None = None) -> Picture:
        """What each stage of the stack left of the distribution at one decision."""
        from valle_lab import figures

        return figures.waterfall(self.step(row).waterfall)

    def histogram(self, row: int | None = None) -> Picture:
        """The logits of one decision, raw and after the stack."""
        from valle_lab import figures

        return figures.histogram(self.step(row).histogram)

    def attention(self, segment: int = 0, row: int | None = None) -> Picture:
        """The share of text, prompt and response in each head, over all decisions or in that of `row`."""
        from valle_lab import figures

        over = EVERY_ROW if row is None else 1
        return figures.attention(self.attend(segment, row, over=over))

    def alignment(self) -> Picture:
        """Which phoneme is spoken when, a map a segment."""
        from valle_lab import figures

        spoken = [number for number, segment in enumerate(self.inner.segments) if segment.frames]
        return figures.alignment([self.attend(number) for number in spoken])

    def spectrogram(self) -> Picture:
        """The sound and its spectrogram."""
        from valle_lab import figures

        return figures.spectrogram(self.wave)

    def play(self, *, wait: bool = True) -> None:
        """Play it on this machine's sound device, where it has one, to the end unless not waited for.

        In a notebook on another machine show the take instead: it has a player.
        """
        self._lab.run("take.play", self.name)
        player = self._lab.controller.player
        if player is not None and not player.sink.audible:
            raise UserError(f"{player.sink.description}; show the take, or save it")
        if wait and player is not None:
            player.wait(player.duration + PATIENCE)

    def rate(self, stars: float) -> None:
        """Rate it with 0 to 5 stars; that stands in the session."""
        self._lab.run("take.rate", stars, self.name)

    def note(self, text: str) -> None:
        """Put a note on it; that stands in the session."""
        with self._chosen():
            self._lab.run("take.note", text)

    def save(self, file: Path | str) -> Path:
        """Write it as a wav that carries its session. Raises UserError where it cannot be written."""
        from valle_lab.lab.session import write_take

        path = Path(file).expanduser()
        if path.suffix.lower() != ".wav":
            raise UserError(f"{path}: the name must end in .wav")
        return write_take(self.inner, self.wave, path)

    def export(self, folder: Path | str, *, kinds: Sequence[Kind] | None = None) -> Export:
        """Write its sound, codes, trace, figures and one HTML page into a folder. Raises UserError."""
        return self._lab.export(folder, take=self.name, kinds=kinds)

    def replay(self, mode: Mode = "tolerant") -> Judgement:
        """Make it again, and say whether it is the same. Raises UserError where that cannot be done."""
        from valle_lab.session.replay import replay_take

        record = self._lab.session().take(self.name)
        return replay_take(record, self._lab.worker.service.engine, mode)[0]

    @contextmanager
    def _chosen(self) -> Iterator[None]:
        """For commands that are about the chosen take."""
        before, self._lab.controller.chosen = self._lab.controller.chosen, self.inner
        try:
            yield
        finally:
            self._lab.controller.chosen = before

    def _row(self, row: int | None) -> int:
        from valle_lab.export.material import shown_row

        found = shown_row(self.inner, row)
        if found is None:
            raise UserError(f"{self.name} has no decision to look at.")
        return found
