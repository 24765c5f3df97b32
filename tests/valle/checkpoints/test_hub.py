"""Models of the hub by name, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import COMMIT, FileServer, serve

from valle.checkpoints import hub, opening
from valle.checkpoints.fetching import fetch
from valle.errors import UserError
from valle_lab.cli import main
from valle_lab.cli.checks import check_weights
from valle_lab.settings import load_settings
from valle_lab.worker.messages import ModelChoice, Progress
from valle_lab.worker.service import load_engine

from .conftest import Writer

USUAL = "models/ckpt/ar+nar-len-llama-8/ckpt/fp32.sft"
HF = Path(__file__).parents[2] / "data" / "parity" / "e_hf_layout" / "hf"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path / "cache"


@pytest.fixture
def server(cache: Path, write_sft: Writer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    model = write_sft().read_bytes()
    files = {
        f"ecker/vall-e/{USUAL}": model,
        "ecker/vall-e/models/other.sft": model,
        "ecker/vall-e/README.md": b"words",
        "one/only/deep/fp32.sft": model,
        "one/only/deep/tokenizer.json": (HF / "tokenizer.json").read_bytes(),
        "one/only/deep/text_tokenizer.json": b"{}",
        "one/only/deep/fp32.yaml": b"name: tiny",
        "two/many/a.sft": model,
        "two/many/b.pth": b"",
        "three/none/README.md": b"words",
    }
    files |= {f"four/folder/hf/{path.name}": path.read_bytes() for path in HF.iterdir()}
    with serve(files) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def test_a_model_is_fetched_once_and_then_found_without_a_network(server: FileServer, cache: Path) -> None:
    name = hub.parse("hf:ecker/vall-e")
    assert hub.cached(name) is None
    path = fetch(name)
    assert path.read_bytes() == server.files[f"ecker/vall-e/{USUAL}"]
    assert path == cache / "models--ecker--vall-e" / "snapshots" / COMMIT / USUAL
    assert not any("other.sft" in request or "README" in request for request in server.requests)
    asked = len(server.requests)
    assert fetch(name) == hub.cached(name) == path
    assert opening.load(opening.find("hf:ecker/vall-e")).details.steps == 700
    assert len(server.requests) == asked
    assert [str(found) for found, _ in hub.all_cached()] == [f"hf:ecker/vall-e:{USUAL}"]


def test_what_is_beside_a_model_comes_with_it(server: FileServer) -> None:
    path = fetch(hub.parse("hf:one/only"))
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "fp32.sft",
        "fp32.yaml",
        "text_tokenizer.json",
        "tokenizer.json",
    ]
    assert fetch(hub.parse(f"hf:one/only@{COMMIT}:deep/fp32.sft")) == path


def test_a_folder_of_transformers(server: FileServer) -> None:
    for name in ("hf:four/folder", "hf:four/folder:hf", "hf:four/folder:hf/"):
        path = fetch(hub.parse(name))
        assert path.is_dir() and (path / "config.json").is_file()
    details = opening.load(path).details
    assert details.config.dim == 32 and len(details.symbols) == 281
    assert [str(found) for found, _ in hub.all_cached()] == ["hf:four/folder:hf"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf:two/many", r"there are several models in it: a\.sft, b\.pth; add :PATH"),
        ("hf:three/none", "no model file in it; it has none"),
        ("hf:two/many:c.sft", r"no model file in c\.sft of it; it has a\.sft, b\.pth"),
        ("hf:five/absent", "cannot be fetched"),
    ],
)
def test_repositories_without_the_model(server: FileServer, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        fetch(hub.parse(name))
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["hf:", "hf:one", "hf:one/two/three", "hf:a/b:../c", "hf:a/b:", "hf:a b/c", "hf:/b", "hf:a/b:c:d"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UserError, match="hf:OWNER/NAME:PATH"):
        hub.parse(name)


def test_it_goes_on_where_it_broke_off(server: FileServer) -> None:
    name, data = hub.parse("hf:one/only"), server.files["one/only/deep/fp32.sft"]
    server.breaks_after = 10_000
    with pytest.raises(UserError, match=f"broke off after 10000 of {len(data)} bytes"):
        fetch(name)
    assert hub.cached(name) is None
    server.breaks_after = None
    server.headers.clear()
    told: list[tuple[int, int | None]] = []
    path = fetch(name, lambda *here: told.append(here))
    assert path.read_bytes() == data and told[-1] == (len(data), len(data))
    assert [asked["range"] for asked in server.headers if "range" in asked] == ["bytes=10000-"]
    assert (path.parent / "tokenizer.json").is_file()


def test_the_token_of_the_user_is_for_the_hub_alone(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serve(server.files) as other:
        server.elsewhere = other.url
        fetch(hub.parse("hf:ecker/vall-e"))
    assert other.requests == ["GET /" + f"ecker/vall-e/{USUAL}".replace("+", "%2B")]
    assert not any("authorization" in asked for asked in other.headers)
    server.elsewhere = ""
    server.headers.clear()
    server.requests.clear()
    fetch(hub.parse("hf:one/only"))
    assert any("fp32.sft" in asked and asked.startswith("GET") for asked in server.requests)
    assert all(asked["authorization"] == "Bearer hf_secret" for asked in server.headers)


def test_what_comes_damaged_is_not_kept(server: FileServer, cache: Path) -> None:
    server.wrong = b"wrong"
    with pytest.raises(UserError, match="another sha256"):
        fetch(hub.parse("hf:ecker/vall-e"))
    assert hub.cached(hub.parse("hf:ecker/vall-e")) is None
    server.wrong = b""
    assert opening.load(fetch(hub.parse("hf:ecker/vall-e"))).details.steps == 700


def test_without_a_network_it_is_said_what_to_do(cache: Path, tmp_path: Path) -> None:
    # The client keeps its connections' settings for the life of a process, so this is one of its own.
    code = (
        "import sys; from valle.checkpoints import opening; from valle.errors import UserError\n"
        "try: opening.find('hf:ecker/vall-e')\n"
        "except UserError as error: print(error)"
    )
    environment = {
        "PATH": "",
        "HOME": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_CACHE": str(cache),
    }
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    for words in (
        "hf:ecker/vall-e",
        USUAL,
        "https://huggingface.co/ecker/vall-e",
        "valle-lab/models",
        "--model",
    ):
        assert words in told
    assert told.count("\n") == 1


def test_models_lists_and_fetches(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "valle-lab" / "models").mkdir(parents=True)
    assert main(["models", "--fetch", "hf:ecker/vall-e"]) == 0
    told = capsys.readouterr()
    assert f"hf:ecker/vall-e:{USUAL}" in told.out and "encodec" in told.out
    checks = check_weights(load_settings())
    assert any(check.name == "hub" and "hf:ecker/vall-e" in check.found for check in checks)
    assert main(["models", "--fetch", "vall-e"]) == 2
    assert "hf:OWNER/NAME" in capsys.readouterr().err


def test_the_worker_says_that_it_fetches(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = ModelChoice("hf:ecker/vall-e", codec="builtin", force_codec=True, device="cpu", threads=1)
    monkeypatch.setattr("valle.downloads._BLOCK", 1000)
    first, second = told_while_loading(choice), told_while_loading(choice)
    fetching = [progress for progress in first if progress.doing.startswith("fetching hf:ecker/vall-e")]
    assert len(fetching) > 10 and fetching[-1].fraction == 0.5
    assert [progress.fraction for progress in first] == sorted(progress.fraction for progress in first)
    assert not any(progress.doing.startswith("fetching") for progress in second)


def told_while_loading(choice: ModelChoice) -> list[Progress]:
    told: list[Progress] = []
    load_engine(choice, told.append).close()
    return told
