"""Writing lab.toml: the comments, the order and the other keys stay as they are."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from valle.errors import UserError
from valle_lab import preferences
from valle_lab.preferences import settings_file, write_setting
from valle_lab.settings import load_settings, template

STACKS = {"ar": [{"name": "temperature", "value": 0.7}, {"name": "draw"}], "nar.3": [{"name": "greedy"}]}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of one's own, and no settings of a person's own."""
    monkeypatch.chdir(tmp_path)
    for module in (preferences, __import__("valle_lab.settings", fromlist=["settings"])):
        monkeypatch.setattr(module, "user_settings_file", lambda: tmp_path / "config" / "lab.toml")


def test_the_template_keeps_every_comment() -> None:
    Path("lab.toml").write_text(template())
    before = [line for line in template().splitlines() if line.startswith("#")]
    for key, value in (("seed", 7), ("audio.sink", "none"), ("keys.take.play", "f2"), ("stacks", STACKS)):
        assert write_setting(key, value) == Path("lab.toml")
    text = Path("lab.toml").read_text()
    assert [line for line in text.splitlines() if line in before] == before
    assert text.index("seed = 7") > text.index("# The seed of the noise")
    settings = load_settings()
    assert (settings.seed, settings.audio.sink, settings.keys["take.play"]) == (7, "none", "f2")
    assert settings.stacks == STACKS
    assert tomllib.loads(text).keys() == tomllib.loads(template()).keys()


def test_without_a_file_here_it_is_the_persons_own(tmp_path: Path) -> None:
    assert write_setting("max_duration", 3.5) == settings_file() == tmp_path / "config" / "lab.toml"
    assert settings_file().read_text() == "max_duration = 3.5\n"
    write_setting("stacks", STACKS)
    assert load_settings().stacks == STACKS and load_settings().max_duration == 3.5


def test_a_broken_file_is_one_line_and_stays(tmp_path: Path) -> None:
    Path("lab.toml").write_text("seed = = 3\n")
    with pytest.raises(UserError, match=r"lab\.toml cannot be changed") as error:
        write_setting("seed", 4)
    assert "\n" not in str(error.value) and Path("lab.toml").read_text() == "seed = = 3\n"
