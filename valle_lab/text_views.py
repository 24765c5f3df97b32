"""What a command gave, as lines of plain text, for the REPL, for scripts and for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from valle.request import FRAME_RATE, Sentence
from valle.voices import Voice
from valle.whatif import WhatIf
from valle_lab.attention_lines import attention_lines
from valle_lab.lab.audition import Audition
from valle_lab.lab.comparison import Comparison
from valle_lab.lab.editing import Edited
from valle_lab.lab.sheet import Sheet, SheetView
from valle_lab.lab.state import LabTake
from valle_lab.lab.tree import Twig
from valle_lab.lab.trials import BlindTrial, TrialRecord, TrialView
from valle_lab.lines import WIDTH, Lines, Words, table
from valle_lab.listening_lines import comparison_lines, contest_rows, sheet_rows, trial_lines
from valle_lab.step_lines import step_lines, whatif_lines
from valle_lab.take_lines import level_lines
from valle_lab.views import AttentionView, LevelView, StepView
from valle_lab.wins import Contest


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
        case Edited():
            return edited_lines(result)
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


def take_line(take: LabTake) -> str:
    """A take in one line."""
    state = take.stop or "running"
    words = [
        take.name,
        state,
        f"{take.timeline.frames / FRAME_RATE:.2f} s" if take.speaks else f"-> {take.answer}",
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


def edited_lines(edited: Edited) -> Lines:
    """A take beside the recording that it is spoken after: length, distance, and the words that differ."""
    before, now = edited.seconds
    head = f"{edited.take}, {now} s, beside {edited.voice}, {before} s: {edited.distance} dB apart"
    changed = [f"    {old or '(nothing)'} -> {new or '(nothing)'}" for old, new in edited.words]
    return [head, *(changed or ["    the same words"])]


def _take_row(take: LabTake) -> tuple[object, ...]:
    seconds = f"{take.timeline.frames / FRAME_RATE:.2f}" if take.speaks else ""
    text = " ".join(words for words in (f"-> {take.answer}" if take.answer else "", take.text) if words)
    stars = "" if take.rating is None else f"{take.rating:g}"
    return take.name, take.stop or "running", seconds, take.seed, take.voice or "none", stars, text[:40]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "".join(f"\n    {_value(item)}" for item in value)
    if isinstance(value, dict):
        return " ".join(f"{item}" if key == "name" else f"{key}={item}" for key, item in value.items())
    return str(value)
