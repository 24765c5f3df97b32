"""Commands on blind trials: takes heard as X, Y and Z in an order that nobody can know before the choice."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from valle.audio.loudness import equally_loud
from valle.audio.wav import Wave
from valle.errors import UserError
from valle_lab.lab.audition import stack_of
from valle_lab.lab.comparison import both_sides, check_comparable, in_turn
from valle_lab.lab.registry import command
from valle_lab.lab.sheet import has_sound
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import named, no_takes, not_ready, the_player, with_wave
from valle_lab.session.seal import LABELS, new_salt, seal_of

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab
    from valle_lab.wins import Contest

NO_CHOICE = "none"
"""What is chosen where no difference is heard."""
TRIAL_KEYS = {
    "x": ("trial.play", "X"),
    "y": ("trial.play", "Y"),
    "z": ("trial.play", "Z"),
}
"""Single keys for whoever draws a trial: a command and its argument."""


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial as the session keeps it; order, salt and choice are None until it is decided."""

    name: str
    takes: tuple[str, ...]
    """As they were given, which has nothing to do with the order of the labels."""
    names: tuple[str, ...]
    """What each stands for, such as a preset; or none."""
    seal: str
    order: tuple[str, ...] | None = None
    """The takes by label."""
    salt: str | None = None
    choice: str | None = None


@dataclass(frozen=True, slots=True)
class TrialView:
    """A trial as it may be seen; before the choice there is nothing of the order in it."""

    name: str
    takes: tuple[str, ...]
    labels: tuple[str, ...]
    seal: str
    """Empty until the takes are ready to be heard."""
    heard: tuple[str, ...]
    """The labels that were heard."""
    sounding: str
    """The label that was heard last."""
    choice: str | None
    key: tuple[tuple[str, str, str], ...]
    """After the choice, of each label the take and what it stands for."""

    @property
    def ready(self) -> bool:
        """Whether it can be heard."""
        return bool(self.seal)


class Envelope:
    """The order of a trial and the sounds by label; what it holds can be had, and not be seen."""

    __slots__ = ("open", "seal", "wave")

    def __init__(self, takes: Sequence[str], waves: Mapping[str, Wave]) -> None:
        """Draw an order and seal it; `waves` [samples] are those of the takes."""
        order = list(takes)
        secrets.SystemRandom().shuffle(order)
        salt = new_salt()
        self.seal = seal_of(order, salt)
        self.open: Callable[[], tuple[tuple[str, ...], str]] = lambda: (tuple(order), salt)
        """The order and the salt."""
        self.wave: Callable[[str], Wave] = lambda label: waves[order[LABELS.index(label)]]
        """The sound of a label."""


class BlindTrial:
    """A trial from its takes to the choice; the lab polls it until it can be heard.

    All sounds are decoded before the order is drawn, brought to one loudness and to one length, so that
    neither what is done when a label is heard nor what the player shows tells which take it is.
    """

    def __init__(self, lab: Lab, name: str, takes: Sequence[LabTake], names: Sequence[str]) -> None:
        self.name = name
        self.takes = tuple(take.name for take in takes)
        self.names = tuple(names)
        self.record: TrialRecord | None = None
        self.heard: set[str] = set()
        self.sounding = ""
        self.key: tuple[tuple[str, str, str], ...] = ()
        self._lab = lab
        self._left = list(takes)
        self._waves: dict[str, Wave] = {}
        self._envelope: Envelope | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """What the takes are called."""
        return tuple(LABELS[: len(self.takes)])

    @property
    def choice(self) -> str | None:
        """What was chosen."""
        return None if self.record is None else self.record.choice

    @property
    def over(self) -> bool:
        """Whether it can be heard, or was put aside for another one."""
        return self._envelope is not None or self._lab.trial is not self

    def poll(self) -> None:
        """Have the sounds decoded, one after the other in the order of the takes, then seal."""
        while self._left and len(self._waves) == len(self.takes) - len(self._left):
            with_wave(self._lab, take := self._left.pop(0), partial(self._sounded, take.name))
        if len(self._waves) == len(self.takes) and self._envelope is None:
            self._seal()

    def play(self, label: str) -> None:
        """Hear a label, from the place at which the one before is."""
        player, envelope = the_player(self._lab), self._ready()
        going_on = self.sounding and self._lab.playing is None and player.state != "stopped"
        place = player.position if going_on else 0.0
        player.load(envelope.wave(label))
        player.seek(place)
        player.play()
        self._lab.stream = self._lab.playing = None
        self.sounding = label
        self.heard.add(label)
        self._lab.mark("sound", "takes")

    def sound(self, label: str) -> Wave:
        """The sound [samples] of a label, for whoever plays it by other means; it counts as heard."""
        if label not in self.labels:
            raise UserError(f"{self.name} has {', '.join(self.labels)}, not {label[:40]!r}.")
        wave = self._ready().wave(label)
        self.heard.add(label)
        return wave

    def choose(self, choice: str) -> TrialRecord:
        """Decide; the order is written down and may be seen from then on."""
        envelope, sealed = self._ready(), self.record
        assert sealed is not None
        if sealed.choice is not None:
            raise UserError(f"{self.name} was decided already: {sealed.choice}.")
        if missing := [label for label in self.labels if label not in self.heard]:
            raise UserError(f"{' and '.join(missing)} was not heard yet; trial.play {missing[0]} plays it.")
        order, salt = envelope.open()
        decided = TrialRecord(sealed.name, sealed.takes, sealed.names, sealed.seal, order, salt, choice)
        self._lab.record.trial(decided)
        self.record = decided
        self.key = key_of(self._lab, decided)
        return decided

    def view(self) -> TrialView:
        """How it stands."""
        return TrialView(
            name=self.name,
            takes=self.takes,
            labels=self.labels,
            seal="" if self.record is None else self.record.seal,
            heard=tuple(label for label in self.labels if label in self.heard),
            sounding=self.sounding,
            choice=self.choice,
            key=self.key,
        )

    def _sounded(self, take: str, wave: Wave) -> None:
        self._waves[take] = wave

    def _seal(self) -> None:
        longest = max(len(wave) for wave in self._waves.values())
        loud = equally_loud([self._waves[take] for take in self.takes])
        padded = [np.pad(wave, (0, longest - len(wave))) for wave in loud]
        self._envelope = Envelope(self.takes, dict(zip(self.takes, padded, strict=True)))
        self._waves = {}
        self.record = TrialRecord(self.name, self.takes, self.names, self._envelope.seal)
        self._lab.record.trial(self.record)
        self._lab.trials[self.name] = self.record
        self._lab.tell(
            f"{self.name}: {', '.join(self.labels)} can be heard; trial.play X, then trial.choose."
        )
        self._lab.mark("takes", "session")

    def _ready(self) -> Envelope:
        if self._envelope is None:
            raise UserError(f"{self.name} is still being made ready.")
        return self._envelope


def key_of(lab: Lab, trial: TrialRecord) -> tuple[tuple[str, str, str], ...]:
    """Of each label of a decided trial the take, and what it stands for."""
    from valle_lab.differences import peculiarities

    names = trial.names
    if not names:
        takes = [take for name in trial.takes if (take := lab.find(name)) is not None]
        requests = [take.begun.request for take in takes if take.begun is not None]
        names = peculiarities(requests) if len(requests) == len(trial.takes) else ("",) * len(trial.takes)
    words = dict(zip(trial.takes, names, strict=True))
    return tuple((label, take, words[take]) for label, take in zip(LABELS, trial.order or (), strict=False))


def open_trial(lab: Lab, takes: str | None = None) -> BlindTrial:
    """Begin a blind trial of two or three takes, by default of the two that are compared."""
    if takes is None:
        if lab.comparison is None:
            raise UserError("Name two or three takes, as in trial.open 1 2.")
        takes = " ".join(lab.comparison.takes)
    return _open(lab, [named(lab, word) for word in takes.split()], ())


def speak(lab: Lab, text: str | None = None) -> None:
    """Speak the text with the held stack and the one as it is, on the same noise, to be heard blind."""
    both_sides(lab, text, lambda takes: _begin(lab, takes, ()))


def presets(lab: Lab, names: str) -> None:
    """Speak the text with the stacks of two or three presets, on the same noise, to be heard blind."""
    words = names.split()
    _check_count(len(words))
    stacks = [stack_of(lab, name) for name in words]
    in_turn(lab, None, stacks, lambda takes: _begin(lab, takes, words))


def play(lab: Lab, label: str) -> None:
    """Hear X, Y or Z of the trial, from the same place on if one of them is being heard."""
    trial = _trial(lab)
    trial.play(_label(trial, label))


def choose(lab: Lab, label: str) -> TrialView:
    """Decide the trial for X, Y, Z or none; then, and not before, it is told which take is which."""
    trial = _trial(lab)
    choice = NO_CHOICE if label.lower() == NO_CHOICE else _label(trial, label)
    lab.trials[trial.name] = trial.choose(choice)
    told = ", ".join(f"{name} was {take} ({words})" for name, take, words in trial.key)
    lab.tell(f"{trial.name}: {choice}; {told}.")
    lab.mark("takes", "session")
    return trial.view()


def show(lab: Lab) -> TrialView:
    """Show the trial: what can be heard, and after the choice which take was which."""
    return _trial(lab).view()


def list_trials(lab: Lab) -> list[TrialRecord]:
    """List the trials of this session."""
    return list(lab.trials.values())


def resume(lab: Lab, trial: str | None = None) -> BlindTrial:
    """Go on with a trial that was not decided, as after a restart; its order is drawn and sealed anew."""
    undecided = [record for record in lab.trials.values() if record.choice is None]
    found = next((record for record in reversed(undecided) if trial in (None, record.name)), None)
    if found is None and trial in lab.trials:
        raise UserError(f"{trial} was decided already: {lab.trials[str(trial)].choice}.")
    if found is None:
        raise UserError("There is no undecided trial." if trial is None else f"There is no trial {trial!r}.")
    return _open(lab, [named(lab, take) for take in found.takes], found.names, found.name)


def wins(lab: Lab, files: str | None = None) -> tuple[Contest, ...]:
    """Count over the trials of this session, and of the session files named, what won how often."""
    from valle_lab.session.save import load_session
    from valle_lab.session.wins import contests

    paths = [Path(word).expanduser() for word in (files or "").split()]
    return contests([lab.record.session(), *(load_session(path) for path in paths)])


def _begin(lab: Lab, takes: Sequence[LabTake], names: Sequence[str]) -> None:
    """Open a trial of takes that were made for it, unless one of them came to nothing."""
    for take in takes:
        if take.stop in ("failed", "cancel"):
            raise UserError(f"{take.name} was broken off, so there is no trial.")
    _open(lab, takes, names)


def _open(lab: Lab, takes: Sequence[LabTake], names: Sequence[str], name: str = "") -> BlindTrial:
    _check_count(len(takes))
    check_comparable(takes)
    for take in takes:
        if not has_sound(take):
            raise UserError(f"{take.name} has no sound.")
    codes = [tuple(segment.codes().tobytes() for segment in take.segments) for take in takes]
    if len(set(codes)) < len(codes):
        raise UserError("Two of these takes have the same codes; there is nothing to tell them by.")
    number = 1 + sum(True for _ in lab.trials)
    lab.trial = BlindTrial(lab, name or f"trial-{number}", takes, names)
    lab.works.append(lab.trial)
    lab.mark("takes")
    return lab.trial


def _check_count(count: int) -> None:
    if not 2 <= count <= len(LABELS):
        raise UserError(f"A blind trial is of two or three takes, not {count}.")


def _label(trial: BlindTrial, label: str) -> str:
    if label.upper() not in trial.labels:
        raise UserError(f"{trial.name} has {', '.join(trial.labels)}, not {label[:40]!r}.")
    return label.upper()


def _trial(lab: Lab) -> BlindTrial:
    assert lab.trial is not None
    return lab.trial


def _none(lab: Lab) -> str | None:
    return None if lab.trial is not None else "there is no trial; trial.open begins one."


def _labels(lab: Lab) -> tuple[str, ...]:
    return () if lab.trial is None else lab.trial.labels


COMMANDS = (
    command("trial.open", open_trial, unavailable=no_takes, rest="takes"),
    command("trial.speak", speak, unavailable=not_ready, rest="text"),
    command("trial.presets", presets, unavailable=not_ready, rest="names"),
    command("trial.play", play, unavailable=_none, complete={"label": _labels}),
    command("trial.choose", choose, unavailable=_none, complete={"label": _labels}),
    command("trial.show", show, unavailable=_none),
    command("trial.list", list_trials),
    command("trial.resume", resume),
    command("trial.wins", wins, rest="files"),
)
