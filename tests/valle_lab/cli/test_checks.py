"""What `valle-lab doctor` makes of answers, of silence, and of folders."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from valle_lab.cli import checks, main, probes
from valle_lab.cli.checks import Check
from valle_lab.settings import load_settings

CPU_TORCH = {
    "version": "2.13.0",
    "cuda": None,
    "rocm": None,
    "devices": [],
    "threads": 2,
    "instructions": "AVX2",
}


def answering(monkeypatch: pytest.MonkeyPatch, **answers: dict[str, Any] | str) -> None:
    """Probes that answer with a dict, or fail with a sentence."""

    def probe(name: str) -> dict[str, Any]:
        answer = answers[name]
        if isinstance(answer, str):
            raise probes.ProbeError(answer)
        return answer

    monkeypatch.setattr(checks, "probe", probe)
    monkeypatch.setattr("shutil.which", lambda name: None)


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = {"cuda": "13.0", "devices": [{"name": "H200", "memory_gb": 141.0}]}
    answering(monkeypatch, torch={**CPU_TORCH, **gpu})
    found = checks.check_torch()
    assert found[0].found == "2.13.0, the CUDA build"
    assert found[-1] == Check("cuda:0", "ok", "H200, 141.0 GB")


def test_a_driver_without_its_build_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, torch=CPU_TORCH)
    monkeypatch.setattr("shutil.which", lambda name: name if name == "nvidia-smi" else None)
    last = checks.check_torch()[-1]
    assert (last.name, last.state) == ("cuda", "absent")
    assert "TORCH_INDEX" in last.advice


def test_torch_that_does_not_start_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, torch="OSError: libtorch.so")
    (check,) = checks.check_torch()
    assert check == Check("torch", "broken", "OSError: libtorch.so", "install again with: make venv")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PortAudio comes with the package")
def test_missing_portaudio_names_the_system_package(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, sound="OSError: PortAudio library not found")
    (check,) = checks.check_sound()
    assert check.state == "absent" and "libportaudio2" in check.advice
    assert "files only" in check.found


def test_portaudio_without_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, sound={"portaudio": "PortAudio V19", "output": None})
    (check,) = checks.check_sound()
    assert check.state == "absent" and check.found.startswith("no output device; sound goes into files")


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    settings = load_settings(
        overrides={
            "paths.out": str(tmp_path / "new/out"),
            "paths.voices": str(tmp_path / "file/voices"),
            "paths.models": str(tmp_path),
        }
    )
    found = {check.name: check for check in checks.check_folders(settings)}
    assert found["paths.out"].state == "ok" and "made when needed" in found["paths.out"].found
    assert not (tmp_path / "new").exists()
    assert found["paths.voices"].state == "broken" and "paths.voices" in found["paths.voices"].advice
    assert found["paths.models"] == Check("paths.models", "ok", str(tmp_path))


def test_a_probe_that_fails_gives_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch.so: no such file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(probes.ProbeError, match=r"^OSError: libtorch\.so: no such file$"):
        probes.probe("torch")


def test_a_probe_that_kills_its_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(probes.ProbeError, match="ended with code -6"):
        probes.probe("torch")


def test_a_probe_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(probes.ProbeError, match="no answer within 1 s"):
        probes.probe("torch", timeout=1.0)


def test_a_probe_whose_library_prints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "encodec.py").write_text("__version__ = '9'; print('noise', end='')")
    (tmp_path / "torchaudio.py").write_text("transforms = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert probes.probe("encodec") == {"version": "9", "torchaudio": True}


def test_phonemes_are_really_made() -> None:
    (check,) = checks.check_phonemes()
    assert check.state == "ok" and "ˈ" in check.found


def test_weights_that_are_missing_and_files_that_are_no_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"no model")
    monkeypatch.setattr(checks, "BUILTIN_CODEC", tmp_path / "codec.safetensors")
    monkeypatch.setattr("valle.checkpoints.opening.BUILTIN_MODEL", tmp_path / "model.safetensors")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    found = checks.check_weights(load_settings(overrides={"paths.models": str(tmp_path)}))
    states = [(check.name, check.state) for check in found if check.name != "voices"]
    assert states == [
        ("model", "broken"),
        ("model", "absent"),
        ("hub", "ok"),
        ("codec", "broken"),
        ("encodec weights", "absent"),
    ]
    assert str(tmp_path / "torch") in found[4].advice and "no model" in found[2].found
    assert "model.safetensors" in found[0].found and "mine.safetensors" in found[1].found


def test_the_command_prints_what_was_found_and_fails_if_something_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [Check("one", "ok", "fine"), Check("two", "absent", "not there", "install it")]
    monkeypatch.setattr(checks, "examine", lambda settings: found)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok      one             fine",
        "absent  two             not there",
        "                        -> install it",
    ]
    found.append(Check("three", "broken", "not working"))
    assert main(["doctor", "--json"]) == 1
    assert [check["name"] for check in json.loads(capsys.readouterr().out)] == ["one", "two", "three"]
