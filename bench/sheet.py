"""A seed sheet beside the same takes one by one: python bench/sheet.py

The built-in voice, the same seeds and text for both, measures and evidence on; the two take turns, so that
whatever else the machine does meets both alike. Figures are medians; of one thread it is the time that it
computed, so that a busy machine changes little. Share: the time of the sheet by that of the single takes.

    python bench/sheet.py --takes 8 --threads 1
    python bench/sheet.py --takes 2 4 8 16 --threads 2 --voice none
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from valle.inference import Engine
from valle.request import Request
from valle.voices import find_voice, list_voices

TEXT = "The lights went out at nine."
GOAL = 0.6


def clock() -> float:
    """Seconds that passed; with one thread, those in which it computed."""
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def one_by_one(engine: Engine, requests: Sequence[Request]) -> tuple[float, list[int]]:
    """Seconds that the takes need after one another, and their frames."""
    begun = clock()
    frames = [engine.generate(request).finish().frames for request in requests]
    return clock() - begun, frames


def at_once(engine: Engine, requests: Sequence[Request]) -> tuple[float, list[int]]:
    """Seconds that they need as a sheet, and their frames."""
    begun = clock()
    frames = [take.frames for take in engine.generate_batch(requests).finish()]
    return clock() - begun, frames


def main() -> None:
    """Measure and print, a line for every number of takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--takes", type=int, nargs="+", default=[8])
    parser.add_argument("--threads", type=int, default=1, help="as many as the built-in voice takes is 1")
    parser.add_argument("--voice", default="", help="a voice's name, or none; else the first one")
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    engine = Engine.load(threads=options.threads)
    torch.set_num_threads(options.threads)
    name = options.voice or list_voices()[0].name
    voice = None if name == "none" else find_voice(name)
    request = engine.request(options.text, voice=voice, seed=0, max_seconds=10.0)
    print(f"{name}, {options.threads} threads, {options.text!r}")
    print("takes  frames  one by one s  sheet s  share  codes")
    for count in options.takes:
        requests = [replace(request, seed=seed, take=f"take-{seed}") for seed in range(count)]
        times: dict[str, list[float]] = {"single": [], "sheet": []}
        for _ in range(options.repeats + 1):
            single, frames = one_by_one(engine, requests)
            sheet, others = at_once(engine, requests)
            times["single"].append(single)
            times["sheet"].append(sheet)
        single, sheet = (statistics.median(taken[1:]) for taken in times.values())  # the first warms up
        share = sheet / single
        same = "as long" if frames == others else "not as long"
        verdict = "" if count != 8 else "  holds" if share <= GOAL else f"  missed, {GOAL} at most"
        print(f"{count:5}  {sum(frames):6}  {single:12.2f}  {sheet:7.2f}  {share:5.2f}  {same}{verdict}")
    engine.close()


if __name__ == "__main__":
    main()
