"""Draw espeak's own audio, the same through the codec, and the built-in voice, one above the other.

python tools/spectrograms.py docs/images/builtin-voice-spectrogram.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from valle.audio.builtin.pitch import SAMPLE_RATE
from valle.inference import Engine
from valle.training.evaluation import Floats, known_sitters
from valle.voices import find_voice

WINDOW = 1024
STEP = 160


def three_waves(engine: Engine, text: str, voice: str, seed: int) -> dict[str, Floats]:
    """A text as espeak says it, the same through the codec, and as the model says it in that voice."""
    original = next(sitter for sitter in known_sitters() if sitter.name == voice).says(text)
    take = engine.generate(engine.request(text, voice=find_voice(voice), seed=seed), measured=False).finish()
    return {
        "espeak-ng": original,
        "espeak-ng through the codec": engine.codec.decode(engine.codec.encode(original)),
        f"the built-in model, voice {voice}": engine.wave(take.segments),
    }


def spectrogram(wave: Floats) -> Floats:
    """Level in dB of each bin and moment, [bins, moments]."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, WINDOW // 2), WINDOW)[::STEP]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(WINDOW)))
    levels: Floats = (20 * np.log10(magnitude + 1e-4)).astype(np.float32).T
    return levels


def draw(waves: dict[str, Floats], path: Path) -> None:
    """Draw waves, up to 6 kHz, into a PNG file."""
    figure = Figure(figsize=(9, 2.2 * len(waves)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for row, (title, wave) in enumerate(waves.items()):
        axes = figure.add_subplot(len(waves), 1, row + 1)
        extent = (0.0, len(wave) / SAMPLE_RATE, 0.0, SAMPLE_RATE / 2000)
        axes.imshow(
            spectrogram(wave), origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-40, vmax=30
        )
        axes.set(title=title, ylabel="kHz", ylim=(0, 6))
        if row == len(waves) - 1:
            axes.set_xlabel("seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.print_png(str(path))


def main() -> None:
    """Draw the picture that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--voice", default="clear-woman")
    parser.add_argument("--text", default="The old garden was quiet in the morning.")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    engine = Engine.load()
    draw(three_waves(engine, arguments.text, arguments.voice, arguments.seed), arguments.path)
    engine.close()


if __name__ == "__main__":
    main()
