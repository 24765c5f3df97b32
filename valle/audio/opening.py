"""The codec that a model speaks, or the one that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from valle.audio import weights
from valle.errors import UserError

if TYPE_CHECKING:
    from valle.audio.codec import Codec
    from valle.checkpoints.details import CodecName

BUILTIN_CODEC = Path(__file__).parents[1] / "builtin" / "codec.safetensors"
ENCODEC = "encodec"


def open_codec(asked: str, wanted: CodecName, force: bool = False) -> Codec:
    """Load the codec `asked` for: `auto` for the one that the model speaks, `builtin`, `encodec`, or a path.

    Raises UserError for a file that cannot be used, and for a codec that is not the model's own, unless
    `force` says to take it anyway.
    """
    found = _open(_named(wanted) if asked == "auto" else asked)
    fits = wanted.hash == found.hash if wanted.hash else _named(wanted) == _named_like(found)
    if not (fits or force):
        raise UserError(
            f"The codec {found.name} ({found.hash[:12]}) is not the one that the model speaks, {wanted.name}"
            f"{f' ({wanted.hash[:12]})' if wanted.hash else ''}; --force-codec takes it anyway."
        )
    return found


def fetch_encodec(url: str = weights.URL) -> Path:
    """EnCodec's weights from where the package gets them, into the cache of torch's hub.

    Raises UserError, saying what to do by hand, where they cannot be had.
    """
    from valle.downloads import DownloadError, bar, download

    found = weights.find_weights()
    if found is not None:
        return found
    try:
        with bar(weights.FILE_NAME) as progress:
            return download(
                url + weights.FILE_NAME,
                weights.hub_folder() / weights.FILE_NAME,
                weights.checksum_of(weights.FILE_NAME) or "",
                progress,
            )
    except DownloadError as error:
        raise UserError(
            f"EnCodec's weights cannot be fetched ({error}). Get {url}{weights.FILE_NAME} elsewhere, "
            f"and put it into {weights.hub_folder()} or name its folder with --codec"
        ) from error


def _open(name: str) -> Codec:
    from valle.audio.builtin.codec import BuiltinCodec

    if name == "builtin":
        return BuiltinCodec.load(BUILTIN_CODEC)
    if name != ENCODEC and Path(name).suffix == ".safetensors":
        return BuiltinCodec.load(Path(name))
    from valle.audio.encodec import Encodec

    if name != ENCODEC:
        if not Path(name).exists():
            raise UserError(
                f"The codec {name!r} is not there; give auto, builtin, encodec, or its file or folder."
            )
        return Encodec.load(Path(name))
    file = weights.find_weights()
    if file is None:
        raise UserError(
            f"EnCodec's weights {weights.FILE_NAME} are not here. To fetch them: valle-lab models --fetch "
            f"encodec\nOr put the file into {weights.hub_folder()}, or name its folder with --codec."
        )
    return Encodec.load(file)


def _named(wanted: CodecName) -> str:
    return ENCODEC if wanted.name.startswith(ENCODEC) else "builtin"


def _named_like(codec: Codec) -> str:
    return ENCODEC if codec.name == ENCODEC else "builtin"
