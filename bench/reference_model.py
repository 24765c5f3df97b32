"""A model of the reference's size, random weights: its speed beside transformers' Llama, and its memory.

    python bench/reference_model.py
    python bench/reference_model.py --only memory

ar: milliseconds of an AR step after 75, 225 and 450 frames, beside LlamaForCausalLM with its own cache.
nar: one level of 450 frames, and seven of them, beside one pass of the same Llama over as many positions.
memory: the most resident memory of the lab's model process while it makes 12 seconds in float32, with
    everything that the lab has it keep. Both programs take turns, as in bench/decode.py.
"""

from __future__ import annotations

import argparse
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from decode import RATIO_LIMIT, Stepper, compare, our_model, random_model, their_model
from transformers import LlamaConfig, LlamaForCausalLM

from valle.checkpoints import native
from valle.checkpoints.details import CodecName, Details
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.request import Request, Sentence
from valle.samplers.stack import Stack
from valle.text.tokens import Tokenizer
from valle_lab.worker.client import WorkerClient
from valle_lab.worker.messages import ModelChoice

SIZE = {"dim": 1024, "layers": 12, "heads": 16, "ffn": 4096, "dtype": "float32", "attention": "auto"}
PREFIX = 270
"""Positions before the first frame: forty phonemes, three seconds of voice, what lies between."""
FRAMES = (75, 225, 450)
LEVEL = 4
SECONDS, MOST_GIB = 12, 2.5
GIB = 1 << 30


def at(frames: int, steps: int) -> Namespace:
    """The options of bench/decode.py for so many frames before the steps that are timed."""
    return Namespace(**SIZE, prefix=PREFIX + frames, steps=steps)


def ar(model: ArNar, threads: int, steps: int, repeats: int) -> None:
    """Print a line for each number of frames."""
    print("AR step after\nframes  threads  ours ms  transformers ms  ratio")
    for frames in FRAMES:
        options = at(frames, steps)
        contenders = {"ours": our_model(model, options), "transformers": their_model(options)}
        print(line(f"{frames:6}", threads, compare(contenders, steps, repeats)))


def nar(model: ArNar, threads: int, repeats: int) -> None:
    """Print a line for one level, and what seven come to."""
    frames = FRAMES[-1]
    row = Inputs(
        phonemes=torch.randint(0, 256, (40,)),
        language=0,
        level=LEVEL,
        prompt=torch.randint(0, 1024, (225, 8)),
        response=torch.randint(0, 1024, (frames, LEVEL)),
    )
    length = model.layouts([row])[0].length
    config = LlamaConfig(
        vocab_size=1025,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=12,
        num_attention_heads=16,
        hidden_act="gelu",
    )
    theirs = LlamaForCausalLM(config).eval()
    ids = torch.randint(0, 1025, (1, length))

    @torch.inference_mode()
    def their_pass() -> object:
        return theirs(ids, use_cache=False).logits

    def start(step: Stepper) -> Stepper:
        return step

    contenders = {"ours": lambda: start(lambda: model.full([row])), "transformers": lambda: start(their_pass)}
    times = compare(contenders, 1, repeats)
    print(f"NAR, a level of {frames} frames, {length} positions")
    print("frames  threads  ours ms  transformers ms  ratio")
    print(line(f"{frames:6}", threads, times))
    print(f"seven levels: {7 * times['ours'] / 1e3:.2f} s")


def line(name: str, threads: int, times: dict[str, float]) -> str:
    """One line of a table; a ratio below 1 says that ours is faster."""
    ratio = times["ours"] / times["transformers"]
    verdict = "holds" if ratio <= RATIO_LIMIT else f"missed, {RATIO_LIMIT} at most"
    return (
        f"{name}  {threads:7}  {times['ours']:7.2f}  {times['transformers']:15.2f}  {ratio:5.2f}  {verdict}"
    )


def memory(model: ArNar, threads: int, seconds: float) -> None:
    """Print the most memory that the model process had."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        stack: dict[str, list[dict[str, Any]]] = {
            "ar": [{"name": "ban_tokens", "ids": [1024]}, {"name": "draw"}],
            "nar": [{"name": "greedy"}],
        }
        symbols = Tokenizer.builtin().to_dict()
        details = Details(model.config, CodecName("builtin-1"), symbols, {"en": 0}, stack)
        native.save(file, model, details, torch.float32)
        worker = WorkerClient(Path(folder) / "worker.log")
        choice = ModelChoice(str(file), "builtin", "cpu", "float32", threads, memory_budget_gb=1.0)
        described = worker.load(choice).result()
        loaded = most_memory(worker.process_id)
        request = Request(
            (Sentence("", "", tuple(torch.randint(3, 256, (40,)).tolist())),),
            "en",
            Stack.from_dict(stack),
            1,
            max_frames=round(75 * seconds),
            recipe=described.recipe,
        )
        speaking = worker.speak(request)
        steps = list(speaking)
        frames = sum(len(step.tokens) for step in steps if step.place.phase == "ar")
        taken = most_memory(worker.process_id)
        worker.close()
    verdict = "holds" if taken <= MOST_GIB else f"missed, {MOST_GIB} at most"
    spoken = f"{taken:.2f} GiB after {frames / 75:.1f} s of speech"
    print(f"memory: {loaded:.2f} GiB when loaded, {spoken}, {verdict}")


def most_memory(process: int) -> float:
    """The most resident memory that a process has had, in GiB."""
    status = Path(f"/proc/{process}/status").read_text()
    peak = next(item for item in status.splitlines() if item.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / GIB


def main() -> None:
    """Run what is asked for; by default all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["ar", "nar", "memory"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    model = random_model(at(0, 1))
    if options.only in (None, "ar"):
        ar(model, options.threads, options.steps, options.repeats)
    if options.only in (None, "nar"):
        nar(model, options.threads, options.repeats)
    if options.only in (None, "memory"):
        memory(model, options.threads, options.seconds)


if __name__ == "__main__":
    main()
