"""`valle-lab audition` and `valle-lab repl` as commands, with a small model in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_model import Tiny

from valle.audio import wav
from valle_lab.cli import main
from valle_lab.session.save import load_session


def test_an_audition_without_sound_is_written_with_a_table(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "heard"
    common = ["--config", str(tiny.config), "--no-audio", "--voice", "hum", "--out", str(out)]
    assert main(["audition", "Hello there.", *common, "--seeds", "4-6", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [(row["voice"], row["seed"], row["kept"]) for row in table] == [
        ("hum", n, False) for n in (4, 5, 6)
    ]
    session = load_session(out / "audition.json")
    for row, take in zip(table, session.takes, strict=True):
        assert load_session(Path(row["wav"])).takes[0].codes_sha256 == take.codes_sha256


def test_a_recording_that_is_cut_short_is_told_of_in_a_line(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = wav.write(tmp_path / "cut.wav", np.sin(np.arange(48_000) * 0.05).astype(np.float32) * 0.3)
    file.write_bytes(file.read_bytes()[: 44 + 48_000])
    options = ["--config", str(tiny.config), "--no-audio", "--voice", str(file), "--out", str(tmp_path)]
    assert main(["audition", "Hello there.", *options, "--max-duration", "1"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told.count(f"{file} is cut short: 1.00 s of 2.00 s are there, and are used") == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--seeds", "many"], "--seeds 'many'"),
        (["--voice", "nobody"], "nobody"),
        (["--preset", "nothing"], 'no preset "nothing"'),
    ],
)
def test_what_cannot_be_auditioned_is_one_line(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert main(["audition", "Hello.", "--config", str(tiny.config), "--no-audio", *options]) == 2
    assert told in capsys.readouterr().err


def test_a_script_speaks_and_saves(tiny: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "do.txt"
    file = tmp_path / "made.json"
    script.write_text(f"seed.set 3\ntake.speak Hello.\nview.step 2\nsession.save {file}\n")
    assert main(["repl", "--config", str(tiny.config), "--no-audio", "--script", str(script)]) == 0
    printed = capsys.readouterr().out
    assert "seed 3, voice hum" in printed and "cumulative" in printed
    assert load_session(file).takes[0].request.seed == 3
    script.write_text("seed.set 3\nno.such\n")
    assert main(["repl", "--config", str(tiny.config), "--no-audio", "--script", str(script)]) == 2
    assert f"{script}, line 2: There is no command" in capsys.readouterr().err
