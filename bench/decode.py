"""The AR step beside transformers' LlamaForCausalLM with its own cache: one size, dtype and run for both.

Both read a prefix of the same length once, then append one id at a time; the two take turns in short blocks,
so that whatever else the machine does meets both alike. Figures are medians over the blocks.

    python bench/decode.py --threads 1 2
    python bench/decode.py --dim 1024 --layers 12 --heads 16 --steps 10
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import ModelConfig

VOCABULARY = 1025
PHONEMES = 40

Stepper = Callable[[], object]
"""Makes one step; a fresh one is made for every block, with the prefix already read."""


def our_model(options: argparse.Namespace) -> Callable[[], Stepper]:
    """Return what makes steppers of a model of this project."""
    config = ModelConfig(
        dim=options.dim,
        layers=options.layers,
        heads=options.heads,
        ffn=options.ffn,
        capabilities=("ar", "nar"),
        classifiers_bias=False,
        attention=options.attention,
    )
    model = ArNar(config).to(getattr(torch, options.dtype)).eval()
    separators_and_conditions = 6
    frames = options.prefix - PHONEMES - separators_and_conditions
    row = Inputs(
        phonemes=torch.randint(0, 256, (PHONEMES,)), language=0, prompt=torch.randint(0, 1024, (frames, 8))
    )
    if model.layouts([row])[0].length != options.prefix:
        raise ValueError("the layout has changed, and with it the length of the prefix")
    token = torch.tensor([7])

    def start() -> Stepper:
        cache, _ = model.begin([row], options.steps)
        return lambda: model.advance(cache, token)

    return start


def their_model(options: argparse.Namespace) -> Callable[[], Stepper]:
    """Return what makes steppers of transformers' model."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=options.dim,
        intermediate_size=options.ffn,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        hidden_act="gelu",
        max_position_embeddings=4096,
    )
    model = LlamaForCausalLM(config).to(getattr(torch, options.dtype)).eval()
    prefix = torch.randint(0, VOCABULARY, (1, options.prefix))
    token = torch.tensor([[7]])

    @torch.inference_mode()
    def start() -> Stepper:
        cache = DynamicCache(config=config)
        model(prefix, past_key_values=cache, use_cache=True)

        @torch.inference_mode()
        def step() -> object:
            return model(token, past_key_values=cache, use_cache=True).logits[:, -1].float()

        return step

    return start


def block(start: Callable[[], Stepper], steps: int) -> float:
    """Return the milliseconds of one step, over `steps` of them; the prefix is not counted."""
    step = start()
    begun = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - begun) / steps * 1e3


def compare(contenders: dict[str, Callable[[], Stepper]], steps: int, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of a step for each contender, taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats + 1):
        for name, start in contenders.items():
            taken[name].append(block(start, steps))
    return {name: statistics.median(times[1:]) for name, times in taken.items()}  # the first warms up


def parse() -> argparse.Namespace:
    """Read the command line; the defaults are the size of the built-in voice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = {"dim": 192, "layers": 6, "heads": 6, "ffn": 0, "prefix": 200, "steps": 50, "repeats": 15}
    for name, default in sizes.items():
        parser.add_argument(
            f"--{name}", type=int, default=default, help="0: 4 x dim" if name == "ffn" else None
        )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--attention", default="auto")
    options = parser.parse_args()
    options.ffn = options.ffn or 4 * options.dim
    return options


def main() -> None:
    """Print one line per number of threads: ours, theirs, and the ratio (below 1: ours is faster)."""
    options = parse()
    torch.manual_seed(0)
    contenders = {"ours": our_model(options), "transformers": their_model(options)}
    print(
        f"AR step, dim {options.dim}, {options.layers} layers, ffn {options.ffn}, {options.dtype}, "
        f"{options.prefix} positions before it"
    )
    print("threads  ours ms  transformers ms  ratio")
    for threads in options.threads:
        torch.set_num_threads(threads)
        times = compare(contenders, options.steps, options.repeats)
        ratio = times["ours"] / times["transformers"]
        print(f"{threads:7}  {times['ours']:7.3f}  {times['transformers']:15.3f}  {ratio:5.2f}")


if __name__ == "__main__":
    main()
