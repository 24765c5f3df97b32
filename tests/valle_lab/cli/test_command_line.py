"""The command as a person meets it: help, exit codes, and errors of one or two lines."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import valle
from valle_lab.cli import main


def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "valle_lab", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **more
    )  # type: ignore[call-overload,no-any-return]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command complained about, having checked that it did so properly."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert 1 <= len(printed.err.splitlines()) <= 2
    return printed.err


def test_help_is_there_at_once() -> None:
    def computed() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    seconds = []
    for _ in range(3):
        before = computed()
        assert "say" in run("--help").stdout
        seconds.append(computed() - before)
    assert min(seconds) < 0.5  # of computing: other programs may have the processor for longer


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from valle_lab.cli import main; assert main(['say', '--help']) == 0; "
        "heavy = {'torch', 'numpy', 'rich', 'textual', 'transformers', 'encodec', 'matplotlib', 'soundfile'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "command", ["say", "replay", "diff", "wins", "voices", "samplers", "presets", "models", "doctor"]
)
def test_every_command_has_help_and_the_common_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    for option in (
        "model",
        "codec",
        "device",
        "dtype",
        "threads",
        "language",
        "attention",
        "config",
        "debug",
    ):
        assert f"--{option}" in text


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("valle-lab sa", {"say", "samplers"}),
        ("valle-lab say --vo", {"--voice"}),
        ("valle-lab voices a", {"add"}),
    ],
)
def test_the_shell_can_complete_it(typed: str, offered: set[str]) -> None:
    asked = {"_VALLE_LAB_COMPLETE": "complete_bash", "COMP_WORDS": typed}
    asked["COMP_CWORD"] = str(len(typed.split()) - 1)
    code = "import sys; from valle_lab.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60
    )
    assert set(done.stdout.split()) == offered


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"valle-lab {valle.__version__}\n"


def test_without_a_terminal_it_names_the_command_that_needs_none() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "valle-lab say" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sya"], "Did you mean 'say'"),
        (["--modle", "x"], "--model"),
        (["say"], "Missing argument"),
        (["say", "a", "b"], "extra argument"),
        (["say", "a", "--seed", "x"], "--seed"),
        (["say", "a", "--seed"], "--seed"),
        (["say", "a", "--lora", "x"], "adapter 'x'"),
        (["--lora", "x", "say", "a"], "adapter 'x'"),
        (["samplers", "topp"], 'the nearest is "top_p"'),
        (["samplers", "--check", "/nowhere.toml"], "/nowhere.toml"),
    ],
)
def test_bad_usage(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused(capsys, *arguments)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samplers", "topp", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    assert main(["samplers", "--", "--debug"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_unexpected_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> None:
        raise ZeroDivisionError("seventeen\nlines\nof\nwoe")

    monkeypatch.setattr("valle.samplers.stages.find", broken)
    assert "ZeroDivisionError" in refused(capsys, "samplers", "top_p")


def test_interruption_before_anything_began(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("valle.samplers.stages.find", interrupted)
    assert main(["samplers", "top_p"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_samplers_as_a_list_of_objects(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samplers", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"top_p", "temperature", "repetition_penalty", "greedy", "draw"} <= {
        item["name"] for item in listed
    }
    for item in listed:
        assert {"name", "family", "phases", "help", "source", "parameters"} <= set(item)
        for parameter in item["parameters"]:
            assert {
                *(
                    "name",
                    "type",
                    "minimum",
                    "maximum",
                    "step",
                    "default",
                    "neutral",
                    "unit",
                    "help",
                    "choices",
                )
            } <= set(parameter)


def test_one_sampler_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samplers", "top_p"]) == 0
    text = capsys.readouterr().out
    for word in ("Holtzman", "0 to 1", "0.95", "llama3", "neutral"):
        assert word in text
    assert main(["samplers", "top_p", "--json"]) == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == ["top_p"]


def test_a_stack_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tmp_path / "good.toml"
    good.write_text('ar = [{name = "top_k", k = 0}, {name = "temperature", value = 0.7}, {name = "draw"}]\n')
    assert main(["samplers", "--check", str(good)]) == 0
    printed = capsys.readouterr().out
    assert "top_k" in printed
    assert "does nothing" in printed


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[1]", "holds no table"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.toml", "ar = [", "is not TOML"),
        ("a.toml", 'ar = [{name = "topp"}]', 'nearest is "top_p"'),
        ("a.toml", 'ar = [{name = "top_k", k = 3}]', "no chooser"),
        ("a.toml", "ar = []", "empty list"),
        ("a.json", '{"ar": [{"name": "temperature", "value": NaN}, {"name": "draw"}]}', "finite"),
        ("a.json", '{"ar": [{"name": "temperature", "value": "hot"}, {"name": "draw"}]}', "must be a number"),
    ],
)
def test_a_stack_that_cannot_be_used(
    name: str, text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_text(text)
    error = refused(capsys, "samplers", "--check", str(file))
    assert says in error
    assert str(file) in error
