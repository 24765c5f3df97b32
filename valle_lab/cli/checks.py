"""What works here, what does not, and what would add something: the checks of `valle-lab doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from valle.errors import UserError
from valle.inference import BUILTIN_CODEC
from valle.voices import list_voices
from valle_lab.cli.models import ModelFile, known_models
from valle_lab.cli.probes import ProbeError, probe
from valle_lab.settings import FILE_NAME, Settings, user_settings_file
from valle_lab.sinks import PLAYERS

State = Literal["ok", "absent", "broken"]
"""Works; not there, and the lab does without it; needed, and does not work."""

REINSTALL = "install valle-lab again"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and what to do where something can be done."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(settings: Settings) -> list[Check]:
    """All checks, in the order in which they are shown."""
    parts: list[Callable[[], list[Check]]] = [
        check_python,
        check_torch,
        check_encodec,
        check_phonemes,
        check_sound,
        lambda: check_weights(settings),
        lambda: check_folders(settings),
    ]
    # Most of the time is spent waiting for processes.
    with ThreadPoolExecutor() as pool:
        return [check for found in pool.map(lambda part: part(), parts) for check in found]


def check_python() -> list[Check]:
    """The interpreter and the machine."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return [Check("python", "ok", f"{found}; {sys.executable}")]


def check_torch() -> list[Check]:
    """torch and the devices that it can compute on."""
    try:
        answer = probe("torch")
    except ProbeError as error:
        return [Check("torch", "broken", str(error), "install again with: make venv")]
    build = "ROCm" if answer["rocm"] else "CUDA" if answer["cuda"] else "CPU"
    return [
        Check("torch", "ok", f"{answer['version']}, the {build} build"),
        Check("cpu", "ok", f"{answer['threads']} threads, {answer['instructions']}"),
        *_accelerators(answer, build),
    ]


def _accelerators(answer: dict[str, Any], build: str) -> list[Check]:
    checks = [
        Check(f"cuda:{index}", "ok", f"{device['name']}, {device['memory_gb']} GB")
        for index, device in enumerate(answer["devices"])
    ]
    if checks:
        return checks
    if build == "CPU":
        rebuild = "install torch's {} build to use it: make venv TORCH_INDEX=URL"
        if shutil.which("nvidia-smi"):
            return [Check("cuda", "absent", "there is an NVIDIA driver", rebuild.format("CUDA"))]
        if Path("/dev/kfd").exists():
            return [Check("rocm", "absent", "there is an AMD driver", rebuild.format("ROCm"))]
        return [Check("gpu", "absent", "none; the CPU computes")]
    return [Check("gpu", "absent", f"torch's {build} build sees none; the CPU computes")]


def check_encodec() -> list[Check]:
    """The codec of the published models; the built-in voice does without it."""
    try:
        answer = probe("encodec")
    except ProbeError as error:
        advice = "only the published models need it; install again with: make venv"
        return [Check("encodec", "absent", str(error), advice)]
    real = "" if answer["torchaudio"] else "; torchaudio cannot be loaded beside this torch and is not needed"
    return [Check("encodec", "ok", f"{answer['version']}{real}")]


def check_phonemes() -> list[Check]:
    """espeak, tried on one word in the process that the engine uses too."""
    from valle.text.phonemes import Phonemizer

    try:
        with Phonemizer("en") as phonemizer:
            versions, phonemes = phonemizer.versions(), phonemizer.phonemize("hello")
    except UserError as error:
        return [Check("espeak", "broken", str(error), "install again with: make venv")]
    return [
        Check("espeak", "ok", f"{versions.espeak}, phonemizer {versions.phonemizer}; hello is {phonemes}")
    ]


def check_sound() -> list[Check]:
    """The sound device, or else an external player."""
    player = next((known[0] for known in PLAYERS if shutil.which(known[0])), None)
    otherwise = f"sound goes through {player}" if player else "sound goes into files only"
    try:
        answer = probe("sound")
    except ProbeError as error:
        return [Check("sound", "absent", f"{error}; {otherwise}", _portaudio_advice(str(error)))]
    if answer["output"] is None:
        return [Check("sound", "absent", f"no output device; {otherwise}; {answer['portaudio']}")]
    return [Check("sound", "ok", f"{answer['output']}; {answer['portaudio']}")]


def _portaudio_advice(reason: str) -> str:
    if "PortAudio" not in reason or sys.platform != "linux":
        return ""
    return "for sound, install PortAudio: libportaudio2 on Debian and Ubuntu, portaudio on Fedora and Arch"


def check_weights(settings: Settings) -> list[Check]:
    """The built-in model and codec, the models of the models folder and of the hub's cache, the voices."""
    checks = [_model(model) for model in known_models(settings.paths.models)]
    checks.append(_hub())
    if BUILTIN_CODEC.is_file():
        checks.append(Check("codec", "ok", str(BUILTIN_CODEC)))
    else:
        checks.append(Check("codec", "broken", f"there is no file {BUILTIN_CODEC}", REINSTALL))
    checks.append(_encodec_weights())
    try:
        voices = list_voices(settings.paths.voices)
    except UserError as error:
        return [*checks, Check("voices", "broken", str(error))]
    if not voices:
        return [*checks, Check("voices", "broken", "none", REINSTALL)]
    return [*checks, Check("voices", "ok", f"{len(voices)}: {', '.join(voice.name for voice in voices)}")]


def _encodec_weights() -> Check:
    from valle.audio.weights import FILE_NAME, find_weights, hub_folder

    found = find_weights()
    if found is not None:
        return Check("encodec weights", "ok", str(found))
    advice = f"for published models: valle-lab models --fetch encodec, or put {FILE_NAME} into {hub_folder()}"
    return Check("encodec weights", "absent", f"no {FILE_NAME}", advice)


def _hub() -> Check:
    from valle.checkpoints.hub import all_cached, cache_folder

    names = [str(name) for name, _ in all_cached()]
    return Check("hub", "ok", f"{', '.join(names) or 'no model'} in {cache_folder()}")


def _model(model: ModelFile) -> Check:
    if model.problem is None:
        size = f"{(model.bytes or 0) / 1e6:.1f} MB"
        if model.parameters is not None:
            size = f"{model.parameters / 1e6:.1f} million parameters, {size}"
        return Check("model", "ok", f"{model.name}: {size}, {model.file}")
    if model.name == "builtin":
        return Check("model", "broken", model.problem, REINSTALL)
    return Check("model", "absent", model.problem)


def check_folders(settings: Settings) -> list[Check]:
    """Which settings files are read, and whether the folders can be written."""
    files = [file for file in (user_settings_file(), Path(FILE_NAME)) if file.is_file()]
    read = ", ".join(map(str, files)) or f"no file; yours would be {user_settings_file()}"
    return [
        Check("settings", "ok", read),
        *(_folder(f"paths.{name}", folder) for name, folder in asdict(settings.paths).items()),
    ]


def _folder(name: str, folder: Path) -> Check:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Check(
            name, "broken", f"{folder} cannot be written", f"choose another as paths.{name} in lab.toml"
        )
    return Check(name, "ok", f"{folder}{'' if place == folder.absolute() else ' (made when needed)'}")
