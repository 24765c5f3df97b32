"""The main screen: what is asked for, the stack, how it runs, why, and what came of it."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.events import DescendantFocus, Resize
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from valle_lab.lab import Lab
from valle_lab.lab.state import News, Notice
from valle_lab.tui.compositor import LeanCompositor
from valle_lab.tui.layout import DECK, LAYOUTS, LEAST_HEIGHT, LEAST_WIDTH, PANES, layout_for
from valle_lab.tui.part import CURSOR, PASSING, Interest, Part
from valle_lab.tui.view import View
from valle_lab.tui.widgets.ask import AskLine, SpokenText
from valle_lab.tui.widgets.asking import Asking
from valle_lab.tui.widgets.attention import AttentionPart
from valle_lab.tui.widgets.candidates import Candidates
from valle_lab.tui.widgets.deck_bar import DeckBar
from valle_lab.tui.widgets.histogram import HistogramView
from valle_lab.tui.widgets.key_line import KeyLine
from valle_lab.tui.widgets.nar import NarLevels
from valle_lab.tui.widgets.overview import Overview
from valle_lab.tui.widgets.pane import Pane
from valle_lab.tui.widgets.phonemes import PhonemeLine
from valle_lab.tui.widgets.progress import Controls
from valle_lab.tui.widgets.sound import SoundView
from valle_lab.tui.widgets.stack import StackList
from valle_lab.tui.widgets.status import NoticeLine, StatusLine
from valle_lab.tui.widgets.takes import TakeList
from valle_lab.tui.widgets.timeline import Timeline
from valle_lab.tui.widgets.voices import VoicePane
from valle_lab.tui.widgets.waterfall import Waterfall

LOOKING = (Waterfall, HistogramView, Candidates)
"""Parts that show what the worker tells of one decision."""
SLOW_BEATS_PER_SECOND = 2
OF_NO_COMMAND: frozenset[Interest] = PASSING | {"text", "view", "cursor", "stack"}
"""News that change nothing of what can be done now."""


class BenchScreen(Screen[None]):
    """Text, voice and seed; stack; timeline; the step; takes; status."""

    class Standing(Message):
        """The screen is there, and the text has the focus."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self._compositor = LeanCompositor()
        self._lab = lab
        self.view = View(lab)
        self.front = "stack"
        """The pane that is seen where there is room for one only."""
        self._parts: list[Part] = []
        self._held: Widget | None = None
        """What had the focus when the terminal became too small."""

    def compose(self) -> ComposeResult:
        view = self.view
        # Now, not when the size is told: everything would be styled again.
        self._arrange(*self.app.size)
        yield Static(id="too-small", markup=False)
        with Container(id="bench"):
            with Asking(id="asking"):
                yield SpokenText(self._lab.text, self._lab.key_of("take.speak"), id="text")
                yield PhonemeLine(self._lab, id="phonemes")
                yield AskLine(self._lab, id="ask")
                yield Controls(self._lab.commands, id="controls")
            timeline = Pane("timeline", PANES["timeline"], {"timeline": Timeline(view)}, id="timeline")
            yield timeline.add_class("-low")
            yield DeckBar(id="deck")
            yield Pane("stack", PANES["stack"], {"stack": StackList(view)}, id="stack")
            yield Pane("takes", PANES["takes"], _take_parts(view), id="takes")
            yield Pane("step", PANES["step"], _step_parts(view), id="step")
        yield NoticeLine(id="notice")
        yield StatusLine(id="status")
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self.query_one("#text").focus()
        self._bring(self.front)
        self.show(News(frozenset({"text", "takes", "model"})))
        self.set_interval(1 / SLOW_BEATS_PER_SECOND, self.beat)
        self.post_message(self.Standing())

    async def complete(self) -> None:
        """Add what the first frame did not wait for."""
        await self.query_one(AskLine).complete()
        for pane in self.query(Pane):
            await pane.complete()
        self._parts = [node for node in self.walk_children() if isinstance(node, Part)]

    def show(self, news: News) -> None:
        """Bring up to date whatever these news are about."""
        if not self.children:
            return
        subjects: frozenset[Interest] = news.subjects
        if told := [notice for notice in news.notices if notice.text]:
            self.tell(Notice("\n".join(notice.text for notice in told), any(n.error for n in told)))
        elif news.notices:
            self.tell(news.notices[-1])
        if subjects & {"voices", "seed", "text", "model"}:
            self.query_one(AskLine).show()
        if "text" in subjects:
            self.query_one(SpokenText).show(self._lab.text)
        if subjects & {"text", "model"}:
            self.query_one(PhonemeLine).follow()
        if subjects & {"cursor", "stack"}:
            self._look()
        if subjects:
            self._note(subjects)
        if subjects - OF_NO_COMMAND:
            self._tell_state()
            self.refresh_bindings()

    def tell(self, notice: Notice) -> None:
        """Show one line."""
        self.query_one(NoticeLine).show(notice)

    @property
    def told(self) -> bool:
        """Whether there is a line that somebody may still be reading."""
        return bool(self.query_one(NoticeLine).content)

    def go(self, name: str) -> None:
        """Put the focus on a pane, in front of the others if need be."""
        if name == "asking":
            self.remove_class("-zoomed")
            self.set_focus(self.query_one("#text"))
            return
        self._bring(name)
        self.query_one(f"#{name}", Pane).enter()

    def zoom(self) -> None:
        """Give the whole screen to the pane that has the focus, or take it back."""
        self.toggle_class("-zoomed")

    def _tell_state(self) -> None:
        """Say what can be done now, how far it is, and how things stand."""
        self.query_one(Controls).show(self._lab)
        self.query_one(StatusLine).show(self._lab)

    def _bring(self, name: str) -> None:
        self.front = name
        for pane in self.query(".pane"):
            pane.set_class(pane.id == name, "-front")
        deck = name if name in DECK else ""
        if deck:
            for pane in self.query(".pane"):
                pane.set_class(pane.id == deck, "-deck")
            self.query_one(DeckBar).show(deck)

    def _note(self, subjects: frozenset[Interest]) -> None:
        for part in self._parts:
            part.note(subjects)

    def beat(self) -> None:
        """Twice a second: look at the decision under the cursor, and paint what is slow."""
        self._look()
        self._tell_state()
        for part in self._parts:
            part.beat()

    @on(DescendantFocus)
    def _focused(self, event: DescendantFocus) -> None:
        node: Widget | None = event.widget
        pane = next((n for n in node.ancestors if isinstance(n, Pane)), None) if node else None
        if pane is not None and pane.id is not None and pane.id != self.front:
            self._bring(pane.id)

    def _look(self) -> None:
        """Have the worker asked about the decision under the cursor, while a pane shows it."""
        shown = any(part.is_on_screen for part in self._parts if isinstance(part, LOOKING))
        self._lab.sight.look(self.view.look if shown else None)
        for part in self._parts:
            if isinstance(part, AttentionPart):
                self._lab.attention.look(part.look if part.is_on_screen else None)

    @on(Timeline.Moved)
    def _moved(self) -> None:
        self._look()
        self._note(frozenset({CURSOR}))

    @on(Resize)
    def _fit(self, event: Resize) -> None:
        width, height = event.size
        small = layout_for(width, height) == "-too-small"
        if small and self.focused is not None:
            self._held = self.focused
        self._arrange(width, height)
        if not small and self._held is not None:
            self.set_focus(self._held)
            self._held = None
        self.query_one("#too-small", Static).update(
            Content(f"{width} x {height}: too small, {LEAST_WIDTH} x {LEAST_HEIGHT} needed")
        )

    def _arrange(self, width: int, height: int) -> None:
        fitting = layout_for(width, height)
        for layout in LAYOUTS:
            self.set_class(layout == fitting, layout)


def _take_parts(view: View) -> dict[str, Widget]:
    """The tabs of what came of it, and of what it is spoken with."""
    return {
        "takes": Overview(TakeList(view), SoundView(view)),
        "sound": SoundView(view),
        "voices": VoicePane(view),
    }


def _step_parts(view: View) -> dict[str, Widget]:
    """The tabs of the step under the cursor."""
    return {
        "waterfall": Overview(Waterfall(view), HistogramView(view)),
        "histogram": HistogramView(view),
        "candidates": Candidates(view),
        "attention": AttentionPart(view),
        "NAR": NarLevels(view),
    }
