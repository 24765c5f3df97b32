"""One decision in words: why this token, and what another stack would have taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from valle.whatif import WhatIf
from valle_lab.lines import WIDTH, Lines, table
from valle_lab.views import StepView

MOST_CHANGES = 12
"""Lines of a what-if."""


def step_lines(view: StepView, width: int = WIDTH) -> Lines:
    """Everything about one decision."""
    remade = ["(made again: what it was decided from was not kept)"] if view.remade else []
    parts = (waterfall_lines(view), histogram_lines(view, width), candidate_lines(view))
    return [head_line(view), *remade, *(line for part in parts for line in ("", *part))]


def head_line(view: StepView) -> str:
    """Which decision it is, what was chosen, by what and how narrowly."""
    forced = "" if view.token == view.choice else f", in place of {view.named(view.choice)}"
    if view.supposed:
        change = "again" if view.token == view.choice else f"instead of {view.named(view.token)}"
        forced = f" was taken; this stack takes {view.named(view.choice)} {change}"
    alone = view.runner_up < 0
    margin = "no other was left" if alone else f"margin {view.margin:.2f} over {view.named(view.runner_up)}"
    where = f" position {view.position}" if view.positions > 1 else ""
    return f"{view.take} {view.place}{where}: {view.named(view.token)}{forced} by {view.chooser}, {margin}"


def waterfall_lines(view: StepView) -> Lines:
    """What each stage did."""
    head = ("stage", "kept", "removed", "entropy", "KL", "top", "chosen", "rank")
    rows = [
        (
            stage.stage if stage.runs else f"({stage.stage})",
            stage.kept,
            f"{stage.removed:.4f}",
            f"{stage.entropy:.3f}",
            f"{stage.divergence:.3f}",
            f"{stage.top:.4f}",
            f"{stage.probability:.4f}",
            stage.rank if stage.rank == stage.rank_before else f"{stage.rank_before}>{stage.rank}",
        )
        for stage in view.waterfall
    ]
    return table([head, *rows])


def histogram_lines(view: StepView, width: int = WIDTH) -> Lines:
    """The logits, raw and final, bin by bin; bars are logarithmic."""
    bars = view.histogram
    room = max(4, (width - 30) // 2)
    most = np.log1p(max(1, int(bars.raw.max()), int(bars.final.max()), bars.final_banned, bars.raw_banned))
    marks = {"chosen": bars.chosen, **({} if bars.stop is None else {"stop": bars.stop})}

    def bar(count: int) -> str:
        return "#" * round(room * float(np.log1p(count)) / float(most))

    def named(low: float, high: float, last: bool) -> str:
        inside = [
            f"{name}{'' if side == 1 else ' raw'}"
            for name, values in marks.items()
            for side in (0, 1)
            if low <= values[side] < high or (last and values[side] == high)
        ]
        return " ".join(inside)

    rows: list[Sequence[object]] = [("logit", "raw", "", "final", "", "")]
    for index in range(len(bars.raw)):
        low, high = float(bars.edges[index]), float(bars.edges[index + 1])
        raw, final = int(bars.raw[index]), int(bars.final[index])
        name = named(low, high, index == len(bars.raw) - 1)
        if raw or final:
            rows.append((f"{low:.1f}", raw, bar(raw), final, bar(final), name))
    banned = [name for name, values in marks.items() if values[1] == -np.inf]
    rows.append(
        (
            "-inf",
            bars.raw_banned,
            bar(bars.raw_banned),
            bars.final_banned,
            bar(bars.final_banned),
            " ".join(banned),
        )
    )
    return table(rows)


def candidate_lines(view: StepView) -> Lines:
    """The best ids with their probability after each stage."""
    shown = view.candidates
    head = ("", "id", *shown.points[:-1], "final", "cumulative")
    rows = [
        (
            "*" if token == view.token else "",
            view.named(token),
            *(f"{value:.4f}" for value in shown.probability[:, column]),
            f"{shown.cumulative[column]:.4f}",
        )
        for column, token in enumerate(shown.ids.tolist())
    ]
    return table([head, *rows])


def whatif_lines(found: WhatIf, width: int = WIDTH) -> Lines:
    """Which decisions another stack takes otherwise: how many, where, and the first of them."""
    changed = np.flatnonzero(found.changed)
    rows = len(found.choices)
    if not len(changed):
        lines = [f"{found.take}: this stack takes the same token at all {rows} decisions"]
    else:
        first = int(changed[0])
        told = f"{found.take}: this stack takes another token at {len(changed)} of {rows} decisions"
        lines = [f"{told}, first at decision {first}", _strip(found, width)]
        shown = changed[:MOST_CHANGES]
        head = ("decision", "taken", "this stack", "margin", "")
        table_rows = [
            (
                row,
                found.tokens[row],
                found.choices[row],
                f"{found.margin[row]:.2f}",
                "" if found.exact[row] else "hypothetical",
            )
            for row in shown.tolist()
        ]
        lines += table([head, *table_rows])
        if len(changed) > len(shown):
            lines.append(f"and {len(changed) - len(shown)} more")
    if found.passes:
        lines.append(f"logits made again for segment {', '.join(map(str, found.passes))}")
    return [*lines, *([found.failure] if found.failure else [])]


def _strip(found: WhatIf, width: int) -> str:
    """A cell for some decisions each: `|` an exact change, `:` a hypothetical one, `.` none."""
    rows = len(found.choices)
    cells = ["."] * min(rows, width)
    for row in np.flatnonzero(found.changed).tolist():
        cell = row * len(cells) // rows
        cells[cell] = "|" if found.exact[row] or cells[cell] == "|" else ":"
    return "".join(cells)
