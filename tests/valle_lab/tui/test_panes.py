"""Ways through the screen: panes by key, the whole screen for one, letters, the cursor, the clipboard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import FRAMES, HEARD

from valle.audio import wav
from valle.errors import UserError
from valle.request import Part as PromptPart
from valle_lab.tui.axes import AXES
from valle_lab.tui.screens.answer import AnswerScreen
from valle_lab.tui.screens.jump import JumpScreen
from valle_lab.tui.tables import Cell, number
from valle_lab.tui.widgets.pane import Pane
from valle_lab.tui.widgets.stack import StackList
from valle_lab.tui.widgets.stage_row import StageRow
from valle_lab.tui.widgets.takes import TakeList
from valle_lab.tui.widgets.timeline import Timeline
from valle_lab.tui.widgets.voice_wave import VoiceWave
from valle_lab.tui.widgets.waterfall import Waterfall

OpenStage = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.mark.parametrize(
    ("size", "writing", "tuning"), [((80, 24), 1, 2), ((60, 18), 1, 1), ((100, 31), 1, 2)]
)
async def test_a_low_timeline_has_a_second_measure_but_while_somebody_writes(
    stage: OpenStage, size: tuple[int, int], writing: int, tuning: int
) -> None:
    def measures(lines: list[str]) -> int:
        labels = {f"│{axis.label:<8} " for axis in AXES}
        return sum(line[:10] in labels for line in lines)

    async with stage(size=size) as s:
        await s.pilot.press(*"Hi")
        await s.speak(steps=20)
        assert measures(s.lines) == writing and "limit" in s.text
        for key in ("f4", "f5"):
            await s.pilot.press(key)
            await s.settle()
            assert measures(s.lines) == tuning and "F4 stack │" in s.text and "temperature" in s.text
            assert any(line[1:5] == " Hi " for line in s.lines)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_a_key_for_every_pane(stage: OpenStage, size: tuple[int, int]) -> None:
    async with stage(size=size) as s:
        for key, kind in (("f5", Timeline), ("f6", Waterfall), ("f7", TakeList)):
            await s.pilot.press(key)
            await s.pilot.pause()
            assert isinstance(s.app.focused, kind)
        await s.pilot.press("f4")
        await s.pilot.pause()
        assert any(isinstance(node, StackList) for node in s.app.focused.ancestors)
        await s.pilot.press("f3")
        assert s.app.focused.id == "text"


async def test_one_pane_on_the_whole_screen_and_back(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.pilot.press("f5", "f10")
        await s.pilot.pause()
        assert s.app.query_one(Timeline).size.width == 118 and "stack" not in s.text
        await s.pilot.press("f10")
        await s.pilot.pause()
        assert "stack" in s.text


async def test_a_letter_leads_anywhere(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("ctrl+o")
        jump = s.app.screen
        assert isinstance(jump, JumpScreen)
        chain = s.app._bench.focus_chain
        letter = list(jump._places)[chain.index(s.app.query_one(Timeline))]
        await s.pilot.press(letter)
        await s.pilot.pause()
        assert isinstance(s.app.focused, Timeline)


async def test_no_letter_stands_where_a_row_is_scrolled_out_of_sight(stage: OpenStage) -> None:
    async with stage(size=(80, 24)) as s:
        for name in ("top_k", "top_p", "min_p", "xtc", "typical_p"):
            s.app.do("stack.add", name)
        await s.pilot.press("f4")
        await s.settle()
        bottom = s.app.query_one("#stack").content_region.bottom
        assert any(row.region.y >= bottom for row in s.app.query(StageRow)), "there are rows below"
        await s.pilot.press("ctrl+o")
        assert max(place.y for place in s.app.screen._places.values()) < bottom


async def test_the_cursor_follows_until_it_is_moved(stage: OpenStage) -> None:
    async with stage() as s:
        await s.speak("word " * 20, steps=50)
        view = s.app._bench.view
        assert view.follows and view.cursor == 49
        await s.pilot.press("f5", "left", "shift+left")
        await s.settle()
        assert view.cursor == 38 and not view.follows
        assert "step 38 · 0.51 s" in s.text
        s.worker.allow(10)
        await s.settle()
        assert view.cursor == 38
        await s.pilot.press("f")
        await s.settle()
        assert view.cursor == 59
        await s.pilot.press("home", "plus", "plus")
        await s.settle()
        assert view.cursor == 0 and view.window == (0, 27)
        await s.pilot.press("0")
        assert view.window == (0, 60)


async def test_figures_of_a_running_take_wait_for_the_slow_beat(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage() as s:
        beat, timeline = Timeline.beat, s.app.query_one(Timeline)
        monkeypatch.setattr(Timeline, "beat", lambda _timeline: None)
        await s.speak("word " * 20, steps=50)
        beat(timeline)
        s.worker.allow(10)
        await s.settle()
        pane = s.app.query_one("#timeline", Pane)
        assert "now 49" in str(pane.border_subtitle) and s.app._bench.view.cursor == 59
        beat(timeline)
        assert "now 59" in str(pane.border_subtitle)
        await s.pilot.press("f5", "left")
        assert "step 58" in str(pane.border_subtitle), "where a person goes is told at once"


async def test_the_waterfall_shows_all_its_numbers_where_the_room_is_small(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.speak(steps=20)
        await s.pilot.press("f6")
        s.app.beat()
        await s.settle()
        table = s.app.query_one(Waterfall)
        columns, rows = table.table()
        names = [Cell(f"{name.text}_of_a_long_name") for name, *_ in rows]
        rank = columns.index("rank")
        ranked = [[*row[1:rank], number("1024 → 0"), *row[rank + 1 :]] for row in rows]
        table.fill(columns, [[name, *row] for name, row in zip(names, ranked, strict=True)])
        seen = [line for line in s.lines if "1024 → 0" in line or "kept" in line]
        assert len(seen) == 1 + len(rows)
        assert seen[0].rstrip("│").endswith("p  stop")
        for line, row in zip(seen[1:], rows, strict=True):
            assert "…" in line and line.rstrip("│").endswith(row[-1].text)


async def test_surprises_are_found(stage: OpenStage) -> None:
    async with stage() as s:
        await s.speak("word " * 20, steps=200)
        await s.pilot.press("f5", "home", "n")
        await s.settle()
        # The fake's entropy is 5 + 4 sin(step / 7): highest at 7 pi / 2, which is step 11.
        assert s.app._bench.view.cursor == 11
        await s.pilot.press("m")
        await s.settle()
        assert s.app._bench.view.cursor == 33


async def test_the_worker_is_asked_about_a_step_only_while_it_is_shown(stage: OpenStage) -> None:
    async with stage() as s:
        await s.speak(steps=20)
        for _ in range(3):
            s.app.beat()
            await s.settle()
        assert s.worker.service.looks == []
        await s.pilot.press("f6")
        await s.pilot.pause()
        for _ in range(3):
            s.app.beat()
            await s.settle()
        assert len(s.worker.service.looks) == 1
        assert "token" in s.text


async def test_every_tab_of_a_fresh_lab_says_how_to_begin_or_is_blank(stage: OpenStage) -> None:
    told = {"waterfall": "why each token", "candidates": "why each token", "takes": "No takes yet"}
    async with stage() as s:
        for pane in ("step", "takes"):
            for tab in s.app.query_one(f"#{pane}", Pane).tabs:
                s.app.action_pane_tab(pane, tab)
                s.app._bench.go(pane)
                await s.settle()
                told = {
                    "waterfall": "why each token",
                    "candidates": "why each token",
                    "takes": "No takes yet",
                }
                assert told.get(tab, "") in s.text


async def test_hidden_parts_are_never_painted(stage: OpenStage, monkeypatch: pytest.MonkeyPatch) -> None:
    painted: list[str] = []
    monkeypatch.setattr(Waterfall, "paint", lambda self: painted.append("waterfall"))
    async with stage() as s:
        await s.speak(steps=20)
        s.app.beat()
        assert painted == []
        await s.pilot.press("f6")
        await s.pilot.pause()
        s.app.beat()
        assert painted


async def test_what_is_shown_can_be_copied(stage: OpenStage) -> None:
    async with stage() as s:
        await s.speak("Some words", steps=1000)
        await s.pilot.press("f5", "y")
        head, *rows = s.app.clipboard.splitlines()
        assert head == "seconds,entropy,varentropy,margin,stop,rank"
        assert len(rows) == len(s.lab.chosen.timeline) and rows[0].startswith("0,5,")
        await s.pilot.press("f7")
        await s.pilot.pause()
        await s.pilot.press("y")
        command = "valle-lab say 'Some words' --seed 7 --voice anna --language en --mode ar+nar"
        assert s.app.clipboard == command
        s.app.action_pane_tab("takes", "voices")
        await s.pilot.pause()
        await s.pilot.press("y")
        assert "anna" in s.app.clipboard and "\tlanguage\t" in s.app.clipboard
        await s.pilot.press("f4")
        await s.pilot.pause()
        await s.pilot.press("y")
        assert '"temperature"' in s.app.clipboard


async def test_a_resize_while_it_speaks(stage: OpenStage) -> None:
    async with stage(size=(200, 50)) as s:
        await s.speak("word " * 20, steps=30)
        for size in ((80, 24), (40, 10), (120, 40), (60, 18), (200, 50)):
            await s.pilot.resize_terminal(*size)
            s.worker.allow(5)
            await s.settle()
            assert all(len(line) <= size[0] for line in s.lines) and len(s.lines) == size[1]
        assert s.lab.running is not None and len(s.lab.chosen.timeline) == 55


async def test_where_it_is_narrow_the_limit_is_seen_only_while_somebody_is_at_the_text(
    stage: OpenStage,
) -> None:
    async with stage(size=(80, 24)) as s:
        limits = s.app.screen.query_one("#limits")
        seen = []
        for key in ("f3", "tab", "f4", "f3", "f6"):
            await s.pilot.press(key)
            await s.pilot.pause()
            seen.append(limits.display)
        assert seen == [True, True, False, True, False]


async def test_a_task_without_speech_has_an_answer_and_steps(stage: OpenStage) -> None:
    async with stage(size=(160, 45)) as s:
        await s.speak("How long")
        s.app.query_one("#task").value = "len"
        await s.settle()
        assert s.lab.manner.task == "len" and "len" in s.lab.stack.lists
        await s.speak("How long")
        await s.pilot.press("f7")
        await s.settle()
        assert f"→ {FRAMES} fra" in s.text and f"│{FRAMES} frames, {FRAMES / 75:.2f} s " in s.text
        await s.pilot.press("f5", "left")
        await s.settle()
        assert s.lab.row == 2 and "step 2 · H" in s.text
        await s.pilot.press("up", "f7", "y")
        await s.settle()
        assert s.notice == f"{len(s.lab.takes[1].answer)} characters copied"


async def test_a_key_has_the_model_hear_a_take_and_another_tells_the_words(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valle_lab.lab.transcripts.word_list", lambda language: ("hello",))
    async with stage(size=(160, 45)) as s:
        await s.speak("Some words")
        s.worker.allow()
        await s.pilot.press("f7", "t")
        await s.settle()
        await s.settle()
        assert s.lab.takes[1].answer == HEARD and f"→ {HEARD}" in s.text
        s.app.do("take.choose", "take-2")
        await s.pilot.press("w")
        for _ in range(100):
            if s.notice:
                break
            await s.settle()
            await s.pilot.pause(0.05)
        assert s.notice == "take.words: hello"


async def test_that_there_is_no_microphone_is_said_before_a_name_is_asked_for(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise UserError("no microphone: nothing is plugged in")

    async with stage(size=(160, 45)) as s:
        s.app.query_one("#takes", Pane).show_tab("voices", focus=True)
        for microphone, screens in ((none, 1), (lambda: "built-in", 2)):
            monkeypatch.setattr("valle_lab.microphone.microphone_name", microphone)
            await s.pilot.press("R")
            await s.settle()
            assert len(s.app.screen_stack) == screens
            if screens == 1:
                assert s.notice == "✗ no microphone: nothing is plugged in"


async def test_a_voice_that_is_cut_short_says_so_below_the_list(stage: OpenStage, tmp_path: Path) -> None:
    async with stage(size=(100, 30), **{"paths.voices": str(tmp_path / "voices")}) as s:
        file = wav.write(tmp_path / "voices" / "half.wav", np.full(24_000, 0.1, np.float32))
        file.write_bytes(file.read_bytes()[: 44 + 24_000])
        (tmp_path / "voices" / "voices.toml").write_text('[[voice]]\nname = "half"\nfile = "half.wav"\n')
        s.lab.description = replace(s.lab.description, voices=("half",))
        s.lab.mark("voices")
        s.app.query_one("#takes", Pane).show_tab("voices", focus=True)
        await s.settle()
        assert "half.wav is cut short: 0.50 s of 1.00 s are there, and are used" in s.text


async def test_the_part_of_a_voice_is_seen_whoever_changed_it(stage: OpenStage) -> None:
    async with stage(size=(200, 50)) as s:
        s.lab.description = replace(s.lab.description, voices=("clear-man", "low-man"))
        s.lab.mark("voices")
        await s.settle()
        s.app.query_one("#takes", Pane).show_tab("voices", focus=True)
        wave = s.app.query_one(VoiceWave)
        for _ in range(100):
            await s.settle()
            await s.pilot.pause(0.02)
            if wave.seconds:
                break
        whole = wave.seconds
        assert wave.start == 0 and whole > 1.5 and "from 0.00 s" not in s.text
        await s.pilot.press(">", ">", ",")
        await s.settle()
        assert s.lab.part == PromptPart(0.2, pytest.approx(whole - 0.3, abs=0.011))
        assert f"from 0.20 s, {s.lab.part.seconds:.2f} s · 2 of 2" in s.text
        s.app.do("voice.cut", 1.0)
        await s.settle()
        assert (wave.start, wave.seconds) == (s.lab.part.start, s.lab.part.seconds) != (0.2, whole)
        await s.pilot.press("x")
        await s.settle()
        assert s.lab.part.is_whole and wave.seconds == pytest.approx(whole) and "from 0" not in s.text


async def test_what_is_told_at_once_is_seen_together(stage: OpenStage) -> None:
    async with stage(keys={"take.speek": "f11"}) as s:
        assert "keys: nothing with a key is called take.speek, the nearest is take.speak" in s.text
        s.lab.tell("Something.")
        s.lab.tell("Something else.", error=True)
        await s.settle()
        assert s.notice == "✗ Something.\nSomething else."


async def test_a_take_is_read_in_full_recalled_and_taken_off_the_list(stage: OpenStage) -> None:
    text = " ".join(f"word{number}" for number in range(60)) + " end."
    async with stage(size=(80, 24)) as s:
        await s.speak(text)
        await s.pilot.press("f7")
        await s.pilot.pause()
        assert "word59" not in "".join(s.lines[13:])
        await s.pilot.press("enter")
        await s.settle()
        await s.pilot.pause()
        assert "word59 end." in s.text and "seed = " in s.text
        await s.pilot.press("y", "escape")
        assert text in s.app.clipboard
        s.app.do("text.set", "Something else")
        await s.pilot.press("r")
        await s.settle()
        assert s.lab.text == text and s.lab.seed == s.lab.takes[0].seed
        await s.pilot.press("d")
        await s.settle()
        assert s.lab.takes[0].hidden and s.lab.chosen is None


async def test_an_answer_that_is_longer_than_the_line_is_a_page(stage: OpenStage) -> None:
    async with stage(size=(80, 24)) as s:
        s.app.answer("take.words", "sound " * 40)
        await s.pilot.pause()
        assert isinstance(s.app.screen, AnswerScreen)
        assert sum(line.count("sound") for line in s.lines) >= 40


async def test_a_take_that_is_demasked_says_where_its_rounds_are(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        s.app.do("mode.choose", "nar-len")
        await s.speak("Some words")
        await s.settle()
        assert s.lab.chosen.begun is not None and not len(s.lab.chosen.timeline)
        told = "level 0 is decided in rounds"
        s.app.query_one(Timeline).repaint()
        await s.pilot.pause()
        assert sum(told in line for line in s.lines) >= 1
        await s.pilot.press("f6", "]", "]", "]")
        await s.pilot.pause()
        assert sum(told in line for line in s.lines) >= 2 and "asked for" not in s.text
