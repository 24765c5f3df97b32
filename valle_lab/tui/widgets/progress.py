"""How far the running take, or the load of a model, has come."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button

from valle.request import FRAME_RATE, Request
from valle_lab.lab import Lab
from valle_lab.lab.registry import Registry

BAR_CELLS = 16
BUTTONS = ("take.speak", "take.stop", "take.play", "take.save")


class Controls(Container):
    """The four buttons that everybody needs, a progress bar, and what is being done."""

    HELP = "Speak, stop, play and save, with the progress of what is being made."

    def __init__(self, commands: Registry, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._commands = [commands[name] for name in BUTTONS]

    def compose(self) -> ComposeResult:
        with Horizontal(id="buttons"):
            for command in self._commands:
                yield Button(
                    Content(command.footer),
                    id=command.name.replace(".", "-"),
                    name=command.name,
                    compact=True,
                    tooltip=Content(command.help),
                    action=f"app.command('{command.name}')",
                )
        with Horizontal():
            yield Bar(id="bar")

    def show(self, lab: Lab) -> None:
        """Bring buttons, bar and words up to date."""
        for command in self._commands:
            button = self.query_one(f"#{command.name.replace('.', '-')}", Button)
            button.disabled = command.unavailable(lab) is not None
        fraction, words = progress(lab)
        self.query_one(Bar).show(fraction, words)


class Bar(Widget):
    """A bar and words beside it; painted often, so it never asks for another layout."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.fraction = 0.0
        self.words = ""

    def show(self, fraction: float, words: str) -> None:
        """Say how far it is."""
        if (fraction, words) != (self.fraction, self.words):
            self.fraction, self.words = fraction, words
            self.refresh()

    def render(self) -> Content:
        done = round(self.fraction * BAR_CELLS)
        style = "$text-success" if self.fraction >= 1.0 else "$text-accent"
        return Content.assemble(
            ("━" * done, style),
            ("─" * (BAR_CELLS - done), "dim"),
            f" {self.fraction:4.0%} ",
            (self.words, "dim"),
        )


def progress(lab: Lab) -> tuple[float, str]:
    """The share that is done, and what is being done."""
    if lab.loading is not None:
        return lab.loading.fraction, lab.loading.doing
    take = lab.running or lab.chosen
    if take is None:
        return 0.0, ""
    if take.begun is None:
        return 0.0, take.failure or "phonemes"
    fraction = take.timeline.fraction(take.begun.request)
    if take.running and (search := searching(take.begun.request)) and not take.timeline.level:
        return fraction, f"{search} of sentence {len(take.timeline.segment_starts) + 1}"
    if take.running:
        return fraction, take.timeline.doing(take.begun.request)
    whole = take.stop in ("stop", "length", "finish")
    came_to = f"{take.timeline.frames / FRAME_RATE:.2f} s" if take.speaks else take.answer
    return 1.0 if whole else fraction, f"{take.stop} {came_to}"


def searching(request: Request) -> str:
    """The search that decides level 0, which hands out its steps when it knows the winner; empty without."""
    phase = request.deciding
    if phase not in request.stack.lists:
        return ""
    last = request.stack.effective(phase, 0)[-1]
    return f"{last.key} search" if last.declaration.family == "search" else ""
