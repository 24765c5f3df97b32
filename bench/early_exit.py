"""Early exit and drafts on one model and text, in turns of one run: speed, acceptance, and what changes.

All ways make the same take: all layers, drafts of several lengths at several layers, and exits at several
thresholds. Times are minima over the turns, on the CPU of computing time. Drafts must give the tokens of all
layers; how many do is told, as is how far exits lead away.

With `--random` the backbone is a larger one of random weights instead, whose layers above the first of
`--layers` add only `--later` times what they would: so much as a training for it would have them agree. It
says nothing of speech; it says what a draft is worth where the early layers are right so often.

    python bench/early_exit.py
    python bench/early_exit.py --model skip.safetensors --layers 3 4 --drafts 2 4 --thresholds 2 4
    python bench/early_exit.py --random 12 768 --layers 2 --drafts 2 4 8 --later 0.05 --thresholds
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import torch

from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.inference import Engine
from valle.models.ar_nar import ArNar
from valle.request import Request
from valle.step import Step
from valle.voices import BUILTIN_FOLDER, read_folder

_LIVELY = 20.0
"""What makes random logits differ as much as those of a trained model, and the early layers matter."""
TEXT = "The boats came home before the storm reached the coast."


@dataclass(frozen=True, slots=True)
class Way:
    """One way to decide level 0, and what came of it."""

    name: str
    exits: EarlyExit | None
    milliseconds: float
    steps: tuple[Step, ...]


def decide(engine: Engine, request: Request) -> tuple[float, tuple[Step, ...]]:
    """Milliseconds and Steps of level 0."""
    clock = time.process_time if request.recipe.device == "cpu" else time.perf_counter
    begun = clock()
    steps = tuple(step for step in engine.generate(request, measured=False) if step.place.phase == "ar")
    return (clock() - begun) * 1e3, steps


def in_turns(engine: Engine, request: Request, ways: dict[str, EarlyExit | None], repeats: int) -> list[Way]:
    """Every way, the least of its turns."""
    best: dict[str, Way] = {}
    for _ in range(repeats):
        for name, exits in ways.items():
            own = replace(request, recipe=replace(request.recipe, early_exit=exits))
            taken, steps = decide(engine, own)
            if name not in best or taken < best[name].milliseconds:
                best[name] = Way(name, exits, taken, steps)
    return list(best.values())


def row(way: Way, plain: Way) -> str:
    """A line of the table."""
    count, wanted = len(way.steps), [int(step.tokens[0]) for step in plain.steps]
    tokens = [int(step.tokens[0]) for step in way.steps]
    same = next((at for at, pair in enumerate(zip(tokens, wanted, strict=False)) if pair[0] != pair[1]), None)
    agree = "all" if tokens == wanted else f"to step {min(count, len(wanted)) if same is None else same}"
    drafted = [step.drafted for step in way.steps if step.drafted]
    accepted = f"{drafted.count(1) / len(drafted):.0%}" if drafted else "-"
    left = sum(bool(step.exit_layer) for step in way.steps) / count
    pace = way.milliseconds / count / (plain.milliseconds / len(plain.steps))
    per_step = way.milliseconds / count
    return f"| {way.name} | {per_step:.2f} | {pace:.2f} | {accepted} | {left:.0%} | {agree} |"


def enlarge(engine: Engine, layers: int, dim: int, early: int, later: float) -> None:
    """Give an engine a backbone of random weights, whose layers above `early` are quieter by a factor."""
    torch.manual_seed(0)
    config = replace(engine.model.config, layers=layers, dim=dim, heads=dim // 64, ffn=4 * dim)
    model = ArNar(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if name.startswith("classifier"):
            weight.mul_(_LIVELY)
            if len(weight) > config.stop:
                weight[config.stop] = 0.0  # far below the best, so that there is something to measure
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            quieter = later if int(name.split(".")[2]) >= early else 1.0
            weight.mul_(quieter * _LIVELY)
    engine.model = model


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layers", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--drafts", type=int, nargs="+", default=[2, 4])
    parser.add_argument(
        "--thresholds", type=float, nargs="*", default=[2.0, 4.0], help="bits; twice for varentropy"
    )
    parser.add_argument("--random", type=int, nargs=2, metavar=("LAYERS", "DIM"), help="see above")
    parser.add_argument("--later", type=float, default=0.05)
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--greedy", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    try:
        engine = Engine.load(options.model, device=options.device, threads=options.threads)
    except UserError as error:
        raise SystemExit(str(error)) from None
    torch.set_num_threads(options.threads)
    if options.random:
        enlarge(engine, *options.random, options.layers[0], options.later)
    stack = engine.default_stack
    if options.greedy:
        stack = stack.set("temperature.value", 0.0)
    voice = read_folder(BUILTIN_FOLDER)[0]
    request = engine.request(
        options.text, voice=voice, stack=stack, seed=options.seed, max_seconds=options.seconds, max_levels=1
    )
    ways: dict[str, EarlyExit | None] = {"all layers": None}
    for layer in options.layers:
        for draft in options.drafts:
            ways[f"draft {draft} at layer {layer}"] = EarlyExit(layer, draft=draft)
        for bits in options.thresholds:
            ways[f"leave from layer {layer} below {bits:g} bits"] = EarlyExit(layer, bits, 2 * bits)
    plain, *others = in_turns(engine, request, ways, options.repeats)
    engine.close()
    told = f"{options.random[0]} random layers of {options.random[1]}" if options.random else options.model
    print(f"{len(plain.steps)} steps of {told} on {options.device}")
    print("| way | ms a step | of all layers | drafts taken | steps that left | same tokens |")
    print("|---|---|---|---|---|---|")
    for way in (plain, *others):
        print(row(way, plain))


if __name__ == "__main__":
    main()
