"""Stored codes are read, and nothing in them is ever run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from valle.audio.artifact import read_codes
from valle.errors import UserError

CODES = np.arange(16 * 8).reshape(16, 8).astype(np.int16)


def stored(path: Path, value: Any) -> Path:
    with path.open("wb") as file:
        np.save(file, value, allow_pickle=True)
    return path


@pytest.mark.parametrize("value", [CODES, CODES.T[None], CODES.astype(np.int64)])
def test_arrays_and_the_reference_s_dicts(tmp_path: Path, value: Any) -> None:
    assert np.array_equal(read_codes(stored(tmp_path / "a.npy", value)), CODES)
    assert np.array_equal(read_codes(stored(tmp_path / "a.enc", {"codes": value, "metadata": {}})), CODES)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {mark}",)

    path = stored(tmp_path / "bad.enc", np.array(Harm(), dtype=object))
    with pytest.raises(UserError, match="refused"):
        read_codes(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((4, 8)),
        np.zeros((0, 8), np.int16),
        np.full((4, 8), 1024),
        np.full((4, 8), -1),
        np.zeros((2, 3, 4), int),
        {"metadata": 1},
    ],
)
def test_what_is_no_codes_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UserError, match=r"a\.npy"):
        read_codes(stored(tmp_path / "a.npy", value))


@pytest.mark.parametrize("data", [b"", b"RIFF", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00" + bytes(80)])
def test_broken_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.npy"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"broken\.npy"):
        read_codes(path)
