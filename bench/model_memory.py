"""What a model of the published size takes: resident memory of the worker from loading to the last sample.

    python bench/model_memory.py
    python bench/model_memory.py --seconds 3 --dtype bfloat16

The model is of the released layout (dim 1024, 12 layers, the text embedding too) with random weights, written
as a float32 `.sft` and read again by the worker, with EnCodec (random weights too) beside it. A take of 12 s is
made, stop left out, with logits and traces kept as the lab keeps them. Peaks are the kernel's (VmHWM).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import torch
from encodec import EncodecModel

from valle.checkpoints import container, reference
from valle.checkpoints.details import CodecName, Details
from valle.checkpoints.tensors import from_memory
from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig
from valle_lab.worker.client import WorkerClient
from valle_lab.worker.messages import Ask, ModelChoice

LIMIT_GIB = 2.5
RELEASED = ModelConfig(dim=1024, layers=12, heads=16, ffn=4096, text_tokens=8575, task_tokens_counted=False)
LETTERS = "abcdefghijklmnopqrstuvwxyzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒθᵻˈˌː ,.!?"
SYMBOLS = {name: index for index, name in enumerate(("<unk>", "<bos>", "</eos>", "<mask>", *LETTERS))}


def write_model(folder: Path) -> Path:
    """A model of the released layout with random weights."""
    torch.manual_seed(0)
    weights = {name: tensor.detach() for name, tensor in ArNar(RELEASED).state_dict().items()}
    tensors = from_memory(folder, weights)
    metadata = reference.metadata_of(Details(RELEASED, CodecName("encodec"), SYMBOLS))
    path = folder / "random.sft"
    container.write(path, tensors.stored, tensors.blocks, metadata)
    return path


def write_codec(folder: Path) -> Path:
    """EnCodec with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = EncodecModel.encodec_model_24khz(pretrained=False)
    for layer in model.quantizer.vq.layers:
        layer._codebook.embed.normal_(0.0, 0.1)
    path = folder / "encodec.th"
    torch.save(model.state_dict(), path)
    return path


def memory(process: int) -> dict[str, float]:
    """Resident GiB of a process, now and at its highest."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    named = {"resident": "VmRSS", "highest": "VmHWM"}
    return {name: round(int(found[key].split()[0]) / 2**20, 3) for name, key in named.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, codec = write_model(folder), write_codec(folder)
        worker = WorkerClient(folder / "worker.log")
        try:
            choice = ModelChoice(
                str(model),
                str(codec),
                device="cpu",
                dtype=options.dtype,
                threads=options.threads,
                memory_budget_gb=1.0,
            )
            description = worker.load(choice).result()
            print(json.dumps({"after": "loading", **memory(worker.process_id)}), flush=True)
            stack = description.default_stack.set_text("minimum_length.steps=100000")
            ask = Ask("Hello.", voice=description.voices[0], stack=stack, seed=1, max_seconds=options.seconds,
                      prompt_seconds=3.0)  # fmt: skip
            begun = time.perf_counter()
            speaking = worker.speak(ask)
            frames = sum(step.place.phase == "ar" for step in speaking)
            worker.decode(speaking.take.segments).result()
            seconds = round(time.perf_counter() - begun, 1)
            made = {
                "after": "speaking",
                "frames": frames,
                "computed_in": seconds,
                **memory(worker.process_id),
            }
            print(json.dumps({**made, "limit": LIMIT_GIB}), flush=True)
        finally:
            worker.close()


if __name__ == "__main__":
    main()
