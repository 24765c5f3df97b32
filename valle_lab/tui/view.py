"""What the screen looks at: which take, which of its decisions, and how much of its timeline."""

from __future__ import annotations

from valle.modes import AT_ONCE
from valle.step import Step
from valle_lab.lab import Lab
from valle_lab.lab.state import LabTake
from valle_lab.lab.timeline import Timeline
from valle_lab.views import Look, StepView

NOTHING = Timeline()
LEAST_SPAN = 20
"""Decisions, when the timeline is drawn as near as it goes."""


class View:
    """A person's place in the lab. It changes nothing that is generated, kept or judged."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.span: int | None = None
        """How many decisions the timeline shows; None is all."""
        self._seen: LabTake | None = None

    @property
    def take(self) -> LabTake | None:
        """The take that is looked at."""
        return self.lab.chosen

    @property
    def timeline(self) -> Timeline:
        """The measures of the take so far; none where there is no take."""
        if self.take is not self._seen:
            self._seen, self.span = self.take, None
        return self.take.timeline if self.take is not None else NOTHING

    @property
    def follows(self) -> bool:
        """Whether the newest decision is looked at, whichever that is."""
        return self.lab.row is None

    @property
    def cursor(self) -> int | None:
        """The decision that is looked at; None where there is none yet."""
        count = len(self.timeline)
        if not count:
            return None
        return count - 1 if self.lab.row is None else min(self.lab.row, count - 1)

    @property
    def step(self) -> Step | None:
        """The step under the cursor."""
        cursor = self.cursor
        return None if cursor is None else self.timeline.decisions[cursor]

    @property
    def look(self) -> Look | None:
        """What is to be asked of the worker about the decision under the cursor; in what-if of this stack."""
        step, take = self.step, self.take
        if take is None or step is None:
            return None
        stack = self.lab.stack if self.lab.marks.on and not take.running else None
        return Look(take.name, step.place, stack=None if stack is None else stack.to_dict())

    @property
    def seen(self) -> StepView | None:
        """The worker's newest answer, if it is about this take; while the cursor moves the one before."""
        seen = self.lab.sight.view
        return seen if seen is not None and self.take is not None and seen.take == self.take.name else None

    @property
    def lack(self) -> str:
        """Why a take has no decision that could be looked at; empty where it has, or still comes to some."""
        at_once = self.take is not None and self.take.deciding in AT_ONCE
        return "level 0 is decided in rounds, all frames at once: the tab NAR" if at_once else ""

    @property
    def step_words(self) -> str:
        """The decision that is seen, in a few words; why it is not, where it is not."""
        if self.step is None:
            return self.lack
        seen = self.seen
        if seen is None:
            return f"{self.step.place} {self.lab.sight.failure}"
        again = " · made again" if seen.remade else ""
        alone = seen.runner_up < 0
        if seen.supposed:
            still, now = seen.named(seen.token), seen.named(seen.choice)
            told = f"still {still}" if seen.choice == seen.token else f"{still} → {now}"
            by = "no other was left" if alone else f"by {seen.margin:.2f}"
            return f"{seen.place} · what-if: {told}, {by}{again}"
        next_best = seen.named(seen.runner_up)
        following = "no other was left" if alone else f"next {next_best} by {seen.margin:.2f}"
        return f"{seen.place} · token {seen.named(seen.token)}, {following}{again}"

    @property
    def window(self) -> tuple[int, int]:
        """The first decision that the timeline shows, and the one after the last."""
        count = len(self.timeline)
        if self.span is None or self.span >= count:
            return 0, count
        middle = count if self.follows else (self.cursor or 0) + self.span // 2
        end = min(count, max(self.span, middle))
        return end - self.span, end

    def look_at(self, index: int) -> None:
        """Put the cursor on a decision, which ends following; beyond the ends means to them."""
        if count := len(self.timeline):
            self.lab.row = min(max(index, 0), count - 1)
            self.lab.mark("cursor")

    def follow(self, follow: bool = True) -> None:
        """Look at the newest decision from now on, or stay at the one of now."""
        self.lab.row = None if follow else self.cursor
        self.lab.mark("cursor")

    def zoom(self, factor: float) -> None:
        """Show fewer decisions (below 1) or more."""
        count = len(self.timeline)
        span = round((self.span or count) * factor)
        self.span = None if span >= count else max(LEAST_SPAN, span)
