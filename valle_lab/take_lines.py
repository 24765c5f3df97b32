"""A whole take in words: its timeline, the passes and rounds of its levels, its sound, its codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from valle.audio.wav import SAMPLE_RATE, Wave
from valle.request import Codes
from valle.step import Step
from valle_lab.lab.timeline import Measure, Timeline
from valle_lab.lines import WIDTH, Lines, mean, table
from valle_lab.tui.braille import column_of, curve
from valle_lab.views import LevelView

ROWS = 4
"""Of a curve."""
AXES: dict[Measure, tuple[float, float, str]] = {
    "entropy": (0.0, 10.0, "entropy, raw, bits"),
    "varentropy": (0.0, 27.0, "varentropy, raw, bits squared"),
    "margin": (0.0, 5.0, "margin of the choice, nats"),
    "stop": (0.0, 1.0, "probability of stop, raw"),
    "rank": (0.0, 50.0, "rank of the chosen token, raw"),
    "final_entropy": (0.0, 10.0, "entropy, final, bits"),
    "kept": (0.0, 1025.0, "ids that the stack leaves"),
}
"""The fixed axis of each measure, and its title."""


def timeline_lines(line: Timeline, measure: Measure = "entropy", width: int = WIDTH) -> Lines:
    """One measure over all decisions, on its fixed axis, with marks where changes took effect."""
    values = line.values(measure)
    low, high, title = AXES[measure]
    if not len(values):
        return [f"{title}: nothing yet"]
    rows = curve(values, width - 7, ROWS, low, high)
    labels = [f"{high:6g} ", *[" " * 7] * (ROWS - 2), f"{low:6g} "]
    summary = f"mean {np.nanmean(values):.2f}, least {np.nanmin(values):.2f}, most {np.nanmax(values):.2f}"
    drawn = [label + text.rstrip("\u2800") for label, text in zip(labels, rows, strict=True)]
    lines = [f"{title}: {len(values)} decisions, {summary}", *drawn]
    if line.event_marks:
        marks = [" "] * (width - 7)
        for row in line.event_marks:
            marks[column_of(min(row, len(values) - 1), len(values), len(marks))] = "^"
        lines.append(" " * 7 + "".join(marks).rstrip())
    return lines


def level_lines(levels: Sequence[LevelView]) -> Lines:
    """The passes of the NAR."""
    head = ("segment", "level", "frames", "entropy", "final", "margin", "least margin", "seconds")
    rows = [
        (
            view.segment,
            view.level,
            len(view.entropy),
            f"{mean(view.entropy):.3f}",
            f"{mean(view.final_entropy):.3f}",
            f"{mean(view.margin):.3f}",
            f"{view.margin.min(initial=np.inf):.4f}",
            f"{view.seconds:.3f}",
        )
        for view in levels
    ]
    return table([head, *rows])


def round_lines(steps: Sequence[Step]) -> Lines:
    """The rounds of demasking: how many frames each decided anew, and how sure the model was of those."""
    rows: list[Sequence[object]] = [("segment", "round", "decided", "frames", "entropy", "least margin")]
    for step in steps:
        if step.place.phase == "nar_len" and len(step.tokens):
            decided = np.ones(len(step.tokens), bool) if step.masked is None else step.masked
            entropy = step.measures[0].entropy[decided] if step.measures else np.zeros(0)
            least = step.margin[decided].min(initial=np.inf) if len(step.margin) else np.nan
            numbers = (f"{mean(entropy):.3f}", f"{least:.4f}")
            place = step.place
            rows.append((place.segment, place.step, int(decided.sum()), len(step.tokens), *numbers))
    return table(rows) if len(rows) > 1 else ["level 0 was not made by demasking"]


def sound_lines(wave: Wave, width: int = WIDTH) -> Lines:
    """The wave, and how loud it is."""
    if not len(wave):
        return ["no sound yet"]
    loudness = 20 * np.log10(max(float(np.sqrt(np.mean(wave.astype(np.float64) ** 2))), 1e-9))
    told = f"{len(wave) / SAMPLE_RATE:.2f} s, peak {np.abs(wave).max():.2f}, {loudness:.1f} dB on the whole"
    return [told, *curve(wave.astype(np.float64), width, ROWS, -1.0, 1.0)]


def code_lines(codes: Codes, first: int = 0, width: int = WIDTH) -> Lines:
    """As many frames of codes [frames, levels] as fit, a line a level."""
    count = max(1, (width - 8) // 5)
    shown: NDArray[np.int16] = codes[first : first + count]
    frames = "".join(f"{first + number:5}" for number in range(len(shown)))
    rows = [
        f"level {level} {''.join(f'{code:5}' for code in shown[:, level])}" for level in range(shown.shape[1])
    ]
    told = f"frames {first} to {first + len(shown) - 1} of {len(codes)}" if len(shown) else "no frames"
    return [told, f"frame   {frames}", *rows]
