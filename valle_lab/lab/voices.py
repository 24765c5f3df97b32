"""Commands on the voice: which one, which part of its recording, what it says, and new ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from valle.audio import edit, wav
from valle.audio.wav import SAMPLE_RATE, Wave
from valle.errors import UserError
from valle.request import Part
from valle.voices import (
    Voice,
    add_voice,
    find_voice,
    list_voices,
    name_of,
    read_folder,
    remarks_on,
    write_folder,
)
from valle_lab.lab.answers import beside
from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

AUTO, NONE = "auto", "none"
MOST_LOOPED = 60.0
AROUND = 0.5
"""Seconds before and after the wanted length in which a silence is looked for."""
LEAST_RECORDED = 0.5


def choose(lab: Lab, voice: str) -> None:
    """Choose the voice of the next take, by name or as a recording's path; `auto` is the model's first."""
    if voice != AUTO:
        tell_remarks(lab, [found(lab, voice)])
    lab.voice, lab.part = voice, Part()
    lab.mark("voices")


def without(lab: Lab) -> None:
    """Speak without a voice's prompt: the model chooses one."""
    lab.voice, lab.part = None, Part()
    lab.mark("voices")


def set_negative(lab: Lab, voice: str = "") -> None:
    """Set the voice that guidance leads away from, `none` for no voice; empty again is as at first."""
    if voice and voice != NONE:
        tell_remarks(lab, [found(lab, voice)])
    lab.negative_voice = voice or None
    lab.mark("voices")


def search(lab: Lab, words: str = "") -> list[Voice]:
    """List the voices whose name, language, transcript or description has all these words."""
    wanted = words.casefold().split()
    return [
        voice
        for voice in list_voices(lab.settings.paths.voices)
        if all(word in _described(voice).casefold() for word in wanted)
    ]


def hear(lab: Lab, voice: str | None = None) -> None:
    """Hear a voice's recording; of the chosen one the part that is the prompt."""
    name = lab.resolved_voice() if voice is None else voice
    if name is None:
        raise UserError("There is no voice to hear; voice.choose takes one.")
    part = lab.part if name == lab.resolved_voice() else Part()
    lab.sound(prompt_wave(found(lab, name), part))


def trim(lab: Lab, start: float, seconds: float | None = None) -> None:
    """Use a part of the recording: from where, and how much, in seconds; `voice.trim 0` uses all of it."""
    part = Part(start, seconds)
    prompt_wave(chosen(lab), part)
    lab.part = part
    lab.mark("voices")


def cut(lab: Lab, seconds: float) -> None:
    """Use about so many seconds from where the part begins, cut where it is quietest nearby."""
    wave = chosen(lab).wave()
    end = quiet_place(wave, lab.part.start + seconds)
    trim(lab, lab.part.start, round(end - lab.part.start, 3))


def loop(lab: Lab, seconds: float) -> None:
    """Repeat the part until it is that long, in seconds; 0 ends that."""
    chosen(lab)
    if not 0 <= seconds <= MOST_LOOPED:
        raise UserError(f"A prompt can be repeated up to {MOST_LOOPED:g} seconds, not {seconds:g}.")
    lab.part = replace(lab.part, looped=seconds or None)
    lab.mark("voices")


def add(lab: Lab, file: str, name: str | None = None, transcript: str = "") -> None:
    """Add a recording as a voice of your own; it is copied, without the silence at its ends."""
    path = Path(file).expanduser()
    _added(lab, lambda: path, name or name_of(path), transcript)


def microphone(lab: Lab) -> str:
    """Say which microphone would record."""
    from valle_lab.microphone import microphone_name

    return microphone_name()


def record(lab: Lab, name: str, transcript: str = "") -> None:
    """Record a voice from the microphone; `voice.recorded` ends it and adds the voice."""
    from valle_lab.microphone import Microphone

    if lab.recording is not None:
        raise UserError("The microphone is recording already; voice.recorded ends that.")
    if any(voice.name == name for voice in list_voices(lab.settings.paths.voices)):
        raise UserError(f"The voice name {name!r} is taken; give another one.")
    lab.recording = (Microphone(), name, transcript)
    lab.mark("voices")


def recorded(lab: Lab) -> None:
    """End the recording and add what was said as a voice."""
    assert lab.recording is not None
    (microphone, name, transcript), lab.recording = lab.recording, None
    wave = microphone.stop()
    lab.mark("voices")
    if len(wave) < LEAST_RECORDED * SAMPLE_RATE or wav.is_silent(wave):
        raise UserError("Nothing was heard; check the microphone, and that it is not muted.")
    folder = Path(tempfile.mkdtemp(prefix="valle-lab-voice-"))
    _added(lab, lambda: wav.write(folder / "recorded.wav", wave), name, transcript)


def set_transcript(lab: Lab, transcript: str) -> None:
    """Set what the chosen voice says; only voices of your own can be edited."""
    voice, folder = chosen(lab), lab.settings.paths.voices
    own = read_folder(folder)
    if voice.name not in {item.name for item in own}:
        raise UserError(
            f"The voice {voice.name} is not your own; voice.add its recording under another name."
        )

    def write() -> Voice:
        phonemes = _phonemes(transcript, voice.language or lab.language)
        edited = replace(voice, transcript=transcript, phonemes=phonemes)
        write_folder(folder, [edited if item.name == voice.name else item for item in own])
        return edited

    lab.answers.expect(beside(write), lambda _: lab.mark("voices"))


def chosen(lab: Lab) -> Voice:
    """The voice that the next take gets. Raises UserError where it gets none."""
    name = lab.resolved_voice()
    if name is None:
        raise UserError("No voice is chosen; voice.choose takes one.")
    return found(lab, name)


def found(lab: Lab, name: str) -> Voice:
    """A voice by name, or a recording by path. Raises UserError."""
    return find_voice(name, lab.settings.paths.voices)


def tell_remarks(lab: Lab, voices: Iterable[Voice]) -> None:
    """Tell what a person should know of how these recordings are used."""
    for remark in remarks_on(voices):
        lab.tell(remark)


def prompt_wave(voice: Voice, part: Part) -> Wave:
    """What the model hears of a voice, [samples] at 24 kHz. Raises UserError for a part outside it."""
    wave = voice.wave()
    seconds = len(wave) / SAMPLE_RATE - part.start if part.seconds is None else part.seconds
    cut_out = wave if part.is_whole else edit.window(wave, part.start, seconds)
    if part.looped is None:
        return cut_out
    return np.resize(cut_out, round(part.looped * SAMPLE_RATE))


def quiet_place(wave: Wave, seconds: float, around: float = AROUND) -> float:
    """The middle of the quietest 50 ms within `around` seconds of a place, in seconds."""
    size = round(0.05 * SAMPLE_RATE)
    first = max(0, round((seconds - around) * SAMPLE_RATE))
    levels = edit.frame_levels(wave[first : round((seconds + around) * SAMPLE_RATE)], seconds=0.05)
    if not len(levels):
        raise UserError(f"The recording lasts {len(wave) / SAMPLE_RATE:.2f} s; {seconds:g} s lie outside it.")
    return (first + (int(levels.argmin()) + 0.5) * size) / SAMPLE_RATE


def _added(lab: Lab, file: Callable[[], Path], name: str, transcript: str) -> None:
    """Add a recording in a thread of its own: reading it and making phonemes takes a moment."""
    language, folder = lab.language, lab.settings.paths.voices

    def work() -> tuple[Voice, str | None]:
        path, phonemes = file(), _phonemes(transcript, language)
        voice = add_voice(
            path, name=name, transcript=transcript, language=language, phonemes=phonemes, folder=folder
        )
        return voice, wav.cut_short(path)

    def done(added: tuple[Voice, str | None]) -> None:
        voice, remark = added
        lab.tell(f"Voice added: {voice.name}, {voice.seconds:.1f} s" + (f"; {remark}" if remark else ""))
        choose(lab, voice.name)

    lab.answers.expect(beside(work), done)


def _phonemes(text: str, language: str) -> str:
    from valle.text.phonemes import Phonemizer

    if not text.strip():
        return ""
    with Phonemizer(language) as phonemizer:
        return phonemizer.phonemize(text)


def _described(voice: Voice) -> str:
    return " ".join((voice.name, voice.language, voice.transcript, voice.description))


def _names(lab: Lab) -> tuple[str, ...]:
    return tuple(voice.name for voice in list_voices(lab.settings.paths.voices))


def _choices(lab: Lab) -> tuple[str, ...]:
    return (AUTO, *_names(lab))


def _not_recording(lab: Lab) -> str | None:
    return None if lab.recording is not None else "nothing is being recorded."


COMMANDS = (
    command("voice.choose", choose, complete={"voice": _choices}, rest="voice"),
    command("voice.none", without),
    command("voice.negative", set_negative, complete={"voice": _choices}, rest="voice"),
    command("voice.list", search, rest="words"),
    command("voice.hear", hear, complete={"voice": _names}, rest="voice"),
    command("voice.trim", trim),
    command("voice.cut", cut),
    command("voice.loop", loop),
    command("voice.add", add),
    command("voice.microphone", microphone),
    command("voice.record", record),
    command("voice.recorded", recorded, unavailable=_not_recording),
    command("voice.transcript", set_transcript, rest="transcript"),
)
