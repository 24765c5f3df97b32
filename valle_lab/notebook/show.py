"""How a lab and its takes look in a notebook: HTML, in which no text can become markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from valle.audio.riff import wav_bytes
from valle.audio.wav import SAMPLE_RATE
from valle_lab.export.markup import data_uri, element, facts, table, words
from valle_lab.text_views import in_words

if TYPE_CHECKING:
    from valle_lab.notebook.lab import Lab
    from valle_lab.notebook.take import Take


def take_html(take: Take) -> str:
    """A take as a player and a line."""
    wave = take.wave
    sound = None
    if len(wave):
        source = data_uri("audio/wav", wav_bytes(wave, SAMPLE_RATE))
        sound = element("audio", "", controls="controls", src=source)
    told = element("small", ", ".join(in_words(take.inner)))
    return element("div", element("div", words(take.text)), sound, element("div", told))


def lab_html(lab: Lab) -> str:
    """What is set, and the takes that there are."""
    seed = "new each time" if lab.seed is None else lab.seed
    model = lab.controller.description.model if lab.controller.description else "none"
    set_so = facts((("model", model), ("voice", lab.voice or "none"), ("seed", seed)))
    rows = (
        (take.name, take.stop, f"{take.seconds:.2f} s", take.seed, take.voice or "none", words(take.text))
        for take in lab.takes
    )
    return element("div", set_so, table(("take", "stop", "length", "seed", "voice", "text"), rows))
