"""`valle-lab export`: all of it with a model, without one, and every bad input in a line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_model import Say

from valle.audio.riff import read_text
from valle_lab.cli import main

SESSIONS = Path(__file__).parents[3] / "sessions"
FIGURES = (
    "timeline", "spectrogram", "alignment", "attention", "stages", "waterfall", "histogram", "levels",
)  # fmt: skip


def test_all_of_it(say: Say, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valle_lab.figures.canvas.DPI", 20)
    say("--seed", "5", "--out", "out/hello.wav")
    assert main(["export", "out/hello.json", "--step", "3", "--json", *say.config]) == 0
    document = json.loads(capsys.readouterr().out)
    folder = Path("out/hello-2") if Path("out/hello-2").exists() else Path("out/hello")
    (take,) = document["takes"]
    assert (document["folder"], take["verdict"], take["decision"]) == (str(folder), "identical", 3)
    assert take["left_out"] is None
    wanted = {"take.wav", "take-codes.npz", "take-trace.csv", "index.html"}
    wanted |= {f"take-{name}.{ending}" for name in FIGURES for ending in ("png", "svg")}
    assert {file.name for file in folder.iterdir()} == wanted
    assert "identical: " in (folder / "index.html").read_text()
    assert read_text(folder / "take.wav") is not None
    assert (folder / "take.wav").read_bytes()[44:4000] == Path("out/hello.wav").read_bytes()[44:4000]
    for name in ("take.wav", "index.html"):
        (folder / name).write_bytes(b"old")
    again = ["export", "out/hello.wav", "--no-model", "--only", "wav", "--out", str(folder), *say.config]
    assert main(again) == 2
    assert "holds files already; name another folder, or add --force" in capsys.readouterr().err
    assert main([*again, "--force"]) == 0
    assert capsys.readouterr().out == f"{folder / 'take.wav'}\n"
    assert read_text(folder / "take.wav") is not None and (folder / "index.html").read_bytes() == b"old"


def test_without_the_model_the_rest_is_written(
    say: Say, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = (SESSIONS / "greedy.json").read_text()
    found = json.loads(document)["takes"][0]["origin"]["model"]["sha256"]
    Path("other.json").write_text(document.replace(found, "0" * 64))
    assert main(["export", "other.json", "--only", "csv", "--only", "wav", *say.config]) == 0
    printed = capsys.readouterr()
    assert printed.out == "out/other/take-trace.csv\n"
    assert "left out what the model adds: it was made with the model builtin (000000000000" in printed.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere.json",), "nowhere.json is not there"),
        (("empty.json",), "empty.json is cut off, or no JSON"),
        (("no-takes.json",), "no-takes has no take to export"),
        (("good.json", "--take", "9"), "good has no take '9'; it has take"),
        (("good.json", "--step", "5000"), "take has the decisions 0 to "),
        (("good.json", "--step", "-1"), ", not -1"),
        (("good.json", "--only", "mp3"), "--only 'mp3' must be one of wav, codes, csv, figures, page"),
        (("good.json", "--mode", "quick"), "--mode 'quick' must be one of tolerant, exact, forced, none"),
        (("good.json", "--out", "good.json"), "--out good.json is a file; name a folder"),
        (("good.json", "--out", "good.json/x"), "good.json/x: nothing can be written there"),
        (("good.json", "--out", "."), "--out . holds files already"),
    ],
)
def test_bad_input_is_a_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    shutil.copy(SESSIONS / "greedy.json", "good.json")
    Path("empty.json").write_text("")
    Path("no-takes.json").write_text('{"schema": {"name": "valle-lab/session", "version": "1.0"}}')
    before = set(Path().rglob("*"))
    assert main(["export", *arguments, "--no-model"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and told in printed.err and len(printed.err.splitlines()) == 1
    assert {path for path in Path().rglob("*") if path.is_file()} <= before
    assert not Path("out/good").exists()


def test_a_cancelled_take_without_a_frame_can_be_exported(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from valle.take import Take
    from valle_lab.session.convert import from_session_take, to_session_take
    from valle_lab.session.save import load_session, save_session
    from valle_lab.session.schema import new_session

    record = load_session(SESSIONS / "greedy.json").take()
    empty = Take(from_session_take(record).request, (), ())
    save_session(new_session(to_session_take(empty, record.origin)), "empty.json")
    assert main(["export", "empty.json", "--out", "x", "--no-model"]) == 0
    assert {file.name for file in Path("x").iterdir()} == {"index.html", "take-codes.npz", "take-trace.csv"}
