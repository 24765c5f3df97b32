"""What-if of a whole take, beside the model calls that it saves.

An edited stack is tried on the kept logits of a take of the built-in voice's size: choices only, with the
measures of the columns in view, and with mirostat, whose state goes from step to step; beside it one forced
pass over the codes, and the steps that a new run would take. All take turns; medians.

    python bench/whatif.py
    python bench/whatif.py --steps 300 --threads 1 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from valle.decoding.branches import Pair
from valle.decoding.forced import RawRows, forced_pass
from valle.decoding.whatif import Question, what_if
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import ModelConfig
from valle.request import Recipe, Request, Sentence
from valle.samplers.stack import Stack
from valle.step import Place, Step

LIMIT = 0.1
"""Seconds that 900 steps may take, choices only, on two threads."""
STOP = 1024
STACK = Stack.from_dict(
    {
        "ar": [
            {"name": "repetition_penalty", "penalty": 1.2, "window": 0},
            {"name": "temperature", "value": 0.9},
            {"name": "top_k", "k": 100},
            {"name": "top_p", "p": 0.9},
            {"name": "min_p", "p": 0.02},
            {"name": "draw"},
        ],
        "nar": [{"name": "greedy"}],
    }
)


def main() -> None:
    """Print the figures; end with 1 where the limit is broken."""
    options = parse()
    torch.set_num_threads(options.threads)
    seconds = {name: statistics.median(times) for name, times in measured(options).items()}
    if options.json:
        print(json.dumps({"steps": options.steps, "threads": options.threads, "seconds": seconds}))
    else:
        print(f"{options.steps} steps, {options.threads} threads, milliseconds")
        for name, value in seconds.items():
            print(f"{value * 1e3:10.1f}  {name}")
    allowed = LIMIT * options.steps / 900
    if seconds["choices only"] > allowed:
        sys.exit(f"choices only took more than {allowed * 1e3:.0f} ms")


def measured(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each way, in turns; the first turn warms up."""
    torch.manual_seed(0)
    shape = ModelConfig(dim=options.dim, layers=options.layers, heads=options.heads, ffn=4 * options.dim)
    model = ArNar(shape).eval().requires_grad_(False)
    prompt = torch.randint(0, 1024, (225, 8))
    row = Inputs(task="tts", phonemes=torch.randint(5, 60, (120,)), language=0, prompt=prompt)
    pair = Pair(row, row)
    codes = torch.randint(0, 1024, (options.steps,))
    raw = RawRows(torch.randn(options.steps, STOP + 1) * 4)
    view = Question(STACK, first=options.steps - 160, last=options.steps)
    ways: dict[str, Callable[[], object]] = {
        "choices only": lambda: ask(codes, raw, Question(STACK)),
        "with the measures of 160 columns": lambda: ask(codes, raw, view),
        "mirostat in the place of draw": lambda: ask(codes, raw, Question(STACK.set("mirostat.target", 4.0))),
        "one forced pass": lambda: forced_pass(model, pair, codes, options.steps, Recipe()),
        "all steps of the model": lambda: stepped(model, row, codes),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.repeats + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if turn:
                taken[name].append(time.perf_counter() - begun)
    return taken


def ask(codes: torch.Tensor, raw: RawRows, question: Question) -> None:
    """Try the stack on a take of these codes [steps]."""
    tokens = codes.numpy().astype(np.int16)[:, None]
    steps = [Step("take", Place(0, "ar", 0, index), token, token) for index, token in enumerate(tokens)]
    request = Request((Sentence("", "", (1, 2)),), "en", STACK, seed=5, max_frames=len(tokens))
    what_if(request, steps, lambda segment, needs: raw, question, stop=STOP)


def stepped(model: ArNar, row: Inputs, codes: torch.Tensor) -> None:
    """Feed the codes [steps] one by one."""
    cache, _ = model.begin([row], len(codes))
    for code in codes[:, None]:
        model.advance(cache, code)


def parse() -> argparse.Namespace:
    """Read the command line; the defaults are the size of the built-in voice, and twelve seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = {"steps": 900, "threads": 2, "repeats": 5, "dim": 192, "layers": 6, "heads": 6}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
