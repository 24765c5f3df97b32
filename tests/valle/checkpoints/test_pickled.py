"""Pickled files: what they may hold, and that nothing in them ever runs."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from valle.checkpoints import opening, pickled
from valle.errors import UserError

from .conftest import CONFIG, TINY, metadata_of, tensors_of


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["top", "module", "config"])
def test_code_is_refused_and_not_run(tmp_path: Path, zipped: bool, place: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pth"
    content: dict[str, Any] = {"module": tensors_of(TINY), **metadata_of(CONFIG)}
    if place == "top":
        content["extra"] = Evil(marker)
    else:
        content[place] = {**content[place], "extra": Evil(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="refused; nothing of it was run") as caught:
        opening.load(path)
    assert str(path) in str(caught.value) and "mkdir" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the file does what it is refused for"


def test_a_plain_pickle_is_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Evil(marker)))
    with pytest.raises(UserError, match=r"model\.pt"):
        opening.load(path)
    assert not marker.exists()


@pytest.mark.parametrize("data", [b"", b"\x80\x02}", b"not a pickle", b"PK\x05\x06" + bytes(18)])
def test_files_that_torch_did_not_save(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.pth").write_bytes(data)
    with pytest.raises(UserError, match=r"model\.pth: "):
        opening.load(tmp_path / "model.pth")
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as file:
        file.writestr("a", "b")
    with pytest.raises(UserError, match="no file that torch saved"):
        opening.load(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1], "no tensors under the key module"),
        ({}, "no tensors under the key module"),
        ({"module": {"a": 3}}, "a is no tensor"),
        ({"a": torch.ones(2), "step": 3}, "step is no tensor"),
        ({"module": {"a": torch.ones(2, dtype=torch.complex64)}}, "complex64"),
    ],
)
def test_content_of_another_kind(tmp_path: Path, content: Any, words: str) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(UserError, match=words):
        opening.load(tmp_path / "model.pth")


def test_a_configuration_with_paths_and_a_bare_state(tmp_path: Path) -> None:
    tensors = tensors_of(TINY)
    config = {**CONFIG, "path": Path("somewhere/else")}
    torch.save({"module": tensors, **metadata_of(config)}, tmp_path / "model.pth")
    assert opening.load(tmp_path / "model.pth").details.steps == 700
    torch.save(tensors, tmp_path / "bare.pth")
    assert pickled.read(tmp_path / "bare.pth").metadata == {}
    with pytest.raises(UserError, match="has no configuration"):
        opening.load(tmp_path / "bare.pth")
