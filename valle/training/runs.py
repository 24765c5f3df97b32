"""What every training run needs: a schedule by step count, a folder that survives a kill, and the loop."""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, Protocol

import torch

from valle import folders
from valle.errors import UserError
from valle.training.processes import Processes

METRICS = "metrics.jsonl"
STATE = "state.pt"
LOWEST = 0.05
"""What is left of the rate at the end."""

Fall = Literal["linear", "cosine"]


def training_folder() -> Path:
    """Where the runs and their data lie: the user's cache folder."""
    folder = folders.cache() / "training"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Schedule:
    """The factor of the learning rate by step: warm-up, constant, and a fall to a twentieth."""

    warmup: int = 100
    decay_start: int = 1 << 60
    decay_steps: int = 1
    begin: int = 0
    fall: Fall = "linear"

    @classmethod
    def over(
        cls, steps: int, decay: float, warmup: int = 100, begin: int = 0, fall: Fall = "linear"
    ) -> Schedule:
        """The schedule of a run whose length is known: the last share `decay` of its steps is the fall.

        A run with fresh optimisers that begins with weights of `begin` steps warms up from there.
        """
        length = fall_of(steps, decay)
        return cls(warmup, begin + steps - length, length, begin, fall)

    def finishing(self, step: int, decay: float) -> Schedule:
        """This schedule with a fall that begins now and lasts a share `decay` of the run's steps so far."""
        return replace(self, decay_start=step, decay_steps=fall_of(step - self.begin, decay))

    def extended(self, step: int, steps: int, decay: float) -> Schedule:
        """A schedule of so many steps more: the full rate again, and a fall over their last share."""
        length = fall_of(steps, decay)
        return replace(self, decay_start=step + steps - length, decay_steps=length)

    @property
    def last_step(self) -> int:
        """The number of steps after which the fall is over."""
        return self.decay_start + self.decay_steps

    def factor(self, step: int) -> float:
        """What the base rate is multiplied with at a step, counted from 0."""
        rise = min(1.0, (step - self.begin + 1) / self.warmup)
        way = min(1.0, max(0.0, (step - self.decay_start) / self.decay_steps))
        fallen = way if self.fall == "linear" else (1 - math.cos(math.pi * way)) / 2
        return rise * (1 - (1 - LOWEST) * fallen)


def fall_of(steps: int, decay: float) -> int:
    """How many steps a share `decay` of them is, one at least."""
    return max(1, round(steps * decay))


class Run:
    """The folder of one run: its state, replaced as a whole at every save, and its metrics file."""

    def __init__(self, folder: Path, save_every: float = 120.0) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._save_every = save_every
        self._saved = self._started = time.monotonic()
        self._line = False
        self.stop_asked = False

    def stop_on_signals(self) -> None:
        """Let SIGTERM and SIGINT end the run after the step, with its state saved."""

        def ask(_number: int, _frame: object) -> None:
            self.stop_asked = True

        signal.signal(signal.SIGTERM, ask)
        signal.signal(signal.SIGINT, ask)

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last, or None in a fresh folder.

        Raises UserError for a file that cannot be read.
        """
        path = self.folder / STATE
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
            raise UserError(f"{path}: cannot be read, it is damaged; move it away to begin anew") from error
        return state

    def save(self, state: Mapping[str, Any], schedule: Schedule, step: int) -> None:
        """Replace the saved state."""
        temporary = self.folder / f"{STATE}.part"
        torch.save({**state, "schedule": asdict(schedule), "step": step}, temporary)
        temporary.replace(self.folder / STATE)
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last save is long enough ago."""
        return time.monotonic() - self._saved > self._save_every

    def log(self, **values: Any) -> None:
        """Append a line to the metrics file."""
        line = json.dumps({"minutes": round((time.monotonic() - self._started) / 60, 2), **values})
        with (self.folder / METRICS).open("a") as file:
            file.write(line + "\n")

    def show(self, text: str) -> None:
        """Say how far it is: in one line that is written over, where there is a terminal."""
        if sys.stderr.isatty():
            print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)
            self._line = True
        else:
            print(text, file=sys.stderr, flush=True)

    def end_line(self) -> None:
        """Leave the line of progress as it is."""
        if self._line:
            print(file=sys.stderr, flush=True)
            self._line = False


class Trainer(Protocol):
    """What every trainer can do; a step returns what `summary` makes numbers of."""

    step: int

    def train_step(self, factor: float) -> Any:
        """Take one step at a factor of the base rates."""

    def summary(self, results: list[Any]) -> dict[str, float]:
        """What some steps came to."""

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


WAIT = 1.0
ALONE = Processes()


def train(
    trainer: Trainer,
    run: Run,
    schedule: Schedule,
    report_every: int = 50,
    ready: Callable[[int], bool] = lambda step: True,
    processes: Processes = ALONE,
) -> None:
    """Train until the schedule ends or a signal asks for it, saving now and then and at the end.

    `ready` says whether all that a step needs is there; it is waited for.
    """
    results: list[Any] = []
    begun, first = time.monotonic(), trainer.step

    def report() -> None:
        found = trainer.summary(processes.gather(results))
        if processes.is_first:
            run.log(step=trainer.step, of=schedule.last_step, **found)
            pace = (trainer.step - first) / (time.monotonic() - begun)
            run.show(_progress(trainer.step, schedule.last_step, pace, found))
        results.clear()

    while trainer.step < schedule.last_step and not processes.any(run.stop_asked):
        if processes.any(not ready(trainer.step)):
            time.sleep(WAIT)
            continue
        results.append(trainer.train_step(schedule.factor(trainer.step)))
        if trainer.step % report_every == 0:
            report()
        if processes.is_first and run.is_due():
            run.save(trainer.state(), schedule, trainer.step)
    if results:
        report()
    run.end_line()
    if processes.is_first:
        run.save(trainer.state(), schedule, trainer.step)


def _progress(step: int, last: int, pace: float, found: dict[str, float]) -> str:
    left = round((last - step) / max(pace, 1e-9))
    numbers = "  ".join(f"{name} {value:g}" for name, value in found.items() if not name.endswith("_right"))
    return f"{step}/{last}  {numbers}  {pace:.2f} steps/s  {left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
