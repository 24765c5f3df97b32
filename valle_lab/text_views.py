"""The views of the lab as lines of plain text, for the REPL and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.audio.wav import SAMPLE_RATE, Wave
from valle.request import FRAME_RATE, Codes, Sentence
from valle.voices import Voice
from valle.whatif import WhatIf
from valle_lab.lab.audition import Audition
from valle_lab.lab.comparison import Comparison
from valle_lab.lab.sheet import Sheet, SheetView
from valle_lab.lab.state import LabTake
from valle_lab.lab.timeline import Measure, Timeline
from valle_lab.lab.tree import Twig
from valle_lab.lab.trials import BlindTrial, TrialRecord, TrialView
from valle_lab.listening_lines import comparison_lines, contest_rows, sheet_rows, trial_lines
from valle_lab.tui.braille import column_of, curve
from valle_lab.views import PARTS, AttentionView, LevelView, StepView
from valle_lab.wins import Contest

Lines = list[str]
WIDTH = 80
ROWS = 4
SHADES = " .:-=+*#%@"
MOST_CHANGES = 12
"""Lines of a what-if."""
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


@dataclass(frozen=True, slots=True)
class Words:
    """A view that knows how it looks in so many columns."""

    lines: Callable[[int], Lines]


def in_words(result: Any, width: int = WIDTH) -> Lines:
    """What a command gave, whatever it is."""
    match result:
        case None:
            return []
        case Future():
            return in_words(result.result(), width) if result.done() else []
        case Words():
            return result.lines(width)
        case StepView():
            return step_lines(result, width)
        case AttentionView():
            return attention_lines(result)
        case WhatIf():
            return whatif_lines(result, width)
        case LabTake():
            return [take_line(result)]
        case Audition():
            return audition_lines(result)
        case Sheet():
            return table(sheet_rows(result.view()))
        case SheetView():
            return table(sheet_rows(result))
        case Comparison():
            return comparison_lines(result)
        case TrialView() | TrialRecord():
            return trial_lines(result)
        case BlindTrial():
            return trial_lines(result.view())
        case str() | Path() | int() | float():
            return [str(result)]
        case dict():
            return [f"{key} = {_value(value)}" for key, value in result.items()]
        case list() | tuple():
            return _items(result, width)
    return [str(result)]


def table(rows: Iterable[Sequence[object]]) -> Lines:
    """Rows in columns as wide as their widest cell; numbers to the right."""
    cells = [[" ".join(_cell(value).split()) for value in row] for row in rows]
    if not cells:
        return []
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(_is_number(cell) for cell in column[1:]) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(size) if to_right else cell.ljust(size)
            for cell, size, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]


def step_lines(view: StepView, width: int = WIDTH) -> Lines:
    """Everything about one decision."""
    remade = ["(made again: what it was decided from was not kept)"] if view.remade else []
    parts = (waterfall_lines(view), histogram_lines(view, width), candidate_lines(view))
    return [head_line(view), *remade, *(line for part in parts for line in ("", *part))]


def head_line(view: StepView) -> str:
    """Which decision it is, what was chosen, by what and how narrowly."""
    forced = "" if view.token == view.choice else f", in place of {_token(view.choice, view)}"
    if view.supposed:
        change = "again" if view.token == view.choice else f"instead of {_token(view.token, view)}"
        forced = f" was taken; this stack takes {_token(view.choice, view)} {change}"
    where = f" position {view.position}" if view.positions > 1 else ""
    return (
        f"{view.take} {view.place}{where}: {_token(view.token, view)}{forced} by {view.chooser}, "
        f"margin {view.margin:.2f} over {_token(view.runner_up, view)}"
    )


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
            _token(token, view),
            *(f"{value:.4f}" for value in shown.probability[:, column]),
            f"{shown.cumulative[column]:.4f}",
        )
        for column, token in enumerate(shown.ids.tolist())
    ]
    return table([head, *rows])


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


def attention_lines(view: AttentionView) -> Lines:
    """How much each head looks at text, prompt and response, in percent, and which heads read along."""
    layers, heads, _ = view.shares.shape
    head = ("layer", *(f"head {number}" for number in range(heads)))
    rows = [
        (
            layer,
            *(
                "/".join(f"{100 * share:.0f}" for share in view.shares[layer, number])
                for number in range(heads)
            ),
        )
        for layer in range(layers)
    ]
    lines = [f"decision {view.row} of {view.rows}: text/prompt/response in %", *table([head, *rows])]
    if view.alignment is not None:
        best = ", ".join(f"{r.layer}.{r.head} ({r.monotony:.2f})" for r in view.alignment.readers[:3])
        at = int(view.alignment.path[min(view.row, len(view.alignment.path) - 1)])
        lines += [f"read along by {best}; at phoneme {at} {view.symbols[at]!r}"]
    return lines


def head_lines(view: AttentionView, width: int = WIDTH) -> Lines:
    """What one head looks at: each phoneme with its weight, then prompt and response as curves over time."""
    head = view.head
    if head is None:
        return ["no head was asked for"]
    shares = dict(zip(PARTS, view.shares[head.layer, head.head].tolist(), strict=True))
    told = ", ".join(f"{part} {share:.2f}" for part, share in shares.items())
    lines = [f"layer {head.layer} head {head.head} at decision {view.row} of {view.rows}: {told}"]
    most = max(float(head.text.max(initial=0.0)), 1e-9)
    room = max(4, width - 20)
    for number, (symbol, weight) in enumerate(zip(view.symbols, head.text.tolist(), strict=False)):
        lines.append(f"{number:4} {symbol:5} {weight:.3f} {'#' * round(room * weight / most)}".rstrip())
    for name, weights in (("prompt", head.prompt), ("response", head.response)):
        if len(weights):
            highest = float(weights.max())
            lines.append(f"{name}, {len(weights)} frames, at most {highest:.3f} on frame {weights.argmax()}")
            lines += curve(weights.astype(np.float64), width, 2, 0.0, max(highest, 1e-9))
    return lines


def alignment_lines(view: AttentionView, width: int = WIDTH) -> Lines:
    """Phonemes from top to bottom, time from left to right: shades of attention, and when each begins."""
    found = view.alignment
    if found is None:
        return ["no head was asked for its way along the text"]
    best = ", ".join(f"{reader.layer}.{reader.head} ({reader.monotony:.2f})" for reader in found.readers[:3])
    rows = len(found.map)
    columns = max(1, min(rows, width - 16))
    starts = np.arange(columns) * rows // columns
    shown = np.maximum.reduceat(found.map, starts, axis=0) if rows else found.map
    shades = np.array(list(SHADES))[np.clip(shown * len(SHADES), 0, len(SHADES) - 1).astype(int)]
    lines = [f"segment {view.segment}, {rows / FRAME_RATE:.2f} s, read along by {best}"]
    for number, symbol in enumerate(view.symbols):
        begins = np.flatnonzero(found.path == number)
        second = f"{begins[0] / FRAME_RATE:.2f} s" if len(begins) else "-"
        lines.append(f"{symbol:5} {second:>7}  {''.join(shades[:, number])}".rstrip())
    return lines


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


def level_lines(levels: Sequence[LevelView]) -> Lines:
    """The passes of the NAR."""
    head = ("segment", "level", "frames", "entropy", "final", "margin", "least margin", "seconds")
    rows = [
        (
            view.segment,
            view.level,
            len(view.entropy),
            f"{_mean(view.entropy):.3f}",
            f"{_mean(view.final_entropy):.3f}",
            f"{_mean(view.margin):.3f}",
            f"{view.margin.min(initial=np.inf):.4f}",
            f"{view.seconds:.3f}",
        )
        for view in levels
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


def take_line(take: LabTake) -> str:
    """A take in one line."""
    state = take.stop or "running"
    words = [
        take.name,
        state,
        f"{take.timeline.frames / 75:.2f} s",
        f"seed {take.seed}",
        f"voice {take.voice or 'none'}",
    ]
    words += [] if take.rating is None else ["*" * round(take.rating)]
    words += [take.failure] if take.failure else []
    return ", ".join(words)


def audition_lines(audition: Audition) -> Lines:
    """The takes of an audition, what came of each, and which were kept."""
    head = ("take", "way", "stop", "seconds", "frames/phoneme", "longest run", "inner silence", "kept")
    rows = [
        (take.name, audition.label(take), *_judged(take), take.name in audition.kept)
        for take in audition.takes
    ]
    return table([head, *((*row[:-1], "kept" if row[-1] else "") for row in rows)])


def _judged(take: LabTake) -> tuple[str, ...]:
    """Stop reason, length and the signs of failure of a take."""
    from valle_lab.metrics import phoneme_count, repetition, silence

    frames = take.timeline.frames
    if take.begun is None or not frames:
        return take.stop or "running", "0.00", "-", "-", "-"
    sounds = sum(phoneme_count(sentence.phonemes) for sentence in take.begun.request.sentences)
    runs = max(repetition(segment.levels[0]).longest_run for segment in take.segments)
    quiet = "-" if take.wave is None else f"{silence(take.wave).longest_inner:.2f}"
    pace = f"{frames / sounds:.1f}" if sounds else "-"
    return take.stop or "running", f"{frames / 75:.2f}", pace, str(runs), quiet


def _items(items: Sequence[Any], width: int) -> Lines:
    if not items:
        return ["(none)"]
    match items[0]:
        case LabTake():
            head = ("take", "stop", "seconds", "seed", "voice", "stars", "text")
            return table([head, *map(_take_row, items)])
        case Voice():
            return table(
                [("voice", "language", "transcript"), *((v.name, v.language, v.transcript) for v in items)]
            )
        case Sentence():
            return [f"{sentence.text}\n    {sentence.phonemes}" for sentence in items]
        case LevelView():
            return level_lines(items)
        case Twig():
            return [str(item) for item in items]
        case Contest():
            return table(contest_rows(items))
    if is_dataclass(items[0]) and not isinstance(items[0], type):
        entries = [asdict(item) for item in items]
        return table([tuple(entries[0]), *(tuple(entry.values()) for entry in entries)])
    return [line for item in items for line in in_words(item, width)]


def _take_row(take: LabTake) -> tuple[object, ...]:
    seconds = f"{take.timeline.frames / 75:.2f}"
    stars = "" if take.rating is None else f"{take.rating:g}"
    return take.name, take.stop or "running", seconds, take.seed, take.voice or "none", stars, take.text[:40]


def _token(token: int, view: StepView) -> str:
    return "stop" if token == view.stop else str(token)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "".join(f"\n    {_value(item)}" for item in value)
    if isinstance(value, dict):
        return " ".join(f"{item}" if key == "name" else f"{key}={item}" for key, item in value.items())
    return str(value)


def _cell(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "-" if value is None else str(value)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace("-", "", 1).isdecimal() or cell in ("", "inf", "-inf", "nan")


def _mean(values: np.ndarray[Any, Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
