"""Files from the network: whole, resumed, damaged and not there; and EnCodec's weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from file_server import serve

from valle.audio import opening, weights
from valle.downloads import DownloadError, download
from valle.errors import UserError

DATA = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(DATA).hexdigest()


def test_a_download_is_checked_and_told(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with serve({"a/file": DATA}) as server:
        path = download(
            f"{server.url}/a/file", tmp_path / "new" / "file", SHA256[:8], lambda *here: told.append(here)
        )
    assert path.read_bytes() == DATA
    assert told[-1] == (len(DATA), len(DATA)) and told == sorted(told) and len(told) > 1
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_it_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with serve({"file": DATA}) as server:
        server.breaks_after = 300_000
        with pytest.raises(DownloadError):
            download(f"{server.url}/file", target, SHA256)
        assert (tmp_path / "file.part").stat().st_size == 300_000 and not target.exists()
        server.breaks_after = None
        told: list[int] = []
        download(f"{server.url}/file", target, SHA256, lambda here, total: told.append(here))
    assert target.read_bytes() == DATA and told[0] > 300_000
    with serve({"file": DATA}) as server:
        (tmp_path / "whole.part").write_bytes(DATA)
        assert download(f"{server.url}/file", tmp_path / "whole", SHA256).read_bytes() == DATA


def test_what_is_damaged_or_not_there_is_not_kept(tmp_path: Path) -> None:
    with serve({"file": DATA}) as server:
        server.wrong = b"wrong"
        with pytest.raises(DownloadError, match="another sha256"):
            download(f"{server.url}/file", tmp_path / "file", SHA256)
        with pytest.raises(DownloadError, match="404"):
            download(f"{server.url}/other", tmp_path / "file", SHA256)
        url = server.url
    with pytest.raises(DownloadError, match="refused"):
        download(f"{url}/file", tmp_path / "file", SHA256)
    assert not any(tmp_path.iterdir())


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_the_weights_of_encodec(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"encodec_24khz-{SHA256[:8]}.th"
    monkeypatch.setattr(weights, "FILE_NAME", name)
    with serve({name: DATA}) as server:
        found = opening.fetch_encodec(f"{server.url}/")
        assert found == no_weights / name and found.read_bytes() == DATA
        assert opening.fetch_encodec(f"{server.url}/") == found
        assert len(server.requests) == 1


def test_without_a_network_it_is_said_what_to_do(no_weights: Path) -> None:
    with serve({}) as server:
        url = f"{server.url}/"
    with pytest.raises(UserError) as caught:
        opening.fetch_encodec(url)
    for words in (weights.FILE_NAME, url, str(no_weights), "--codec"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
