"""Thresholds from recorded decisions: quantiles, kept per model, taken where a stack leaves them open."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from valle.errors import UserError
from valle.samplers import Stack
from valle.samplers.calibrate import Calibration, Decisions, calibrate, calibration_file, filled, keep, kept

MODEL = "a" * 64
OPEN = Stack.from_dict({"ar": [{"name": "entropix"}], "nar": [{"name": "greedy"}]})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def decisions(count: int = 401) -> Decisions:
    """Entropy from 0 to 8 bits, varentropy from 4 down to 0, probabilities from 0 to 1."""
    way = np.linspace(0.0, 1.0, count)
    return Decisions(8 * way, 4 * (1 - way), way, way / 2)


def test_thresholds_are_quantiles() -> None:
    found = calibrate(MODEL, decisions())
    assert found.stages["entropix"] == {
        "low_entropy": 2.0,
        "medium_entropy": 4.0,
        "high_entropy": 6.0,
        "low_varentropy": 1.0,
        "high_varentropy": 3.0,
    }
    assert found.stages["mirostat"] == {"target": 1.0}
    assert found.stages["adaptive_p"] == {"target": 0.5}
    assert found.stages["xtc"] == {"threshold": 0.25}
    assert found.quantiles["entropy"] == pytest.approx((0.4, 0.8, 2.0, 4.0, 6.0, 7.2, 7.6))
    # The quarter of much varentropy has the lowest entropies, that of little the highest.
    shares = {"sure": 0.0, "even": 0.25, "forked": 0.25, "lost": 0.0, "between": 0.5}
    assert found.shares == pytest.approx(shares, abs=0.01)


def test_too_few_decisions_are_refused() -> None:
    with pytest.raises(UserError, match="199 decisions of the model aaaaaaaaaaaa; 200"):
        calibrate(MODEL, decisions(199))


def test_values_stay_in_the_range_of_the_parameter() -> None:
    nothing = np.zeros(300)
    found = calibrate(MODEL, Decisions(nothing, nothing, nothing, nothing + 0.9))
    assert found.stages["mirostat"]["target"] == 10.0
    assert found.stages["xtc"]["threshold"] == 0.5
    Stack.from_dict({"ar": [{"name": "entropix", **found.stages["entropix"]}]})


def test_what_is_kept_comes_back(home: Path) -> None:
    assert kept(MODEL) is None
    found = calibrate(MODEL, decisions())
    assert keep(found) == calibration_file(MODEL) and home in calibration_file(MODEL).parents
    assert kept(MODEL) == found
    assert kept("b" * 64) is None


def test_a_stack_takes_it_where_it_is_open(home: Path) -> None:
    keep(calibrate(MODEL, decisions()))
    taken = filled(OPEN, MODEL)
    assert taken.stages("ar")[0].parameters["high_entropy"] == 6.0
    assert taken.lists["nar"] == OPEN.lists["nar"]
    assert filled(taken, MODEL) == taken and filled(OPEN, "b" * 64) == OPEN
    named = OPEN.set("entropix.high_entropy", 9.0)
    assert filled(named, MODEL).stages("ar")[0].parameters["high_entropy"] == 9.0
    assert filled(named, MODEL).stages("ar")[0].parameters["low_entropy"] == 2.0
    # What is said of other stages is for a person to set.
    other = Stack.from_dict({"ar": [{"name": "xtc"}, {"name": "mirostat"}]})
    assert filled(other, MODEL) == other


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.clear(),
        lambda document: document["stages"].update(entropix={"high_entropy": "much"}),
        lambda document: document["stages"].update(entropix={"high_entropy": 900}),
        lambda document: document["stages"].update(nothing={"high_entropy": 1}),
        lambda document: document["stages"].update(entropix={"hight": 1}),
        lambda document: document.update(stages=[1]),
    ],
)
def test_a_damaged_file_is_named(home: Path, change: object) -> None:
    document = calibrate(MODEL, decisions()).to_dict()
    assert callable(change)
    change(document)
    keep(calibrate(MODEL, decisions()))
    calibration_file(MODEL).write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"a{64}\.json is damaged .*make it again"):
        filled(OPEN, MODEL)
    without = Stack.from_dict({"ar": [{"name": "draw"}]})
    assert filled(without, MODEL) == without


def test_a_calibration_is_plain_data() -> None:
    document = calibrate(MODEL, decisions()).to_dict()
    assert json.loads(json.dumps(document)) == document
    assert isinstance(calibrate(MODEL, decisions()), Calibration)
