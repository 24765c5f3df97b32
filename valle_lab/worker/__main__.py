"""The model process: `python -m valle_lab.worker`, started by the client with pipes on fd 0 and 1.

Whatever else writes to fd 1 in this process, in Python or below it, goes to the log that fd 2 is.
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

from valle_lab.worker.server import Server
from valle_lab.worker.service import EngineFactory, Service, load_engine


def main() -> None:
    """Serve frames until the requests end."""
    parser = argparse.ArgumentParser(
        prog="python -m valle_lab.worker", description="The model process of the lab."
    )
    parser.add_argument("--engine", help="module:factory of another engine")
    parser.add_argument("--voices", type=Path, help="folder of the user's own voices")
    options = parser.parse_args()
    service = Service(_named(options.engine), options.voices)
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    with os.fdopen(requests, "rb") as incoming, os.fdopen(answers, "wb") as outgoing:
        Server(service, incoming, outgoing).serve()
        # The reader sleeps in a read of `incoming`, which closing would wait for.
        os._exit(0)


def _named(name: str | None) -> EngineFactory:
    if name is None:
        return load_engine
    module, _, attribute = name.partition(":")
    factory: EngineFactory = getattr(importlib.import_module(module), attribute)
    return factory


if __name__ == "__main__":
    main()
