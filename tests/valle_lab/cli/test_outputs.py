"""Names of files: safe, telling, never over another take, and checked beforehand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.errors import UserError
from valle_lab.cli.outputs import Outputs, choose_outputs, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hello, world!", "hello-world"),
        ("  It's 3.14 -- isn't it?", "its-3-14-isnt-it"),
        ("Grüße aus Köln", "grue-aus-koln"),
        ("../../etc/passwd", "etc-passwd"),
        ("こんにちは", "take"),
        ("", "take"),
        ("x" * 99, "x" * 40),
        ("one two three four five six seven eight nine ten", "one-two-three-four-five-six-seven-eight"),
    ],
)
def test_safe_name(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text())
def test_every_text_has_a_safe_name(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,45}", safe_name(text))


def test_session_stands_beside_the_wav(tmp_path: Path) -> None:
    assert choose_outputs(tmp_path / "a.wav", None, tmp_path, "x", 1) == Outputs(
        tmp_path / "a.wav", tmp_path / "a.json"
    )
    given_both = choose_outputs(tmp_path / "a.wav", tmp_path / "new" / "b.json", tmp_path, "x", 1)
    assert given_both.session == tmp_path / "new" / "b.json"
    assert given_both.session.parent.is_dir()


def test_own_names_never_meet_a_file(tmp_path: Path) -> None:
    assert choose_outputs(None, None, tmp_path / "out", "Hi you", 7).wav == tmp_path / "out" / "hi-you-7.wav"
    (tmp_path / "out" / "hi-you-7.wav").touch()
    (tmp_path / "out" / "hi-you-7-2.json").touch()
    assert choose_outputs(None, None, tmp_path / "out", "Hi you", 7).wav.name == "hi-you-7-3.wav"


def test_what_cannot_be_written_is_found_out_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    for wav, session, says in [
        (tmp_path / "a.mp3", None, r"must end in \.wav"),
        (None, tmp_path / "a.txt", r"must end in \.json"),
        (tmp_path / "file" / "a.wav", None, "nothing can be written there"),
        (tmp_path / "folder.wav", None, "is a folder"),
        (Path("/proc/here/a.wav"), None, "nothing can be written there"),
    ]:
        with pytest.raises(UserError, match=says):
            choose_outputs(wav, session, tmp_path, "x", 1)
