"""The page on a stage of one's own: its code is a stage, and the stage does what the page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from valle.samplers.errors import StackError
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler
from valle.samplers.stack import Stack
from valle.samplers.stages import STAGES

PAGE = (Path(__file__).parents[3] / "docs/own-stage.md").read_text(encoding="utf-8")
FUNCTION, DECLARATION = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> str:
    """The stage of the page, known for the time of a test."""
    names: dict[str, ModuleType] = {}
    for name, code in (("functions", FUNCTION), ("stages", DECLARATION)):
        path = f"valle.samplers.{name}.flatten_top"
        assert f"`{path.replace('.', '/')}.py`" in PAGE
        names[name] = ModuleType(path)
        exec(code, names[name].__dict__)
        monkeypatch.setitem(sys.modules, path, names[name])
    (declared,) = names["stages"].DECLARATIONS
    monkeypatch.setitem(STAGES, declared.name, declared)
    return str(declared.name)


def test_the_stage_of_the_page_makes_the_best_ids_equal(stage: str) -> None:
    logits = torch.randn(4, 30, generator=torch.Generator().manual_seed(1))
    stack = Stack.from_dict({"ar": [{"name": stage, "rank": 3}, {"name": "greedy"}]})
    final = Sampler(stack, "ar").final(logits.clone(), Rows.of("ar", 4))
    for before, after in zip(logits.tolist(), final.tolist(), strict=True):
        best = sorted(before)[-3:]
        assert after == [best[0] if value in best else value for value in before]


def test_the_stage_of_the_page_is_known_like_every_other(stage: str) -> None:
    usual = Stack.from_dict({"ar": [{"name": "temperature", "value": 0.9}, {"name": "draw"}]})
    with pytest.raises(StackError, match=r"flatten_top\.rank must be"):
        usual.set_text("flatten_top.rank=65")
    added = usual.set_text("flatten_top.rank=2")
    assert [item.key for item in added.effective("ar") if item.runs] == ["temperature", stage, "draw"]
    assert not added.set_text("flatten_top.rank=1").effective("ar")[1].runs, "neutral: skipped"
