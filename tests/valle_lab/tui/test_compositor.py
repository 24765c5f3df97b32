"""Painting only what changed leaves the same picture as painting all of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from valle_lab.tui.widgets.progress import Bar
from valle_lab.tui.widgets.slider import Slider
from valle_lab.tui.widgets.status import StatusLine
from valle_lab.tui.widgets.timeline import Timeline

OpenStage = Callable[..., AbstractAsyncContextManager[Any]]
Painted = dict[tuple[int, int], str]


def cells_of(update: Any) -> Painted:
    """The characters that an update writes, by their place; those of its spans alone."""
    painted: Painted = {}
    for y, first, last in update.spans:
        for x, strip in update.chops[y].items():
            for at, character in enumerate(strip.text if strip is not None else ""):
                if first <= x + at < last:
                    painted[x + at, y] = character
    return painted


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=str)
async def test_a_part_of_the_screen_is_painted_as_the_whole_would_be(
    stage: OpenStage, size: tuple[int, int]
) -> None:
    async with stage(size=size) as s:
        await s.speak("word " * 8, steps=20)
        await s.pilot.press("f4")
        compositor = s.app.screen._compositor
        regions = {
            Region(0, 0, *size).intersection(node.region)
            for node in (s.app.query_one(Timeline), s.app.query(Slider).first(), s.app.query_one(StatusLine))
        } | {Region(3, 1, 7, 2), Region(size[0] // 2, 5, 20, 1)}
        compositor._dirty_regions = set(regions)
        painted = cells_of(compositor.render_partial_update())
        whole: list[Strip] = compositor.render_strips()
        wanted = {(x, y) for region in regions for y in region.line_range for x in region.column_range}
        assert set(painted) == wanted
        assert all(whole[y].text[x] == character for (x, y), character in painted.items())


async def test_lines_that_changed_beside_each_other_are_one_region(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(size=(120, 40)) as s:
        timeline = s.app.query_one(Timeline)
        lines = [Strip([Segment(letter)]) for letter in "abcdefgh"]
        timeline.draw(lines)
        told: list[Region] = []
        monkeypatch.setattr(timeline, "refresh", lambda *regions: told.extend(regions))
        timeline.draw(lines)
        assert told == []
        others = [Strip([Segment(letter)]) for letter in "aBCdEf"]
        timeline.draw(others)
        changed = {y for region in told for y in region.line_range}
        assert changed == {1, 2, 4, 6, 7} and len(told) == 3


async def test_figures_in_words_change_with_the_slow_beat(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.speak(steps=5)
        s.app.beat()
        bar, status = s.app.query_one(Bar), s.app.query_one(StatusLine)
        before, drawn = (bar.words, status.content), s.app.query_one(Timeline)._drawn
        s.worker.allow(5)
        s.app.poll()
        assert s.app.query_one(Timeline)._drawn != drawn and (bar.words, status.content) == before
        s.app.beat()
        assert bar.words == "AR frame 10" != before[0]


async def test_a_change_of_one_line_asks_no_other_part_for_lines(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(size=(120, 40)) as s:
        await s.speak(steps=5)
        asked: list[int] = []
        real = Timeline.render_line
        monkeypatch.setattr(Timeline, "render_line", lambda self, y: asked.append(y) or real(self, y))
        s.app.query_one(StatusLine).refresh()
        await s.pilot.pause()
        assert asked == []
        s.app.query_one(Timeline).refresh(Region(0, 2, 30, 1))
        await s.pilot.pause()
        assert asked == [2]
