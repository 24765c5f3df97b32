"""`valle-lab transcribe` with a real model that knows nothing: what it says is noise, but it is phonemes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from valle.audio import wav
from valle.text.tokens import Tokenizer
from valle.voices import find_voice
from valle_lab.cli import main


def test_a_recording_is_told_in_the_model_s_phonemes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "clear-man", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["phonemes"] and Tokenizer.builtin().encode(told["phonemes"])


def test_of_a_long_recording_a_part_is_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech = find_voice("clear-man").wave()
    file = wav.write(tmp_path / "long.wav", np.tile(speech, 1 + int(62 / 3)))
    assert main(["transcribe", str(file)]) == 2
    assert "--prompt START+SECONDS" in capsys.readouterr().err
    told = []
    for part in ("0+1", "0+2", "1+2"):
        assert main(["transcribe", str(file), "--prompt", part]) == 0
        told.append(capsys.readouterr().out)
    assert len(set(told)) == 3 and all(line.strip() for line in told)
    assert main(["transcribe", str(file), "--prompt", "all"]) == 2
    assert "START+SECONDS" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["missing.wav", "nobody"])
def test_what_is_not_there_is_one_line(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", file]) == 2
    error = capsys.readouterr().err.strip()
    assert file in error and "\n" not in error


def test_a_recording_that_is_cut_short_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = wav.write(tmp_path / "a.wav", find_voice("clear-man").wave())
    file.write_bytes(file.read_bytes()[:40_000])
    config = tmp_path / "lab.toml"
    config.write_text(f'[paths]\nvoices = "{tmp_path / "voices"}"\n')
    for command in (["transcribe"], ["voices", "add"]):
        assert main([*command, str(file), "--config", str(config)]) == 0
        said = capsys.readouterr()
        assert said.err.splitlines() == [f"{file} is cut short: 0.83 s of 3.00 s are there, and are used"]
