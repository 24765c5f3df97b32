"""The waterfall: what each stage of the stack did to the distribution of one decision."""

from __future__ import annotations

from collections.abc import Sequence

from valle_lab.tui.part import CURSOR
from valle_lab.tui.tables import Cell, Cells, StepTable, number
from valle_lab.views import StageView, stage_views

COLUMNS = ("stage", "kept", "removed", "bits", "", "KL", "rank", "p", "stop")
BAR_CELLS = 6
MOST_BITS = 10.0


class Waterfall(StepTable):
    """A row a stage, from raw to final."""

    SLOWLY = frozenset({"steps", CURSOR})
    YIELDING = (COLUMNS.index(""), COLUMNS.index("stage"))
    HELP = (
        "## Waterfall\n\nWhat each stage left of the distribution at the decision under the cursor: the ids "
        "kept, the probability mass removed, entropy in bits with a bar from 0 to 10, the divergence (KL) "
        "from raw in bits, the chosen token's rank (before → after, 0 is the most likely), its probability "
        "p, and that of stop. A stage in brackets did nothing."
    )

    def table(self) -> tuple[Sequence[str], Sequence[Cells]]:
        step, seen = self.view.step, self.view.seen
        stages = seen.waterfall if seen is not None else stage_views(step) if step is not None else ()
        return COLUMNS, [_cells(stage) for stage in stages]


def _cells(stage: StageView) -> list[Cell]:
    if not stage.runs:
        return [Cell(f"({stage.stage})", style="muted"), *(number("") for _ in COLUMNS[1:])]
    rank = str(stage.rank) if stage.rank == stage.rank_before else f"{stage.rank_before} → {stage.rank}"
    stop = "" if stage.stop_probability != stage.stop_probability else f"{stage.stop_probability:.3f}"
    return [
        Cell(stage.stage),
        number(str(stage.kept)),
        number("" if stage.stage == "raw" else f"{stage.removed:.1%}"),
        number(f"{stage.entropy:.2f}"),
        Cell(" " * BAR_CELLS, share=stage.entropy / MOST_BITS),
        number(f"{stage.divergence:.2f}"),
        number(rank),
        number(f"{stage.probability:.3f}"),
        number(stop),
    ]
