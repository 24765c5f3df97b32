"""A tiny model with random weights, and requests for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from toy_model import toy_model, toy_request

from valle.control import Control, NoControl
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech
from valle.models.ar_nar import ArNar
from valle.request import Request
from valle.take import Take, assemble


@pytest.fixture(scope="session")
def model() -> ArNar:
    return toy_model()


@pytest.fixture
def request_() -> Request:
    return toy_request(7, "codec")


@pytest.fixture
def speak(model: ArNar, request_: Request) -> Callable[..., Take]:
    """Make a take of the request, with changes to it, under a control."""

    def made(control: Control | None = None, **changes: Any) -> Take:
        request = replace(request_, **changes)
        run = Run(request, control or NoControl(), vocabulary=model.config.stop + 1)
        return assemble(request, list(decode_speech(model, run, 0)))

    return made
