"""espeak's process, one a voice for all tests of a run, but for those whose matter the process itself is."""

from __future__ import annotations

import threading
from typing import Any

from valle.text.helper import Helper, HelperError

_kept: dict[str, KeptHelper] = {}


class KeptHelper(Helper):
    """A helper that several phonemizers use and none of them ends; one that failed is ended at once."""

    def __init__(self, voice: str) -> None:
        super().__init__(voice)
        self._one_at_a_time = threading.RLock()

    def greeting(self, timeout: float) -> dict[str, Any]:
        with self._one_at_a_time:
            try:
                return super().greeting(timeout)
            except HelperError:
                super().close()
                raise

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        with self._one_at_a_time:
            try:
                return super().ask(request, timeout)
            except HelperError:
                super().close()
                raise

    def close(self) -> None:
        """Nothing: it ends with the tests."""


def kept_helper(voice: str) -> Helper:
    """The running process for the voice, started where there is none."""
    if voice not in _kept or not _kept[voice].alive():
        _kept[voice] = KeptHelper(voice)
    return _kept[voice]
