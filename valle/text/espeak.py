"""The phonemizer's own process: reads lines of words, answers with their phonemes, one JSON document a line.

phonemizer and espeak-ng are GPLv3 and stay behind this border. espeak also exits the process when its data
are missing, mixes languages within one process, and prints to fd 1 and 2 as it likes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any, TextIO

NEVER = re.compile(r"(?!)")
_KANJI = re.compile(r"[\u3005\u3400-\u9fff\uf900-\ufaff]")


def open_backend(voice: str) -> Any:
    """phonemizer's espeak backend for a voice such as `en-us`, on the library that espeakng-loader brings.

    The loader's compiled-in data path is wrong, so it is set as well. Punctuation is the client's work.
    """
    # phonemizer uses joblib only for several processes; its import, which brings numpy, is most of the start.
    sys.modules.setdefault("joblib", ModuleType("joblib"))
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend(voice, punctuation_marks=NEVER, with_stress=True, language_switch="remove-flags")


class UnreadableError(Exception):
    """What a line cannot be read for, in a sentence for the user."""


def in_kana(line: str) -> str:
    """Japanese without kanji, each of which espeak calls a Chinese letter.

    pykakasi knows how they are read; UnreadableError where it is not installed.
    """
    if not _KANJI.search(line):
        return line
    try:
        import pykakasi
    except ImportError as error:
        raise UnreadableError(
            f"espeak cannot read the kanji in {line[:40]!r}; write them in kana, or install what reads them: "
            "pip install 'valle-lab[japanese]'"
        ) from error
    return "".join(word["hira"] for word in pykakasi.kakasi().convert(line))


def answer(backend: Any, request: str) -> dict[str, object]:
    """The reply to one request {"lines": [words, ...]}: their phonemes in the same order, or the error.

    What cannot be read is `refused`, with a sentence for the user.
    """
    try:
        lines = json.loads(request)["lines"]
        if backend.language == "ja":
            lines = [in_kana(line) for line in lines]
        return {"phonemes": ["".join(backend.phonemize([line], strip=True)) for line in lines]}
    except UnreadableError as error:
        return {"refused": str(error)}
    except Exception as error:  # one bad request must not end the process
        return {"error": f"{type(error).__name__}: {error}"}


def serve(voice: str, requests: TextIO, replies: TextIO) -> None:
    """Greet with the versions, then answer until the requests end."""

    def send(message: dict[str, object]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        backend = open_backend(voice)
    except Exception as error:  # the client turns it into a sentence for the user
        send({"error": f"{type(error).__name__}: {error}"})
        return
    espeak = ".".join(str(part) for part in backend.version())
    send({"espeak": espeak, "phonemizer": version("phonemizer")})
    for request in requests:
        send(answer(backend, request))


def main() -> None:
    """Keep fd 1 for replies alone and send everything else that is printed to fd 2."""
    parser = argparse.ArgumentParser(prog="python -m valle.text.espeak")
    parser.add_argument("--language", required=True, help="espeak's name of the voice, such as en-us")
    arguments = parser.parse_args()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(arguments.language, sys.stdin, replies)


if __name__ == "__main__":
    main()
