"""EnCodec with random weights, in a file whose name promises its checksum as the published one does."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch


def write_weights(folder: Path) -> Path:
    """Write them; the codebooks of an untrained model are zeros, so they are drawn."""
    from encodec import EncodecModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(1)
        model = EncodecModel.encodec_model_24khz(pretrained=False)
    for layer in model.quantizer.vq.layers:
        layer._codebook.embed.normal_(0.0, 0.1)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "encodec.th"
    torch.save(model.state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return file.rename(folder / f"encodec_24khz-{digest[:8]}.th")
