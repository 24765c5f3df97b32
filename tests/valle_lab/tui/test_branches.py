"""Takes as a tree, what-if on the timeline, the sheet of seeds and the blind trial, all by keys."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from valle_lab.tui.screens.sheet import SheetScreen
from valle_lab.tui.screens.trial import TrialScreen
from valle_lab.tui.widgets.candidates import Candidates
from valle_lab.tui.widgets.takes import TakeList
from valle_lab.tui.widgets.timeline import Timeline

OpenStage = Callable[..., AbstractAsyncContextManager[Any]]


async def to_the_end(s: Any) -> None:
    """Let everything that is under way come to its end."""
    s.worker.allow()
    for _ in range(40):
        await s.settle()
        if not s.lab.busy:
            break
    s.app.beat()
    await s.settle()
    s.worker.allow(0)


async def test_a_fork_by_a_candidate_is_a_branch_that_keys_walk(stage: OpenStage) -> None:
    async with stage(size=(200, 50)) as s:
        await s.speak("Some words")
        s.app.action_pane_tab("step", "candidates")
        await s.pilot.press("f5", "g", *["right"] * 5)
        await s.settle()
        s.app.beat()
        await s.settle()
        table = s.app.query_one(Candidates)
        table.focus()
        await s.pilot.press("down", "f")
        seen = s.lab.sight.view
        await to_the_end(s)
        first, second = s.lab.takes
        assert second.parent == first.name and str(second.fork) == "0/ar.0:5"
        assert str(int(seen.candidates.ids[1])) in second.how
        timeline = s.app.query_one(Timeline)
        assert "└─ take-2" in s.text and "├" in timeline.render_line(timeline.size.height - 1).text
        s.app.query_one(TakeList).focus()
        for key, chosen in (("less_than_sign", first), ("greater_than_sign", second)):
            await s.pilot.press(key)
            await s.settle()
            assert s.lab.chosen is chosen


async def test_what_if_marks_the_timeline_and_follows_the_stack(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.speak("Some words")
        await s.pilot.press("alt+w")
        s.app.do("stack.set", "temperature.value", 0.3)
        await to_the_end(s)
        found = s.lab.marks.view
        (line,) = [line for line in s.lines if "what-if " in line and "what-if:" not in line]
        assert found is not None and line.count("●") == int((found.changed & found.exact).sum()) > 0
        assert "what-if: " in s.text
        await s.pilot.press("alt+n")
        assert s.lab.row == found.first_change
        await s.pilot.press("alt+w")
        await to_the_end(s)
        assert "what-if" not in s.text


async def test_a_sheet_is_judged_by_single_keys(stage: OpenStage) -> None:
    async with stage(size=(100, 30)) as s:
        s.app.do("text.set", "Some [red]words[/]")
        s.app.do("sheet.make", 3, 11)
        await to_the_end(s)
        assert isinstance(s.app.screen, SheetScreen) and "Some [red]words[/]" in s.lines[0]
        order = [take.name for take in s.lab.sheet.sorted]
        await s.pilot.press("n")
        await s.settle()
        assert s.lab.playing == order[0] and s.lines[2].startswith(" ▶")
        await s.pilot.press("k", "d")
        await s.settle()
        assert [s.lab.find(name).kept for name in order] == [True, False, False]
        assert [s.lab.find(name).hidden for name in order] == [False, True, False]
        assert s.lab.sheet.heard.name == order[2]
        await s.pilot.press("up", "k", "o")
        await s.settle()
        assert s.lab.find(order[1]).kept and "sorted by seed" in s.lines[0]
        await s.pilot.press("escape")
        assert not isinstance(s.app.screen, SheetScreen)


async def test_a_blind_trial_shows_nothing_of_the_order(stage: OpenStage) -> None:
    async with stage(size=(100, 30)) as s:
        for seed in (1, 2):
            s.app.do("seed.set", seed)
            await s.speak("Some words")
        s.app.do("trial.open", "1 2")
        await to_the_end(s)
        assert isinstance(s.app.screen, TrialScreen) and "sealed" in s.text
        await s.pilot.press("X")
        await s.settle()
        assert s.lab.trial.choice is None and "not heard" in s.notice_here
        await s.pilot.press("x", "z", "y")
        await s.settle()
        assert s.lab.trial.sounding == "Y" and "♪ Y" in s.text
        assert "take-1" not in s.text and "take-2" not in s.text and "Z" not in s.text
        await s.pilot.press("Y")
        await s.settle()
        order = s.lab.trial.record.order
        assert s.lab.trial.choice == "Y"
        assert f"X   {order[0]}" in s.text and f"Y   {order[1]}" in s.text
        await s.pilot.press("escape")
        assert not isinstance(s.app.screen, TrialScreen)
