"""What every training run needs: a schedule by step count, a folder that survives a kill, a metrics file."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path

METRICS = "metrics.jsonl"
STATE = "state.pt"


def training_folder() -> Path:
    """Where the runs and their data lie: the user's cache folder."""
    folder = user_cache_path("valle-lab") / "training"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Schedule:
    """The factor of the learning rate by step: warm-up, constant, and a linear decay to a twentieth."""

    warmup: int = 100
    decay_start: int = 1 << 60
    decay_steps: int = 1
    begin: int = 0

    @classmethod
    def over(cls, steps: int, decay: float, warmup: int = 100, begin: int = 0) -> Schedule:
        """The schedule of a run whose length is known: the last share `decay` of its steps is the decay.

        A run with fresh optimisers that begins with weights of `begin` steps warms up from there.
        """
        length = max(1, round(steps * decay))
        return cls(warmup, begin + steps - length, length, begin)

    def finishing(self, step: int, decay: float) -> Schedule:
        """This schedule with a decay that begins now and lasts a share `decay` of the steps so far."""
        return replace(self, decay_start=step, decay_steps=max(1, round(step * decay)))

    def extended(self, step: int, steps: int, decay: float) -> Schedule:
        """A schedule of so many steps more: the full rate again, and a decay over their last share."""
        length = max(1, round(steps * decay))
        return replace(self, decay_start=step + steps - length, decay_steps=length)

    @property
    def last_step(self) -> int:
        """The number of steps after which the decay is over."""
        return self.decay_start + self.decay_steps

    def factor(self, step: int) -> float:
        """What the base rate is multiplied with at a step, counted from 0."""
        rise = min(1.0, (step - self.begin + 1) / self.warmup)
        fall = min(1.0, max(0.0, (step - self.decay_start) / self.decay_steps))
        return rise * (1 - 0.95 * fall)


class Run:
    """The folder of one run: its state, replaced as a whole at every save, and its metrics file."""

    def __init__(self, folder: Path, save_every: float = 120.0) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._save_every = save_every
        self._saved = self._started = time.monotonic()
        self.stop_asked = False

    def stop_on_signals(self) -> None:
        """Let SIGTERM and SIGINT end the run after the step, with its state saved."""

        def ask(_number: int, _frame: object) -> None:
            self.stop_asked = True

        signal.signal(signal.SIGTERM, ask)
        signal.signal(signal.SIGINT, ask)

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last, or None in a fresh folder."""
        path = self.folder / STATE
        if not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, weights_only=True)
        return state

    def save(self, state: dict[str, Any], schedule: Schedule, step: int) -> None:
        """Replace the saved state."""
        temporary = self.folder / f"{STATE}.part"
        torch.save({**state, "schedule": asdict(schedule), "step": step}, temporary)
        temporary.replace(self.folder / STATE)
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last save is long enough ago."""
        return time.monotonic() - self._saved > self._save_every

    def log(self, **values: Any) -> None:
        """Append a line to the metrics file and print it."""
        line = json.dumps({"minutes": round((time.monotonic() - self._started) / 60, 2), **values})
        with (self.folder / METRICS).open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)
