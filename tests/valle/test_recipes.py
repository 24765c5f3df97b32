"""A device that is not there is refused in one line that names it and what can be used."""

from __future__ import annotations

import pytest
import torch

from valle.errors import UserError
from valle.recipes import recipe_of


def test_the_processor_is_always_there() -> None:
    assert recipe_of("cpu", "auto", 1, "auto").device == "cpu"


@pytest.mark.parametrize("device", ["tpu", "", "meta", "cuda:x", "cuda:-1", "cpu:1", "CUDA", "cuda:1:2"])
def test_what_is_no_device_is_not_known(device: str) -> None:
    with pytest.raises(UserError, match="is not known; use auto, cpu, cuda or cuda:N"):
        recipe_of(device, "auto", 1, "auto")


@pytest.mark.parametrize(("cards", "device"), [(0, "cuda"), (0, "cuda:1"), (1, "cuda:1"), (2, "cuda:2")])
def test_a_card_that_is_not_there_is_named(cards: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    with pytest.raises(UserError, match=f"^The device {device} is not there.*use cpu or auto") as caught:
        recipe_of(device, "float32", 1, "auto")
    assert (f"only {cards}" in str(caught.value)) == (cards > 0)
