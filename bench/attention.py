"""Attention backends side by side in one run, and what watching attention costs a step.

Backends take turns; figures are the least of their turns, as ratios of torch's sdpa. What watching adds is
the median over neighbouring turns. On the CPU it is computing time, so that what else the machine does
matters little. On a GPU: bfloat16, head sizes 64 and 128, lengths 512 to 8192, forward, and forward with
backward. On the CPU: float32, shorter, and our kernel is left out, since there it is only interpreted. A
backend that fails is told with its reason, and the others go on.

    python bench/attention.py
    python bench/attention.py --device cuda --train 300
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor

from valle.decoding.attention import LastQuery
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.arch.attention import BACKENDS, Mask, availability, find, use_attention
from valle.models.arch.cache import Cache
from valle.models.arch.observer import Observer
from valle.models.attention_maps import AttentionTrack
from valle.models.base import Inputs
from valle.models.config import ModelConfig

Call = Callable[[], object]
SLOWEST = 20.0
"""A backend so many times as slow as sdpa is not measured at greater lengths."""


def usable(device: str, dtype: str) -> list[str]:
    """The backends that run here; the interpreted kernel does not count."""
    names = [each.backend.name for each in availability(device, dtype) if each.problem is None]
    return [name for name in names if not (name == "fused" and device == "cpu")]


def in_turns(calls: dict[str, Call], repeats: int, device: str) -> dict[str, list[float]]:
    """Milliseconds of each, of every turn after the first; on the CPU those that it computed."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            _wait(device)
            begun = clock()
            call()
            _wait(device)
            if turn:
                taken[name].append((clock() - begun) * 1e3)
    return taken


def least(taken: dict[str, list[float]]) -> dict[str, float]:
    """The shortest turn of each."""
    return {name: min(turns) for name, turns in taken.items()}


def added(taken: dict[str, list[float]], name: str) -> float:
    """What one adds to the `plain` turn right before it, as a share of it: the median over all turns."""
    return median(one / plain - 1 for one, plain in zip(taken[name], taken["plain"], strict=True))


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def kernels(options: argparse.Namespace) -> None:
    """The table of backends by head size and length."""
    dtype = getattr(torch, options.dtype)
    names = usable(options.device, options.dtype)
    print(f"attention in {options.dtype} on {options.device}, {options.heads} heads, one row, causal")
    print("| head | length | pass | sdpa ms |", " | ".join(name for name in names if name != "sdpa"), "|")
    print("|---|---|---|---|" + "---|" * (len(names) - 1))
    slow: set[str] = set()
    for width in options.head_sizes:
        for length in options.lengths:
            shape = (1, options.heads, length, width)
            query, key, value = (
                torch.randn(shape, device=options.device, dtype=dtype, requires_grad=True) for _ in range(3)
            )

            tensors = (query, key, value)
            for told, run in (("forward", forward), ("with backward", with_backward)):
                backward = told != "forward"
                chosen = [n for n in names if n not in slow and not (backward and _no_gradients(n, options))]
                calls = {name: partial(run, name, *tensors) for name in chosen}
                calls = {name: call for name, call in calls.items() if works(name, call)}
                best = least(in_turns(calls, options.repeats, options.device))
                slow |= {name for name in best if best[name] > SLOWEST * best["sdpa"]}
                ratios = [
                    f"{best[name] / best['sdpa']:.2f}" if name in best else "-"
                    for name in names
                    if name != "sdpa"
                ]
                print(f"| {width} | {length} | {told} | {best['sdpa']:.2f} |", " | ".join(ratios), "|")


def works(name: str, call: Call) -> bool:
    """Whether a first call goes well; where not, its reason is told."""
    try:
        call()
    except Exception as error:  # whatever a compiler, a driver or too little memory makes of it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        print(f"{name} fails: {reason}", file=sys.stderr)
        return False
    return True


def forward(name: str, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """One causal call."""
    with torch.no_grad():
        return find(name)(query, key, value, Mask(causal=True))


def with_backward(name: str, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    """One causal call and its gradients."""
    answer = find(name)(query, key, value, Mask(causal=True))
    return torch.autograd.grad(answer.sum(), (query, key, value))


def _no_gradients(name: str, options: argparse.Namespace) -> bool:
    return name == "flex" and options.device == "cpu"


def watching(options: argparse.Namespace) -> None:
    """What a step of level 0 costs when its attention is measured, and when it is kept for maps."""
    torch.manual_seed(0)
    config = ModelConfig(dim=192, layers=6, heads=4, ffn=768, capabilities=("ar", "nar"))
    model = ArNar(config).to(options.device).eval().requires_grad_(False)
    row = Inputs(phonemes=torch.randint(4, 200, (40,)), language=0, prompt=torch.randint(0, 1024, (225, 8)))
    (layout,) = model.layouts([row], growing=True)
    print(f"\na step of the built-in model's size on {options.device}, plain and watched (medians)")
    print("| backend | plain ms | measures | maps |")
    print("|---|---|---|---|")
    for name in usable(options.device, "float32"):
        use_attention(model, name)
        caches = {}
        observers: dict[str, Callable[[], Observer | None]] = {
            "plain": lambda: None,
            "measures": LastQuery,
            "maps": lambda: AttentionTrack(layout),
        }
        for kind, make in observers.items():
            observer = make()
            cache, _ = model.begin([row], options.steps + 1, observer)
            caches[kind] = (cache, observer)

        calls = {kind: partial(step, model, *caches[kind]) for kind in observers}
        taken = in_turns(calls, options.steps, options.device)
        shares = " | ".join(f"{added(taken, kind):+.0%}" for kind in ("measures", "maps"))
        print(f"| {name} | {median(taken['plain']):.2f} | {shares} |")


def step(model: ArNar, cache: Cache, kept: Observer | None) -> None:
    """One step; attention is measured where the observer is one of a single pass."""
    observer = LastQuery() if isinstance(kept, LastQuery) else kept
    model.advance(cache, torch.tensor([7]), observer)
    if isinstance(observer, LastQuery):
        observer.measures()


def train(options: argparse.Namespace) -> None:
    """Losses of a short training by every backend with gradients, the same weights and batches for all.

    `math` once more with other weights tells what is noise.
    """
    names = [name for name in usable(options.device, options.dtype) if name not in ("math", "default")]
    print(f"\na training of {options.train} steps, {options.dtype}: mean losses by backend")
    ends = sorted({min(options.train, end) for end in (20, options.train // 2, options.train)})
    print("| backend |", " | ".join(f"to step {end}" for end in ends), "|")
    print("|---|" + "--:|" * len(ends))
    for name, seed in (("math", 1), ("math", 2), *((name, 1) for name in names)):
        losses: list[float] = []
        if not _no_gradients(name, options) and works(name, partial(_trained, name, seed, options, losses)):
            means = [sum(losses[max(0, end - 20) : end]) / min(20, end) for end in ends]
            told = name if seed == 1 else f"{name}, other weights"
            print(f"| {told} |", " | ".join(f"{mean:.4f}" for mean in means), "|", flush=True)


def _trained(name: str, seed: int, options: argparse.Namespace, losses: list[float]) -> None:
    """Train a small model; its losses go to the list."""
    torch.manual_seed(seed)
    config = ModelConfig(dim=128, layers=4, heads=2, ffn=512, capabilities=("ar", "nar"), attention=name)
    model = ArNar(config).to(options.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    half = options.dtype != "float32"
    kind = options.device.partition(":")[0]
    for step in range(options.train):
        with torch.autocast(kind, getattr(torch, options.dtype), enabled=half):
            loss = model.loss(_rows(step)).mean
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())


def _rows(step: int) -> Sequence[Inputs]:
    """Codes that follow from those before and from the text: something to learn."""
    random = torch.Generator().manual_seed(step)
    rows = []
    for level in (0, 0, 3):
        text = torch.randint(4, 60, (12,), generator=random)
        start = int(text[3])
        codes = ((start + torch.arange(40))[:, None] * torch.arange(1, 9) % 97).long()
        rows.append(Inputs(phonemes=text, language=0, response=codes, level=level))
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default=None)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--head-sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--lengths", type=int, nargs="+", default=None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=100, help="turns of one step, where attention is watched"
    )
    parser.add_argument("--train", type=int, default=0, help="steps of a training by every backend")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    on_gpu = options.device.startswith("cuda")
    options.dtype = options.dtype or ("bfloat16" if on_gpu else "float32")
    options.lengths = options.lengths or ([512, 1024, 2048, 4096, 8192] if on_gpu else [128, 512, 1024])
    try:
        kernels(options)
        watching(options)
        if options.train:
            train(options)
    except UserError as error:
        raise SystemExit(str(error)) from None
    print("\n" + "\n".join(f"{each.name}: {each.tested}" for each in BACKENDS.values()))


if __name__ == "__main__":
    main()
