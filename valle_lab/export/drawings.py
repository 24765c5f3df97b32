"""The figures of a take, each with its name and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from valle_lab.export.material import Material

if TYPE_CHECKING:
    from valle_lab.figures import Picture


Known = TypeVar("Known")


@dataclass(frozen=True)
class Drawing:
    """One figure, drawn at most once in each format."""

    name: str
    """What its files are named after."""
    caption: str
    picture: Picture

    @cached_property
    def png(self) -> bytes:
        return self.picture.data("png")

    @cached_property
    def svg(self) -> bytes:
        return self.picture.data("svg")


def drawings(known: Material) -> Iterator[Drawing]:
    """All figures that can be drawn of what is known, in the order in which they are read."""
    from valle_lab import figures

    take, row = known.take, known.row
    where = "" if row is None else f"decision {row}, {take.timeline.seconds(row):.2f} s"
    made: tuple[tuple[str, str, bool, Callable[[], Picture]], ...] = (
        (
            "timeline",
            "Every decision of level 0. Dashed: a change; dotted: the decision shown in full.",
            row is not None,
            lambda: figures.timeline(take.timeline, row),
        ),
        (
            "spectrogram",
            "The sound and its spectrogram.",
            known.wave is not None and bool(len(known.wave)),
            lambda: figures.spectrogram(_there(known.wave)),
        ),
        (
            "alignment",
            "Which phoneme is spoken when, from the attention heads that read along.",
            bool(known.alignments),
            lambda: figures.alignment(known.alignments),
        ),
        (
            "attention",
            "Where each head looks, over all decisions of the first segment.",
            known.attention is not None,
            lambda: figures.attention(_there(known.attention)),
        ),
        (
            "stages",
            "What each stage left, decision by decision.",
            row is not None,
            lambda: figures.stages(take.timeline),
        ),
        (
            "waterfall",
            f"What each stage left at {where}.",
            bool(known.stages),
            lambda: figures.waterfall(known.stages),
        ),
        (
            "histogram",
            f"The logits at {where}, raw and after the stack.",
            known.step is not None,
            lambda: figures.histogram(_there(known.step).histogram),
        ),
        (
            "rounds",
            "The rounds of demasking level 0.",
            any(step.place.phase == "nar_len" for step in take.steps),
            lambda: figures.rounds(take.steps),
        ),
        (
            "levels",
            "Levels 1 to 7: entropy of the frames in each pass, median and the middle 80%.",
            bool(take.levels),
            lambda: figures.levels(take.levels),
        ),
    )
    for name, caption, can_be, draw in made:
        if can_be:
            picture = draw()
            picture.settle()
            yield Drawing(name, caption, picture)


def _there(value: Known | None) -> Known:
    assert value is not None
    return value
