"""A fresh user's ten tasks, in the REPL and in a notebook: the pages' own lines, in the pages' own order.

The model is small and knows nothing, so that all of it takes seconds; nothing else is other than for a user.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import Tiny, make_tiny

from valle.audio import wav
from valle.audio.riff import read_text
from valle_lab import waiting
from valle_lab.cli import main
from valle_lab.lab import Lab as Controller
from valle_lab.player import Player
from valle_lab.repl import Repl
from valle_lab.session.convert import from_session_take
from valle_lab.session.save import load_session
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink, Source
from valle_lab.worker.inprocess import InProcessWorker

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Task:
    """One section of a page."""

    number: int
    title: str
    lines: str


def tasks(page: str, language: str) -> list[Task]:
    """The numbered sections of a page, with all that is in their blocks of that language."""
    text = re.split(r"^## (?!\d)", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    parts = re.split(r"^## (\d+)\. (.+)\n", text, flags=re.MULTILINE)
    sections = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    return [Task(int(number), title, blocks(body, language)) for number, title, body in sections]


def blocks(text: str, language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "".join(found)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose settings name the small model, as a user's own would."""
    monkeypatch.chdir(tmp_path)
    more = 'paths.sessions = "sessions"\npaths.presets = "presets"\naudio.sink = "none"\n'
    settings = tiny.config.read_text().replace('voice = "hum"\n', "") + more
    (tmp_path / "lab.toml").write_text(settings)
    monkeypatch.setattr("valle_lab.figures.canvas.DPI", 30)
    # Of an export the page alone, which is the most of it: each figure is then drawn once.
    monkeypatch.setattr("valle_lab.export.files.KINDS", ("codes", "csv", "page"))
    return tmp_path


def test_both_pages_have_the_same_ten() -> None:
    titles = [[(task.number, task.title) for task in tasks(*page)] for page in PAGES]
    assert titles[0] == titles[1] and [number for number, _ in titles[0]] == list(range(1, 11))


PAGES = (("repl.md", "repl"), ("notebook.md", "python"))


class Hasty(NullSink):
    """A device that has played everything as soon as it is asked to."""

    def start(self, source: Source) -> None:
        super().start(source)
        self.advance(30.0)


class Typed:
    """A REPL as `valle-lab repl` makes it, over a model in this process and a hasty sound device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(waiting, "PAUSE", 0.003)  # not 0: the export's thread wants its share
        settings = load_settings(None, {})
        worker = InProcessWorker(voices=settings.paths.voices)
        self.lab = Controller(settings, lambda on_news: worker, lambda: Player(Hasty()))
        self.lab.start()
        self.out = io.StringIO()
        self.repl = Repl(self.lab, self.out, io.StringIO())

    def __call__(self, lines: str) -> str:
        """Do the lines; what was printed."""
        self.out.seek(0)
        self.out.truncate()
        self.repl.run_script(lines.splitlines(), "page")
        return self.out.getvalue()


@pytest.fixture
def typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    # The export is made by another process: here by this one, and without the model, which is faster.
    monkeypatch.setattr("valle_lab.lab.export.by_command", in_this_process)
    typed = Typed(monkeypatch)
    yield typed
    typed.lab.close(discard=True)


def in_this_process(arguments: list[str]) -> str | None:
    return None if main([*arguments, "--no-model", "--only", "page"]) == 0 else "it failed"


def test_the_ten_tasks_in_the_repl(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    lab = typed.lab

    def hashes() -> list[tuple[str, ...]]:
        return [take.codes_sha256 for take in load_session(lab.record.file or Path("mine.json")).takes]

    checks: dict[int, Callable[[str], bool]] = {
        1: lambda out: len(wav.read("hello.wav")) > 0 and read_text(Path("hello.wav")) is not None,
        2: lambda out: "low-woman" in out and lab.takes[1].voice == "low-woman",
        3: lambda out: out.count(" seed 7,") == 2 and same_codes(lab.takes[2], lab.takes[3]),
        4: lambda out: "repetition_penalty" in out and not same_codes(lab.takes[3], lab.takes[4]),
        5: lambda out: out.splitlines()[-1].strip() == "^" and len(lab.takes[5].take.events) == 1,
        6: lambda out: "margin of the choice" in out and lab.row is not None,
        7: lambda out: all(
            word in out for word in ("kept", "logit", "cumulative", "this stack takes", "was taken;")
        ),
        8: lambda out: all(
            word in out for word in ("text/prompt/response", "layer 1 head 1", "read along by", "level 7")
        ),
        9: lambda out: lab.takes[0].rating == 4 or lab.takes[5].rating == 4,
        10: lambda out: Path("mine/index.html").is_file() and len(hashes()) == len(lab.takes) == 6,
    }
    for task in tasks("repl.md", "repl"):
        assert checks[task.number](typed(task.lines)), task.title
    assert main(["replay", "mine.json", "--mode", "exact"]) == 0
    assert capsys.readouterr().out.count("identical") == 6


def same_codes(one: Any, other: Any) -> bool:
    pairs = zip(one.segments, other.segments, strict=True)
    return all(np.array_equal(a.codes(), b.codes()) for a, b in pairs)


def test_the_ten_tasks_in_a_notebook(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "notebook.md").read_text(encoding="utf-8").partition("## Takes against each other")[0]
    names: dict[str, Any] = {"__name__": "notebook"}
    exec(blocks(page.partition("## 1.")[0], "python"), names)
    checks: dict[int, Callable[[], bool]] = {
        1: lambda: read_text(Path("hello.wav")) is not None and names["wave"].dtype == np.float32,
        2: lambda: (names["take"].voice, names["other"].voice) == ("low-woman", "clear-man"),
        3: lambda: names["third"].seed == 8 and names["lab"].seed == 7,
        4: lambda: "repetition_penalty" not in str(names["lab"].stack.to_dict()),
        5: lambda: [event.place.step for event in names["tweaked"].inner.take.events] == [21],
        6: lambda: png("timeline.png") and len(names["columns"]["token"]) > 100,
        7: lambda: names["supposed"].supposed and Path("waterfall.svg").is_file(),
        8: lambda: png("alignment.png") and names["shares"].shape[-1] == 3,
        9: lambda: (names["first"].rating, names["third"].inner.notes) == (4, ("The end is cut.",)),
        10: lambda: names["page"].is_file() and len(load_session("mine.json").takes) == 8,
    }
    for task in tasks("notebook.md", "python"):
        exec(task.lines, names)
        assert checks[task.number](), task.title
    capsys.readouterr()
    assert main(["replay", "mine.json", "--mode", "exact"]) == 0
    assert capsys.readouterr().out.count("identical") == 8
    assert os.listdir("sessions") == []


def png(name: str) -> bool:
    return Path(name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.timeout(600)
def test_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(blocks((DOCS / "engine.md").read_text(encoding="utf-8"), "python"), names)
    assert wav.read("hello.wav").shape == names["wave"].shape
    assert len(names["generation"].take.events) == 1 and len(names["past"]) == 5
    assert abs(len(names["sound"]) / 24_000 - 2.0) < 0.05


def test_what_was_exported_can_be_read(folder: Path) -> None:
    shutil.copy(DOCS.parent / "sessions/seed-zero.json", "example.json")
    only = ["--no-model", "--only", "codes", "--only", "csv"]
    assert main(["export", "example.json", *only, "--out", "exported"]) == 0
    names: dict[str, Any] = {}
    exec(blocks((DOCS / "export.md").read_text(encoding="utf-8"), "python"), names)
    (segment,) = from_session_take(load_session("example.json").take()).segments
    assert np.array_equal(names["codes"], segment.codes())
    assert len(names["rows"]) == segment.frames + 1, "one for each frame, and one for the stop"


def test_takes_against_each_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The section below the ten tasks, as it stands."""
    page = (DOCS / "notebook.md").read_text(encoding="utf-8").partition("## Takes against each other")[2]
    names: dict[str, Any] = {}
    exec(blocks(page, "python"), names)
    lab, view = names["lab"], names["view"]
    assert len(view.rows) == 4 and {row.seed for row in view.rows} == {40, 41, 42, 43}
    assert names["found"].same_noise and names["found"].parting is not None
    assert names["decided"].choice == "X" and len(names["decided"].key) == 2
    assert names["forked"].inner.parent == names["take"].name and names["forked"].codes.shape[1] == 8
    assert (names["forked"].codes[:10, 0] == names["take"].codes[:10, 0]).all()
    assert "└─ " in capsys.readouterr().out
    assert repr(lab) == "<Lab, closed>"
