"""The waterfall: what each stage of the stack did to the distribution of one decision."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import DataTable

from valle.step import StageMeasures, Step
from valle_lab.tui.part import CURSOR, Part
from valle_lab.tui.tables import as_text, fill, number
from valle_lab.tui.view import View
from valle_lab.views import StageView

COLUMNS = ("stage", "kept", "removed", "bits", "", "KL", "rank", "p", "stop")
BAR_CELLS = 6
MOST_BITS = 10.0


class Waterfall(DataTable[Text], Part):
    """A row a stage, from raw to final."""

    ABOUT = frozenset({"takes", "view"})
    SLOWLY = frozenset({"steps", CURSOR})
    HELP = (
        "## Waterfall\n\nWhat each stage left of the distribution at the decision under the cursor: the ids "
        "kept, the probability mass removed, entropy in bits with a bar from 0 to 10, the divergence (KL) "
        "from raw in bits, the chosen token's rank (before → after, 0 is the most likely), its probability "
        "p, and that of stop. A stage in brackets did nothing."
    )

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", cell_padding=0)
        self.view = view

    def clip(self) -> str:
        return as_text(self)

    def paint(self) -> None:
        step, seen = self.view.step, self.view.seen
        stages = seen.waterfall if seen is not None else stage_views(step) if step is not None else ()
        fill(self, COLUMNS, [_cells(stage) for stage in stages])
        self.say(self.view.step_words)


def stage_views(step: Step) -> tuple[StageView, ...]:
    """The waterfall as the step's own measures tell it; their means where it decided many positions."""
    before = [None, *step.measures[:-1]]
    return tuple(_stage_view(now, earlier) for now, earlier in zip(step.measures, before, strict=True))


def _stage_view(now: StageMeasures, before: StageMeasures | None) -> StageView:
    return StageView(
        stage=now.stage,
        runs=True,
        kept=round(float(now.kept.mean())),
        removed=float(now.removed.mean()),
        entropy=float(now.entropy.mean()),
        varentropy=float(now.varentropy.mean()),
        divergence=float(now.divergence.mean()),
        rank_before=round(float((before or now).rank.mean())),
        rank=round(float(now.rank.mean())),
        probability=float(now.probability.mean()),
        stop_probability=float(now.stop_probability.mean()),
        top=float("nan"),
    )


def _cells(stage: StageView) -> list[Text]:
    if not stage.runs:
        return [Text(f"({stage.stage})", style="dim"), *(Text("") for _ in COLUMNS[1:])]
    rank = str(stage.rank) if stage.rank == stage.rank_before else f"{stage.rank_before} → {stage.rank}"
    stop = "" if stage.stop_probability != stage.stop_probability else f"{stage.stop_probability:.2g}"
    return [
        Text(stage.stage),
        number(str(stage.kept)),
        number("" if stage.stage == "raw" else f"{stage.removed:.1%}"),
        number(f"{stage.entropy:.2f}"),
        Text(_bar(stage.entropy / MOST_BITS)),
        number(f"{stage.divergence:.2f}"),
        number(rank),
        number(f"{stage.probability:.3g}"),
        number(stop),
    ]


def _bar(share: float) -> str:
    """A bar that lies, in halves of a cell."""
    halves = round(min(max(share, 0.0), 1.0) * BAR_CELLS * 2)
    return ("━" * (halves // 2) + "╸" * (halves % 2)).ljust(BAR_CELLS)
