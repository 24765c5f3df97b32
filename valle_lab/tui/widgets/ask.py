"""What is asked for: the text, and in the lines below it voice, language, seed, limit, task and mode."""

from __future__ import annotations

from collections.abc import Iterable

from textual import on
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox, Input, Label, Select, TextArea

from valle_lab.lab import Lab
from valle_lab.lab.modes import FIRST, tasks
from valle_lab.lab.voices import AUTO
from valle_lab.tui.messages import CommandWanted

NO_VOICE = "(none)"


class SpokenText(TextArea):
    """The text to speak."""

    HELP = "The text that is spoken. Any script, any length: long texts are spoken sentence by sentence."

    def __init__(self, text: str, key: str, *, id: str | None = None) -> None:
        """`key` is the one that speaks it."""
        super().__init__(
            text,
            id=id,
            placeholder=Content(f"Type what is to be spoken; {key} speaks it."),
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            highlight_cursor_line=False,
        )
        # A blink paints the text anew twice a second, for as long as the lab is open.
        self.cursor_blink = False
        self.border_title = Content.assemble(("F3 ", "dim"), "text")

    def show(self, text: str) -> None:
        """Show a text that was not typed here."""
        if text != self.text:
            self.load_text(text)


class Choice(Select[str]):
    """A list of names to choose from; says so only when a person chose."""

    class Chosen(Message):
        """A person chose a name."""

        def __init__(self, choice: Choice, name: str) -> None:
            super().__init__()
            self.choice, self.name = choice, name

        @property
        def control(self) -> Choice:
            return self.choice

    def __init__(self, name: str, *, id: str) -> None:
        super().__init__([(Content(name), name)], value=name, allow_blank=False, compact=True, id=id)
        self._names: tuple[str, ...] = (name,)
        self._shown = name

    def show(self, names: Iterable[str], value: str) -> None:
        """Offer these names, the value among them."""
        unique = tuple(dict.fromkeys((*names, value)))
        self._shown = value
        # Other names choose the first of them for a moment, which nobody did.
        with self.prevent(Select.Changed):
            if unique != self._names:
                self._names = unique
                self.set_options((Content(name), name) for name in unique)
            self.value = value

    @on(Select.Changed)
    def _changed(self, event: Select.Changed) -> None:
        event.stop()
        if isinstance(event.value, str) and event.value != self._shown:
            self._shown = event.value
            self.post_message(self.Chosen(self, event.value))


class Lock(Checkbox):
    """A box that is empty unless it is on: Textual's own tells the two apart by colour alone."""

    @property
    def _button(self) -> Content:
        button = super()._button
        return button if self.value else button[:1] + Content.styled(" ", "on $panel") + button[2:]


class AskLine(Container):
    """Voice, language, seed, limit, task and mode of the next take."""

    HELP = (
        "Voice and language of the next take; how long a sentence may sound at most. The task is what is "
        "made of text and voice: `tts` speaks the text, `tts-c` goes on from the recording, `ns` takes the "
        "noise out of it, `sr` the speech; `stt` tells the phonemes of the voice's recording, `len` how long "
        "the text would be, `phn` its phonemes and `un-phn` the words of these, where the model can. The "
        "mode is how level 0 of speech is made, `auto` being the model's first; `mode.show` tells all that "
        "goes with both. The seed makes the noise: the same seed and settings give the same take. Locked it "
        "stays; else each take draws a new one, which is shown here."
    )

    def __init__(self, lab: Lab, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lab = lab
        self._complete = False

    async def complete(self) -> None:
        """Add the fields: half of all widgets are in them, and they would hold up the first frame."""
        await self.mount(
            Horizontal(
                Label("voice", classes="name"),
                Choice(self._lab.voice or NO_VOICE, id="voice"),
                Label("language", classes="name"),
                Choice(self._lab.language, id="language"),
            ),
            Horizontal(
                Label("seed", classes="name"),
                Input(placeholder="new", type="integer", max_length=20, compact=True, id="seed"),
                Lock("locked", compact=True, id="locked"),
                id="seeding",
            ),
            Horizontal(
                Label("limit", classes="name"),
                Input(placeholder="s", type="number", max_length=6, compact=True, id="limit"),
                Label("s", classes="unit"),
                Label("task", classes="name"),
                Choice(self._lab.manner.task, id="task"),
                Label("mode", classes="name"),
                Choice(FIRST, id="mode"),
                id="limits",
            ),
        )
        self._complete = True
        self.show()

    def show(self) -> None:
        """Show what the lab has, once the fields are there."""
        if not self._complete:
            return
        lab, described = self._lab, self._lab.description
        voices = described.voices if described else ()
        self.query_one("#voice", Choice).show((AUTO, *voices, NO_VOICE), lab.voice or NO_VOICE)
        self.query_one("#language", Choice).show(described.languages if described else (), lab.language)
        seed = lab.seed if lab.seed is not None else lab.takes[-1].seed if lab.takes else None
        entry, lock = self.query_one("#seed", Input), self.query_one("#locked", Checkbox)
        if not entry.has_focus:
            with entry.prevent(Input.Changed):
                entry.value = "" if seed is None else str(seed)
        with lock.prevent(Checkbox.Changed):
            lock.value = lab.seed is not None
        limit = self.query_one("#limit", Input)
        if not limit.has_focus:
            with limit.prevent(Input.Changed):
                limit.value = f"{lab.max_seconds:g}"
        self.query_one("#task", Choice).show(tasks(lab) if described else (), lab.manner.task)
        modes = described.modes if described else ()
        self.query_one("#mode", Choice).show((FIRST, *modes), lab.manner.mode or FIRST)

    @on(Choice.Chosen, "#voice")
    def _voice(self, event: Choice.Chosen) -> None:
        none = event.name == NO_VOICE
        self.post_message(CommandWanted("voice.none") if none else CommandWanted("voice.choose", event.name))

    @on(Choice.Chosen, "#language")
    def _language(self, event: Choice.Chosen) -> None:
        self.post_message(CommandWanted("text.language", event.name))

    @on(Choice.Chosen, "#task")
    def _choose_task(self, event: Choice.Chosen) -> None:
        self.post_message(CommandWanted("mode.task", event.name))

    @on(Choice.Chosen, "#mode")
    def _mode(self, event: Choice.Chosen) -> None:
        self.post_message(CommandWanted("mode.choose", event.name))

    # What stands in a field counts as it is typed: the key that speaks works from within it.

    @on(Input.Changed, "#seed")
    def _seed(self, event: Input.Changed) -> None:
        if event.value:
            self.post_message(CommandWanted("seed.set", event.value))
        elif self._lab.seed is not None:
            self.post_message(CommandWanted("seed.lock"))

    @on(Input.Changed, "#limit")
    def _limit(self, event: Input.Changed) -> None:
        if event.value.strip("0."):
            self.post_message(CommandWanted("text.limit", event.value))

    @on(Checkbox.Changed, "#locked")
    def _lock(self) -> None:
        self.post_message(CommandWanted("seed.lock"))
