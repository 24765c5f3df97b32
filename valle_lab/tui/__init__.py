"""The lab on a terminal: the only place that imports Textual."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from valle_lab.settings import Settings


def run(load: Callable[[], Settings]) -> int:
    """Open the lab with the settings that `load` gives, and return its exit code.

    The caller has made sure that there is a terminal. Raises SettingsError.
    """
    # What is made until the first frame lives as long as the lab. Looking through it again and again for what
    # could be thrown away took a tenth of the start, and would take its time at every collection afterwards.
    gc.disable()
    try:
        return _run(load())
    finally:
        gc.enable()


def _run(settings: Settings) -> int:
    import platformdirs

    from valle_lab.opening import open_lab
    from valle_lab.settings import APPLICATION
    from valle_lab.tui.app import LabApp
    from valle_lab.tui.terminal import own_terminal

    with own_terminal(platformdirs.user_log_path(APPLICATION) / "lab.log"):
        lab = open_lab(settings)
        app = LabApp(lab)
        app.on_begun = _collect_from_now_on
        try:
            return app.run() or 0
        finally:
            lab.close()


def _collect_from_now_on() -> None:
    gc.freeze()
    gc.enable()
