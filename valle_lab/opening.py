"""A lab with its worker, log and sound, as every way into it opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from valle_lab.lab import Lab
    from valle_lab.settings import Settings


def open_lab(settings: Settings) -> Lab:
    """The lab, not started yet: `start` looks for the sound device and starts the worker."""
    from valle import folders
    from valle_lab.lab import Lab
    from valle_lab.player import Player
    from valle_lab.sinks import open_sink
    from valle_lab.worker.client import WorkerClient

    log = folders.log() / "worker.log"
    audio, voices = settings.audio, settings.paths.voices
    return Lab(
        settings,
        lambda on_news: WorkerClient(log, on_news=on_news, voices=voices),
        lambda: Player(open_sink(audio.sink, audio.device, audio.player)),
    )
