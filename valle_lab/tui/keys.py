"""Key bindings from the registry of commands, and the few that belong to the screen alone."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from textual.binding import Binding

from valle_lab.lab.registry import Command, Registry
from valle_lab.tui.layout import PANES

WORDS = {
    "asking": "the text",
    "stack": "the stack",
    "timeline": "the timeline",
    "step": "the step under the cursor",
    "takes": "the takes",
}
FIND = "Find a command by its name"
SCREEN_BINDINGS = (
    Binding("f1", "help", "Help", id="screen.help", tooltip="What the focused part does, and all commands"),
    Binding("f2", "command_line", "Command", id="screen.command", show=False, tooltip="Type a command"),
    Binding(
        "ctrl+p", "command_palette", "Palette", show=False, priority=True, id="screen.palette", tooltip=FIND
    ),
    *(
        # A text area has uses of its own for some of these keys.
        Binding(
            key.lower(),
            f"go('{pane}')",
            show=False,
            priority=True,
            id=f"screen.{pane}",
            tooltip=f"Go to {WORDS[pane]}",
        )
        for pane, key in PANES.items()
    ),
    Binding(
        "f10",
        "zoom",
        "Zoom",
        id="screen.zoom",
        tooltip="Give the screen to one pane, or take it back",
    ),
    Binding("f12", "picture", show=False, id="screen.picture", tooltip="Write the screen as an SVG file"),
    Binding("ctrl+o", "jump", show=False, id="screen.jump", tooltip="Go anywhere by one letter"),
    Binding("ctrl+q", "quit", "Quit", priority=True, id="screen.quit", tooltip="Leave the lab"),
    Binding("ctrl+c", "help_quit", show=False, system=True, id="screen.interrupt", tooltip="How to leave"),
)


def part_bindings() -> list[Binding]:
    """The bindings of the parts of the screen, and of what opens over it."""
    from valle_lab.tui import tables
    from valle_lab.tui.screens import (
        answer,
        ask_text,
        choose,
        command_line,
        form,
        help,
        jump,
        leave,
        sheet,
        trial,
    )
    from valle_lab.tui.widgets import (
        attention,
        candidates,
        pane,
        picker,
        slider,
        sound,
        stack,
        takes,
        timeline,
        voices,
        words,
    )

    owners = (
        *(timeline.Timeline, stack.StackList, slider.Slider, picker.Picker, words.Words, pane.Pane),
        *(attention.AttentionPart, takes.TakeList, sound.SoundView, voices.VoicePane),
        *(
            answer.AnswerScreen,
            ask_text.AskTextScreen,
            choose.ChooseScreen,
            command_line.CommandLine,
            form.FormScreen,
        ),
        *(help.HelpScreen, jump.JumpScreen, leave.LeaveScreen),
        *(tables.Table, candidates.Candidates, sheet.SheetTable, sheet.SheetScreen, trial.TrialScreen),
    )
    return [item for owner in owners for item in owner.BINDINGS if isinstance(item, Binding)]


def bindings(commands: Registry) -> list[Binding]:
    """A binding for every command that has a key, then those of the screen."""
    return [*(_binding(command) for command in commands if command.key), *SCREEN_BINDINGS]


def keymap(keys: Mapping[str, str], known: list[Binding]) -> tuple[dict[str, str], list[str]]:
    """The settings' keys by binding, and the names that nothing with a key has, each with the nearest."""
    names = [binding.id for binding in known if binding.id]
    unknown = [(name, get_close_matches(name, names, n=1)) for name in keys if name not in names]
    told = [f"{name}, the nearest is {near[0]}" if near else name for name, near in unknown]
    return {name: key for name, key in keys.items() if name in names}, told


def _binding(command: Command) -> Binding:
    return Binding(
        command.key,
        f"command('{command.name}')",
        command.footer or command.title,
        show=bool(command.footer),
        id=command.name,
        tooltip=command.help,
    )
