"""Commands on hearing takes: play, pause, seek, loop, A/B, one level alone, and as they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from valle.audio.wav import SAMPLE_RATE, Wave
from valle.errors import UserError
from valle.request import LEVELS, Codes
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import (
    named,
    no_takes,
    nothing_running,
    shown_takes,
    take_names,
    the_player,
    with_wave,
)
from valle_lab.lab.timeline import Surprise

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

SCRUB_SECONDS = 0.5
"""What is heard around a place."""
CHUNK_FRAMES = 15
"""Frames that are decoded at once while a take is made: a fifth of a second."""


def play(lab: Lab, take: str | None = None) -> None:
    """Play a take, by default the chosen one; of a running one what exists so far."""
    chosen, player = named(lab, take), the_player(lab)
    _check_sounds(chosen)
    lab.stream = None

    def sound(wave: Wave) -> None:
        player.load(wave)
        player.play()
        lab.playing = chosen.name

    with_wave(lab, chosen, sound, lab.levels)


def pause(lab: Lab) -> None:
    """Pause the sound, or go on with it."""
    player = the_player(lab)
    if player.state == "playing":
        player.pause()
    else:
        player.play()
    lab.mark("sound")


def silence(lab: Lab) -> None:
    """Stop playing."""
    lab.stream = None
    the_player(lab).stop()
    lab.mark("sound")


def seek(lab: Lab, seconds: float) -> None:
    """Go to a place of the sound, in seconds; of a take that is not loaded yet, from there on."""
    player = the_player(lab)
    if lab.stream is not None or (lab.chosen is not None and lab.playing == lab.chosen.name):
        player.seek(seconds)
        lab.mark("sound")
        return
    chosen = named(lab, None)
    _check_sounds(chosen)

    def there(wave: Wave) -> None:
        player.load(wave)
        player.seek(seconds)
        lab.playing = chosen.name

    with_wave(lab, chosen, there, lab.levels)


def skip(lab: Lab, seconds: float) -> None:
    """Go on by so many seconds, or back where negative."""
    the_player(lab).seek(max(0.0, the_player(lab).position + seconds))
    lab.mark("sound")


def loop(lab: Lab, on: bool | None = None) -> None:
    """Play again and again, or no more; without a word the other of the two."""
    player = the_player(lab)
    player.loop = not player.loop if on is None else on
    lab.mark("sound")


def compare(lab: Lab, other: str | None = None) -> LabTake:
    """A/B: hear another take from the same place on; each further time the other of the two.

    Where none was named yet it is the one before the chosen take.
    """
    first = named(lab, None)
    if other is not None or lab.pair is None or any(lab.find(name) is None for name in lab.pair):
        lab.pair = (first.name, _beside(lab, first) if other is None else named(lab, other).name)
    player = the_player(lab)
    name = lab.pair[0] if first.name == lab.pair[1] else lab.pair[1]
    place = player.position if player.state != "stopped" else 0.0
    second = named(lab, name)
    _check_sounds(second)

    def switch(wave: Wave) -> None:
        player.load(wave)
        if 0 < player.duration <= place:
            lab.tell(f"{second.name} ends after {player.duration:.2f} s, and is heard from its start.")
        player.seek(place)
        player.play()
        lab.playing = second.name

    with_wave(lab, second, switch, lab.levels)
    lab.chosen, lab.stream = second, None
    lab.mark("takes")
    return second


def solo(lab: Lab, levels: int = LEVELS) -> None:
    """Hear only so many of the leading codebooks, 1 to 8; 1 can be heard while the AR still runs."""
    if not 1 <= levels <= LEVELS:
        raise UserError(f"There are codebooks 1 to {LEVELS}, not {levels}.")
    lab.levels = None if levels == LEVELS else levels
    lab.mark("sound")
    player = lab.player
    if player is not None and player.state == "playing" and lab.stream is None and lab.playing:
        again_from(lab, player.position)


def follow(lab: Lab) -> None:
    """Hear the running take as it is made: whole sentences, or with `take.solo 1` the AR frame by frame."""
    assert lab.running is not None
    player = the_player(lab)
    _check_speaks(lab.running)
    player.stream()
    lab.stream, lab.playing = Stream(lab, lab.running, lab.levels or LEVELS), lab.running.name


def around(lab: Lab, seconds: float) -> None:
    """Hear half a second around a place of the chosen take."""
    chosen, player = named(lab, None), the_player(lab)
    _check_sounds(chosen)
    lab.stream = None

    def sound(wave: Wave) -> None:
        first = max(0, round((seconds - SCRUB_SECONDS / 2) * SAMPLE_RATE))
        player.load(wave[first : first + round(SCRUB_SECONDS * SAMPLE_RATE)])
        player.play()
        lab.playing = None

    with_wave(lab, chosen, sound, lab.levels)


def next_surprise(lab: Lab, kind: str = "entropy", back: bool = False) -> int:
    """Go to the next peak of entropy, or with `margin` the next narrow decision, and hear it.

    After the last one comes the first, as in a search that goes round.
    """
    kinds: dict[str, Surprise] = {"entropy": "entropy", "margin": "margin"}
    if kind not in kinds:
        raise UserError(f"A surprise is of entropy or margin, not {kind[:40]!r}.")
    take = named(lab, None)
    rows = take.timeline.surprises(kinds[kind])
    here = lab.row if lab.row is not None else len(take.timeline) - 1
    ahead = rows[rows < here][::-1] if back else rows[rows > here]
    if not len(rows):
        raise UserError(f"{take.name} has no surprise of {kind}.")
    if not len(ahead):
        ahead = rows[::-1] if back else rows
        where, end = ("earlier", "end") if back else ("further", "start")
        lab.tell(f"No {where} surprise of {kind}: on from the {end}.")
    lab.row = int(ahead[0])
    lab.mark("cursor")
    if lab.player is not None and lab.player.sink.audible and take.sounds:
        around(lab, take.timeline.seconds(lab.row))
    return lab.row


def again_from(lab: Lab, seconds: float) -> None:
    """Play the take that is playing anew from a place, as after a change of levels."""
    take, player = named(lab, lab.playing), the_player(lab)

    def sound(wave: Wave) -> None:
        player.load(wave)
        player.seek(seconds)
        player.play()

    with_wave(lab, take, sound, lab.levels)


class Stream:
    """The sound of a take while it is made, decoded as its codes come and fed to the player."""

    def __init__(self, lab: Lab, take: LabTake, levels: int) -> None:
        self.take = take
        self._lab = lab
        self._levels = levels
        self._segment = 0
        self._given = 0
        self._waiting = False
        self._seen = -1
        self.over = False

    def poll(self) -> None:
        """Have what is new decoded, one piece after the other."""
        if self._waiting or self.over or (self.take.running and len(self.take.steps) == self._seen):
            return
        self._seen = len(self.take.steps)
        codes, whole = self._codes()
        new = codes[self._given :]
        if not whole and len(new) < CHUNK_FRAMES:
            return
        if whole and self._segment >= len(self.take.segments):
            self.over = True
            the_player(self._lab).feed(np.zeros(0, np.float32), last=True)
            return
        self._waiting = True
        name = f"{self.take.name}/{self._segment}"
        answer = self._lab.living_worker().decode_piece(name, new, first=self._given == 0, last=whole)
        self._given += len(new)
        self._lab.answers.expect(answer, lambda wave: self._feed(wave, whole))

    def _feed(self, wave: Wave, whole: bool) -> None:
        self._waiting, self._seen = False, -1
        if self._lab.stream is self:
            the_player(self._lab).feed(wave)
        if whole:
            self._segment, self._given = self._segment + 1, 0

    def _codes(self) -> tuple[Codes, bool]:
        """The codes [frames, levels] of the segment that can be heard, and whether no more will come."""
        segments = self.take.segments
        if self._segment >= len(segments):
            return np.zeros((0, self._levels), np.int16), not self.take.running
        segment = segments[self._segment]
        over = not self.take.running or self._segment + 1 < len(segments)
        later = any(len(level) for level in segment.levels[1:])
        if self._levels == 1:
            return segment.codes()[:, :1], over or later
        ready = over or len(segment.levels[self._levels - 1]) == segment.frames > 0
        codes = segment.codes()[:, : self._levels]
        return (codes, True) if ready else (codes[:0], False)


def _beside(lab: Lab, first: LabTake) -> str:
    """What is compared with where nothing is named: of the takes with sound the one before, or after."""
    names = [take.name for take in shown_takes(lab) if take.sounds or take is first]
    if len(names) < 2 or first.name not in names:
        raise UserError(f"There is no other take to compare {first.name} with.")
    at = names.index(first.name)
    return names[at - 1] if at else names[1]


def _check_sounds(take: LabTake) -> None:
    _check_speaks(take)
    if not take.sounds:
        raise UserError(f"{take.name} has no sound yet.")


def _check_speaks(take: LabTake) -> None:
    if not take.speaks:
        raise UserError(f"{take.name} gives no speech; there is nothing to hear.")


def _kinds(lab: Lab) -> tuple[str, ...]:
    return ("entropy", "margin")


COMMANDS = (
    command(
        "take.play", play, key="ctrl+t", footer="Play", unavailable=no_takes, complete={"take": take_names}
    ),
    command("take.pause", pause, key="alt+p"),
    command("take.silence", silence),
    command("take.seek", seek, unavailable=no_takes),
    command("take.skip", skip),
    command("take.loop", loop),
    command("take.ab", compare, key="alt+o", unavailable=no_takes, complete={"other": take_names}),
    command("take.solo", solo),
    command("take.follow", follow, key="alt+h", unavailable=nothing_running),
    command("take.around", around, unavailable=no_takes),
    command("take.surprise", next_surprise, unavailable=no_takes, complete={"kind": _kinds}),
)
