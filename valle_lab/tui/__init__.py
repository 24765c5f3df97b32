"""The lab on a terminal: the only place that imports Textual."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from valle_lab.settings import Settings


def run(settings: Settings) -> int:
    """Open the lab and return its exit code; the caller has made sure that there is a terminal."""
    import platformdirs

    from valle_lab.lab import Lab
    from valle_lab.player import Player
    from valle_lab.settings import APPLICATION
    from valle_lab.sinks import open_sink
    from valle_lab.tui.app import LabApp
    from valle_lab.tui.terminal import own_terminal
    from valle_lab.worker.client import WorkerClient

    logs = platformdirs.user_log_path(APPLICATION)
    audio = settings.audio
    with own_terminal(logs / "lab.log"):
        lab = Lab(
            settings,
            lambda on_news: WorkerClient(logs / "worker.log", on_news=on_news, voices=settings.paths.voices),
            lambda: Player(open_sink(audio.sink, audio.device, audio.player)),
        )
        try:
            return LabApp(lab).run() or 0
        finally:
            lab.close()
