"""The AR step beside transformers' LlamaForCausalLM with its own cache: one size, dtype and run for both.

Both read a prefix of the same length once, then append one id at a time; the two take turns in short blocks,
so that whatever else the machine does meets both alike. Figures are medians over the blocks; of one thread it
is the time that it computed, so that a busy machine changes little.

Then what a whole step of a take costs beside the model's own part: three of them take turns step by step, the
model alone, a take without measures and evidence, and a take with both. Shares are of the whole step, from
the median of the differences within a turn; measures and evidence are to cost a tenth at most.

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

from valle.control import NoControl
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import ModelConfig
from valle.request import Prompt, Request, Sentence
from valle.samplers.stack import Stack

VOCABULARY = 1025
PHONEMES = 40
SEPARATORS_AND_CONDITIONS = 6
STACK = [
    {"name": "ban_tokens", "ids": [1024]},
    {"name": "repetition_penalty", "penalty": 1.1},
    {"name": "temperature", "value": 0.9},
    {"name": "top_k", "k": 50},
    {"name": "top_p", "p": 0.95},
    {"name": "draw"},
]
"""A usual stack that never stops by itself."""
RATIO_LIMIT, MEASURES_LIMIT = 1.0, 0.10

Stepper = Callable[[], object]
"""Makes one step; a fresh one is made for every block, with the prefix already read."""


def random_model(options: argparse.Namespace) -> ArNar:
    """A model of this project of the size asked for, with random weights."""
    config = ModelConfig(
        dim=options.dim,
        layers=options.layers,
        heads=options.heads,
        ffn=options.ffn,
        capabilities=("ar", "nar"),
        classifiers_bias=False,
        attention=options.attention,
    )
    return ArNar(config).to(getattr(torch, options.dtype)).eval()


def prompt_frames(options: argparse.Namespace) -> int:
    """Frames of the voice that make the prefix as long as asked for."""
    return int(options.prefix - PHONEMES - SEPARATORS_AND_CONDITIONS)


def our_model(model: ArNar, options: argparse.Namespace) -> Callable[[], Stepper]:
    """Return what makes steppers of a model of this project."""
    prompt = torch.randint(0, 1024, (prompt_frames(options), 8))
    row = Inputs(phonemes=torch.randint(0, 256, (PHONEMES,)), language=0, prompt=prompt)
    if model.layouts([row])[0].length != options.prefix:
        raise ValueError("the layout has changed, and with it the length of the prefix")
    token = torch.tensor([7])

    def start() -> Stepper:
        cache, _ = model.begin([row], options.steps)
        return lambda: model.advance(cache, token)

    return start


def our_take(model: ArNar, options: argparse.Namespace, measured: bool) -> Callable[[], Stepper]:
    """Return what makes steppers of a take, with measures and evidence or without, its prefix read."""
    sentence = Sentence("", "", tuple(torch.randint(0, 256, (PHONEMES,)).tolist()))
    codes = torch.randint(0, 1024, (prompt_frames(options), 8)).short().numpy()
    stack = Stack.from_dict({"ar": STACK, "nar": [{"name": "greedy"}]})
    request = Request((sentence,), "en", stack, 1, Prompt(codes, ""), max_frames=options.steps + 1)

    def start() -> Stepper:
        run = Run(request, NoControl(), vocabulary=VOCABULARY, measured=measured)
        steps = decode_speech(model, run, 0)
        next(steps)
        return lambda: next(steps)

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


def clock() -> float:
    """Seconds that passed; with one thread, those in which it computed."""
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def block(start: Callable[[], Stepper], steps: int) -> float:
    """Return the milliseconds of one step, over `steps` of them; the prefix is not counted."""
    step = start()
    begun = clock()
    for _ in range(steps):
        step()
    return (clock() - begun) / steps * 1e3


def compare(contenders: dict[str, Callable[[], Stepper]], steps: int, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of a step for each contender, taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats + 1):
        for name, start in contenders.items():
            taken[name].append(block(start, steps))
    return {name: statistics.median(times[1:]) for name, times in taken.items()}  # the first warms up


def compare_parts(
    contenders: dict[str, Callable[[], Stepper]], steps: int, repeats: int
) -> dict[str, list[float]]:
    """Return the milliseconds of every step of each contender, taking turns step by step."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats):
        steppers = {name: start() for name, start in contenders.items()}
        for index in range(steps):
            # Whoever follows the same one always would find the processor as that one left it.
            names = list(steppers)
            for name in names[index % 3 :] + names[: index % 3]:
                begun = clock()
                steppers[name]()
                if repeat or index:  # the first warms up
                    taken[name].append((clock() - begun) * 1e3)
    return taken


def parts_line(taken: dict[str, list[float]]) -> str:
    """One line: the median step of each contender, and the shares of the whole."""
    whole = statistics.median(taken["with both"])
    measures = _difference(taken["with both"], taken["without"]) / whole
    sampler = _difference(taken["without"], taken["model"]) / whole
    medians = "  ".join(f"{statistics.median(times):{len(name) + 3}.3f}" for name, times in taken.items())
    verdict = "holds" if measures <= MEASURES_LIMIT else f"missed, {MEASURES_LIMIT:.0%} at most"
    return f"{medians}  {sampler:14.1%}  {measures:18.1%}  {verdict}"


def _difference(left: list[float], right: list[float]) -> float:
    return statistics.median(ours - other for ours, other in zip(left, right, strict=True))


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
    """Print one line per number of threads and question; a ratio below 1 says that ours is faster."""
    options = parse()
    torch.manual_seed(0)
    model = random_model(options)
    contenders = {"ours": our_model(model, options), "transformers": their_model(options)}
    print(
        f"AR step, dim {options.dim}, {options.layers} layers, ffn {options.ffn}, {options.dtype}, "
        f"{options.prefix} positions before it"
    )
    print("threads  ours ms  transformers ms  ratio")
    for threads in options.threads:
        torch.set_num_threads(threads)
        times = compare(contenders, options.steps, options.repeats)
        ratio = times["ours"] / times["transformers"]
        verdict = "holds" if ratio <= RATIO_LIMIT else f"missed, {RATIO_LIMIT} at most"
        print(f"{threads:7}  {times['ours']:7.3f}  {times['transformers']:15.3f}  {ratio:5.2f}  {verdict}")
    parts = {
        "model": contenders["ours"],
        "without": our_take(model, options, measured=False),
        "with both": our_take(model, options, measured=True),
    }
    print(f"threads  {'  '.join(f'{name} ms' for name in parts)}  stack and loop  measures, evidence")
    for threads in options.threads:
        torch.set_num_threads(threads)
        print(f"{threads:7}  {parts_line(compare_parts(parts, options.steps, options.repeats))}")


if __name__ == "__main__":
    main()
