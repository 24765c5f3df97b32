"""The candidates of one decision: the best ids, with their probability after each stage."""

from __future__ import annotations

import numpy as np
from rich.text import Text
from textual.widgets import DataTable

from valle_lab.tui.part import CURSOR, Part
from valle_lab.tui.tables import as_text, fill, number
from valle_lab.tui.view import View
from valle_lab.views import StepView

CHOSEN, NEXT, STOP = "◆", "◇", "■"


class Candidates(DataTable[Text], Part):
    """A row an id, best first."""

    ABOUT = frozenset({"takes", "view"})
    SLOWLY = frozenset({CURSOR})
    HELP = (
        "## Candidates\n\nThe best ids by final probability: their **raw** logit and probability, the "
        "probability after each stage that acts, **final**, and added up from the top. `◆` was chosen, `◇` "
        "came next, `■` is stop; `·` was taken away."
    )

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", cell_padding=0)
        self.view = view

    def clip(self) -> str:
        return as_text(self)

    def paint(self) -> None:
        seen = self.view.seen
        if seen is None:
            self.clear()
        else:
            fill(self, ("", "id", "logit", *_points(seen), "Σ final"), candidate_rows(seen))
        self.say(self.view.step_words)


def candidate_rows(seen: StepView) -> list[list[Text]]:
    """The cells of the table."""
    table = seen.candidates
    rows = []
    for at, token in enumerate(table.ids.tolist()):
        mark = CHOSEN if token == seen.token else NEXT if token == seen.runner_up else ""
        mark += STOP if token == seen.stop else ""
        style = "bold" if token == seen.token else ""
        logits, shares = table.logit[:, at], table.probability[:, at]
        rows.append(
            [
                Text(mark, style=style),
                number(str(token), style),
                number(f"{logits[0]:.2f}" if np.isfinite(logits[0]) else "·", style),
                *(
                    number(f"{share:.3f}" if np.isfinite(logit) else "·", style)
                    for logit, share in zip(logits, shares, strict=True)
                ),
                number(f"{table.cumulative[at]:.3f}", style),
            ]
        )
    return rows


def _points(seen: StepView) -> list[str]:
    points = list(seen.candidates.points)
    if len(points) > 1:
        points[-1] = f"{points[-1]} (final)" if points[-1] != "final" else "final"
    return points
