"""Time from an audition's start to its first sound, with the model loaded: python bench/audition.py

First: the first codebook, while the AR still runs. Whole: the same sentence in all levels, heard from its
start as soon as it is made. The built-in voice, a sentence of two to three seconds, several voices.
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


def sounds(lab: Lab, voice: str) -> tuple[float, float]:
    """Seconds until there is something to hear, and until all of it is."""
    assert lab.player is not None
    lab.player.load(wav.silence(0))
    begun = time.perf_counter()
    lab.audition = Audition(lab, TEXT, candidates([voice], [1]))
    first = 0.0
    while not first or lab.audition.preview or not lab.player.duration:
        lab.poll()
        if not first and lab.player.duration:
            first = time.perf_counter() - begun
        time.sleep(0.005)
    whole = time.perf_counter() - begun
    lab.audition.stop()
    lab.wait()
    return first, whole


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
        sounds(lab, voices[0])
        first, whole = zip(*(sounds(lab, voice) for voice in voices[1:]), strict=True)
        print(
            f"first sound  median {statistics.median(first):.2f} s, most {max(first):.2f} s, goal {GOAL:g} s"
        )
        print(f"whole        median {statistics.median(whole):.2f} s, most {max(whole):.2f} s")
        lab.close(discard=True)


if __name__ == "__main__":
    main()
