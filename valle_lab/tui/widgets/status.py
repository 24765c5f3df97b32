"""The two lines at the bottom: what the lab is, and the last thing it had to say."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from valle_lab.lab import Lab
from valle_lab.lab.awaiting import awaited
from valle_lab.lab.state import Notice

SEPARATOR = " │ "
ROOM_FOR_MARK = 4


class StatusLine(Static):
    """Model, device, dtype, pace, session, sound and memory, in one line."""

    HELP = (
        "The model, its device and dtype; steps a second and compute seconds per second of audio (RTF: 0.5 "
        "is twice real time) of the chosen take; the session's file and whether it is saved; where sound "
        "goes; how much of the memory budget the model's process has filled with what can be made again."
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._words = ""

    def show(self, lab: Lab) -> None:
        """Say how things stand."""
        parts = [model_words(lab), pace_words(lab), session_words(lab), sound_words(lab), memory_words(lab)]
        words = SEPARATOR.join(part for part in parts if part)
        if words != self._words:
            self._words = words
            self.update(Content(words), layout=False)


class NoticeLine(Static):
    """The last notice; an error stays until there is something else to say."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self.notice = Notice("")

    def show(self, notice: Notice) -> None:
        """Show a notice in the place of the one before; only a longer or a shorter one asks for a layout."""
        if notice == self.notice:
            return
        before, self.notice = self.notice, notice
        self.set_class(notice.error, "-error")
        same = max(len(before.text), len(notice.text)) < self.size.width - ROOM_FOR_MARK
        self.update(Content(("✗ " if notice.error else "") + notice.text), layout=not same)


def model_words(lab: Lab) -> str:
    """What is loaded, or how far that has come."""
    if lab.loading is not None:
        then = ", then the take" if awaited(lab) else ""
        return f"{lab.loading.doing} {lab.loading.fraction:.0%}{then}"
    if lab.description is None:
        return f"no model, {lab.hint('model.restart')}"
    recipe = lab.description.recipe
    return " · ".join((lab.description.model, recipe.device, recipe.dtype))


def pace_words(lab: Lab) -> str:
    """How fast the chosen take is or was made."""
    if lab.chosen is None or not lab.chosen.timeline.steps_per_second:
        return ""
    timeline = lab.chosen.timeline
    pace = f"{timeline.steps_per_second:.3g} steps/s"
    return f"{pace} · RTF {timeline.real_time_factor:.2g}" if timeline.frames else pace


def sound_words(lab: Lab) -> str:
    """Where sound goes."""
    if lab.player is None:
        return ""
    if lab.player.state == "playing":
        return f"♪ {lab.player.position:.1f}/{lab.player.duration:.1f} s"
    return lab.player.sink.description.partition(" (")[0]


def session_words(lab: Lab) -> str:
    """Whether anything would be lost."""
    if not lab.takes:
        return "no takes"
    if lab.record.file is None:
        return "not saved"
    return f"{lab.record.file.name} not saved" if lab.record.unsaved else f"saved {lab.record.file.name}"


def memory_words(lab: Lab) -> str:
    """How much is kept that can be made again, and the most that may be."""
    if not lab.memory:
        return ""
    return f"{lab.memory / 1e6:.0f} of {lab.settings.memory_budget_gb * 1e3:.0f} MB"
