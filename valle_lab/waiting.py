"""The lab for whoever does one thing after the other: a command is given, and what it began is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from valle_lab.lab.audition import Audition
from valle_lab.lab.lab import Lab
from valle_lab.lab.state import LabTake, Notice

PAUSE = 0.03
"""Seconds between two looks at what has come."""


class Waiting:
    """Takes in what comes until something is reached.

    Ctrl-C meanwhile stops the take that is being made, a second time it breaks it off.
    """

    def __init__(
        self,
        lab: Lab,
        tell: Callable[[Notice], None],
        progress: Callable[[str], None] = lambda text: None,
        *,
        in_process: bool = False,
    ) -> None:
        """`progress` is given a line that is written over, empty when there is nothing more to wait for.

        `in_process`: the take is computed by this waiting itself, which then makes no pauses.
        """
        self.lab = lab
        self._tell = tell
        self._progress = progress
        self._in_process = in_process

    def until(self, reached: Callable[[], bool]) -> None:
        """Take in what comes until that is so."""
        interrupted = False
        while True:
            try:
                self.poll()
                if reached():
                    break
                self._progress(self.doing())
                if not (self._in_process and self.lab.running):
                    time.sleep(PAUSE)
            except KeyboardInterrupt:
                if self.lab.running is None:
                    raise
                self.lab.run("take.cancel" if interrupted else "take.stop")
                interrupted = True
        self._progress("")

    def for_result(self, result: Any, *, auditions: bool = True) -> Any:
        """What a command gave, once that is whole. Raises its error, where it is one."""
        self.until(lambda: self._is_whole(result, auditions))
        return result.result(0) if isinstance(result, Future) else result

    def poll(self) -> None:
        """Take in what has come, and tell what there is to tell."""
        notices = self.lab.poll().notices
        if notices:
            self._progress("")
        for notice in notices:
            self._tell(notice)

    def doing(self) -> str:
        """What is under way, in one line; empty where nothing is."""
        lab = self.lab
        if lab.loading is not None:
            return f"{lab.loading.doing} {lab.loading.fraction:.0%}"
        take = lab.running
        if take is not None and take.begun is not None:
            line = take.timeline
            entropy = f", {line.entropy[-1]:.1f} bits" if len(line) else ""
            rate = f", {line.steps_per_second:.0f} steps/s" if line.steps_per_second else ""
            return f"{take.name}: {line.doing(take.begun.request)}{entropy}{rate}"
        if lab.player is not None and lab.player.state == "playing":
            return f"playing {lab.player.position:.1f}/{lab.player.duration:.1f} s"
        return ""

    def _is_whole(self, result: Any, auditions: bool) -> bool:
        if isinstance(result, Future):
            return result.done()
        if isinstance(result, Audition):
            return result.over or not auditions
        running = isinstance(result, LabTake) and result.running
        return not running and not self.lab.answers and not self.lab.works
