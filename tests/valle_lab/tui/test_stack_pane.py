"""The stack on screen: every value can be changed by key, number and mouse, and the running take follows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from textual.widgets import Input

from valle.samplers.stages import STAGES
from valle_lab.tui.screens.choose import ChooseScreen
from valle_lab.tui.screens.form import FormScreen
from valle_lab.tui.widgets import slider
from valle_lab.tui.widgets.slider import Slider
from valle_lab.tui.widgets.stack import StackList
from valle_lab.tui.widgets.stage_row import StageRow

OpenStage = Callable[..., AbstractAsyncContextManager[Any]]


def first(s: Any) -> dict[str, Any]:
    """The first stage of the AR's list, as data."""
    stage: dict[str, Any] = s.lab.run("stack.show")["ar"][0]
    return stage


async def test_a_slider_by_keys_by_number_and_back(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("f4")
        for keys, value in (
            (["right"], 1.05),
            (["left", "left"], 0.95),
            (["shift+right"], 0.955),
            (["pagedown"], 0.5),
            (["home"], 0.0),
            (["end"], 5.0),
            ([*"0.72", "enter"], 0.72),
            ([*"3", "escape"], 0.72),
            ([*"12", "backspace", "enter"], 1),
            (["l", "l", "h"], 1.05),
            (["backspace"], 1.0),
        ):
            await s.pilot.press(*keys)
            await s.settle()
            assert first(s) == {"name": "temperature", "value": value}, keys
        await s.pilot.press("u")
        await s.settle()
        assert first(s)["value"] == 1.05 and s.app.query(Slider).first().value == 1.05
        await s.pilot.press("ctrl+r")
        await s.settle()
        assert first(s)["value"] == 1.0


async def test_a_refused_number_says_why_and_the_slider_goes_back(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("f4", *"99", "enter")
        await s.settle()
        assert first(s)["value"] == 1.0 and s.app.query(Slider).first().value == 1.0
        assert "✗" in s.notice and "between 0.0 and 5.0, not 99" in s.notice


async def test_a_slider_is_dragged(stage: OpenStage) -> None:
    async with stage() as s:
        knob = s.app.query(Slider).first()
        await s.pilot.mouse_down(knob, offset=(0, 0))
        await s.settle()
        assert first(s)["value"] == 0.0, "the stack follows while the mouse is down"
        await s.pilot.hover(knob, offset=(knob.size.width - 10, 0))
        await s.pilot.mouse_up(knob, offset=(knob.size.width - 10, 0))
        await s.settle()
        assert first(s)["value"] == 5.0
        assert s.lab.stacks.can_undo
        s.app.do("stack.undo")
        assert first(s)["value"] == 1.0, "a drag is one change"


async def test_a_held_key_is_undone_at_once_and_single_presses_are_not(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage() as s:
        monkeypatch.setattr(slider, "HELD", 60.0)
        await s.pilot.press("f4", "right", "right", "right")
        await s.settle()
        assert first(s)["value"] == 1.15
        monkeypatch.setattr(slider, "HELD", 0.0)
        await s.pilot.press("right")
        await s.settle()
        for value in (1.15, 1.0):
            await s.pilot.press("u")
            await s.settle()
            assert first(s)["value"] == value
        assert not s.lab.stacks.can_undo


async def test_stages_are_added_switched_moved_doubled_and_removed(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.pilot.press("f4", "a")
        assert isinstance(s.app.screen, ChooseScreen)
        await s.pilot.press(*"top p", "enter")
        await s.settle()
        names = [item["name"] for item in s.lab.run("stack.show")["ar"]]
        assert sorted(names) == ["draw", "temperature", "top_p"]
        await s.settle()
        await s.pilot.press("space")
        await s.settle()
        assert [i["name"] for i in s.lab.run("stack.show")["ar"] if i.get("on") is False] == ["top_p"]
        before = names.index("top_p")
        await s.pilot.press("K" if before else "J")
        await s.settle()
        assert [i["name"] for i in s.lab.run("stack.show")["ar"]].index("top_p") == 1 - before
        await s.pilot.press("d")
        await s.settle()
        assert "top_p" not in [i["name"] for i in s.lab.run("stack.show")["ar"]]


async def test_curves_and_conditions(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.pilot.press("f4", "v")
        form = s.app.screen
        assert isinstance(form, FormScreen)
        form.query_one("#value-values", Input).value = "1.2"
        await s.pilot.pause()
        assert "✗" in s.text and "needs 2 values" in s.text
        form.query_one("#value-values", Input).value = "1.2, 0.6"
        await s.pilot.press("ctrl+s")
        await s.settle()
        curve = {"curve": "linear", "values": [1.2, 0.6], "begin": 0, "end": 150}
        assert first(s)["value"] == curve
        assert "linear 1.2 → 0.6" in s.text
        await s.pilot.press("w", "ctrl+s")
        await s.settle()
        assert first(s)["when"] == {"measure": "entropy", "above": 3.0}
        assert "◇ when entropy (raw) above 3 bits" in s.text
        await s.pilot.press("backspace")
        await s.settle()
        assert first(s)["value"] == 1.0


async def test_the_running_take_follows(stage: OpenStage) -> None:
    async with stage() as s:
        await s.speak(steps=5)
        await s.pilot.press("f4", "left")
        s.worker.allow(3)
        await s.settle()
        (changed,) = [step for step in s.lab.takes[0].steps if step.events]
        assert changed.place.step == 5 and changed.events[0].value == 0.95


async def test_every_stage_can_be_shown_and_idle_ones_are_dimmed(stage: OpenStage) -> None:
    async with stage(size=(120, 50)) as s:
        for name, declared in STAGES.items():
            if "ar" not in declared.refused and declared.kind not in ("chooser", "search"):
                s.app.do("stack.add", name)
        await s.settle()
        shown = {row.row.key for row in s.app.query(StageRow)}
        assert {i["name"] for i in s.lab.run("stack.show")["ar"]} <= shown
        idle = {row.row.key for row in s.app.query(StageRow) if row.has_class("-idle")}
        assert {e.key for e in s.lab.stack.effective("ar") if not e.runs} <= idle


async def test_typing_faster_than_the_list_follows_does_no_harm(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.pilot.press("f4", "a")
        s.app.screen.action_move(30)
        s.app.screen._search("top_k")
        await s.pilot.pause()
        assert s.app.is_running and "Keeps the k most likely ids." in s.text


@pytest.mark.parametrize(
    ("typed", "found"), [("nucleus", "top_p"), ("tfs", "tail_free"), ("cfg", "guidance")]
)
async def test_a_stage_is_found_by_the_name_that_others_give_it(
    stage: OpenStage, typed: str, found: str
) -> None:
    async with stage(size=(120, 40)) as s:
        await s.pilot.press("f4", "a", *typed)
        await s.pilot.pause()
        assert found in [item.name for item in s.app.screen._found]


async def test_the_focus_goes_to_a_stage_that_was_added_and_stays_where_one_was_removed(
    stage: OpenStage,
) -> None:
    async with stage(size=(120, 40)) as s:

        async def at(*keys: str) -> str:
            await s.pilot.press(*keys)
            await s.settle()
            await s.settle()
            target: str = s.app.query_one(StackList).row.row.target
            return target

        assert await at("f4") == "ar:temperature.value"
        assert await at("a", *"min_p", "enter") == "ar:min_p.p"
        assert await at(*"0.2", "enter") == "ar:min_p.p"
        assert {"name": "min_p", "p": 0.2} in s.lab.run("stack.show")["ar"]
        assert await at("c") == "ar:min_p#2.p"
        assert await at("d") == "ar:temperature.value", "what stands in its place"
        assert await at("up") == "ar:min_p.p"
        assert await at("down", "down") == "ar:draw.None"
        assert await at("up", "up") == "ar:min_p.p"
        assert await at("d") == "ar:temperature.value"
        assert await at("u") == "ar:min_p.p", "what came back"


async def test_the_focus_goes_with_a_stage_that_moves_among_others_of_its_kind(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:

        async def at(*keys: str) -> tuple[str, Any]:
            await s.pilot.press(*keys)
            await s.settle()
            await s.settle()
            row = s.app.query_one(StackList).row
            return row.row.target, row.value

        assert await at("f4", "c") == ("ar:temperature#2.value", 1.0)
        assert await at(*"0.5", "enter") == ("ar:temperature#2.value", 0.5)
        assert await at("K") == ("ar:temperature.value", 0.5), "the other one is the second now"
        assert await at("K") == ("ar:temperature.value", 0.5), "there is no place further up"
        assert await at("J") == ("ar:temperature#2.value", 0.5)


async def test_the_row_that_has_the_focus_is_explained(stage: OpenStage) -> None:
    async with stage(size=(80, 24)) as s:
        s.lab.run("stack.add", "top_k")
        await s.settle()
        names = [item["name"] for item in s.lab.run("stack.show")["ar"]]
        await s.pilot.press("f4", *["down"] * names.index("top_k"))
        await s.settle()
        assert "How many ids stay; 0 is off. 0 to 100000 ids, default" in s.text


async def test_a_row_without_a_value_has_nothing_to_reset_or_edit(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        before = s.lab.stack
        await s.pilot.press("f4", "down")
        row = s.app.focused.parent.parent.row
        assert row.key == "draw" and row.parameter is None
        await s.pilot.press("backspace", "enter")
        await s.settle()
        assert s.lab.stack is before and "✗" not in s.notice


async def test_the_phases_of_the_task_come_first(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.pilot.press("f4")
        assert str(s.app.query(".phase").first().content) == "ar"
        s.app.do("mode.task", "stt")
        await s.settle()
        await s.settle()
        titles = [str(item.content) for item in s.app.query(".phase")]
        assert titles[0] == "stt" and "ar · not in this mode" in titles
        assert next(iter(s.app.query(StageRow))).row.target == "stt:greedy.None"
        await s.pilot.press("a")
        assert isinstance(s.app.screen, ChooseScreen)


async def test_a_stack_that_is_on_its_way_has_the_focus_and_then_its_first_row(stage: OpenStage) -> None:
    async with stage(hold_load=True) as s:
        await s.pilot.press("f4", "x")
        await s.settle()
        assert s.app.focused is s.app.query_one(StackList) and s.lab.text == ""
        s.worker.finish_loading()
        await s.until(lambda: s.lab.description is not None and s.app.query_one(StackList).row is not None)
        await s.pilot.press("right")
        await s.settle()
        assert first(s) == {"name": "temperature", "value": 1.05}
        assert not s.app.query_one(StackList).focusable


async def test_a_stack_that_comes_takes_the_focus_from_nobody(stage: OpenStage) -> None:
    async with stage(hold_load=True) as s:
        s.worker.finish_loading()
        await s.until(lambda: bool(s.app.query(StageRow)))
        await s.pilot.press("x")
        await s.settle()
        assert s.lab.text == "x"
