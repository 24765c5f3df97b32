"""Audition: one text in many ways, made one after the other and heard in turn, each kept or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from valle.audio.wav import Wave, duration
from valle.errors import UserError
from valle.request import LEVELS, SEED_LIMIT, Part
from valle.samplers.stack import Stack
from valle_lab.lab.beginning import ask, begin, next_seed
from valle_lab.lab.listening import Stream
from valle_lab.lab.presets import fitted, folder
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import KEPT, the_player, with_wave
from valle_lab.lab.voices import found, tell_remarks
from valle_lab.presets import find_preset
from valle_lab.worker.messages import Ask

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

MOST = 1000
AHEAD = 3
"""Takes that are made before the one that is heard is over."""
LEAST_WINDOW = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to speak the text; None is what the lab has."""

    voice: str | None = None
    seed: int | None = None
    preset: str | None = None
    part: Part = field(default_factory=Part)

    @property
    def label(self) -> str:
        """What makes it different from the others, in a few words."""
        words = [self.voice and Path(self.voice).stem, self.preset]
        words.append(None if self.seed is None else f"seed {self.seed}")
        if self.part.seconds is not None:
            words.append(f"{self.part.start:g}+{self.part.seconds:g} s")
        return ", ".join(word for word in words if word) or "as it is"


def candidates(
    voices: Sequence[str] = (),
    seeds: Sequence[int] = (),
    presets: Sequence[str] = (),
    parts: Sequence[Part] = (),
) -> list[Candidate]:
    """Every voice with every part, preset and seed. Raises UserError where there are too many."""
    found = [
        Candidate(voice, seed, preset, part)
        for voice in voices or (None,)
        for part in parts or (Part(),)
        for preset in presets or (None,)
        for seed in seeds or (None,)
    ]
    if len(found) > MOST:
        raise UserError(f"These are {len(found)} takes; an audition has {MOST} at most.")
    return found


def windows(file: Path | str, seconds: float, step: float | None = None) -> list[Part]:
    """The windows of a recording that last so long, each `step` seconds after the one before."""
    length, step = duration(file), seconds if step is None else step
    if seconds < LEAST_WINDOW or step <= 0:
        raise UserError(f"A window lasts {LEAST_WINDOW} s at least, and the next begins later.")
    starts = [number * step for number in range(int(max(0.0, length - seconds) / step) + 1)]
    return [Part(round(start, 3), min(seconds, length)) for start in starts]


class Audition:
    """Makes the takes and plays them in turn; the lab polls it."""

    def __init__(self, lab: Lab, text: str, ways: Sequence[Candidate], heard: bool = True) -> None:
        """`heard` off only makes them."""
        self.ways = list(ways)
        self.takes: list[LabTake] = []
        self.kept: set[str] = set()
        self.current = -1
        """The one that is heard, or was last."""
        self.over = False
        self._lab = lab
        self._text = text
        self._seed = next_seed(lab)
        """Of all that have none of their own: voices and stacks are compared on the same noise."""
        self._heard = heard
        self._loud = False
        self._waiting = False
        self.preview = False
        """Whether the first take is heard by its first codebook, before it is whole."""

    @property
    def hearing(self) -> LabTake | None:
        """The take that is heard."""
        return self.takes[self.current] if 0 <= self.current < len(self.takes) else None

    @property
    def made(self) -> bool:
        """Whether all takes are made."""
        return len(self.takes) == len(self.ways) and self._lab.running is None

    def label(self, take: LabTake) -> str:
        """What makes a take different from the others."""
        return self.ways[self.takes.index(take)].label

    def poll(self) -> None:
        """Make the next take where it is time, and play the next where the one before is over."""
        if self.over:
            return
        ahead = not self._heard or len(self.takes) - self.current <= AHEAD
        if self._lab.running is None and len(self.takes) < len(self.ways) and ahead:
            self.takes.append(self._begin(self.ways[len(self.takes)]))
        if not self._heard:
            self.over = self.made
        elif self.preview:
            if _whole(self.takes[self.current], self._lab.levels or LEVELS):
                self.preview = False
                self._go_to(self.current)
        elif not self._waiting and the_player(self._lab).state != "playing":
            if self._loud and self._lab.stream is not None and not self._lab.stream.over:
                return
            self._go_to(self.current + 1)

    def next(self) -> None:
        """Hear the next one now."""
        self._silence()
        self._go_to(self.current + 1)

    def again(self) -> None:
        """Hear this one once more."""
        self._silence()
        self._go_to(max(0, self.current))

    def keep(self) -> None:
        """Keep the one that is heard."""
        if (take := self.hearing) is not None and take.begun is not None:
            self._lab.record.rate(take.name, KEPT, 1.0)
            self.kept.add(take.name)
            take.kept = True
            self._lab.mark("takes", "session")

    def stop(self) -> None:
        """End it; what is being made is broken off."""
        self._silence()
        self.over = True
        if self._lab.running is not None:
            self._lab.run("take.cancel")

    def _begin(self, way: Candidate) -> LabTake:
        return begin(self._lab, self._ask(way))

    def _ask(self, way: Candidate) -> Ask:
        lab = self._lab
        asked = ask(lab, self._text)
        if way.voice is not None:
            asked = replace(asked, voice=way.voice, part=way.part)
        asked = replace(asked, seed=self._seed if way.seed is None else way.seed)
        return asked if way.preset is None else replace(asked, stack=stack_of(lab, way.preset))

    def _silence(self) -> None:
        self._lab.stream, self._waiting, self._loud, self.preview = None, False, False, False
        if self._lab.player is not None:
            self._lab.player.stop()

    def _go_to(self, index: int) -> None:
        """Play this one; where it is still being made, as it comes."""
        if index >= len(self.ways):
            self.over = True
            return
        if index >= len(self.takes) or self.takes[index].begun is None:
            if index < len(self.takes) and not self.takes[index].running:
                self.current = index
            return
        take, player, levels = self.takes[index], the_player(self._lab), self._lab.levels or LEVELS
        # Nothing was heard yet: the first codebook is there seconds before the others.
        self.preview = self.current < 0 and levels > 1 and take.running and not _whole(take, levels)
        self.current, self._lab.chosen = index, take
        self._lab.mark("takes")
        if take.running:
            player.stream()
            self._lab.stream = Stream(self._lab, take, 1 if self.preview else levels)
            self._lab.playing, self._loud = take.name, True
            return
        self._lab.stream = None
        if not take.sounds:
            return
        self._waiting = True

        def sound(wave: Wave) -> None:
            self._waiting = False
            if self.hearing is take and not self.over:
                player.load(wave)
                player.play()
                self._lab.playing = take.name

        with_wave(self._lab, take, sound, self._lab.levels)


def _whole(take: LabTake, levels: int) -> bool:
    """Whether the take, or at least its first sentence, can be heard in so many levels."""
    if not take.running:
        return True
    first = take.segments[0] if take.segments else None
    return first is not None and len(first.levels[levels - 1]) == first.frames > 0


def stack_of(lab: Lab, preset: str) -> Stack:
    """The stack of a preset on the loaded model."""
    return fitted(lab, preset, find_preset(folder(lab), preset).stack)


def voices(lab: Lab, words: str = "") -> Audition:
    """Hear the text in all voices, or in those whose name or description has all these words."""
    names = [voice.name for voice in lab.run("voice.list", words)]
    if not names:
        raise UserError(f"There is no voice with {words!r}.")
    return _open(lab, candidates(voices=names))


def seeds(lab: Lab, count: int, first: int = 0) -> Audition:
    """Hear the text with so many seeds, from the first on."""
    if not 1 <= count <= MOST or not 0 <= first <= SEED_LIMIT - count:
        raise UserError(f"An audition has 1 to {MOST} seeds, from 0 to 2^64 - 1.")
    return _open(lab, candidates(seeds=range(first, first + count)))


def presets(lab: Lab, names: str) -> Audition:
    """Hear the text with the stacks of these presets, separated by spaces."""
    for name in names.split():
        stack_of(lab, name)
    return _open(lab, candidates(presets=names.split()))


def parts(lab: Lab, seconds: float, step: float | None = None, voice: str | None = None) -> Audition:
    """Hear the text with windows of a long recording as the voice, each so many seconds long."""
    name = lab.resolved_voice() if voice is None else voice
    if name is None:
        raise UserError("No voice is chosen; name a recording.")
    recording = found(lab, name).recording
    return _open(lab, candidates(voices=[name], parts=windows(recording, seconds, step)))


def following(lab: Lab) -> None:
    """Hear the next take of the audition."""
    _audition(lab).next()


def again(lab: Lab) -> None:
    """Hear this take of the audition once more."""
    _audition(lab).again()


def keep(lab: Lab) -> None:
    """Keep the take of the audition that is heard, and go on."""
    _audition(lab).keep()
    _audition(lab).next()


def stop(lab: Lab) -> None:
    """End the audition."""
    _audition(lab).stop()


def show(lab: Lab) -> Audition:
    """Show the takes of the audition in a table, with what hints at a failure."""
    return _audition(lab)


def _open(lab: Lab, ways: list[Candidate]) -> Audition:
    if not lab.text.strip():
        raise UserError("There is no text to speak; text.set gives one.")
    lab.manner.check_speaks()
    if lab.running is not None:
        raise UserError("A take is being made; stop it first.")
    heard = lab.player is not None and lab.player.sink.audible
    lab.audition = Audition(lab, lab.text.strip(), ways, heard)
    tell_remarks(lab, [found(lab, name) for name in dict.fromkeys(way.voice for way in ways) if name])
    if heard:
        keys = {name: lab.key_of(f"audition.{name}") for name in ("next", "keep", "again", "stop")}
        hints = (f"{key} {name}" if key else f"audition.{name}" for name, key in keys.items())
        lab.tell(f"{len(ways)} takes, made and heard in turn: {', '.join(hints)}.")
    else:
        stops = lab.hint("audition.stop")
        lab.tell(f"{len(ways)} takes are made; nothing can be heard here. {stops} ends it.")
    return lab.audition


def _audition(lab: Lab) -> Audition:
    assert lab.audition is not None
    return lab.audition


def _none(lab: Lab) -> str | None:
    return None if lab.audition is not None else "there is no audition."


def _over(lab: Lab) -> str | None:
    return None if lab.audition is not None and not lab.audition.over else "there is no audition."


COMMANDS = (
    command("audition.voices", voices, rest="words"),
    command("audition.seeds", seeds),
    command("audition.presets", presets, rest="names"),
    command("audition.windows", parts),
    command("audition.next", following, key="alt+j", unavailable=_over),
    command("audition.keep", keep, key="alt+k", unavailable=_over),
    command("audition.again", again, key="alt+a", unavailable=_over),
    command("audition.stop", stop, key="alt+q", unavailable=_over),
    command("audition.show", show, unavailable=_none),
)
