"""A screen that is shown instead of the main one and keeps up with the lab."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen

from valle_lab.lab import Lab
from valle_lab.lab.state import News
from valle_lab.tui.messages import CommandWanted
from valle_lab.tui.widgets.key_line import KeyLine
from valle_lab.tui.widgets.status import NoticeLine


class FollowingScreen(Screen[None]):
    """Is told of all news while it is in front, and shows what the lab has to say."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.lab = lab

    def compose(self) -> ComposeResult:
        yield from self.body()
        yield NoticeLine(id="notice")
        yield KeyLine(id="keys")

    def body(self) -> ComposeResult:
        """What is above the two lines at the bottom."""
        yield from ()

    def show(self) -> None:
        """Bring all up to date."""

    def on_mount(self) -> None:
        self.show()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show)

    def follow(self, news: News) -> None:
        """Something happened."""
        if not self.children:
            return
        for notice in news.notices:
            self.query_one(NoticeLine).show(notice)
        if news.subjects:
            self.show()

    def do(self, command: str, *arguments: object) -> None:
        """Have a command of the lab done."""
        self.post_message(CommandWanted(command, *arguments))

    def action_do(self, command: str) -> None:
        """A key that is a command."""
        self.do(command)
