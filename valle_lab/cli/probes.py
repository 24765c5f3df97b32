"""What `valle-lab doctor` asks of native libraries, each in a process of its own.

A library that crashes, hangs or prints to the terminal then does so where it hurts nobody. Run as a program
with the name of a probe, the last line of stdout is its answer as a JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

TIMEOUT_SECONDS = 120.0


class ProbeError(Exception):
    """The probe gave no answer; the message is the library's own reason, in one line."""


def probe(name: str, timeout: float = TIMEOUT_SECONDS) -> dict[str, Any]:
    """The answer of a probe that runs in a fresh interpreter. Raises ProbeError."""
    command = [sys.executable, "-m", __name__, name]
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"no answer within {timeout:.0f} s") from None
    if result.returncode != 0:
        raise ProbeError(_last_line(result.stderr) or f"the process ended with code {result.returncode}")
    try:
        answer = json.loads(_last_line(result.stdout))
    except ValueError:
        raise ProbeError("the answer cannot be read") from None
    if not isinstance(answer, dict):
        raise ProbeError("the answer cannot be read")
    return answer


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def probe_torch() -> dict[str, Any]:
    """torch's build, its processor, and the devices it sees (ROCm's are named cuda too)."""
    import torch

    devices = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices.append({"name": properties.name, "memory_gb": round(properties.total_memory / 1e9, 1)})
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "rocm": torch.version.hip,
        "devices": devices,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def probe_sound() -> dict[str, Any]:
    """PortAudio's version, and the name of its default output device (null where there is none)."""
    import sounddevice

    try:
        output = str(sounddevice.query_devices(kind="output")["name"])
    except (sounddevice.PortAudioError, ValueError):
        output = None
    return {"portaudio": sounddevice.get_portaudio_version()[1], "output": output}


def probe_encodec() -> dict[str, Any]:
    """Whether encodec can be imported, and whether torchaudio is the real one."""
    import encodec
    import torchaudio

    return {"version": encodec.__version__, "torchaudio": hasattr(torchaudio, "transforms")}


PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    "torch": probe_torch,
    "sound": probe_sound,
    "encodec": probe_encodec,
}

if __name__ == "__main__":
    print("\n" + json.dumps(PROBES[sys.argv[1]]()))
