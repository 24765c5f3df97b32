"""Files over HTTP on this machine: a plain server with ranges, and as much of the hub as is asked for."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

COMMIT = "c" * 40
IN_GIT = (".json", ".md", ".yaml")


@dataclass
class FileServer:
    """What is served: `files` by path, as `OWNER/NAME/PATH` for the hub; `requests` is what was asked.

    As on the hub, tags of files that are kept in git are no sha256: those of words and settings.
    """

    files: dict[str, bytes]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Those of the requests, names in small letters."""
    breaks_after: int | None = None
    """Bytes after which an answer breaks off, of files that are not kept in git."""
    elsewhere: str = ""
    """Where the hub sends those who ask for a large file; empty if it sends it itself."""
    wrong: bytes = b""
    """Stands in front of what is sent, in place of as many bytes of it."""


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[FileServer]:
    """Serve while the block runs."""
    served = FileServer(files)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            served.requests.append(f"{self.command} {self.path}")
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", self.path):
                self.describe(found[1])
                return
            path = re.sub(r"^/([^/]+/[^/]+)/resolve/[^/]+/", r"\1/", unquote(self.path)).lstrip("/")
            data = served.files.get(path)
            if data is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.end_headers()
                return
            large = not path.endswith(IN_GIT)
            if served.elsewhere and large and "/resolve/" in self.path:
                self.send_on(path, data)
            else:
                self.send(data, with_body, "sha256" if large else "sha1")

        def describe(self, repository: str) -> None:
            prefix = f"{repository}/"
            names = [name.removeprefix(prefix) for name in served.files if name.startswith(prefix)]
            document = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            body = json.dumps(document if names else {"error": "Repository not found"}).encode()
            self.send_response(200 if names else 404)
            if not names:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def send_on(self, path: str, data: bytes) -> None:
            self.send_response(302)
            self.send_header("Location", f"{served.elsewhere}/{quote(path)}")
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send(self, data: bytes, with_body: bool, digest: str) -> None:
            begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            if begin > len(data) or (begin == len(data) and begin):
                self.send_response(416)
                self.end_headers()
                return
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("ETag", f'"{hashlib.new(digest, data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(data) - begin))
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if with_body:
                body = (served.wrong + data[len(served.wrong) :])[begin:]
                self.wfile.write(body if digest == "sha1" else body[: served.breaks_after])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
