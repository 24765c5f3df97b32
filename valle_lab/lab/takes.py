"""Commands on takes, and how the steps of a running one are taken in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from valle.control import Event
from valle.errors import UserError
from valle_lab.lab.answers import as_user_error
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.player import Player
from valle_lab.worker.surface import Speaking, Wave, WorkerClosedError

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def speak(lab: Lab, text: str | None = None) -> LabTake:
    """Speak the text as a new take."""
    spoken = (lab.text if text is None else text).strip()
    if not spoken:
        raise UserError("There is no text to speak.")
    return lab.begin(spoken)


def stop(lab: Lab) -> None:
    """Stop speaking here: the phase ends as if the stop token had come, and the later ones are done."""
    lab.change_running(Event("finish"))


def cancel(lab: Lab) -> None:
    """Break the take off; what was made of it is kept."""
    lab.change_running(Event("cancel"))


def choose(lab: Lab, take: str) -> None:
    """Choose the take that is shown, played and saved."""
    lab.chosen = named(lab, take)
    lab.mark("takes")


def play(lab: Lab, take: str | None = None) -> None:
    """Play a take, by default the chosen one; of a running one what exists so far."""
    chosen, player = named(lab, take), _player(lab)
    if not any(segment.frames for segment in chosen.segments):
        raise UserError(f"{chosen.name} has no sound yet.")

    def sound(wave: Wave) -> None:
        player.load(wave)
        player.play()

    with_wave(lab, chosen, sound)


def silence(lab: Lab) -> None:
    """Stop playing."""
    _player(lab).stop()
    lab.mark("sound")


def named(lab: Lab, name: str | None) -> LabTake:
    """The take of that name, or the chosen one; UserError where there is none."""
    if name is None:
        if lab.chosen is None:
            raise UserError("There is no take yet.")
        return lab.chosen
    for take in lab.takes:
        if name in (take.name, take.name.removeprefix("take-")):
            return take
    raise UserError(f"There is no take {name!r}; there are {', '.join(_names(lab)) or 'none'}.")


def with_wave(lab: Lab, take: LabTake, then: Callable[[Wave], None]) -> None:
    """Have the worker decode a take and hand on the sound; that of a finished take is kept."""
    finished = not take.running

    def decoded(wave: Wave) -> None:
        if finished:
            take.wave = wave
        then(wave)
        lab.mark("sound", "takes")

    if finished and take.wave is not None:
        decoded(take.wave)
    else:
        lab.answers.expect(lab.living_worker().decode(take.segments), decoded)


def take_in(lab: Lab, take: LabTake) -> None:
    """Take in what has come of a running take since the last time: request, steps, refusals, the end."""
    speaking = take.speaking
    if speaking is None:
        return
    over = speaking.made.done()
    if take.begun is None and speaking.begun.done() and speaking.begun.exception() is None:
        take.begun = speaking.begun.result()
        lab.mark("takes")
        lab.record.begin(take)
    if steps := speaking.drain():
        take.steps.extend(steps)
        for step in steps:
            take.timeline.add(step)
        lab.mark("steps")
        lab.record.add(steps)
    while speaking.refused:
        _, reason = speaking.refused.pop(0)
        lab.tell(reason, error=True)
    if over:
        _end(lab, take, speaking)


def _player(lab: Lab) -> Player:
    if lab.player is None:
        raise UserError("The sound device is still being looked for.")
    return lab.player


def _end(lab: Lab, take: LabTake, speaking: Speaking) -> None:
    take.speaking = None
    lab.mark("takes", "session")
    if (error := speaking.made.exception()) is None:
        take.made = speaking.made.result()
        lab.record.end(take)
    else:
        take.failure = str(as_user_error(error))
        gone = lab.worker is None or lab.worker.death is not None
        if not gone and not isinstance(error, WorkerClosedError):
            lab.tell(take.failure, error=True)


def _names(lab: Lab) -> tuple[str, ...]:
    return tuple(take.name for take in lab.takes)


def _not_ready(lab: Lab) -> str | None:
    if lab.loading is not None:
        return "the model is still being loaded."
    if lab.description is None:
        return f"no model is loaded; {lab.hint('model.restart')} starts its process again."
    return "a take is being made; stop it first." if lab.running else None


def _nothing_running(lab: Lab) -> str | None:
    return None if lab.running else "no take is being made."


def _no_takes(lab: Lab) -> str | None:
    return None if lab.takes else "there is no take yet."


COMMANDS = (
    command("take.speak", speak, key="ctrl+g", footer="Speak", unavailable=_not_ready, rest="text"),
    command("take.stop", stop, key="escape", footer="Stop", unavailable=_nothing_running),
    command("take.cancel", cancel, key="ctrl+b", unavailable=_nothing_running),
    command("take.play", play, key="ctrl+t", footer="Play", unavailable=_no_takes, complete={"take": _names}),
    command("take.silence", silence),
    command("take.choose", choose, unavailable=_no_takes, complete={"take": _names}),
)
