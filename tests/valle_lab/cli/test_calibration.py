"""`valle-lab samplers --calibrate`: from sessions to thresholds that the next take uses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_model import Say

from valle_lab.cli import main
from valle_lab.session.save import load_session

LONG = ("--max-duration", "1.6", "--set", "minimum_length.steps=1000")


def test_sessions_become_thresholds_of_their_model(
    say: Say, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(here / "data"))
    for number in ("1", "2"):
        say("--seed", number, "--out", f"{number}.wav", *LONG)
    say("--seed", "3", "--out", "before.wav", "--set", "entropix.temperature=1")
    before = load_session("before.json").take().effective["ar"][-1]
    assert (before["name"], before["high_entropy"]) == ("entropix", 5.0)

    assert main(["samplers", "--calibrate", "1.json", "2.json", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    takes = [load_session(f"{number}.json").take() for number in (1, 2)]
    entropies = [take.segments[0].traces[0].measures.entropy.values()[0, :, 0] for take in takes]
    expected = np.quantile(np.concatenate(entropies), 0.75)
    assert told["decisions"] == 240
    assert told["model"] == takes[0].origin.model.sha256
    assert told["stages"]["entropix"]["high_entropy"] == pytest.approx(expected, abs=1e-3)
    assert Path(told["file"]).is_file() and here in Path(told["file"]).parents

    say("--seed", "3", "--out", "after.wav", "--set", "entropix.temperature=1")
    after = load_session("after.json").take().effective["ar"][-1]
    assert after["high_entropy"] == told["stages"]["entropix"]["high_entropy"]
    assert after["temperature"] == 1.0

    assert main(["samplers", "--calibrate", "1.json", "2.json"]) == 0
    printed = capsys.readouterr()
    assert "entropix low_entropy=" in printed.out and "regions of entropix: sure" in printed.out
    assert "not taken by itself" in printed.out and "kept in" in printed.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--calibrate",), "needs sessions"),
        (("--calibrate", "nowhere.json"), "nowhere.json"),
        (("top_k", "top_p"), "one name at a time"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["samplers", *arguments]) == 2
    printed = capsys.readouterr()
    assert says in printed.err and printed.out == "" and len(printed.err.splitlines()) <= 2


def test_a_short_take_tells_too_little(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    say("--seed", "1", "--out", "a.wav")
    assert main(["samplers", "--calibrate", "a.json"]) == 2
    assert "200 are the least" in capsys.readouterr().err
