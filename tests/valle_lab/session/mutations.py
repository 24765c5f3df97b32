"""Damaged sessions by the thousand: each must be refused in one line or be accepted, and nothing else.

As a program, `python -m tests.valle_lab.session.mutations` tries 10,000 mutations of the example sessions,
a tenth as many that are harmless, and replays 50 of those that were accepted; a number asks for more.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valle_lab.session.convert import from_session_take
from valle_lab.session.engines import Choices, Engines
from valle_lab.session.judge import Mode
from valle_lab.session.replay import Options, replay_file
from valle_lab.session.save import SessionError, load_session, parse_session, session_text

EXAMPLES = sorted((Path(__file__).parents[3] / "sessions").glob("*.json"))
REPLAYED, MOST_STEPS = 50, 20
MODES: tuple[Mode, ...] = ("tolerant", "forced", "exact")

SLOW = 5.0
"""Seconds of computing for one mutation that count as a hang."""

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 1024, 2**31, 2**63, 2**64, 2**64 - 1, 10**30, 0.5, -0.0, 1e308),
    *("", "x", "nan", "../../etc/passwd", "\u0000", "🎈" * 50, "A" * 100_000),
    *([], {}, [[]], [None], [1, 2, 3], {"dtype": "int16"}),
    {"dtype": "int16", "shape": [2**24, 2**24], "base64": ""},
    {"dtype": "float64", "shape": [0], "base64": ""},
]
TEXTS = ["NaN", "Infinity", "-Infinity", "1e999", '"\\ud800"', "[" * 400, "9" * 5000, "{", '"', "tru"]


@dataclass
class Tally:
    """What became of the mutations."""

    refused: int = 0
    accepted: list[str] = field(default_factory=list)
    slowest: float = 0.0


def try_all(text: str, count: int, seed: int = 0) -> Tally:
    """Validate that many mutations. Anything but acceptance or one line of refusal is an AssertionError."""
    tally = Tally()
    for mutated in mutations(text, count, seed):
        begun = time.process_time()
        try:
            session = parse_session(mutated, "mutated.json")
            for record in session.takes:
                from_session_take(record)
            session_text(session)
        except SessionError as error:
            assert str(error).startswith("mutated.json") and "\n" not in str(error), error
            assert len(str(error)) < 600, str(error)[:600]
            tally.refused += 1
        else:
            tally.accepted.append(mutated if isinstance(mutated, str) else mutated.decode())
        tally.slowest = max(tally.slowest, time.process_time() - begun)
        assert tally.slowest < SLOW, f"{tally.slowest:.1f} s for one mutation"
    return tally


def mutations(text: str, count: int, seed: int = 0) -> Iterator[str | bytes]:
    """Damaged versions of a session: values replaced, removed, doubled, renamed; characters changed."""
    chance = random.Random(seed)
    document = json.loads(text)
    for _ in range(count):
        kind = chance.random()
        if kind < 0.7:
            damaged = json.loads(text) if kind < 0.02 else _copy(document)
            _damage(damaged, chance)
            yield json.dumps(damaged)
        elif kind < 0.8:
            at = chance.randrange(len(text))
            yield text[:at] + chance.choice(TEXTS) + text[at + chance.randrange(4) :]
        else:
            yield _damage_bytes(text.encode(), chance)


def harmless(text: str, count: int, seed: int = 0) -> Iterator[str]:
    """Versions in which only notes, ratings and unknown fields were changed."""
    chance = random.Random(seed)
    document = json.loads(text)
    for _ in range(count):
        changed = _copy(document)
        holder = chance.choice([changed, *changed["takes"]])
        name = chance.choice(["notes", "ratings", "unknown", "x"])
        if name in ("unknown", "x"):
            holder = chance.choice([item for item in _objects(changed) if not _is_open(item)])
        holder[name] = chance.choice(VALUES)
        yield json.dumps(changed)


def _damage(document: Any, chance: random.Random) -> None:
    holder = chance.choice(list(_objects(document)))
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    if not keys:
        return
    key = chance.choice(keys)
    match chance.randrange(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[chance.choice(["", "x", "takes", "base64"])] = holder.pop(key)
        case 1:
            holder.append(_copy(holder[key]))
        case 2 if type(holder[key]) in (int, float):
            holder[key] += chance.choice([1, -1, 100, 0.5, 2**40])
        case 2 if isinstance(holder[key], str) and holder[key]:
            at = chance.randrange(len(holder[key]))
            holder[key] = holder[key][:at] + chance.choice("A/+=z\n") + holder[key][at + 1 :]
        case _:
            holder[key] = _copy(chance.choice(VALUES))


def _damage_bytes(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    match chance.randrange(4):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 2:
            return data[:at] + data[at + chance.randrange(1, 200) :]
        case _:
            start = chance.randrange(len(data))
            return data[:at] + data[start : start + chance.randrange(1, 200)] + data[at:]


def _objects(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _objects(item)


def _is_open(value: Any) -> bool:
    """Whether every name in this object means something: stages and their lists have no unknown fields."""
    stage = isinstance(value, dict) and "name" in value and "sha256" not in value and "version" not in value
    return isinstance(value, list) or stage or "ar" in value or value.keys() <= {"value", "k", "p"}


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def replay_some(texts: Sequence[str], engines: Engines, folder: Path) -> Counter[str]:
    """Replay the first steps of sessions, in all three modes by turns; the verdicts of their takes.

    Whatever is no verdict, or an error of one line, is an AssertionError, and so is a file that was touched
    outside the folder for the sound.
    """
    verdicts: Counter[str] = Counter()
    for number, text in enumerate(texts):
        file, out = folder / "mutated.json", folder / "out" / str(number)
        file.write_text(text)
        options = Options(MODES[number % len(MODES)], any_model=True, out=out, most_steps=MOST_STEPS)
        with watched_writes() as touched:
            reports = replay_file(file, options, engines)
        verdicts.update(report.verdict for report in reports)
        assert all("\n" not in (report.error or "") for report in reports), reports
        outside = [path for path in touched if not path.is_relative_to(out)]
        assert set(outside) <= {folder / "out", Path(os.devnull)}, outside
        assert {path.name for path in folder.iterdir()} <= {"mutated.json", "out"}
    return verdicts


@contextmanager
def watched_writes() -> Iterator[list[Path]]:
    """The files and folders that this process opens to write, makes, renames or removes meanwhile."""
    touched: list[Path] = []
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching:
            return
        if event == "open":
            path, _, flags = arguments
            names = [path] if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else []
        else:
            names = list(arguments[:2]) if event in ("os.rename", "os.link", "os.symlink") else []
            names += arguments[:1] if event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate") else []
        touched.extend(Path(os.fsdecode(name)).absolute() for name in names if not isinstance(name, int))

    sys.addaudithook(watch)
    try:
        yield touched
    finally:
        watching = False


def main(count: int = 10_000) -> None:
    """Try that many mutations of the examples, shared among them, and print what became of them."""
    tallies = []
    begun = time.process_time()
    for file in EXAMPLES:
        text = session_text(load_session(file))
        faulthandler.dump_traceback_later(1200, exit=True)
        tallies.append(try_all(text, count // len(EXAMPLES)))
        for changed in harmless(text, count // len(EXAMPLES) // 10):
            parse_session(changed, file.name)
        told = tallies[-1]
        print(
            f"{file.name}: {told.refused} refused in a line, {len(told.accepted)} accepted, "
            f"slowest {told.slowest * 1e3:.0f} ms"
        )
    accepted = [text for told in tallies for text in told.accepted]
    chosen = random.Random(0).sample(accepted, min(REPLAYED, len(accepted)))
    engines = Engines(Choices(any_model=True))
    with tempfile.TemporaryDirectory() as folder:
        verdicts = replay_some(chosen, engines, Path(folder).resolve())
    engines.close()
    print(f"{len(chosen)} of the accepted replayed for {MOST_STEPS} steps: {dict(verdicts)}")
    print(f"{time.process_time() - begun:.0f} s of computing")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
