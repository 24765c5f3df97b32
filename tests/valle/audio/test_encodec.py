"""EnCodec behind the codec interface, beside the package's own model with the same random weights."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from encodec import EncodecModel
from numpy.typing import NDArray

from valle.audio import encodec, weights
from valle.audio.encodec import Encodec
from valle.errors import UserError

FRAMES = 23


pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def theirs() -> EncodecModel:
    """The package's model; untrained codebooks are zeros, so they are drawn near its latents."""
    torch.manual_seed(5)
    model = EncodecModel.encodec_model_24khz(pretrained=False).eval()
    with torch.inference_mode():
        latents = model.encoder(torch.randn(1, 1, 20 * 320))[0]
    spread, mean = latents.std(-1), latents.mean(-1)
    for level, layer in enumerate(model.quantizer.vq.layers):
        layer._codebook.embed.normal_(0.0, 1.0).mul_(spread * 0.8**level)
    model.quantizer.vq.layers[0]._codebook.embed.add_(mean)
    return model


@pytest.fixture(scope="module")
def codec(theirs: EncodecModel) -> Encodec:
    return Encodec(theirs)


@pytest.fixture(scope="module")
def wave() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0.0, 1.0, FRAMES * 320 - 117).astype(np.float32)


@pytest.fixture(scope="module")
def codes() -> NDArray[np.int16]:
    return np.random.default_rng(2).integers(0, 1024, (FRAMES, 8)).astype(np.int16)


@torch.inference_mode()
def test_encodes_as_the_package_does(
    theirs: EncodecModel, codec: Encodec, wave: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    ((expected, _),) = theirs.encode(torch.from_numpy(wave)[None, None])
    codes = codec.encode(wave)
    assert codes.dtype == np.int16 and codes.shape == (FRAMES, 8)
    assert np.array_equal(codes, expected[0].T.numpy())
    assert len(np.unique(codes)) > 20
    monkeypatch.setattr(encodec, "AT_ONCE", 1000)
    monkeypatch.setattr(encodec, "PIECE", 8 * 320)
    assert np.array_equal(codec.encode(wave), codes)


@torch.inference_mode()
@pytest.mark.parametrize("levels", [8, 3])
def test_decodes_as_the_package_does(
    theirs: EncodecModel, codec: Encodec, codes: NDArray[np.int16], levels: int
) -> None:
    given = torch.from_numpy(codes[:, :levels].T.astype(np.int64))[None]
    expected = theirs.decode([(given, None)])[0, 0].numpy()
    assert expected.std() > 1e-4
    assert np.array_equal(codec.decode(codes[:, :levels]), expected)


@pytest.mark.parametrize(
    "lengths", [[FRAMES], [1] * FRAMES, [3, 8, 0, 12], [6, 17], [7, 16], [4], [2, 3], []]
)
def test_chunks_together_are_the_whole(codec: Encodec, codes: NDArray[np.int16], lengths: list[int]) -> None:
    ends = np.cumsum([0, *lengths])
    chunks = [codes[begin:end] for begin, end in pairwise(ends)]
    waves = list(codec.decode_chunks(chunks))
    whole = codec.decode(codes[: ends[-1]])
    together = np.concatenate(waves)
    assert together.shape == whole.shape
    assert np.abs(together - whole).max(initial=0.0) < 1e-5
    for index, end in enumerate(ends[1:]):
        given = sum(map(len, waves[: index + 1])) / 320
        assert given == (end if end > codec.lookahead else 0)


def test_long_speech_is_decoded_in_pieces(
    codec: Encodec, codes: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = codec.decode(codes)
    monkeypatch.setattr(encodec, "AT_ONCE", 1000)
    monkeypatch.setattr(encodec, "PIECE", 9 * 320)
    assert np.abs(codec.decode(codes) - whole).max() < 1e-5


def test_file_and_hash(
    theirs: EncodecModel, codec: Encodec, codes: NDArray[np.int16], tmp_path: Path
) -> None:
    state = theirs.state_dict()
    torch.save(state, tmp_path / "any.th")
    loaded = Encodec.load(tmp_path / "any.th")
    assert loaded.hash == codec.hash
    assert np.array_equal(loaded.decode(codes), codec.decode(codes))
    changed = {name: tensor.clone() for name, tensor in state.items()}
    changed["decoder.model.0.conv.conv.bias"] += 1.0
    changed["quantizer.vq.layers.9._codebook.embed"] += 1.0
    torch.save(changed, tmp_path / "any.th")
    assert Encodec.load(tmp_path / "any.th").hash == codec.hash, "what makes no code of the eight counts not"
    changed["quantizer.vq.layers.7._codebook.embed"] += 1.0
    torch.save(changed, tmp_path / "any.th")
    assert Encodec.load(tmp_path / "any.th").hash != codec.hash


def test_files_that_cannot_be_used(
    theirs: EncodecModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=weights.FILE_NAME):
        Encodec.load(tmp_path)
    file = tmp_path / weights.FILE_NAME
    file.write_bytes(b"PK\x03\x04 not the weights")
    with pytest.raises(UserError, match="d7cc33bc"):
        Encodec.load(tmp_path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file = file.rename(tmp_path / f"encodec_24khz-{digest[:8]}.th")
    with pytest.raises(UserError, match="cut short, damaged"):
        Encodec.load(file)
    state = dict(theirs.state_dict())
    for name, tensor, words in (
        ("encoder.model.0.conv.conv.bias", None, "has no tensor encoder"),
        ("encoder.model.0.conv.conv.bias", torch.zeros(2), r"is \[2\], EnCodec's is \[32\]"),
        ("more", torch.zeros(2), "has the tensor more"),
    ):
        changed = {**state, name: tensor}
        torch.save({key: value for key, value in changed.items() if value is not None}, tmp_path / "x.th")
        with pytest.raises(UserError, match=words) as caught:
            Encodec.load(tmp_path / "x.th")
        assert "\n" not in str(caught.value)


def test_codes_and_waves_that_cannot_be(codec: Encodec) -> None:
    with pytest.raises(UserError, match="empty"):
        codec.encode(np.zeros(0, np.float32))
    with pytest.raises(UserError, match="0 to 1023"):
        codec.decode(np.full((2, 8), 1024, np.int16))
    with pytest.raises(UserError, match="1 to 8"):
        codec.decode(np.zeros((2, 9), np.int16))
    assert codec.encode(np.zeros(1, np.float32)).shape == (1, 8)


def test_weights_are_looked_for_in_torchs_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert weights.hub_folder() == Path(torch.hub.get_dir()) / "checkpoints"
    assert weights.find_weights() is None
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / weights.FILE_NAME).touch()
    assert weights.find_weights() == tmp_path / "hub" / "checkpoints" / weights.FILE_NAME
