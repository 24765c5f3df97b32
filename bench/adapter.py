"""An adapter trained on one voice that the model never heard, beside the plain model, all in one run.

Records sentences of one of espeak-ng's variants that no part of the package has heard, trains an adapter on
them, and speaks other sentences plain, with the adapter at half strength and at full strength, each without a
prompt and with one. Told of the takes: how far their voice prints lie from that of the recordings, for how
many it is the nearest of 17 voices, for how many the text is the nearest of all sentences by the distance of
dynamic time warping from espeak-ng's own rendering, and how many ended by themselves.

    python bench/adapter.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valle.audio import wav
from valle.errors import UserError
from valle.inference import Engine
from valle.request import Prompt
from valle.take import Take
from valle.training.__main__ import run
from valle.training.evaluation import Sitter, features, sentences
from valle.training.measures import log_mel, voice_print, warped_distances
from valle.training.speakers import UNSEEN, Speaker
from valle.training.text import common_line
from valle.training.voices import PORTRAITS, RATE

Floats = NDArray[np.float32]
STRENGTHS = {"plain": 0.0, "adapter at 0.5": 0.5, "adapter": 1.0}
RECORDED, SPOKEN = 71, 72
"""Seeds of the sentences that are recorded, and of those that are spoken."""
PROMPTS = 12
"""Recordings that the print of the voice is the mean of."""


def record(folder: Path, sitter: Sitter, count: int) -> list[str]:
    """Have espeak-ng say sentences into a folder, each with its text beside it; gives the texts."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = sentences(count, common_line, RECORDED)
    for number, text in enumerate(texts):
        wav.write(folder / f"{number:02}.wav", sitter.says(text))
        (folder / f"{number:02}.txt").write_text(text + "\n", encoding="utf-8")
    return texts


class Voices:
    """The print of the new voice, and those of the sixteen of the package."""

    def __init__(self, sitter: Sitter, texts: Sequence[str]) -> None:
        self._own = np.mean([voice_print(sitter.says(text)) for text in texts], 0)
        package = [
            Sitter(each.name, Speaker(each.variant, each.pitch, rate=RATE), each.transcript)
            for each in PORTRAITS
        ]
        self._others = [
            np.mean([voice_print(other.says(text)) for text in texts[:4]], 0) for other in package
        ]

    def distance(self, wave: Floats) -> float:
        """How far a wave's print lies from the voice's."""
        return float(np.linalg.norm(voice_print(wave) - self._own))

    def nearest(self, wave: Floats) -> bool:
        """Whether no other voice is nearer."""
        found = voice_print(wave)
        return all(np.linalg.norm(found - other) > self.distance(wave) for other in self._others)


def line(engine: Engine, takes: Sequence[Take], texts: Sequence[str], sitter: Sitter, voices: Voices) -> str:
    """The cells that tell of takes of these texts."""
    waves = [engine.wave(take.segments) for take in takes]
    heard = [wave for wave in waves if len(wave)]
    distance = float(np.mean([voices.distance(wave) for wave in heard])) if heard else float("nan")
    right = 0
    for number, wave in enumerate(waves):
        if len(wave):
            apart = warped_distances(log_mel(wave), [features(sitter, text) for text in texts])
            right += int(apart.argmin()) == number
    own, ended = sum(map(voices.nearest, heard)), sum(take.stop == "stop" for take in takes)
    return f"{distance:.2f} | {own} | {right} | {ended}"


def table(options: argparse.Namespace) -> Iterator[str]:
    """Record, train, speak; the lines of the tables as they come."""
    sitter = Sitter(options.variant, Speaker(options.variant, 50, rate=RATE), "")
    recordings, file = options.out / "recordings", options.out / f"{options.variant}.safetensors"
    recorded = record(recordings, sitter, options.recordings)
    words = ["--threads", str(options.threads), "--folder", str(options.out), "adapter", str(recordings)]
    words += ["--name", options.variant, "--model", options.model]
    run([*words, "--steps", str(options.steps), "--out", str(file)])
    metrics = (options.out / f"adapter-{options.variant}" / "metrics.jsonl").read_text(encoding="utf-8")
    last = json.loads(metrics.splitlines()[-1])
    yield f"{last['step']} steps, {file.stat().st_size / 1e3:.0f} kB\n"
    yield "| loss in nats, held out | plain | adapter |\n|---|--:|--:|"
    for kind, value in last["plain"].items():
        yield f"| {kind} | {value:.3f} | {last['adapted'][kind]:.3f} |"
    engine = Engine.load(options.model, device="cpu", threads=options.threads)
    voices = Voices(sitter, recorded[:PROMPTS])
    texts = sentences(options.count, common_line, SPOKEN)
    codes = engine.codec.encode(sitter.says(recorded[0]))
    prompt = Prompt(codes, engine.codec.hash, sitter.name)
    through = [engine.codec.decode(engine.codec.encode(sitter.says(text))) for text in texts]
    own = float(np.mean([voices.distance(wave) for wave in through]))
    yield f"\n{options.count} sentences; espeak-ng's own, through the codec, lie at {own:.2f}\n"
    yield "| | prompt | distance | nearest voice | text | ended by itself |\n|---|---|--:|--:|--:|--:|"
    for name, strength in STRENGTHS.items():
        engine.use_adapters([(file, strength)] if strength else [])
        for told, voice in (("without", None), ("with", prompt)):
            takes = [engine.generate(engine.request(text, voice=voice, seed=1)).finish() for text in texts]
            yield f"| {name} | {told} | {line(engine, takes, texts, sitter, voices)} |"
    engine.close()


def main() -> None:
    """Print the tables line by line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", default=UNSEEN[0], choices=UNSEEN, help="a voice of espeak-ng")
    parser.add_argument("--recordings", type=int, default=60)
    parser.add_argument("--steps", type=int, default=150, help="of the training")
    parser.add_argument("--count", type=int, default=12, help="sentences that are spoken")
    parser.add_argument("--model", default="builtin")
    parser.add_argument(
        "--out", type=Path, default=Path("out/adapter"), help="folder of recordings, run and adapter"
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    try:
        for printed in table(options):
            print(printed, flush=True)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
