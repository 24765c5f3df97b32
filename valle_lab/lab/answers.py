"""Answers that are awaited from other threads and processes, and handed on by the thread that polls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from valle.errors import UserError
from valle_lab.worker.surface import WorkerClosedError


@dataclass(frozen=True, slots=True)
class _Awaited:
    answer: Future[Any]
    then: Callable[[Any], None]
    failed: Callable[[UserError], None]


class Answers:
    """What is awaited; `failed` is told why there is no answer, where nobody else was named for that."""

    def __init__(self, failed: Callable[[UserError], None]) -> None:
        self._failed = failed
        self._awaited: list[_Awaited] = []

    def __len__(self) -> int:
        return len(self._awaited)

    def expect(
        self,
        answer: Future[Any],
        then: Callable[[Any], None],
        failed: Callable[[UserError], None] | None = None,
    ) -> None:
        """Hand on an answer as soon as it is there and somebody polls."""
        self._awaited.append(_Awaited(answer, then, failed or self._failed))

    def poll(self) -> None:
        """Hand on the answers that have come; a UserError on the way is told too."""
        waiting, self._awaited = self._awaited, []
        for item in waiting:
            if not item.answer.done():
                self._awaited.append(item)
            elif (error := item.answer.exception()) is not None:
                if not isinstance(error, WorkerClosedError):
                    item.failed(as_user_error(error))
            else:
                try:
                    item.then(item.answer.result())
                except UserError as refused:
                    self._failed(refused)


def beside(work: Callable[[], Any]) -> Future[Any]:
    """Have something slow done by a thread of its own."""
    answer: Future[Any] = Future()

    def do() -> None:
        try:
            answer.set_result(work())
        # Told to whoever waits for the answer.
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return answer


def as_user_error(error: BaseException) -> UserError:
    """Itself, or one line for what nobody foresaw."""
    if isinstance(error, UserError):
        return error
    return UserError(f"{type(error).__name__}: {error}".splitlines()[0])
