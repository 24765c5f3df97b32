"""Settings: which layer wins, and what is said when one of them is wrong."""

from __future__ import annotations

import tomllib
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from valle.errors import UserError
from valle_lab.settings import Settings, SettingsError, load_settings, template, user_settings_file


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and an empty configuration folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def refused(text: str, overrides: dict[str, Any] | None = None) -> str:
    Path("other.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(Path("other.toml"), overrides)
    message = str(caught.value)
    assert "\n" not in message and isinstance(caught.value, UserError)
    return message


def test_the_defaults_are_those_of_the_template() -> None:
    settings = load_settings()
    written = tomllib.loads(template())
    assert set(written) == {each.name for each in fields(Settings)}
    assert (settings.model, settings.language, settings.seed) == ("builtin", "en", "new")
    assert settings.memory_budget_gb == 1.0
    assert settings.stacks == {} and settings.keys == {}


def test_every_key_of_the_template_has_a_comment_before_it() -> None:
    above = ""
    for line in template().splitlines():
        if " = " in line and not line.startswith("#"):
            assert above.startswith("#"), f"no comment above: {line}"
        above = line


def test_the_commented_stack_of_the_template_is_a_stack() -> None:
    lines = template().split("[stacks]")[1].splitlines()
    first = lines.index("# ar = [")
    example = "\n".join(line.removeprefix("# ") for line in lines[first:])
    stacks = tomllib.loads(example)
    assert load_settings(overrides={"stacks": stacks}).stacks == stacks


def test_each_layer_wins_over_the_weaker_ones(here: Path) -> None:
    user = user_settings_file()
    user.parent.mkdir(parents=True)
    user.write_text('language = "de"\nvoice = "user"\nmodel = "user"\ndevice = "cuda"\n')
    (here / "lab.toml").write_text('voice = "here"\nmodel = "here"\ndevice = "cuda:1"\n')
    (here / "given.toml").write_text('model = "given"\ndevice = "cuda:2"\n')
    settings = load_settings(Path("given.toml"), {"device": "cpu"})
    assert settings.language == "de"
    assert settings.voice == "here"
    assert settings.model == "given"
    assert settings.device == "cpu"


def test_tables_merge_key_by_key_and_stacks_phase_by_phase(here: Path) -> None:
    (here / "lab.toml").write_text(
        '[audio]\nplayer = "aplay -q"\n[stacks]\nar = [{name = "draw"}]\nnar = [{name = "greedy"}]\n'
    )
    Path("given.toml").write_text('[stacks]\nar = [{name = "greedy"}]\n')
    settings = load_settings(Path("given.toml"), {"audio.sink": "none"})
    assert (settings.audio.player, settings.audio.sink, settings.audio.device) == ("aplay -q", "none", "auto")
    assert settings.stacks == {"ar": [{"name": "greedy"}], "nar": [{"name": "greedy"}]}


def test_names_of_commands_need_no_quotes(here: Path) -> None:
    (here / "lab.toml").write_text('[keys]\ntake.play = "f5"\ntake.stop = "f6"\n')
    Path("given.toml").write_text('[keys]\n"take.play" = "f7"\n')
    assert load_settings(Path("given.toml")).keys == {"take.play": "f7", "take.stop": "f6"}


def test_an_option_that_was_not_given_changes_nothing() -> None:
    assert load_settings(overrides={"seed": None, "audio.sink": None}) == load_settings()


def test_folders(here: Path, tmp_path: Path) -> None:
    settings = load_settings(overrides={"paths.out": "~/takes"})
    assert settings.paths.out == tmp_path / "takes"
    assert settings.paths.voices.name == "voices" and settings.paths.voices.parent.name == "valle-lab"
    assert settings.paths.voices.is_relative_to(tmp_path)


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load_settings().model = "other"  # type: ignore[misc]


@pytest.mark.parametrize("seed", ["new", 0, 2**64 - 1])
def test_seeds(seed: object) -> None:
    assert load_settings(overrides={"seed": seed}).seed == seed


def test_a_file_with_a_byte_order_mark(here: Path) -> None:
    (here / "lab.toml").write_bytes(b'\xef\xbb\xbflanguage = "fr"\n')
    assert load_settings().language == "fr"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('modle = "x"', ["unknown key 'modle'", "did you mean 'model'"]),
        ("[audio]\nsnik = 1", ["unknown key 'audio.snik'", "did you mean 'sink'"]),
        ("[paths]\nzzz = 1", ["unknown key 'paths.zzz'", "known here: out, sessions"]),
        ("[zzz]\nmodel = 1", ["unknown key 'zzz'", "known here: model, codec"]),
        ('[audio]\nsink = "loud"', ["audio.sink", '"loud"', "'auto', 'device', 'player' or 'none'"]),
        ('audio = "loud"', ["audio", '"loud"', "it is a table"]),
        ('dtype = "float64"', ["dtype", '"float64"', "'bfloat16'"]),
        ('device = "gpu"', ["device", '"gpu"', '"cuda:N"']),
        ("threads = 0", ["threads = 0", "from 1 to 1024"]),
        ("threads = true", ["threads = True", "from 1 to 1024"]),
        ("seed = -1", ["seed = -1", "2^64 - 1"]),
        (f"seed = {2**64}", [f"seed = {2**64}", "2^64 - 1"]),
        ("max_duration = 0", ["max_duration = 0", "greater than 0"]),
        ("max_duration = nan", ["max_duration = nan"]),
        ("memory_budget_gb = inf", ["memory_budget_gb = inf"]),
        ("language = 3", ["language = 3", "string"]),
        ('voice = ""', ['voice = ""', "at least 1 character"]),
        ("[paths]\nout = 3", ["paths.out = 3", "folder"]),
        ("[keys]\ntake.play = 3", ["keys.take.play = 3", "string"]),
        ("stacks = 3", ["stacks = 3", "it is a table"]),
        ('[stacks]\nar = [{name = "dram"}]', ["stacks", 'unknown stage "dram"', '"draw"']),
        ('[stacks]\nar = [{name = "draw", k = 1}]', ["stacks", '"k"']),
        ("model = ", ["not valid TOML", "end of document"]),
        ('model = "a"\nmodel = "b"\nvoice = "c"', ["not valid TOML", "line 2"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named(text: str, parts: list[str]) -> None:
    message = refused(text)
    assert message.startswith("other.toml: ")
    for part in parts:
        assert part in message


def test_what_is_wrong_on_the_command_line_is_named() -> None:
    assert refused("", {"device": "gpu"}).startswith('command line: device = "gpu"')


def test_the_file_that_is_wrong_is_named_not_the_strongest(here: Path) -> None:
    (here / "lab.toml").write_text("threads = 0\n")
    assert refused('model = "other"').startswith("lab.toml: threads = 0")


def test_a_long_value_is_cut() -> None:
    assert len(refused(f'device = "{"x" * 5000}"')) < 200


def test_files_that_cannot_be_read(here: Path) -> None:
    with pytest.raises(SettingsError, match=r"^missing\.toml: there is no such settings file\.$"):
        load_settings(Path("missing.toml"))
    with pytest.raises(SettingsError, match=r"^\.: it cannot be read: Is a directory\.$"):
        load_settings(Path("."))
    Path("latin.toml").write_bytes(b'voice = "\xe9"')
    with pytest.raises(SettingsError, match=r"^latin\.toml: this is not a text file in UTF-8\.$"):
        load_settings(Path("latin.toml"))
