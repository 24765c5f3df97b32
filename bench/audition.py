"""Time from an audition's start to its first sound, with the model loaded: python bench/audition.py

Whole: the first sentence in all levels. Level 0: the first codebook alone, while the AR still runs. The
built-in voice, a sentence of two to three seconds, the median of several voices.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from valle.audio import wav
from valle_lab.lab import Lab
from valle_lab.lab.audition import Audition, candidates
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.worker.client import WorkerClient

TEXT = "The lights went out at nine, and nobody said a word."
GOAL = 2.0


class Listener(NullSink):
    """A device that counts as heard and plays as fast as it is asked."""

    audible = True


def first_sound(lab: Lab, voice: str, levels: int | None) -> float:
    """Seconds until there is something to hear."""
    assert lab.player is not None
    lab.player.load(wav.silence(0))
    lab.levels = levels
    begun = time.perf_counter()
    lab.audition = Audition(lab, TEXT, candidates([voice], [1]))
    while not lab.player.duration:
        lab.poll()
        time.sleep(0.005)
    seconds = time.perf_counter() - begun
    lab.audition.stop()
    lab.wait()
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(None, {"paths.sessions": folder})
        lab = Lab(
            settings,
            lambda on_news: WorkerClient(Path(folder) / "worker.log", on_news=on_news),
            lambda: Player(Listener()),
        )
        lab.start()
        lab.wait()
        assert lab.description is not None
        voices = lab.description.voices[: repeats + 1]
        for name, levels in (("whole", None), ("level 0", 1)):
            first_sound(lab, voices[0], levels)
            times = [first_sound(lab, voice, levels) for voice in voices[1:]]
            median = statistics.median(times)
            print(f"{name:8} median {median:.2f} s, least {min(times):.2f} s, goal {GOAL:g} s")
        lab.close(discard=True)


if __name__ == "__main__":
    main()
