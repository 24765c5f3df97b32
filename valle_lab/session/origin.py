"""What a take was made with: model, codec and tokenizer by content, the versions and the processor."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import valle
from valle_lab.session.schema import Content, Environment, Origin

if TYPE_CHECKING:
    from valle_lab.engine import Engine

TELLING_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "avx_vnni", "amx_bf16", "amx_int8", "amx_tile", "asimd", "sve", "sve2", "bf16", "i8mm",
)  # fmt: skip
"""Instruction sets that choose other kernels, and so change the last bits."""


def origin_of(engine: Engine, language: str) -> Origin:
    """What makes the takes of this engine, by name and by content."""
    versions = engine.versions(language)
    release = f"valle-lab {valle.__version__}" if engine.model_name == "builtin" else ""
    return Origin(
        model=Content(name=engine.model_name, sha256=engine.model_hash, release=release),
        codec=Content(name=engine.codec.name, sha256=engine.codec.hash),
        tokenizer=Content(name=engine.model_name, sha256=engine.tokenizer.hash),
        environment=environment(versions.espeak, versions.phonemizer),
    )


def environment(espeak: str = "", phonemizer: str = "") -> Environment:
    """Versions and processor of this machine, without importing what is heavy and without any name of it.

    The versions of espeak and phonemizer are the caller's to know: they belong to a process of their own.
    """
    return Environment(
        valle=valle.__version__,
        python=platform.python_version(),
        torch=_version("torch"),
        numpy=_version("numpy"),
        espeak=espeak,
        phonemizer=phonemizer or _version("phonemizer"),
        os=platform.system().lower(),
        machine=platform.machine(),
        cpu_flags=_cpu_flags(),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu_flags(source: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Those of the instruction sets that the processor has; none where the system does not say."""
    try:
        lines = source.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    listed = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    present = set(listed.partition(":")[2].split())
    return tuple(flag for flag in TELLING_FLAGS if flag in present)
