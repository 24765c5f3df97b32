"""The main screen: what is asked for, how it runs, what came of it."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, Static

from valle_lab.lab import Lab
from valle_lab.lab.state import News, Notice
from valle_lab.tui.widgets.ask import AskLine, SpokenText
from valle_lab.tui.widgets.progress import Controls
from valle_lab.tui.widgets.status import NoticeLine, StatusLine
from valle_lab.tui.widgets.strip import EntropyStrip
from valle_lab.tui.widgets.takes import TakeList

LEAST_WIDTH, LEAST_HEIGHT = 60, 18


class BenchScreen(Screen[None]):
    """Text, voice and seed; progress and entropy; takes; status."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self._lab = lab

    def compose(self) -> ComposeResult:
        yield Static("", id="too-small", markup=False)
        with Container(id="bench"):
            with Vertical(id="asking"):
                yield SpokenText(self._lab.text, id="text")
                yield AskLine(self._lab, id="ask")
                yield Controls(self._lab.commands, id="controls")
                yield EntropyStrip(id="entropy")
            yield TakeList(id="takes")
        yield NoticeLine(id="notice")
        yield StatusLine(id="status")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#text").focus()
        self.show(News(frozenset({"text", "takes", "model"})))

    def show(self, news: News) -> None:
        """Bring up to date whatever these news are about."""
        if not self.is_mounted:
            return
        subjects = news.subjects
        for notice in news.notices:
            self.tell(notice)
        if subjects & {"voices", "seed", "text", "model"}:
            self.query_one(AskLine).show()
        if "text" in subjects:
            self.query_one(SpokenText).show(self._lab.text)
        if subjects & {"takes", "steps", "model"}:
            self.query_one(Controls).show(self._lab)
        if subjects & {"takes", "steps"} and self._lab.chosen is not None:
            self.query_one(EntropyStrip).show(self._lab.chosen.timeline)
        if subjects & {"takes", "steps"}:
            self.query_one(TakeList).show(self._lab.takes, self._lab.chosen)
        if subjects:
            self.query_one(StatusLine).show(self._lab)
        if subjects - {"steps", "sound", "text"}:
            self.refresh_bindings()

    def tell(self, notice: Notice) -> None:
        """Show one line."""
        self.query_one(NoticeLine).show(notice)

    @on(Resize)
    def _fit(self, event: Resize) -> None:
        small = event.size.width < LEAST_WIDTH or event.size.height < LEAST_HEIGHT
        self.set_class(small, "-too-small")
        self.query_one("#too-small", Static).update(
            Content(
                f"{event.size.width} x {event.size.height}: too small, {LEAST_WIDTH} x {LEAST_HEIGHT} needed"
            )
        )

    @on(TakeList.Chosen)
    def _choose(self, event: TakeList.Chosen) -> None:
        self.post_message(AskLine.Wanted("take.choose", event.name))
