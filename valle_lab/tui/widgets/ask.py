"""What is asked for: the text, and in the lines below it voice, language, seed, limit, task and mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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

    class Typed(Message):
        """What stands in a field is to be taken in; see `typed`."""

    def __init__(self, lab: Lab, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lab = lab
        self._complete = False
        self._known = {"seed": "", "limit": ""}
        """What stood in the fields when the lab was last told of them, or they of the lab."""

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
        self._write("seed", "" if seed is None else str(seed))
        lock = self.query_one("#locked", Checkbox)
        with lock.prevent(Checkbox.Changed):
            lock.value = lab.seed is not None
        self._write("limit", f"{lab.max_seconds:g}")
        self.query_one("#task", Choice).show(tasks(lab) if described else (), lab.manner.task)
        modes = described.modes if described else ()
        self.query_one("#mode", Choice).show((FIRST, *modes), lab.manner.mode or FIRST)

    def _write(self, field: str, value: str) -> None:
        """Show a value, unless somebody is writing there."""
        entry = self.query_one(f"#{field}", Input)
        if not entry.has_focus:
            self._known[field] = value
            with entry.prevent(Input.Changed):
                entry.value = value

    def typed(self) -> Iterator[tuple[str, ...]]:
        """The commands, with their arguments, of what was typed into the fields and is not taken in yet."""
        for field, known in self._known.items() if self._complete else ():
            value = self.query_one(f"#{field}", Input).value
            self._known[field] = value
            if value == known:
                continue
            if field == "limit" and value.strip("0."):
                yield "text.limit", value
            elif field == "seed" and value:
                yield "seed.set", value
            elif field == "seed" and self._lab.seed is not None:
                yield ("seed.lock",)

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

    @on(Input.Changed)
    def _take_in(self, event: Input.Changed) -> None:
        # What stands in a field counts as it is typed: the key that speaks works from within it.
        event.stop()
        self.post_message(self.Typed())

    @on(Checkbox.Changed, "#locked")
    def _lock(self) -> None:
        self.post_message(CommandWanted("seed.lock"))
