"""Presets of one's own stand beside those of the package, on the command line as in the lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from valle.errors import UserError
from valle.samplers.presets import preset_names as packaged
from valle_lab.cli import main
from valle_lab.presets import find_preset, preset_names, presets

MINE = 'stacks.ar = [{name = "top_k", k = 7}, {name = "draw"}]\n'


def test_ones_own_come_first(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    assert preset_names(tmp_path) == ("mine", *packaged())
    mine = find_preset(tmp_path, "mine")
    assert mine.stack.to_dict() == {"ar": [{"name": "top_k", "k": 7}, {"name": "draw"}]}
    assert (mine.title, mine.mode) == ("your own", "ar+nar")
    assert [each.name for each in presets(tmp_path)] == list(preset_names(tmp_path))
    (tmp_path / "rounds.toml").write_text('stacks.nar_len = [{name = "greedy"}]\n')
    assert find_preset(tmp_path, "rounds").mode == "nar-len"


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("stacks.ar = [{name = 'top_q'}]")
    with pytest.raises(UserError, match=r"broken\.toml cannot be used: .*top_q"):
        find_preset(tmp_path, "broken")
    with pytest.raises(UserError, match=r'there is no preset "brokn"; .*broken'):
        find_preset(tmp_path, "brokn")
    assert preset_names(tmp_path / "nowhere") == packaged()


def test_the_command_line_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.toml").write_text(MINE)
    (tmp_path / "lab.toml").write_text('[paths]\npresets = "own"\n')
    assert main(["presets", "mine"]) == 0
    assert "k=7" in capsys.readouterr().out
    assert main(["samplers", "--export", "llama.cpp", "mine"]) == 0
    assert "--top-k 7" in capsys.readouterr().out
