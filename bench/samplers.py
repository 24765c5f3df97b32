"""The sampler stack beside transformers' processors: every stage that both have, and a chain of eight.

Both get the same logits, past and parameters and take turns in short blocks, so that whatever else the
machine does meets both alike. Figures are medians over the blocks, in microseconds a call; of one thread it
is the time that it computed, so that a busy machine changes little. A stage is its function alone; the stack
is the sampler as the loop runs it, its checks included, without the chooser's draw.

    python bench/samplers.py
    python bench/samplers.py --threads 2 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.generation import logits_process

from valle.samplers import STAGES, Stack
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, resolve_function

STEP, START, STOP = 200, 150, 1023
SHAPES = {(1, 1025): (60, 20), (900, 1024): (15, 1)}
"""Rows and ids; how many blocks are made of each call, and how many calls make a block."""
STAGE_LIMIT, STACK_LIMIT, MEASURES_LIMIT = 1.1, 1 / 1.3, 1.0

Call = Callable[[], object]

BOTH: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "repetition_penalty": (
        {"penalty": 1.2, "window": 0},
        lambda p: p.RepetitionPenaltyLogitsProcessor(1.2),
    ),
    "no_repeat_ngram": ({"size": 3}, lambda p: p.NoRepeatNGramLogitsProcessor(3)),
    "exponential_decay_length": (
        {"start": START, "factor": 1.01},
        lambda p: p.ExponentialDecayLengthPenalty((START, 1.01), STOP, 0),
    ),
    "temperature": ({"value": 0.9}, lambda p: p.TemperatureLogitsWarper(0.9)),
    "top_k": ({"k": 50}, lambda p: p.TopKLogitsWarper(50)),
    "top_p": ({"p": 0.9}, lambda p: p.TopPLogitsWarper(0.9)),
    "min_p": ({"p": 0.05}, lambda p: p.MinPLogitsWarper(0.05)),
    "typical": ({"p": 0.9}, lambda p: p.TypicalLogitsWarper(0.9)),
    "epsilon": ({"epsilon": 3e-4}, lambda p: p.EpsilonLogitsWarper(3e-4)),
    "eta": ({"epsilon": 3e-4}, lambda p: p.EtaLogitsWarper(3e-4)),
}
"""Our parameters for a stage, and transformers' processor with the same ones."""
CHAIN = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p", "typical", "epsilon", "eta")
"""Eight stages in an order in which each has something to do."""
OURS_ALONE: dict[str, dict[str, Any]] = {
    "ban_tokens": {"ids": [3, 4]},
    "allowed_range": {"first": 0, "last": 1000},
    "logit_bias": {"biases": {"3": 1.0}},
    "frequency_penalty": {"penalty": 0.3},
    "presence_penalty": {"penalty": 0.3},
    "length_penalty": {"penalty": 0.3},
    "quadratic_smoothing": {"factor": 0.3},
    "silence_penalty": {"ids": [1, 2]},
    "top_a": {"a": 0.2},
    "top_n_sigma": {"n": 1.5},
    "tail_free": {"z": 0.9},
    "minimum_length": {"steps": 300},
}
"""Parameters at which these do something; the others do so by default."""


@dataclass(frozen=True)
class Line:
    """One comparison: microseconds, and how many times as long ours takes as the other."""

    rows: int
    name: str
    ours: float
    other: float | None
    limit: float | None

    @property
    def ratio(self) -> float | None:
        """Ours over the other's; below 1 ours is faster."""
        return None if self.other is None else self.ours / self.other

    @property
    def holds(self) -> bool:
        """Whether the target is met, where there is one."""
        return self.ratio is None or self.limit is None or self.ratio <= self.limit

    def to_dict(self) -> dict[str, Any]:
        """The line in JSON's types."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds}


def medians(calls: Sequence[Call], blocks: int, size: int) -> list[float]:
    """The median microseconds of each call over blocks of `size` calls, taking turns."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(blocks + 1):
        for call, times in zip(calls, taken, strict=True):
            call()  # after another's turn the processor has to find its way back
            begun = clock()
            for _ in range(size):
                call()
            times.append((clock() - begun) / size * 1e6)
    return [statistics.median(times[1:]) for times in taken]  # the first warms up


def stage_call(name: str, given: dict[str, Any], logits: Tensor, rows: Rows) -> Call:
    """One stage of ours as the runner calls it."""
    stack = Stack.from_dict({"ar": [{"name": name, **given}, {"name": "draw"}]})
    parameters = dict(stack.effective("ar")[0].parameters)
    function = resolve_function(STAGES[name].function)
    return lambda: function(logits, rows, parameters, None)


def compare(shape: tuple[int, int], blocks: int, size: int) -> list[Line]:
    """All comparisons on rows of one shape."""
    count, width = shape
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, width, generator=generator) * 3
    past = torch.randint(0, 1000, (count, STEP), generator=generator)
    rows = Rows.of("ar", count, seed=1, step=STEP, past=past, stop=STOP)
    lines = []
    for name, (given, make) in BOTH.items():
        processor = make(logits_process)
        theirs: Call = lambda processor=processor: processor(past, logits)  # type: ignore[misc]  # noqa: E731
        ours, other = medians((stage_call(name, given, logits, rows), theirs), blocks, size)
        lines.append(Line(count, name, ours, other, STAGE_LIMIT))
    for name, declaration in STAGES.items():
        if declaration.kind == "stage" and name not in BOTH and declaration.start is None:
            call = stage_call(name, OURS_ALONE.get(name, {}), logits, rows)
            (ours,) = medians((call,), max(3, blocks // 5), size)
            lines.append(Line(count, name, ours, None, None))
    return lines + compare_stacks(logits, past, rows, blocks, size)


def compare_stacks(logits: Tensor, past: Tensor, rows: Rows, blocks: int, size: int) -> list[Line]:
    """The chain of eight beside transformers', and what measures between its stages add to it."""
    stages = [{"name": name, **BOTH[name][0]} for name in CHAIN]
    sampler = Sampler(Stack.from_dict({"ar": [*stages, {"name": "draw"}]}), "ar")
    if len(sampler.points) != len(CHAIN) + 1:
        raise ValueError("a stage of the chain does not run")
    chain = logits_process.LogitsProcessorList(BOTH[name][1](logits_process) for name in CHAIN)
    stack, theirs, without, measured = medians(
        (
            lambda: sampler.final(logits, rows),
            lambda: chain(past, logits),
            lambda: sampler.decide(logits, rows, measure="none"),
            lambda: sampler.decide(logits, rows, measure="all"),
        ),
        blocks,
        size,
    )
    count = len(logits)
    return [
        Line(count, "stack of eight", stack, theirs, STACK_LIMIT),
        Line(count, "its measures / the stack", measured - without, stack, MEASURES_LIMIT),
        Line(count, "its chooser / the stack", without - stack, stack, None),
    ]


def table(lines: Sequence[Line]) -> str:
    """The comparisons as text, and a line for each number of rows that says what holds."""
    text = ["rows  stage                       ours us    other us  ratio  at most"]
    for line in lines:
        other = "" if line.other is None else f"{line.other:10.1f}"
        ratio = "" if line.ratio is None else f"{line.ratio:5.2f}"
        limit = "" if line.limit is None else f"{line.limit:.2f}{'' if line.holds else '  missed'}"
        text.append(f"{line.rows:4}  {line.name:25} {line.ours:9.1f}  {other:>10}  {ratio:>5}  {limit}")
    for count in sorted({line.rows for line in lines}):
        missed = [line.name for line in lines if line.rows == count and not line.holds]
        text.append(f"{count} rows: {'every target holds' if not missed else 'missed: ' + ', '.join(missed)}")
    return "\n".join(text)


def main() -> None:
    """Print the table, or with ``--json`` a list of its lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=float, default=1.0, help="times the usual number of blocks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        lines = [
            line
            for shape, (blocks, size) in SHAPES.items()
            for line in compare(shape, max(3, round(blocks * options.repeats)), size)
        ]
    print(json.dumps([line.to_dict() for line in lines], indent=1) if options.json else table(lines))


if __name__ == "__main__":
    main()
