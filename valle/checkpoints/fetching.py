"""What is fetched from the Hugging Face hub, through `huggingface_hub`: once, checked, and gone on with.

That library begins again where a download broke off. So the large files, which the hub names by their sha256,
are brought to their place in its cache here, and the library finds them there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from valle import folders
from valle.checkpoints.hub import HubName, cache_folder, cached, choose, repository_folder, wanted
from valle.downloads import DownloadError, Progress, bar, download
from valle.errors import UserError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(name: HubName, progress: Progress | None = None) -> Path:
    """The file or folder of a model, from the cache or else from the hub, with what belongs to it.

    Raises UserError, saying what to do by hand, where it can be had from neither.
    """
    found = cached(name)
    if found is not None:
        return found
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        there = HfApi(endpoint=endpoint).model_info(name.repo, revision=name.revision)
        files = [sibling.rfilename for sibling in there.siblings or ()]
        for file in wanted(choose(name, files), files):
            _fetch_file(name, file, endpoint, progress)
    except (OSError, HfHubHTTPError, HFValidationError, RuntimeError, ValueError, DownloadError) as error:
        raise UserError(_by_hand(name, error)) from error
    # The library speaks to the network through httpx, whose errors it lets through.
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "httpcore")):
            raise
        raise UserError(_by_hand(name, error)) from error
    found = cached(name)
    if found is None:
        raise UserError(_by_hand(name, OSError(f"it is not in {cache_folder()} afterwards")))
    return found


def _fetch_file(name: HubName, file: str, endpoint: str | None, progress: Progress | None) -> None:
    """Bring one file into the cache."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_download, hf_hub_url

    url = hf_hub_url(name.repo, file, revision=name.revision, endpoint=endpoint)
    said = get_hf_file_metadata(url, endpoint=endpoint)
    if said.etag is not None and _SHA256.fullmatch(said.etag):
        blob = repository_folder(name) / "blobs" / said.etag
        if not blob.exists():
            # Whoever else the hub sends one to is not told the user's token.
            own, token = urlsplit(said.location).netloc == urlsplit(url).netloc, get_token()
            headers = {"Authorization": f"Bearer {token}"} if own and token else {}
            with bar(Path(file).name, progress) as shown:
                download(said.location, blob, said.etag, shown, headers)
    hf_hub_download(name.repo, file, revision=name.revision, cache_dir=cache_folder(), endpoint=endpoint)


def _by_hand(name: HubName, error: Exception) -> str:
    path = name.file or "the model's file"
    folder = folders.data() / "models"
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return (
        f"{name}: cannot be fetched ({reason[:160]}). Get {path} of https://huggingface.co/{name.repo} some "
        f"other way, put it into {folder} and give its name or path with --model"
    )
