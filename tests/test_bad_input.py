"""Bad input, a row each: a line that names the thing, the right exit code, nothing written, nothing lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from valle.audio import wav
from valle_lab.cli import main
from valle_lab.session.base import array_document

SESSIONS = Path(__file__).parents[1] / "sessions"
Document = dict[str, Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, but for what the rows name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "corrupt.wav").write_bytes(b"RIFF" + bytes(range(200)))
    wav.write(tmp_path / "silent.wav", np.zeros(24_000, np.float32))
    (tmp_path / "file").touch()
    (tmp_path / "bad.toml").write_text("modle = 'builtin'\n")
    (tmp_path / "odd.toml").write_text("[audio]\nsinkk = 'none'\n")
    (tmp_path / "worse.toml").write_text("voice = 7\n")
    (tmp_path / "stack.toml").write_text('ar = [{name = "top_p", q = 0.9}, {name = "draw"}]\n')
    return tmp_path


def one_line(arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command complained about in its one line; everything that was there is as it was."""
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1, printed.err
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
    return printed.err


SAY: list[tuple[str, list[str], str]] = [
    ("empty text", [""], "there is no text to speak"),
    ("blank text", [" \n\t "], "there is no text to speak"),
    ("text with no sound", ["..."], "no sound"),
    ("5,000 characters", ["word " * 1000], "--split"),
    ("unknown voice", ["Hi.", "--voice", "warm-womann"], "warm-woman"),
    ("unknown stage", ["Hi.", "--set", "topp.p=0.5"], '"top_p"'),
    ("unknown stage, later", ["Hi.", "--at", "9:topp.p=0.5"], '"top_p"'),
    ("unknown parameter", ["Hi.", "--set", "top_p.q=0.5"], "known are p"),
    ("unknown parameter of a file", ["Hi.", "--stack", "stack.toml"], "stack.toml"),
    ("value out of range", ["Hi.", "--set", "top_p.p=1.5"], "1.5"),
    ("unknown preset", ["Hi.", "--preset", "zonoss"], '"zonos"'),
    ("voice that is missing", ["Hi.", "--voice", "missing.wav"], "missing.wav"),
    ("voice that is empty", ["Hi.", "--voice", "empty.wav"], "empty.wav"),
    ("voice that is corrupt", ["Hi.", "--voice", "corrupt.wav"], "corrupt.wav"),
    ("voice that is silent", ["Hi.", "--voice", "silent.wav"], "silent.wav"),
    ("folder that cannot be made", ["Hi.", "--out", "file/a.wav"], "file"),
    ("folder that cannot be written", ["Hi.", "--out", "/proc/self/a.wav"], "/proc/self"),
    ("session that cannot be written", ["Hi.", "--out", "a.wav", "--session", "/proc/a.json"], "/proc"),
    ("unknown key", ["Hi.", "--config", "bad.toml"], "bad.toml: unknown key 'modle'; did you mean 'model'?"),
    ("unknown key in a table", ["Hi.", "--config", "odd.toml"], "odd.toml: unknown key 'audio.sinkk'"),
    ("wrong type in the settings", ["Hi.", "--config", "worse.toml"], "worse.toml: voice = 7"),
    ("settings that are missing", ["Hi.", "--config", "none.toml"], "none.toml"),
    ("unknown language", ["Hi.", "--language", "tlh"], "tlh"),
    ("unknown model", ["Hi.", "--model", "huge"], "huge"),
    ("a model that is none", ["Hi.", "--model", "corrupt.wav"], "corrupt.wav"),
    ("a codec that is none", ["Hi.", "--codec", "corrupt.wav"], "corrupt.wav"),
    ("seed out of range", ["Hi.", "--seed", str(2**64)], "2^64"),
]


@pytest.mark.parametrize(("arguments", "says"), [row[1:] for row in SAY], ids=[row[0] for row in SAY])
def test_say(arguments: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in one_line(["say", *arguments], here, capsys)


def take(document: Document) -> Document:
    first: Document = document["takes"][0]
    return first


def out_of_range(document: Document) -> None:
    level = take(document)["segments"][0]["levels"][2]
    level.update(array_document(np.full(level["shape"], 1024), "int16"))


def of_another_codec(document: Document) -> None:
    take(document)["origin"]["codec"].update(sha256="0" * 64, name="encodec")
    take(document)["request"]["prompt"]["codec"] = "0" * 64


def of_another_model(document: Document) -> None:
    take(document)["origin"]["model"].update(sha256="0" * 64, name="big", release="the release 3")


CHANGES: list[tuple[str, Callable[[Document], None], str]] = [
    ("newer version", lambda d: d["schema"].update(version="2.0"), "has version 2.0, this program reads 1"),
    ("no session", lambda d: d.pop("schema"), "is no session"),
    (
        "wrong type deep inside",
        lambda d: take(d)["segments"][0]["traces"][0]["evidence"].update(chosen=[1]),
        "takes[0].segments[0].traces[0].evidence.chosen",
    ),
    ("codes out of range", out_of_range, "takes[0].segments[0].levels[2]: holds 1024"),
    (
        "codes that were edited",
        lambda d: take(d)["codes_sha256"].reverse(),
        "was damaged or edited",
    ),
    ("unknown stage", lambda d: take(d)["request"]["stack"]["ar"][0].update(name="topp"), '"top_p"'),
    (
        "a model that is not here",
        of_another_model,
        "big (000000000000, from the release 3), which is not",
    ),
    ("codes of another codec", of_another_codec, "codes of another codec (encodec 000000000000)"),
    ("other noise", lambda d: take(d)["request"].update(noise="dice"), "'dice'"),
    ("no takes", lambda d: d.update(takes=[]), "has no take"),
]


@pytest.mark.parametrize(("change", "says"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_replay_of_a_session_that_cannot_be(
    change: Callable[[Document], Any], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((SESSIONS / "plain.json").read_text())
    change(document)
    (here / "bad.json").write_text(json.dumps(document))
    error = one_line(["replay", "bad.json"], here, capsys)
    assert error.startswith("bad.json") and says in error


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is not there"),
        (b"", "cut off, or no JSON"),
        ((SESSIONS / "plain.json").read_bytes()[:50_000], "cut off, or no JSON"),
        (b"hello", "cut off, or no JSON"),
        (b"\xff\xfe\x00\x01", "no JSON"),
        (b"[1, 2]", "bad.json"),
        (b"[" * 100_000, "bad.json"),
        (b"RIFF" + bytes(100), "bad.json"),
    ],
    ids=["missing", "empty", "truncated", "text", "bytes", "a list", "nested", "a damaged wav"],
)
@pytest.mark.parametrize("command", ["replay", "diff", "wins"])
def test_files_that_are_no_session(
    command: str, content: bytes | None, says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (here / "bad.json").write_bytes(content)
    shutil.copy(SESSIONS / "plain.json", here / "good.json")
    files = ["bad.json"] if command == "replay" else ["good.json", "bad.json"]
    error = one_line([command, *files], here, capsys)
    assert "bad.json" in error and says in error


def test_a_wav_without_a_session(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "silent.wav carries no session" in one_line(["replay", "silent.wav"], here, capsys)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--take", "9"], "has no take '9'"),
        (["--mode", "exactly"], "exact, tolerant, forced"),
        (["--model", "huge"], "huge"),
        (["--out", "good.json"], "good.json is not a folder"),
        (["--out", "/proc/self/x"], "/proc/self"),
        (["--codec", "corrupt.wav"], "corrupt.wav"),
        (["--config", "bad.toml"], "bad.toml"),
    ],
)
def test_options_of_replay(
    arguments: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(SESSIONS / "seed-zero.json", here / "good.json")
    assert says in one_line(["replay", "good.json", *arguments], here, capsys)


def test_one_bad_file_of_several_does_not_hide_the_others(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad.json").write_text("{")
    shutil.copy(SESSIONS / "seed-zero.json", here / "good.json")
    assert main(["replay", "bad.json", "good.json", "--mode", "forced"]) == 2
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 1 and "bad.json" in printed.err
    assert printed.out == "good.json take: identical\n"
