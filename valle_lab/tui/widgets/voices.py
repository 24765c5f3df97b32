"""The voices: a list to search, and the recording of the one under the cursor with its trim in view."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from valle.errors import UserError
from valle.request import Part as PromptPart
from valle.voices import Voice, list_voices
from valle_lab.tui.messages import CommandWanted, TextWanted
from valle_lab.tui.part import Part
from valle_lab.tui.tables import Cell, Table
from valle_lab.tui.view import View
from valle_lab.tui.widgets.voice_wave import VoiceWave

COLUMNS = ("", "voice", "language", "transcript")
NUDGE = 0.1


class VoicePane(Vertical, Part):
    """Search, list, waveform and transcript."""

    ABOUT = frozenset({"voices", "model"})
    ENTRY = "#voice-list"
    HELP = (
        "## Voices\n\n`/` searches by name, language or transcript. Enter takes the voice for the next take, "
        "space plays its recording. `<` and `>` move where the prompt begins, `,` and `.` where it ends; `x` "
        "takes all of it again, `c` cuts where it is quiet. `t` edits the transcript, `A` adds a recording, "
        "`R` records one, `0` speaks without a voice."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="voices.search", tooltip="Search the voices"),
        Binding("enter", "choose", "Take", id="voices.choose", tooltip="Speak with this voice"),
        Binding("space", "hear", "Hear", id="voices.hear", tooltip="Hear the recording"),
        Binding("t", "ask('transcript')", show=False, id="voices.transcript", tooltip="Edit what is said"),
        Binding("A", "ask('add')", "Add", id="voices.add", tooltip="Add a recording as a voice"),
        Binding(
            "less_than_sign", f"trim(-{NUDGE}, 0)", show=False, id="voices.earlier", tooltip="Begin earlier"
        ),
        Binding(
            "greater_than_sign", f"trim({NUDGE}, 0)", show=False, id="voices.later", tooltip="Begin later"
        ),
        Binding("comma", f"trim(0, -{NUDGE})", show=False, id="voices.shorter", tooltip="End earlier"),
        Binding("full_stop", f"trim(0, {NUDGE})", show=False, id="voices.longer", tooltip="End later"),
        Binding("c", "ask('cut')", show=False, id="voices.cut", tooltip="Cut where it is quiet"),
        Binding("R", "ask('record')", show=False, id="voices.record", tooltip="Record a voice, or end that"),
        Binding("x", "whole", show=False, id="voices.whole", tooltip="The whole recording"),
        Binding("0", "app.command('voice.none')", show=False, id="voices.none", tooltip="Without a voice"),
    ]

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view
        self._voices: list[Voice] = []
        self._shown: list[Voice] = []

    def compose(self) -> ComposeResult:
        yield Input(placeholder="type to search, enter goes to the list", compact=True, id="voice-search")
        yield Table(id="voice-list")
        yield VoiceWave(id="voice-wave")
        yield Static("", id="voice-words", markup=False)

    def paint(self) -> None:
        described = self.view.lab.description
        try:
            known = {voice.name: voice for voice in list_voices(self.view.lab.settings.paths.voices)}
        except UserError as error:
            known = {}
            self.say(str(error))
        names = described.voices if described else ()
        self._voices = [known.get(name) or _nameless(name) for name in names]
        self._search()

    def clip(self) -> str:
        return self.query_one(Table).clip()

    @property
    def voice(self) -> Voice | None:
        """The voice under the cursor."""
        row = self.query_one(Table).row
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def action_search(self) -> None:
        self.query_one(Input).focus()

    def action_choose(self) -> None:
        if (voice := self.voice) is not None:
            self.post_message(CommandWanted("voice.choose", voice.name))

    def action_hear(self) -> None:
        if (voice := self.voice) is not None:
            self.post_message(CommandWanted("voice.hear", voice.name))

    def action_ask(self, what: str) -> None:
        """Has to ask for a text first."""
        voice = self.voice
        if what == "record" and self.view.lab.recording is not None:
            self.post_message(CommandWanted("voice.recorded"))
        elif what == "record":
            self.post_message(
                TextWanted(
                    "voice.record",
                    "a name for the voice",
                    "",
                    "R again ends recording",
                    first="voice.microphone",
                )
            )
        elif what == "cut":
            self.post_message(TextWanted("voice.cut", "about how many seconds of it", "3"))
        elif what == "add":
            self.post_message(TextWanted("voice.add", "a recording to add as a voice", ""))
        elif voice is not None:
            self.action_choose()
            self.post_message(TextWanted("voice.transcript", f"what {voice.name} says", voice.transcript))

    def action_trim(self, begin: float, end: float) -> None:
        wave = self.query_one(VoiceWave)
        voice = self.voice
        if voice is not None and wave.nudge(begin, end):
            if voice.name != self.view.lab.resolved_voice():
                self.action_choose()
            self.post_message(CommandWanted("voice.trim", wave.start, wave.seconds))

    def action_whole(self) -> None:
        self.query_one(VoiceWave).whole()
        self.post_message(CommandWanted("voice.trim", 0.0))

    @on(Input.Changed, "#voice-search")
    def _search(self) -> None:
        words = self.query_one("#voice-search", Input).value.casefold().split()
        self._shown = [v for v in self._voices if all(word in _told(v).casefold() for word in words)]
        chosen = self.view.lab.resolved_voice()
        rows = [
            [
                Cell("●" if voice.name == chosen else ""),
                Cell(voice.name),
                Cell(voice.language),
                Cell(voice.transcript),
            ]
            for voice in self._shown
        ]
        self.query_one(Table).fill(COLUMNS, rows)
        self._look()

    @on(Input.Submitted, "#voice-search")
    def _to_list(self) -> None:
        self.query_one(Table).focus()

    @on(Table.Moved)
    @on(VoiceWave.Read)
    def _look(self) -> None:
        voice = self.voice
        self.query_one("#voice-words", Static).update(Content(_described(voice) if voice else ""))
        wave, lab = self.query_one(VoiceWave), self.view.lab
        wave.show(voice)
        part = lab.part if voice is not None and voice.name == lab.resolved_voice() else PromptPart()
        wave.mark(part.start, part.seconds)
        count = f"{len(self._shown)} of {len(self._voices)}"
        self.say(count if part.is_whole else f"{part} · {count}")

    @on(Table.Chosen)
    def _selected(self) -> None:
        self.action_choose()


def _nameless(name: str) -> Voice:
    return Voice(name, Path(name))


def _told(voice: Voice) -> str:
    return f"{voice.name} {voice.language} {voice.transcript} {voice.description}"


def _described(voice: Voice) -> str:
    said = f"“{voice.transcript}”" if voice.transcript else ""
    remark = ""
    with suppress(UserError):  # taking a voice that is not there tells of it
        remark = (voice.remark or "").replace(str(voice.recording), voice.recording.name)
    return "\n".join(filter(None, (remark, said, voice.description)))
