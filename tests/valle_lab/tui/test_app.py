"""The lab on a screen: keys, palette and command line do what the registry says, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.events import Key
from textual.widgets import Button, Checkbox, Input, TextArea

from tests.valle_lab.tui.conftest import Stage
from valle.errors import UserError
from valle_lab.lab.commands import all_commands
from valle_lab.lab.record import Record
from valle_lab.session.save import load_session
from valle_lab.sinks import NullSink
from valle_lab.tui import outcome
from valle_lab.tui.app import LabApp
from valle_lab.tui.keys import part_bindings
from valle_lab.tui.screens.answer import AnswerScreen
from valle_lab.tui.screens.command_line import CommandLine, completions
from valle_lab.tui.screens.help import HelpScreen
from valle_lab.tui.screens.leave import LeaveScreen
from valle_lab.tui.widgets.ask import Choice
from valle_lab.tui.widgets.pane import Pane
from valle_lab.tui.widgets.progress import Bar
from valle_lab.tui.widgets.timeline import Timeline

OpenStage = Callable[..., AbstractAsyncContextManager[Any]]


async def test_the_first_frame_has_what_the_lab_is_made_of(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(app: LabApp) -> None:
        """Whatever comes after the first frame."""

    monkeypatch.setattr(LabApp, "_begin", nothing)
    async with stage(size=(120, 40)) as s:
        for words in ("F3 text", "F4 stack", "F5 timeline", "F6 step", "F7 takes", "starting", "Speak"):
            assert words in s.text
        await s.pilot.press(*"Hi")
        assert s.lab.text == "Hi"


async def test_what_is_typed_while_the_lab_opens_goes_to_the_text(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed_at_once(app: LabApp) -> None:
        for event in (*(Key(letter, letter) for letter in "Hi"), Key("ctrl+j", None), Key("a", "a")):
            app.post_message(event)

    monkeypatch.setattr(LabApp, "on_load", typed_at_once, raising=False)
    async with stage() as s:
        await s.pilot.press("!")
        assert s.lab.text == "Hi\na!"


async def test_that_a_take_waits_is_not_covered_by_what_is_told_at_the_start(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speaks_at_once(app: LabApp) -> None:
        for event in (Key("a", "a"), Key("ctrl+g", None)):
            app.post_message(event)

    monkeypatch.setattr(LabApp, "on_load", speaks_at_once, raising=False)
    monkeypatch.setattr(Record, "left_behind", lambda record: (Path("last.jsonl"),))
    async with stage(hold_load=True) as s:
        assert "as soon as the model is loaded" in s.notice


async def test_typing_speaking_and_saving(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press(*"Hi you")
        assert s.lab.text == "Hi you"
        await s.pilot.press("ctrl+g")
        s.worker.allow(5)
        await s.settle()
        s.app.beat()
        await s.settle()
        assert "AR frame 5" in s.text and s.lab.running is not None
        assert 0 < s.app.query_one(Bar).fraction < 0.8
        s.worker.allow()
        await s.settle()
        await s.settle()
        (take,) = s.lab.takes
        assert take.stop == "stop" and take.seed == 7
        assert s.app.query_one(Bar).fraction == 1.0
        assert "not saved" in s.lines[-2]
        await s.pilot.press("ctrl+s")
        await s.settle()
        assert "saved 20" in s.lines[-2] and "Take saved" in s.notice
        assert load_session(s.lab.record.file).takes[0].request.seed == 7


async def test_a_key_that_comes_right_behind_the_text_speaks_all_of_it(stage: OpenStage) -> None:
    async with stage() as s:
        for event in (*(Key(letter, letter) for letter in "Hi you"), Key("ctrl+g", None)):
            s.app.post_message(event)
        await s.settle()
        await s.settle()
        assert [take.text for take in s.lab.takes] == ["Hi you"]


async def test_a_key_that_comes_right_behind_a_seed_speaks_with_all_of_it(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        s.lab.run("text.set", "Some words")
        s.app.query_one("#seed", Input).focus()
        await s.settle()
        for event in (*(Key(digit, digit) for digit in "4231"), Key("ctrl+g", None)):
            s.app.post_message(event)
        await s.until(lambda: bool(s.lab.takes))
        assert [take.seed for take in s.lab.takes] == [4231]


async def test_every_button_does_its_command(stage: OpenStage) -> None:
    async with stage() as s:
        s.app.do("text.set", "Some words")
        assert s.app.query_one("#take-play", Button).disabled
        await s.pilot.click("#take-speak")
        s.worker.allow(3)
        await s.settle()
        await s.pilot.click("#take-stop")
        s.worker.allow()
        await s.settle()
        await s.settle()
        assert s.lab.takes[0].stop == "finish"
        await s.pilot.click("#take-play")
        await s.settle()
        assert s.lab.player.state == "playing" and "♪" in s.lines[-2]
        await s.pilot.click("#take-save")
        await s.settle()
        assert not s.lab.record.unsaved


@pytest.mark.parametrize("after", [0, 1, 6])
async def test_escape_stops_and_ctrl_b_cancels_at_any_step(stage: OpenStage, after: int) -> None:
    async with stage() as s:
        for key, ended in (("escape", "finish"), ("ctrl+b", "cancel")):
            await s.speak(steps=after)
            await s.pilot.press(key)
            s.worker.allow()
            await s.settle()
            await s.settle()
            take = s.lab.takes[-1]
            assert (take.stop, take.take.frames) == (ended, after)


async def test_the_strip_grows_and_marks_changes(stage: OpenStage) -> None:
    async with stage(size=(80, 24)) as s:
        await s.speak("word " * 8, steps=20)
        strip = s.app.query_one(Timeline)
        first = [strip.render_line(y).text for y in range(strip.size.height)]
        s.app.do("stack.set", "temperature.value", 0.5)
        s.worker.allow(20)
        await s.settle()
        second = [strip.render_line(y).text for y in range(strip.size.height)]
        assert sum(line.count("⠀") for line in second) < sum(line.count("⠀") for line in first)
        assert "▲" in second[-1] and "▲" not in first[-1]
        assert all(len(line) == strip.size.width for line in second)


async def test_an_answer_of_several_lines_is_a_page(stage: OpenStage) -> None:
    async with stage(size=(80, 24)) as s:
        await s.pilot.press("f2", *"stack.show", "enter")
        await s.settle()
        assert isinstance(s.app.screen, AnswerScreen)
        assert "temperature" in s.text and "stack.show" in s.text
        await s.pilot.press("j", "y")
        assert "temperature" in s.app.clipboard and "characters copied" in s.text
        await s.pilot.press("escape")
        assert s.app.screen is s.app._bench
        s.app.do_and_answer("text.phonemes", "Hi you. And me.")
        await s.settle()
        await s.settle()
        assert isinstance(s.app.screen, AnswerScreen)


async def test_an_audition_is_led_by_keys_and_ends_with_a_table(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NullSink, "audible", True)
    async with stage(size=(100, 30)) as s:
        s.worker.allow()
        s.app.do("text.set", "Hi.")
        await s.pilot.press("f2", *"audition.seeds 4", "enter")
        for _ in range(4):
            await s.settle()
        assert s.app.screen is s.app._bench and s.lab.audition.current == 0
        assert "alt+j next" in s.notice
        await s.pilot.press("alt+j", "alt+k")
        await s.settle()
        assert len(s.lab.audition.kept) == 1
        await s.pilot.press("alt+q")
        await s.settle()
        await s.settle()
        assert s.lab.audition.over and isinstance(s.app.screen, AnswerScreen)
        assert "seed 1" in s.text
        await s.pilot.press("escape")
        await s.settle()
        assert s.app.screen is s.app._bench, "the table is shown once"


async def test_a_command_of_the_palette_shows_what_it_gave(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("ctrl+p", *"mode: show")
        await s.until(lambda: "Show the manner" in s.text)
        await s.pilot.press("enter")
        await s.until(lambda: isinstance(s.app.screen, AnswerScreen))
        assert "task = tts" in s.text


async def test_commands_typed_with_completion(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("f2", *"stack.set temperature.value 0.4")
        assert isinstance(s.app.screen, CommandLine)
        assert "Set a parameter" in s.text
        await s.pilot.press("enter")
        await s.settle()
        assert s.lab.run("stack.show")["ar"][0] == {"name": "temperature", "value": 0.4}
        await s.pilot.press("f2", *"stack.set temperature.value hot", "enter")
        await s.settle()
        assert "✗" in s.notice and "temperature.value" in s.notice
        await s.pilot.press("f2", *"take.speak Hi.", "enter")
        await s.settle()
        assert "take.speak Hi.: take-1, running" in s.notice
        assert list(completions(s.lab, "stack.un")) == ["stack.undo"]
        assert "stack.set temperature.value" in completions(s.lab, "stack.set temp")
        assert list(completions(s.lab, "text.language d")) == ["text.language de"]
        assert list(completions(s.lab, "nothing here")) == []


async def test_the_command_line_completes_and_recalls(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("f2", *"text.lim")
        await s.pilot.pause(0.1)
        await s.pilot.press("tab", *" 3", "enter")
        await s.settle()
        assert s.lab.max_seconds == 3.0
        await s.pilot.press("f2", *"seed.set 9", "enter", "f2", *"zz", "up", "up")
        entry = s.app.screen.query_one(Input)
        assert entry.value == "text.limit 3"
        await s.pilot.press("down")
        assert entry.value == "seed.set 9"
        await s.pilot.press("down", "down")
        assert entry.value == "zz"
        entry.value = "seed."
        await s.pilot.pause()
        assert "seed.set seed.lock" in s.text


async def test_keys_that_come_at_once_find_their_pane(stage: OpenStage) -> None:
    async with stage() as s:
        for key in ("f7", "right_square_bracket", "right_square_bracket"):
            s.app.post_message(Key(key, None))
        await s.pilot.pause()
        await s.pilot.pause()
        assert s.app.query_one("#takes", Pane)._front == "voices"


async def test_the_focus_outlives_a_terminal_that_is_too_small_for_a_while(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("f5")
        for size in ((50, 15), (40, 10), (80, 24)):
            await s.pilot.resize_terminal(*size)
            await s.pilot.pause()
        assert isinstance(s.app.focused, Timeline)


async def test_no_key_at_the_bottom_is_cut(stage: OpenStage) -> None:
    async with stage(size=(80, 24)) as s:
        await s.pilot.press("f7", "right_square_bracket", "right_square_bracket")
        await s.settle()
        shown = s.lines[-1].split()
        assert "Search" in shown and "Quit" not in shown and "^q" not in shown


async def test_the_status_line_tells_file_and_memory(stage: OpenStage) -> None:
    async with stage() as s:
        await s.speak()
        await s.settle()
        s.lab.memory = 34_000_000
        s.lab.mark("session")
        await s.settle()
        assert "not saved" in s.lines[-2] and "34 of 1000 MB" in s.lines[-2]
        await s.pilot.press("ctrl+s")
        await s.settle()
        name = s.lab.record.file.name
        assert f"saved {name}" in s.lines[-2]
        s.app.do("take.rate", 3)
        await s.settle()
        assert f"{name} not saved" in s.lines[-2]


async def test_the_palette_offers_what_can_be_done_now(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("ctrl+p")
        await s.until(lambda: "take: speak  ctrl+g" in s.text)
        assert "take: play" not in s.text
        await s.pilot.press(*"text: limit")
        await s.until(lambda: s.text.count("text: limit") == 2 and "take: speak" not in s.text)
        await s.pilot.press("enter")
        await s.until(lambda: isinstance(s.app.screen, CommandLine))
        assert s.app.screen.query_one(Input).value == "text.limit "


async def test_help_is_about_the_focused_part_and_lists_every_command(stage: OpenStage) -> None:
    async with stage(size=(160, 60)) as s:
        await s.pilot.press("f1")
        assert isinstance(s.app.screen, HelpScreen)
        assert "text that is spoken" in s.text
        usages = [str(cell) for cell in s.app.screen.query_one("#commands").content.columns[0].cells]
        assert usages[-len(list(s.lab.commands)) :] == [command.usage for command in s.lab.commands]
        await s.pilot.press("escape")
        await s.pilot.press("f7", "f1")
        assert "takes of this session" in s.text


async def test_voice_language_and_seed(stage: OpenStage) -> None:
    async with stage() as s:
        s.app.query_one("#language", Choice).value = "de"
        await s.settle()
        assert s.lab.language == "de"
        s.app.query_one("#mode", Choice).value = "nar-len"
        await s.settle()
        assert s.lab.manner.mode == "nar-len"
        s.lab.run("mode.choose", "auto")
        await s.settle()
        assert s.app.query_one("#mode", Choice).value == "auto"
        task = s.app.query_one("#task", Choice)
        assert task._names == ("tts", "ns", "len", "stt")  # what the model has
        task.value = "ns"
        await s.settle()
        assert s.lab.manner.task == "ns"
        seed = s.app.query_one("#seed", Input)
        seed.focus()
        seed.value = "18446744073709551615"
        await s.pilot.press("enter")
        await s.settle()
        assert s.lab.seed == 2**64 - 1
        await s.pilot.click(Checkbox)
        await s.settle()
        assert s.lab.seed is None
        seed.value = "18446744073709551616"
        seed.focus()
        await s.pilot.press("enter")
        await s.settle()
        assert "out of range" in s.notice and s.lab.seed is None


async def test_the_list_chooses_the_take_that_is_shown(stage: OpenStage) -> None:
    async with stage() as s:
        await s.speak("One")
        await s.speak("Another one")
        await s.pilot.press("f7")
        await s.pilot.press("k")
        await s.settle()
        assert s.lab.chosen is s.lab.takes[0]
        await s.pilot.press("down")
        await s.settle()
        assert s.lab.chosen is s.lab.takes[1]


async def test_the_app_stands_while_the_model_loads(stage: OpenStage) -> None:
    async with stage(hold_load=True) as s:
        assert "loading the model 50%" in s.lines[-2]
        await s.pilot.press(*"abc", "ctrl+g")
        assert s.lab.text == "abc" and s.lab.takes == []
        assert "begins as soon as the model is loaded; take.stop (escape) takes it back" in s.notice
        assert "loading the model 50%, then the take" in s.lines[-2]
        await s.pilot.press("escape")
        assert "taken back" in s.notice
        await s.pilot.press("ctrl+g")
        s.worker.finish_loading()
        await s.settle()
        assert "fake · cpu · float32" in s.lines[-2]
        assert [take.text for take in s.lab.takes] == ["abc"]


async def test_a_dead_worker_is_one_line_and_a_key_restarts_it(stage: OpenStage) -> None:
    async with stage(size=(120, 30)) as s:
        await s.speak(steps=4)
        s.worker.kill()
        await s.settle()
        assert "ended by SIGKILL; model.restart (f9) starts it again" in s.notice
        assert "no model, model.restart (f9)" in s.lines[-2]
        await s.pilot.press("f9")
        await s.settle()
        assert len(s.workers) == 2 and "fake · cpu" in s.lines[-2]
        await s.speak("More")
        assert [take.stop for take in s.lab.takes] == ["cancel", "stop"]


async def test_a_model_that_goes_chooses_nothing_in_its_wake(stage: OpenStage) -> None:
    async with stage(size=(120, 30)) as s:
        chosen = s.lab.voice = s.lab.description.voices[-1]
        s.lab.mark("voices")
        await s.settle()
        done: list[str] = []
        run = s.lab.run
        s.lab.run = lambda name, *arguments: (done.append(name), run(name, *arguments))[1]
        s.worker.kill()
        for _ in range(3):
            await s.settle()
            await s.pilot.pause(0.1)
        assert done == [] and "SIGKILL" in s.notice
        await s.pilot.press("f9")
        for _ in range(3):
            await s.settle()
        assert done == ["model.restart"] and s.lab.voice == chosen == s.app.query_one("#voice", Choice).value


TEXTS = ["[/] x", "[red]loud[/red]", "[laugh] hello", "שלום עולם", "👩‍🚀🎙️ hi", "a\ttab", "日本語のテキスト"]


async def test_text_is_never_markup(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("f7")
        for number, text in enumerate(TEXTS):
            s.app.query_one(TextArea).text = text
            await s.settle()
            await s.pilot.press("ctrl+g")
            s.worker.allow()
            await s.settle()
            await s.settle()
            assert s.lab.takes[number].text == text and s.lab.takes[number].stop == "stop"
            (row,) = [line for line in s.lines if f"│take-{number + 1} " in line]
            assert text in row or not text.isascii() or "\t" in text
            s.app.do("voice.choose", text)
            await s.settle()
            assert "✗" in s.notice


async def test_ten_thousand_characters(stage: OpenStage) -> None:
    async with stage() as s:
        s.app.query_one(TextArea).text = "words " * 1667
        await s.settle()
        assert len(s.lab.text) == 10_002


async def test_quitting_asks_only_if_something_would_be_lost(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.press("ctrl+q")
        assert s.app.return_code == 0 and s.worker.closed
    async with stage() as s:
        await s.speak()
        await s.pilot.press("ctrl+q")
        assert isinstance(s.app.screen, LeaveScreen) and "1 take" in s.text
        await s.pilot.press("escape")
        await s.pilot.press("ctrl+q", "s")
        assert s.app.return_code == 0
        assert len(load_session(s.lab.record.file).takes) == 1
    async with stage() as s:
        await s.speak()
        await s.pilot.press("ctrl+q", "d")
        assert s.app.return_code == 0 and not list(s.lab.record.folder.glob("*.jsonl"))


async def test_a_terminal_that_is_too_small_says_so(stage: OpenStage) -> None:
    async with stage() as s:
        await s.pilot.resize_terminal(40, 10)
        await s.pilot.pause()
        assert "40 x 10: too small, 60 x 18 needed" in s.text
        await s.pilot.resize_terminal(60, 18)
        await s.pilot.pause()
        assert "too small" not in s.text and "Speak" in s.text


async def test_keys_can_be_bound_anew_and_wrong_names_are_told(stage: OpenStage) -> None:
    keys = {"take.speak": "f11", "take.fly": "x", "slider.more": "m", "screen.stack": "ctrl+f"}
    async with stage(keys=keys) as s:
        assert "take.fly" in s.notice
        await s.pilot.press(*"abc", "f11")
        assert len(s.lab.takes) == 1
        await s.pilot.press("ctrl+f", "m")
        await s.settle()
        assert s.lab.run("stack.show")["ar"][0]["value"] == 1.05


async def test_every_binding_has_an_id_and_a_tooltip_and_the_footer_is_short(stage: OpenStage) -> None:
    async with stage() as s:
        bindings = [b for _, b in s.app._bindings if not b.system]
        assert all(binding.id and binding.tooltip for binding in bindings)
        assert len([binding for binding in bindings if binding.show]) <= 8
        assert len({binding.key for binding in bindings}) == len(bindings)
        assert all(binding.id and binding.tooltip for binding in part_bindings())


async def test_alt_and_a_letter_is_a_command_and_never_typed(stage: OpenStage) -> None:
    async with stage() as s:
        await s.speak()
        s.app.query_one("#text").focus()
        before = s.lab.text
        # As a terminal sends it: with the letter.
        s.app.post_message(Key("alt+w", "w"))
        await s.settle()
        assert s.lab.text == before == s.app.query_one(TextArea).text and s.lab.marks.on


def test_no_key_of_a_command_is_one_that_terminals_send_for_another() -> None:
    """Escape and `f` is what some send for Ctrl and the arrow: to Textual it is that."""
    letters = [command.key[-1] for command in all_commands() if command.key.startswith("alt+")]
    assert letters and not [letter for letter in letters if f"\x1b{letter}" in ANSI_SEQUENCES_KEYS]


async def test_an_unknown_theme_is_told(stage: OpenStage) -> None:
    async with stage(theme="plaid") as s:
        assert "plaid" in s.notice
    async with stage(theme="ansi") as s:
        assert s.app.theme == "ansi-dark"


async def test_without_colours_the_terminals_own_are_not_taken(
    stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would all come out black."""
    monkeypatch.setenv("NO_COLOR", "1")
    async with stage(theme="ansi") as s:
        assert s.app.no_color and s.app.theme == "textual-dark"


async def test_a_key_that_can_do_nothing_now_says_why(stage: OpenStage) -> None:
    async with stage(hold_load=True) as s:
        assert "ctrl+g speaks it" in s.text
        await s.pilot.press("escape")
        await s.settle()
        assert s.notice == "✗ take.stop: no take is being made."
        await s.pilot.press("alt+r")
        await s.settle()
        assert s.notice == "✗ fork.here: there is no take yet."


async def test_a_seed_and_a_limit_count_as_they_are_typed(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        s.lab.run("text.set", "Some words")
        s.lab.run("seed.lock")
        await s.settle()
        s.app.query_one("#seed", Input).focus()
        await s.pilot.press(*"42")
        limit = s.app.query_one("#limit", Input)
        limit.focus()
        limit.value = ""
        await s.pilot.press(*"0.5", "ctrl+g")
        await s.settle()
        (take,) = s.lab.takes
        assert take.seed == 42 and s.lab.max_seconds == 0.5 and "✗" not in s.notice
        s.app.query_one("#seed", Input).focus()
        await s.pilot.press("backspace", "backspace")
        await s.settle()
        assert s.lab.seed is None


async def test_the_line_of_keys_tells_of_tabs_measures_and_the_whole_screen(stage: OpenStage) -> None:
    async with stage(size=(120, 40)) as s:
        await s.pilot.press("f6")
        await s.pilot.pause()
        assert "] Tab" in s.lines[-1] and "f10 Zoom" in s.lines[-1]
        await s.pilot.press("f5")
        await s.pilot.pause()
        assert "] Tab" not in s.lines[-1] and "s Measure" in s.lines[-1]


@pytest.mark.parametrize("size", [(120, 40), (200, 50)])
async def test_all_measures_are_seen_where_there_is_room(stage: OpenStage, size: tuple[int, int]) -> None:
    async with stage(size=size) as s:
        for label in ("entropy", "varentr.", "margin", "stop", "rank", "region"):
            assert sum(f"│{label:8}" in line for line in s.lines) == 1


def test_a_mistake_of_the_lab_is_one_line_and_its_traceback_is_in_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, log, run = Stage(tmp_path).app, tmp_path / "lab.log", LabApp.run
    monkeypatch.setattr(LabApp, "run", lambda self: run(self, headless=True, size=(80, 24)))

    def wrong() -> None:
        raise ZeroDivisionError("nobody thought of it")

    app.on_begun = lambda: app.call_later(wrong)
    with pytest.raises(UserError, match="ZeroDivisionError: nobody thought of it") as told:
        outcome(app, log)
    assert "\n" not in str(told.value) and str(log) in str(told.value)
    assert "in wrong" in log.read_text()
    assert "Traceback" not in "".join(capfd.readouterr())
