"""The lab on a terminal: the only place that imports Textual."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from valle.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from valle_lab.settings import Settings
    from valle_lab.tui.app import LabApp


def run(load: Callable[[], Settings]) -> int:
    """Open the lab with the settings that `load` gives, and return its exit code.

    The caller has made sure that there is a terminal. Raises SettingsError, and UserError where a mistake of
    the lab has ended it.
    """
    # What is made until the first frame lives as long as the lab. Looking through it again and again for what
    # could be thrown away took a tenth of the start, and would take its time at every collection afterwards.
    gc.disable()
    try:
        return _run(load())
    finally:
        gc.enable()


def _run(settings: Settings) -> int:
    from valle import folders
    from valle_lab.opening import open_lab
    from valle_lab.tui.app import LabApp
    from valle_lab.tui.terminal import ending_with_terminal, own_terminal

    log = folders.log() / "lab.log"
    with ending_with_terminal(), own_terminal(log):
        lab = open_lab(settings)
        app = LabApp(lab)
        app.on_begun = collect_from_now_on
        try:
            return outcome(app, log)
        finally:
            lab.close()


def outcome(app: LabApp, log: Path) -> int:
    """Run the app, and return its exit code.

    A mistake that ended it goes to the log, and comes out as a UserError of one line.
    """
    code = app.run() or 0
    if app.mistake is None:
        return code
    with log.open("a", encoding="utf-8") as file:
        traceback.print_exception(app.mistake, file=file)
    unsaved = " Takes that were not saved are offered at the next start." if app.lab.record.unsaved else ""
    what = f"{type(app.mistake).__name__}: {app.mistake}"
    raise UserError(
        f"The lab ended by a mistake of its own, {what}. {log} says where.{unsaved}"
    ) from app.mistake


def collect_from_now_on() -> None:
    """Leave alone what there is by now, and look for what can be thrown away in what comes."""
    gc.freeze()
    gc.enable()
