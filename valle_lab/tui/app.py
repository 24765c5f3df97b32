"""The app: the lab's commands by key, palette and command line, and a poll that keeps up with the worker."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import BindingType
from textual.events import Event, Key
from textual.message import Message
from textual.widgets import TextArea

from valle.errors import UserError
from valle_lab.lab import Lab
from valle_lab.lab.audition import Audition
from valle_lab.lab.commands import all_commands
from valle_lab.lab.registry import Command
from valle_lab.lab.sheet import Sheet
from valle_lab.lab.state import News, Notice
from valle_lab.lab.trials import BlindTrial
from valle_lab.tui.early import Early
from valle_lab.tui.edits import StackEdits
from valle_lab.tui.keys import bindings, keymap, part_bindings
from valle_lab.tui.messages import CommandWanted, TextWanted
from valle_lab.tui.palette import LabCommands
from valle_lab.tui.screens.answer import AnswerScreen
from valle_lab.tui.screens.ask_text import AskTextScreen
from valle_lab.tui.screens.bench import BenchScreen
from valle_lab.tui.screens.choose import ChooseScreen, Item
from valle_lab.tui.screens.command_line import CommandLine
from valle_lab.tui.screens.following import FollowingScreen
from valle_lab.tui.screens.help import HelpScreen, KeyHelp
from valle_lab.tui.screens.jump import LETTERS, JumpScreen
from valle_lab.tui.screens.leave import Answer, LeaveScreen
from valle_lab.tui.screens.sheet import SheetScreen
from valle_lab.tui.screens.trial import TrialScreen
from valle_lab.tui.widgets.ask import AskLine, SpokenText
from valle_lab.tui.widgets.pane import Pane
from valle_lab.tui.widgets.stack import StackList
from valle_lab.tui.widgets.status import NoticeLine

POLLS_PER_SECOND = 10
MOST_WAVES = 12
"""2 MB each for 20 seconds; what is heard again is decoded again."""
TERMINAL_COLOURS = "ansi"


class LabApp(App[int], inherit_bindings=False):
    """Shows a lab. Holds nothing of its own: state is the lab's, and every change is a command."""

    TITLE = "valle-lab"
    CSS_PATH = "lab.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(bindings(all_commands()))
    COMMANDS = {LabCommands}  # noqa: RUF012

    class Arrived(Message):
        """The worker has told something else than a step."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.lab = lab
        lab.most_waves = MOST_WAVES
        self._bench = BenchScreen(lab)
        self._edits = StackEdits(self)
        self.on_begun: Callable[[], None] = lambda: None
        """Called once the first frame is on the screen and all of it is there."""
        self._early = Early()
        self._lack_told = False
        self._typed_lines: list[str] = []
        """Commands that were typed, the latest last."""
        self._opened: dict[type[FollowingScreen], object] = {}
        """The sheet and the trial that were shown last."""
        self._judged: Audition | None = None
        """The audition whose table was shown at its end."""
        self.mistake: Exception | None = None
        """What ended the app, where nobody had foreseen it."""
        self.animation_level = "none"

    def get_default_screen(self) -> BenchScreen:
        return self._bench

    def on_mount(self) -> None:
        settings = self.lab.settings
        chosen, unknown = keymap(settings.keys, [*bindings(self.lab.commands), *part_bindings()])
        self.set_keymap(chosen)
        if unknown:
            self.lab.tell(f"keys: nothing with a key is called {'; '.join(unknown)}", error=True)
        self._dress(settings.theme)
        self.call_after_refresh(self._begin)

    def _handle_exception(self, error: Exception) -> None:
        self.mistake = self.mistake or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Without Textual's page of local variables over the terminal: who runs the app tells of it.
        self._close_messages_no_wait()

    async def on_event(self, event: Event) -> None:
        if self._early.holds(event):
            return
        # A terminal sends Alt and a letter with the letter, which would be typed where there is text.
        if isinstance(event, Key) and event.key.startswith("alt+"):
            event.character = None
        await super().on_event(event)

    async def _begin(self) -> None:
        """Once the screen stands: the worker behind it, the tabs that are not seen, and the poll."""
        self.lab.on_news = self._wake
        told = self._bench.query_one(NoticeLine).notice
        self.lab.start()
        if told.text:
            # That a take waits, whose key came early, is not to be covered by what is told at a start.
            self.lab.tell(told.text, error=told.error)
        await self._bench.complete()
        self.on_begun()
        self.set_interval(1 / POLLS_PER_SECOND, self.poll)

    @on(BenchScreen.Standing)
    async def _type_early(self) -> None:
        """What was typed while the lab opened goes to the text."""
        for event in self._early.release():
            await self.on_event(event)

    def _wake(self) -> None:
        """Called from the worker's reading thread."""
        self.post_message(self.Arrived())

    def _dress(self, theme: str) -> None:
        # Without colours those of the terminal would all come out black.
        own = "textual-dark" if self.no_color else "ansi-dark"
        name = own if theme == TERMINAL_COLOURS else theme
        if name in self.available_themes:
            self.theme = name
        else:
            self.lab.tell(f"theme: {theme} is not known; the palette lists the themes", error=True)

    @on(Arrived)
    def poll(self) -> None:
        """Take in what has arrived, and show what changed."""
        if news := self.lab.poll():
            self._show(news)
            self._tell_what_lacks()

    def _tell_what_lacks(self) -> None:
        """Say once that there is no sound or no colour, and why; afterwards the status line has it."""
        player = self.lab.player
        if player is None or self._lack_told:
            return
        self._lack_told = True
        lacks = [] if player.sink.audible else [f"Nothing can be heard here: {player.sink.description}."]
        if self.no_color:
            lacks.append("NO_COLOR is set: shades of grey.")
        if lacks and not self._bench.told:
            self._bench.tell(Notice(" ".join(lacks)))

    def beat(self) -> None:
        """Look at what is slow now, not at the next half second."""
        self._bench.beat()

    def do(self, name: str, *arguments: Any) -> Any:
        """Do a command of the lab; what cannot be done is one line on the screen."""
        return self._doing(lambda: self.lab.run(name, *arguments))

    def do_line(self, line: str | None) -> None:
        """Do a command as typed, and show what it gave."""
        if line is not None:
            self._typed_lines.append(line)
            self._doing(lambda: self.answer(line, self.lab.run_line(line)))

    def do_and_answer(self, name: str, *arguments: Any) -> None:
        """Do a command that a person has chosen by its name, and show what it gave."""

        def act() -> None:
            if (result := self.lab.run(name, *arguments)) is not None:
                self.answer(name, result)

        self._doing(act)

    def answer(self, title: str, result: Any) -> None:
        """Show what a command gave: a line where lines are told, or a page over the screen."""
        from valle_lab.text_views import in_words

        if isinstance(result, Future):
            self.lab.answers.expect(result, partial(self.answer, title))
            return
        if _opens_its_own(result):
            return
        lines = in_words(result)
        line = ": ".join((title, *lines))
        if len(lines) > 1 or len(line) >= self.size.width:
            self.push_screen(AnswerScreen(title, lines, wrapped=isinstance(result, dict | str)))
        else:
            self.lab.tell(line)

    def _doing(self, act: Callable[[], Any]) -> Any:
        result, said = None, Notice("")
        try:
            result = act()
        except UserError as error:
            said = Notice(str(error), error=True)
        self._show(News(notices=(said,)))
        self.poll()
        return result

    def _show(self, news: News) -> None:
        # While the app goes down the parts of its screen vanish one by one, and a last poll may come between.
        if not self.is_running:
            return
        self._bench.show(news)
        if isinstance(self.screen, FollowingScreen):
            self.screen.follow(news)
        self._open_what_is_new()
        self._judge_the_audition()

    def _open_what_is_new(self) -> None:
        """A sheet or a trial that was begun, by whatever command, has a screen of its own."""
        for now, screen in ((self.lab.sheet, SheetScreen), (self.lab.trial, TrialScreen)):
            if now is not None and now is not self._opened.get(screen) and self.screen is self._bench:
                self._opened[screen] = now
                self.push_screen(screen(self.lab))

    def _judge_the_audition(self) -> None:
        """An audition that is over, by itself or by key, ends with its table."""
        ended = self.lab.audition
        if ended is None or not ended.over or ended is self._judged:
            return
        if self.lab.running is None and self.screen is self._bench:
            self._judged = ended
            self.answer("audition", ended)

    def ask_command(self, start: str = "") -> None:
        """Have a command typed."""
        self.push_screen(CommandLine(self.lab, start, self._typed_lines), self.do_line)

    def ask_arguments(self, command: Command) -> None:
        """Have the arguments chosen from a list, where there is one of all that are possible, or typed."""
        wanted = [argument for argument in command.arguments if argument.required]
        names = wanted[0].complete(self.lab) if len(wanted) == 1 and wanted[0].complete else ()
        if not (items := [Item(str(name)) for name in names]):
            self.ask_command(f"{command.name} ")
            return

        def chosen(name: str | None) -> None:
            if name is not None:
                self.do_and_answer(command.name, name)

        self.push_screen(ChooseScreen(f"{command.title}: {command.help}", items, free=True), chosen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Commands that cannot be given now are dimmed; the screen's own stay."""
        if action in ("go", "zoom", "jump"):
            return self.screen is self._bench
        if action == "command" and parameters:
            found = next((c for c in self.lab.commands if c.name == parameters[0]), None)
            return found is not None and (True if found.unavailable(self.lab) is None else None)
        return True

    def on_key(self, event: Key) -> None:
        """A key that nothing took: that of a command which cannot be given now says why."""
        for command in self.lab.commands:
            if event.key == self.lab.key_of(command.name) and command.unavailable(self.lab) is not None:
                event.stop()
                self.do(command.name)
                return

    def action_command(self, name: str) -> None:
        """A key or a button of a command."""
        # Fields may have keys that came just before, and of which their message is still on its way.
        self._take_in()
        if self.lab.commands[name].needs_arguments:
            self.ask_arguments(self.lab.commands[name])
        else:
            self.do(name)

    def action_tell(self, name: str) -> None:
        """A key of a command whose answer is to be seen."""
        self.do_and_answer(name)

    def action_command_line(self) -> None:
        """F2."""
        self.ask_command()

    def action_help(self) -> None:
        """F1: about the focused widget, or the nearest above it that has something to say."""
        about = ""
        for node in self.focused.ancestors_with_self if self.focused else ():
            if about := getattr(node, "help_now", "") or getattr(node, "HELP", "") or "":
                break
        here: dict[str, KeyHelp] = {}
        for node, binding, _, _ in self.screen.active_bindings.values():
            if node is not self and (name := binding.id):
                before = f"{here[name].key} " if name in here else ""
                here[name] = KeyHelp(f"{before}{self.get_key_display(binding)}", name, binding.tooltip)
        self.push_screen(HelpScreen(about, [*here.values()], self.lab.commands, dict(self.lab.settings.keys)))

    async def action_quit(self) -> None:
        """Leave; asks where takes would be lost."""
        if self.lab.record.unsaved:
            self.push_screen(LeaveScreen(len(self.lab.takes)), self._left)
        else:
            self._left("discard")

    def _left(self, answer: Answer | None) -> None:
        if answer in (None, "stay"):
            return
        if answer == "save":
            self.do("session.save")
            if self.lab.record.unsaved:
                return
        self.lab.close(discard=answer == "discard")
        self.exit(0)

    def action_go(self, pane: str) -> None:
        """Put the focus on a pane."""
        self._bench.go(pane)

    def action_zoom(self) -> None:
        """Give the whole screen to one pane, or take it back."""
        self._bench.zoom()

    def action_jump(self) -> None:
        """Letters over everything that can have the focus; those that are seen."""
        # Of a list that is longer than its pane, the rows that are in sight.
        chain = [node for node in self.screen.focus_chain if node.is_on_screen and node.region.area]
        seen = [node for node in chain if self.screen.find_widget(node).visible_region.area]
        targets = dict(zip(LETTERS, seen, strict=False))

        def go(letter: str | None) -> None:
            if letter is not None:
                targets[letter].focus()

        places = {letter: node.region.offset for letter, node in targets.items()}
        self.push_screen(JumpScreen(places), go)

    def action_picture(self) -> None:
        """What is on the screen, as an SVG file."""
        folder = self.lab.settings.paths.out
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lab.tell(f"Picture saved: {self.save_screenshot(path=str(folder))}")
        except OSError as error:
            self.lab.tell(f"{folder}: the picture cannot be written: {error.strerror}", error=True)
        self.poll()

    def action_pane_tab(self, pane: str, tab: str) -> None:
        """A tab in the title of a pane was clicked."""
        self._bench.query_one(f"#{pane}", Pane).show_tab(tab, focus=True)

    @on(StackList.Wanted)
    def _edit(self, event: StackList.Wanted) -> None:
        self._edits.begin(event.what, event.row, event.state)

    @on(TextWanted)
    def _ask_text(self, event: TextWanted) -> None:
        if event.first and self.do(event.first) is None:
            return

        def typed(text: str | None) -> None:
            if text is not None:
                self.do(event.command, text)

        self.push_screen(AskTextScreen(event.title, event.value, event.help), typed)

    @on(Pane.CopyWanted)
    def _copy(self, event: Pane.CopyWanted) -> None:
        if event.text:
            self.copy_to_clipboard(event.text)
        self.lab.tell(f"{len(event.text)} characters copied" if event.text else "nothing here to copy")
        self.poll()

    @on(CommandWanted)
    def _wanted(self, event: CommandWanted) -> None:
        before = self.lab.stack
        self.do(event.command, *event.arguments)
        if event.held and self.lab.stacks is not None and self.lab.stack is not before:
            self.lab.stacks.merge()

    @on(TextArea.Changed, "#text")
    @on(AskLine.Typed)
    def _take_in(self) -> None:
        for command, *arguments in self._bench.query_one(AskLine).typed():
            self.do(command, *arguments)
        text = self._bench.query_one(SpokenText).text
        if text == self.lab.text:
            return
        try:
            self.lab.run("text.set", text)
        except UserError as error:
            self.lab.tell(str(error), error=True)
        self.poll()


def _opens_its_own(result: Any) -> bool:
    """Whether what a command began is shown otherwise than by its words: on a screen, or by being heard."""
    return isinstance(result, Sheet | BlindTrial) or (isinstance(result, Audition) and not result.takes)
