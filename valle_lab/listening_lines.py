"""Sheets, comparisons and trials as rows of tables and lines of plain text."""

from __future__ import annotations

from collections.abc import Sequence

from valle_lab.lab.comparison import Comparison
from valle_lab.lab.sheet import SheetRow, SheetView
from valle_lab.lab.trials import TrialRecord, TrialView
from valle_lab.wins import Contest

CHECKS = ("stop", "pace", "silence", "run", "start")
Row = tuple[object, ...]


def sheet_rows(view: SheetView) -> list[Row]:
    """A table: what each row of a sheet came to, what failed marked with `!`, and what was said of it."""
    head: Row = ("", "take", "seed", "seconds", "ends", *CHECKS[1:], "")
    return [head, *(_row(row) for row in view.rows)]


def comparison_lines(found: Comparison) -> list[str]:
    """What two takes stand for, and where they part."""
    sides = [
        f"{side} {take}: {words}" for side, take, words in zip("AB", found.takes, found.words, strict=True)
    ]
    noise = "the same noise" if found.same_noise else "different noise: the seeds are not the same"
    first = found.parting
    if first is None:
        return [*sides, noise, "they do not part: the codes are the same"]
    tokens = " and ".join("nothing" if token is None else str(token) for token in first.tokens)
    where = f"segment {first.segment}, {first.phase}.{first.level} step {first.step}"
    if first.phase != "ar":
        where += f" position {first.position}"
    return [*sides, noise, f"they part in {where}, {found.seconds or 0.0:.2f} s: {tokens}"]


def trial_lines(trial: TrialView | TrialRecord) -> list[str]:
    """A trial: what is known of it by now."""
    head = f"{trial.name}: {', '.join(trial.takes)}"
    seal = f"sealed {trial.seal}" if trial.seal else "being made ready"
    if trial.choice is None:
        return [f"{head}; {seal}; not decided"]
    if isinstance(trial, TrialRecord):
        order = ", ".join(f"{label} {take}" for label, take in zip("XYZ", trial.order or (), strict=False))
        return [f"{head}; {order}; chosen {trial.choice}"]
    key = [f"{label} was {take}{': ' * bool(words)}{words}" for label, take, words in trial.key]
    return [f"{head}; chosen {trial.choice}", *key, seal]


def contest_rows(found: Sequence[Contest]) -> list[Row]:
    """A table: what was set against what, who won how often, and the share of the first with its interval."""
    head: Row = ("one", "other", "wins", "losses", "no difference", "share", "95 %")
    rows: list[Row] = []
    for contest in found:
        share = "-" if contest.share is None else f"{contest.share:.0%}"
        low, high = contest.interval
        counts = contest.wins, contest.losses, contest.ties
        rows.append((contest.one, contest.other, *counts, share, f"{low:.0%} to {high:.0%}"))
    return [head, *rows]


def _row(row: SheetRow) -> Row:
    found = {check.name: f"{check.told}{'!' * check.failed}" for check in row.checks}
    said = ", ".join(
        word for word, true in (("heard", row.heard), ("kept", row.kept), ("dropped", row.dropped)) if true
    )
    ends = row.doing or found.get("stop", row.stop)
    return (
        row.number,
        row.take,
        row.seed,
        f"{row.seconds:.2f}",
        ends,
        *(found.get(name, "-") for name in CHECKS[1:]),
        said,
    )
