"""The candidates of one decision: the best ids, with their probability after each stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from textual.binding import Binding, BindingType

from valle_lab.tui.messages import CommandWanted
from valle_lab.tui.tables import Cell, Cells, StepTable, number
from valle_lab.views import StepView

CHOSEN, NEXT, STOP, SUPPOSED = "◆", "◇", "■", "▸"


class Candidates(StepTable):
    """A row an id, best first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "force", "Fork with it", id="candidates.force", tooltip="Go on from here with this id"),
    ]
    HELP = (
        "## Candidates\n\nThe best ids by final probability: their **raw** logit and probability, the "
        "probability after each stage that acts, **final**, and added up from the top. `◆` was chosen, `◇` "
        "came next, `■` is stop, `▸` what the stack as it is would choose in what-if; `·` was taken away. "
        "`f` goes on from here with the id under the cursor, as a take of its own."
    )

    def table(self) -> tuple[Sequence[str], Sequence[Cells]]:
        seen = self.view.seen
        if seen is None:
            return (), ()
        return ("", "id", "logit", *_points(seen), "Σ final"), candidate_rows(seen)

    def action_force(self) -> None:
        seen = self.view.seen
        if seen is not None and self.row < len(seen.candidates.ids):
            token = int(seen.candidates.ids[self.row])
            self.post_message(CommandWanted("fork.force", token, str(seen.place)))


def candidate_rows(seen: StepView) -> list[list[Cell]]:
    """The cells of the table."""
    table = seen.candidates
    rows = []
    for at, token in enumerate(table.ids.tolist()):
        mark = CHOSEN if token == seen.token else NEXT if token == seen.runner_up else ""
        mark = SUPPOSED if token == seen.choice != seen.token else mark
        mark += STOP if token == seen.stop else ""
        style = "strong" if token == seen.token else "text"
        logits, shares = table.logit[:, at], table.probability[:, at]
        rows.append(
            [
                Cell(mark, style=style),
                _named(token, seen, style),
                number(f"{logits[0]:.2f}" if np.isfinite(logits[0]) else "·", style),
                *(
                    number(f"{share:.3f}" if np.isfinite(logit) else "·", style)
                    for logit, share in zip(logits, shares, strict=True)
                ),
                number(f"{table.cumulative[at]:.3f}", style),
            ]
        )
    return rows


def _named(token: int, seen: StepView, style: str) -> Cell:
    """An id; where ids stand for something, that beside it."""
    return Cell(seen.named(token), style=style) if seen.symbols else number(str(token), style)


def _points(seen: StepView) -> list[str]:
    points = list(seen.candidates.points)
    if len(points) > 1:
        points[-1] = f"{points[-1]} (final)" if points[-1] != "final" else "final"
    return points
