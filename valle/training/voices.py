"""The voices of the package: recordings of identities that the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from valle.audio import wav
from valle.training.espeak import espeak
from valle.training.speakers import Speaker
from valle.voices import Voice, write_folder

RATE = 165


@dataclass(frozen=True)
class Portrait:
    """A voice to record: named by what it sounds like, with variant and pitch of an identity of training."""

    name: str
    variant: str
    pitch: int
    transcript: str
    description: str


_TABLE = """
clear-man | m3 | 50 | The lamp beside the window is warm and bright tonight. | a man, clear, middle
low-man | paul | 38 | Seven grey geese were walking slowly over the bridge. | a man, low, dark
deep-man | m8 | 38 | He found the old map under a pile of dusty books. | a man, deep, sharp
calm-man | m7 | 50 | Nobody had heard the train, so they missed it again. | a man, soft, middle
bright-man | m2 | 62 | Please bring some fresh bread and cheese from the shop. | a man, bright
soft-man | Reed | 50 | The children were playing a game behind the church. | a man, muffled
light-man | ed | 62 | We usually measure the garden before we plant a tree. | a man, rather high
old-man | grandpa | 50 | Thirty years ago there was only a farm on this road. | a man, hoarse
clear-woman | f2 | 60 | She wrote a short letter and sent it to her teacher. | a woman, clear
calm-woman | f1 | 50 | The river is quiet now, but it was wild this morning. | a woman, middle
bright-woman | f3 | 62 | A yellow bird sat on the fence and watched us eat. | a woman, bright, high
low-woman | aunty | 38 | They could hardly believe what the judge had just said. | a woman, low
soft-woman | steph | 38 | The music was so soft that we heard the clock instead. | a woman, dark, low
warm-woman | belinda | 50 | Both boats came home before the storm reached the coast. | a woman, warm
old-woman | grandma | 50 | My brother cooks a large pot of soup every Thursday. | a woman, rough
high-voice | zac | 50 | Look, the little fox is hiding under those green leaves. | very high
"""


def _portrait(line: str) -> Portrait:
    name, variant, pitch, transcript, description = line.split(" | ")
    return Portrait(name, variant, int(pitch), transcript, description)


PORTRAITS = tuple(_portrait(line) for line in _TABLE.strip().splitlines())


def record_voices(folder: Path) -> list[Voice]:
    """Render the voices into a folder, FLAC at 24 kHz, with their `voices.toml`."""
    folder.mkdir(parents=True, exist_ok=True)
    voices = []
    for portrait in PORTRAITS:
        speaker = Speaker(portrait.variant, portrait.pitch, rate=RATE)
        rendering = espeak().render(portrait.transcript, speaker)
        recording = wav.write(folder / f"{portrait.name}.flac", rendering.wave)
        origin = f"espeak-ng 1.52, {speaker.voice}, pitch {speaker.pitch}, rate {RATE}"
        voices.append(
            Voice(
                portrait.name,
                recording,
                transcript=portrait.transcript,
                language="en",
                origin=origin,
                description=portrait.description,
            )
        )
    write_folder(folder, voices)
    return voices
