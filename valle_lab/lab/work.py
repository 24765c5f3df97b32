"""What goes on over several polls of the lab, such as a sheet whose takes are made and then checked."""

from __future__ import annotations

from typing import Protocol


class Work(Protocol):
    """Polled by the lab, which is busy with it, until it is over."""

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""

    def poll(self) -> None:
        """Do what can be done now. Raises UserError where it cannot go on; it is then given up."""
