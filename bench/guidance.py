"""What guidance costs: an AR step and a NAR pass without it, as one batch of two, and as two passes.

All three take turns in short blocks of one run, so that whatever else the machine does meets all alike;
figures are medians over the blocks. Memory is that of the caches, and what a NAR pass adds to the process at
its peak (of the device, where that is a GPU; else told by Linux alone).

    python bench/guidance.py --threads 1 2
    python bench/guidance.py --dim 1024 --layers 12 --heads 16 --steps 10 --repeats 5
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from valle.decoding.branches import Pair, StepByStep, in_one_pass, with_frames
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import ModelConfig
from valle.request import Recipe

WAYS = {
    "off": (Recipe(), False),
    "one batch": (Recipe(), True),
    "two passes": (Recipe(guidance="two passes"), True),
}
PHONEMES, PROMPT = 40, 225


def make(options: argparse.Namespace) -> tuple[ArNar, Pair]:
    """A model with random weights, and a row with a voice of three seconds."""
    torch.manual_seed(0)
    config = ModelConfig(
        dim=options.dim,
        layers=options.layers,
        heads=options.heads,
        ffn=4 * options.dim,
        capabilities=("ar", "nar"),
        classifiers_bias=False,
    )
    model = ArNar(config).to(options.device, getattr(torch, options.dtype)).eval()
    row = Inputs(
        phonemes=torch.randint(0, 256, (PHONEMES,)), language=0, prompt=torch.randint(0, 1024, (PROMPT, 8))
    )
    return model, Pair(row, Inputs(phonemes=torch.tensor([1, 2]), language=0))


def step_block(model: ArNar, pair: Pair, way: str, steps: int) -> float:
    """Milliseconds of an AR step; the reading of the prompt is not counted."""
    recipe, guided = WAYS[way]
    made = torch.randint(0, 1024, (steps + 1,), device=model.device)
    branches = StepByStep(model, pair, with_frames, steps + 1, recipe)
    float(branches.next(made[:0], guided).conditional[0, 0])
    begun = time.perf_counter()
    for step in range(1, steps + 1):
        float(branches.next(made[:step], guided).conditional[0, 0])
    return (time.perf_counter() - begun) / steps * 1e3


def pass_block(model: ArNar, pair: Pair, way: str, frames: int) -> float:
    """Milliseconds of a NAR pass over so many frames."""
    recipe, guided = WAYS[way]
    given = pair.given(torch.randint(0, 1024, (frames, 3)), 3)
    begun = time.perf_counter()
    float(in_one_pass(model, given, recipe, guided).conditional[0, 0])
    return (time.perf_counter() - begun) * 1e3


def in_turns(measure: Callable[[str], float], repeats: int) -> dict[str, float]:
    """The median of each way, taking turns; the first round warms up."""
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(repeats + 1):
        for way in WAYS:
            taken[way].append(measure(way))
    return {way: statistics.median(times[1:]) for way, times in taken.items()}


def peak_of_pass(options: argparse.Namespace, way: str) -> float:
    """MiB that one NAR pass adds, in a process of its own (the peak of a process never falls)."""
    arguments = [sys.executable, __file__, *sys.argv[1:], "--peak-of", way]
    return float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def print_peak(options: argparse.Namespace) -> None:
    """Print what one NAR pass adds to the memory of this process, or of the device."""
    model, pair = make(options)
    on_gpu = model.device.type == "cuda"
    if not on_gpu:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = torch.cuda.memory_allocated() if on_gpu else status("VmRSS")
    pass_block(model, pair, options.peak_of, options.frames)
    after = torch.cuda.max_memory_allocated() if on_gpu else status("VmHWM")
    print((after - before) / 2**20)


def status(name: str) -> int:
    """Bytes of what Linux tells of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def cache_bytes(model: ArNar, pair: Pair, way: str, steps: int) -> int:
    """Bytes of the caches of an AR phase of so many steps."""
    recipe, guided = WAYS[way]
    rows = [pair.conditional, pair.null] if guided else [pair.conditional]
    if recipe.guidance == "one batch":
        return model.begin(rows, steps)[0].memory
    return sum(model.begin([row], steps)[0].memory for row in rows)


def parse() -> argparse.Namespace:
    """Read the command line; the defaults are the size of the built-in voice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = {"dim": 192, "layers": 6, "heads": 6, "steps": 50, "frames": 450, "repeats": 11}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak-of", choices=list(WAYS), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print a table: per number of threads and way, times, ratios to no guidance, and memory."""
    options = parse()
    if options.peak_of:
        torch.set_num_threads(options.threads[0])
        return print_peak(options)
    model, pair = make(options)
    print(
        f"dim {options.dim}, {options.layers} layers, {options.dtype}, {options.device}; "
        f"{PHONEMES} phonemes, {PROMPT} frames of voice, {options.frames} frames in nar\n"
    )
    print("| threads | guidance | AR step, ms | ratio | NAR pass, ms | ratio | caches, MiB | NAR adds, MiB |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    for threads in options.threads:
        torch.set_num_threads(threads)
        steps = in_turns(lambda way: step_block(model, pair, way, options.steps), options.repeats)
        passes = in_turns(lambda way: pass_block(model, pair, way, options.frames), options.repeats)
        for way in WAYS:
            cache = cache_bytes(model, pair, way, options.frames) / 2**20
            print(
                f"| {threads} | {way} | {steps[way]:.2f} | {steps[way] / steps['off']:.2f} "
                f"| {passes[way]:.1f} | {passes[way] / passes['off']:.2f} "
                f"| {cache:.1f} | {peak_of_pass(options, way):.1f} |"
            )


if __name__ == "__main__":
    main()
