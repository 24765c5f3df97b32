"""`valle-lab transcribe` with a real model that knows nothing: what it says is noise, but it is phonemes."""

from __future__ import annotations

import json

import pytest

from valle.text.tokens import Tokenizer
from valle_lab.cli import main


def test_a_recording_is_told_in_the_model_s_phonemes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "clear-man", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["phonemes"] and Tokenizer.builtin().encode(told["phonemes"])


@pytest.mark.parametrize("file", ["missing.wav", "nobody"])
def test_what_is_not_there_is_one_line(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", file]) == 2
    error = capsys.readouterr().err.strip()
    assert file in error and "\n" not in error
