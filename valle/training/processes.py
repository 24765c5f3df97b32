"""Several processes that train one model together, on one machine or several, as `torchrun` starts them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch

from valle.errors import UserError


@dataclass(frozen=True)
class Processes:
    """This process among those that train together: its rank from 0, how many there are, and its device."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def join(cls, device: str = "auto") -> Processes:
        """Meet the others, as many as the environment says; alone where it says nothing.

        Raises UserError for a device that is not there.
        """
        local = int(os.environ.get("LOCAL_RANK", "0"))
        place = device_of(device, local)
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls(device=place)
        if place.type == "cuda":
            torch.cuda.set_device(place)
        torch.distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
        return cls(torch.distributed.get_rank(), count, place)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def share(self, batches: int) -> range:
        """The batches of a step that are this process's.

        Raises UserError where they cannot be shared out evenly.
        """
        if batches % self.count:
            raise UserError(
                f"{batches} batches a step cannot be shared by {self.count} processes; "
                f"give --batches a multiple of {self.count}"
            )
        return range(self.rank, batches, self.count)

    def any(self, answer: bool) -> bool:
        """Whether any of the processes says so; all of them must ask."""
        if self.count == 1:
            return answer
        answers = torch.tensor([float(answer)], device=self.device)
        torch.distributed.all_reduce(answers)
        return bool(answers.item())

    def gather(self, results: list[Any]) -> list[Any]:
        """The results of all processes, those of the first before the others'; all of them must ask."""
        if self.count == 1:
            return results
        lists: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(lists, results)
        return [result for each in lists for result in each]

    def leave(self) -> None:
        """Part from the others."""
        if self.count > 1:
            torch.distributed.destroy_process_group()


def device_of(name: str, local: int = 0) -> torch.device:
    """Return the device that a name stands for; auto is a GPU where there is one.

    Raises UserError for one that is not there.
    """
    there = torch.cuda.is_available()
    if name == "auto":
        name = f"cuda:{local}" if there else "cpu"
    if name.startswith("cuda") and not there:
        raise UserError(f"The device {name} is not there: this torch sees no CUDA device; use cpu or auto.")
    if name == "cuda":
        name = f"cuda:{local}"
    try:
        return torch.device(name)
    except RuntimeError:
        raise UserError(f"The device {name!r} is not known; use auto, cpu or cuda.") from None
