"""Which codec a model gets: its own, the one that is asked for, or an error that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_encodec import write_weights

from valle.audio.opening import BUILTIN_CODEC, open_codec
from valle.audio.weights import FILE_NAME
from valle.checkpoints.details import CodecName
from valle.errors import UserError

OURS, THEIRS = CodecName("builtin-1"), CodecName("encodec")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


def test_each_model_gets_its_own(weights: Path) -> None:
    ours = open_codec("auto", OURS)
    assert (
        ours.name == "builtin-1"
        and ours.hash == open_codec("builtin", CodecName("builtin-1", ours.hash)).hash
    )
    theirs = open_codec(str(weights), THEIRS)
    assert theirs.name == "encodec" and (theirs.levels, theirs.size, theirs.frame_rate) == (8, 1024, 75)
    assert open_codec(str(weights), CodecName("encodec", theirs.hash)).hash == theirs.hash
    assert open_codec(str(BUILTIN_CODEC), OURS).hash == ours.hash


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("builtin", THEIRS),
        ("builtin", CodecName("builtin-1", "0" * 64)),
        ("weights", CodecName("encodec", "0" * 64)),
    ],
)
def test_another_codec_is_an_error_unless_it_is_forced(weights: Path, asked: str, wanted: CodecName) -> None:
    name = str(weights) if asked == "weights" else asked
    with pytest.raises(UserError, match=f"is not the one that the model speaks, {wanted.name}") as caught:
        open_codec(name, wanted)
    assert "--force-codec" in str(caught.value) and "\n" not in str(caught.value)
    assert open_codec(name, wanted, force=True).levels == 8


def test_weights_that_are_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for asked in ("auto", "encodec"):
        with pytest.raises(UserError) as caught:
            open_codec(asked, THEIRS)
        for words in (
            FILE_NAME,
            str(tmp_path / "torch" / "hub" / "checkpoints"),
            "--codec",
            "--fetch encodec",
        ):
            assert words in str(caught.value)
        assert str(caught.value).count("\n") < 2
    with pytest.raises(UserError, match="auto, builtin, encodec, or its file or folder"):
        open_codec("nothing", THEIRS)
    with pytest.raises(UserError, match=FILE_NAME):
        open_codec(str(tmp_path), THEIRS)
    (tmp_path / "data" / "valle-lab" / "models").mkdir(parents=True)
    (tmp_path / "data" / "valle-lab" / "models" / FILE_NAME).write_bytes(b"no weights")
    with pytest.raises(UserError, match="damaged"):
        open_codec("auto", THEIRS)
