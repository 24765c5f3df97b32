"""Where the weights of EnCodec are, which the package `encodec` publishes; needs no torch."""

from __future__ import annotations

import os
import re
from pathlib import Path

from valle import folders

FILE_NAME = "encodec_24khz-d7cc33bc.th"
"""As the package publishes it; the last eight digits are the first of its sha256."""
URL = "https://dl.fbaipublicfiles.com/encodec/v0/"
_CHECKSUM = re.compile(r"-([0-9a-f]{8,64})\.")


def hub_folder() -> Path:
    """Where torch's hub keeps what the package downloads."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", default)).expanduser() / "hub" / "checkpoints"


def find_weights() -> Path | None:
    """The file of the weights, in the cache of torch's hub or the models folder; None if it is in neither."""
    places = (hub_folder(), folders.data() / "models")
    return next((folder / FILE_NAME for folder in places if (folder / FILE_NAME).is_file()), None)


def checksum_of(name: str) -> str | None:
    """The first digits of the sha256 that a file's name promises."""
    found = _CHECKSUM.search(name)
    return found[1] if found else None
