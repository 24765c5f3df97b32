"""Every backbone at one size, side by side: weights, milliseconds of an AR step, memory, a training batch.

Each reads a prefix of the same length once, then appends one id at a time; they take turns in short blocks,
so that whatever else the machine does meets all alike. Times are of one thread and of what it computed,
medians. Memory is of each in a process of its own: by how much its resident set rises at most in a training
batch, and what a take keeps of its past. `--learn STEPS` trains each for so many steps of level 0 on the
short utterances of an encoded shard instead, and measures held-out losses as `evaluate heldout` does, in a
table of its own. `--only NAME...` measures some and leaves the others' rows in the page as they are.

    python bench/backbones.py --page docs/models.md
    python bench/backbones.py --learn 100 --dim 64 --layers 2 --heads 2 --folder FOLDER --page PAGE
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from valle.models.ar_nar import ArNar
from valle.models.backbones import BACKBONES
from valle.models.base import Inputs
from valle.training.corpus import Corpus, Kind, Mix
from valle.training.heldout import heldout_losses
from valle.training.model_recipe import ModelRecipe
from valle.training.model_training import ModelTrainer
from valle.training.speech import SpeechShard, ends, speech_path

PHONEMES, FRAMES = 40, 300
EXPERTS = 4
HELD_OUT, SHORT = 60, 110
SPEED = {
    "parameters": "weights, M",
    "step_ms": "AR step, ms",
    "state_mb": "kept of a take, MB",
    "train_s": "training batch, s",
    "train_mb": "its memory, MB",
}
LEARNT = {
    "steps": "steps",
    "right_text": "held-out loss",
    "wrong_text": "with the wrong text",
    "seconds": "seconds of training",
}


def recipe_of(name: str, options: argparse.Namespace) -> ModelRecipe:
    """The recipe of a backbone at the size that is asked for."""
    experts = EXPERTS if name == "mixtral" else 1
    return ModelRecipe(options.dim, options.layers, options.heads, architecture=name, experts=experts)


def row(options: argparse.Namespace, frames: int = 0) -> Inputs:
    """A row as long as asked for, with some frames of its answer."""
    prompt = torch.randint(0, 1024, (options.prefix - PHONEMES - 6, 8))
    answer = torch.randint(0, 1024, (frames, 1)) if frames else None
    return Inputs(phonemes=torch.randint(0, 256, (PHONEMES,)), language=0, prompt=prompt, response=answer)


def step_of(model: ArNar, options: argparse.Namespace) -> Callable[[], object]:
    """What appends one id, the prefix being read."""
    cache, _ = model.begin([row(options)], options.steps)
    token = torch.tensor([7])
    return lambda: model.advance(cache, token)


def step_times(models: dict[str, ArNar], options: argparse.Namespace) -> dict[str, float]:
    """The median milliseconds of a step for each, taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(options.repeats + 1):
        for name, model in models.items():
            step = step_of(model, options)
            begun = time.thread_time()
            for _ in range(options.steps):
                step()
            taken[name].append((time.thread_time() - begun) / options.steps * 1e3)
    return {name: statistics.median(times[1:]) for name, times in taken.items()}  # the first warms up


def measured_alone(name: str, options: argparse.Namespace) -> dict[str, float]:
    """What a process of its own measures: memory, and the seconds of a training batch."""
    model = ArNar(recipe_of(name, options).config())
    batch = [row(options, FRAMES) for _ in range(2)]
    model.loss([row(options, 8)]).mean.backward()  # what is imported and made once
    before = peak_memory(begin=True)
    begun = time.thread_time()
    model.loss(batch).mean.backward()
    seconds = time.thread_time() - begun
    peak = peak_memory() - before
    cache, _ = model.eval().begin([row(options)], FRAMES)
    return {"train_s": seconds, "train_mb": peak, "state_mb": cache.memory / 1e6}


def peak_memory(begin: bool = False) -> float:
    """The highest resident set in MB of this process, since it was last asked to begin."""
    if begin:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is what there is now
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def learnt(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Held-out losses after a short training of level 0 on the short utterances of a shard, without voice."""
    shard = SpeechShard.load(speech_path(options.folder, 0))
    short = np.flatnonzero(np.diff(shard.starts) <= SHORT)
    corpus, heldout = Corpus(), Corpus()
    corpus.add(part(shard, short[:-HELD_OUT]))
    heldout.add(part(shard, short[-HELD_OUT:]))
    recipe = replace(
        recipe_of(name, options),
        budget=options.budget,
        batches=1,
        other_rate=4e-3,
        guide_layers=(options.layers // 2,),
        mix=Mix(kinds=(1, 0, 0, 0, 0), without_voice=0.0, without_both=0.0),
    )
    trainer = ModelTrainer(recipe, corpus)
    begun = time.thread_time()
    for step in range(options.learn):
        trainer.train_step(min(1.0, (step + 1) / 20, (options.learn - step) / (0.3 * options.learn)))
    seconds = time.thread_time() - begun
    found = heldout_losses(trainer.model, heldout, (Kind.AR,))
    return {
        "steps": options.learn,
        "right_text": found["ar"]["loss"],
        "wrong_text": found["ar, wrong text"]["loss"],
        "unigram": found["unigram"]["loss"],
        "seconds": seconds,
    }


def part(shard: SpeechShard, indices: NDArray[np.int64]) -> SpeechShard:
    """Some utterances of a shard, each of a speaker of its own, so that none has a prompt."""
    frames = [slice(int(shard.starts[i]), int(shard.starts[i + 1])) for i in indices]
    ids = [slice(int(shard.id_starts[i]), int(shard.id_starts[i + 1])) for i in indices]
    codes = [shard.codes[each] for each in frames]
    texts = [shard.ids[each] for each in ids]
    return SpeechShard(
        codes=np.concatenate(codes),
        starts=ends(codes),
        ids=np.concatenate(texts),
        id_starts=ends(texts),
        alignment=np.concatenate([shard.alignment[each] for each in frames]),
        speakers=np.arange(len(indices), dtype=np.int16),
        rates=shard.rates[indices],
    )


def apart(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Measure one backbone in a process of its own, which has imported what this one has."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(measured_alone(name, options)))
    process.start()
    sender.close()
    found: dict[str, float] = receiver.recv()
    process.join()
    return found


def table(rows: list[dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """The figures as a table of Markdown."""
    columns = LEARNT if options.learn else SPEED
    lines = [f"| backbone | {' | '.join(columns.values())} |", "|---" + "|--:" * len(columns) + "|"]
    for each in rows:
        numbers = (each[key] if isinstance(each[key], int) else f"{each[key]:.2f}" for key in columns)
        lines.append(f"| `{each['name']}` | {' | '.join(map(str, numbers))} |")
    said = f"Dim {options.dim}, {options.layers} layers, {options.heads} heads, one thread"
    if not options.learn:
        return [
            f"{said}, {options.prefix} positions before the step; mixtral with {EXPERTS} experts.",
            "",
            *lines,
        ]
    unigram = f"the codes of level 0 by themselves have an entropy of {rows[0]['unigram']:.2f}"
    return [f"{said}; losses are in nats of level 0, and {unigram}.", "", *lines]


def write(page: Path, kind: str, lines: list[str]) -> None:
    """Put a table into a page, between the two marks of its kind; rows of others that stand there stay."""
    begin, end = f"<!-- {kind} -->", f"<!-- /{kind} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    there, _, after = rest.partition(end)
    rows = {row.split("`")[1]: row for row in (*there.splitlines(), *lines) if row.startswith("| `")}
    head = [line for line in lines if not line.startswith("| `")]
    ordered = [rows[name] for name in BACKBONES if name in rows]
    page.write_text("\n".join([before + begin, "", *head, *ordered, "", end + after]), encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line; the defaults are the size of the built-in voice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = {"dim": 192, "layers": 6, "heads": 4, "prefix": 300, "steps": 25, "repeats": 5, "learn": 0}
    for name, default in {**sizes, "budget": 1500}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, default=None, help="where speech-000.npz lies, for --learn")
    parser.add_argument("--only", nargs="+", choices=list(BACKBONES), default=list(BACKBONES))
    parser.add_argument("--page", type=Path, default=None, help="write the table into this page as well")
    options = parser.parse_args()
    if options.learn and options.folder is None:
        parser.error(
            "--learn needs --folder with encoded shards: `python -m valle.training data` and `encode`"
        )
    return options


def main() -> None:
    """Print the table, and put it into the page."""
    options = parse()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    times: dict[str, dict[str, float]] = {name: {} for name in options.only}
    if not options.learn:
        models = {name: ArNar(recipe_of(name, options).config()).eval() for name in options.only}
        for name, milliseconds in step_times(models, options).items():
            weights = sum(weight.numel() for weight in models[name].model.parameters())
            times[name] = {"parameters": weights / 1e6, "step_ms": milliseconds}
    rows: list[dict[str, Any]] = []
    for name in options.only:
        found = learnt(name, options) if options.learn else apart(name, options)
        rows.append({"name": name, **times[name], **found})
        print(rows[-1], file=sys.stderr, flush=True)
    lines = table(rows, options)
    print("\n".join(lines))
    if options.page is not None:
        write(options.page, "learnt" if options.learn else "measured", lines)


if __name__ == "__main__":
    main()
