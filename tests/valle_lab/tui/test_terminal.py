"""The terminal stays the screen's own: what libraries write to fd 2 never reaches it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from valle.errors import UserError
from valle_lab.cli.screen import open_screen
from valle_lab.tui.terminal import hung_up

CODE = """
import os, subprocess, sys
from pathlib import Path
from textual.app import App
from textual.widgets import Label
from valle_lab.tui.terminal import own_terminal

class Noisy(App[int]):
    def compose(self):
        yield Label("the screen stands")

    def on_mount(self):
        os.write(2, b"NOISE of a library\\n")
        subprocess.run(["sh", "-c", "echo NOISE of a child >&2"])
        self.set_timer(0.3, lambda: self.exit(0))

with own_terminal(Path(sys.argv[1])):
    Noisy().run()
os.write(2, b"AFTERWARDS\\n")
"""


def test_noise_on_fd_2_goes_to_the_log_and_the_screen_stands(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "lab.log"
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(log)], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    shown = _read_until_closed(master)
    assert process.wait(10) == 0
    assert b"the screen stands" in shown and b"AFTERWARDS" in shown
    assert b"NOISE" not in shown
    assert log.read_text() == "NOISE of a library\nNOISE of a child\n"


def test_a_crash_is_seen_by_the_person(tmp_path: Path) -> None:
    code = CODE.replace('os.write(2, b"NOISE of a library\\n")', 'raise RuntimeError("CRASHED")')
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")], stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    assert b"CRASHED" in _read_until_closed(master)
    process.wait(10)


def test_the_screen_stands_where_stderr_was_sent_into_a_file(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(tmp_path / "log")], stdin=slave, stdout=slave, stderr=errors
        )
    os.close(slave)
    assert b"the screen stands" in _read_until_closed(master)
    assert process.wait(10) == 0
    assert (tmp_path / "errors").read_text() == "AFTERWARDS\n"


def test_a_terminal_that_is_gone_is_noticed(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    assert not hung_up(slave)
    os.close(master)
    assert hung_up(slave)
    os.close(slave)
    with (tmp_path / "file").open("w") as file:
        assert not hung_up(file.fileno()), "never was one"


def test_the_lab_ends_with_its_terminal_even_if_nobody_passes_the_hangup_on(tmp_path: Path) -> None:
    code = "from valle_lab.__main__ import main; main()"
    home = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    master, slave = pty.openpty()
    # Not the terminal's session: the kernel tells this process of no hangup.
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--no-audio"],
        stdin=slave, stdout=slave, stderr=slave, env=home, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while b"timeline" not in shown:
        shown += os.read(master, 65536)
    os.close(master)
    assert process.wait(60) == -signal.SIGHUP


def test_it_ends_even_where_the_screen_waits_to_be_written(tmp_path: Path) -> None:
    code = """
import threading
from valle_lab.tui.terminal import ending_with_terminal

with ending_with_terminal():
    print("it stands", flush=True)
    threading.Event().wait()
"""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown = b""
    while b"it stands\r\n" not in shown:
        shown += os.read(master, 65536)
    assert process.poll() is None
    os.close(master)
    assert process.wait(60) == -signal.SIGHUP


def _read_until_closed(terminal: int) -> bytes:
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    return shown


def test_a_terminal_that_only_appends_lines_is_told_of_the_repl(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = type("Terminal", (), {"isatty": lambda self: True})()
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(UserError, match=r"TERM=dumb.*valle-lab repl"):
        open_screen()
