"""Commands on takes, and how the steps of a running one are taken in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from valle.control import Event, EventKind
from valle.errors import UserError
from valle_lab.lab.answers import as_user_error, beside
from valle_lab.lab.awaiting import await_model, awaited
from valle_lab.lab.beginning import ask, begin
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.packed_steps import PackedSteps
from valle_lab.player import Player
from valle_lab.worker.surface import Speaking, Wave, WorkerClosedError

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

STARS, HIDDEN, KEPT = "stars", "hidden", "kept"
"""Scales of ratings: how good a take is, whether it is off the list, whether an audition kept it."""
MOST_STARS = 5


def speak(lab: Lab, text: str | None = None) -> LabTake | None:
    """Speak the text as a new take, or do with it what another task asks for: `mode.task`.

    While the model is loaded the take waits for it, and there is none yet.
    """
    if lab.loading is None:
        return _speak_now(lab, text)
    # Its text is that of the lab by then: keys that come while the lab opens may still be on their way.
    await_model(lab, lambda: _speak_now(lab, text))
    return None


def stop(lab: Lab) -> None:
    """Stop speaking here: the phase ends as if the stop token had come, and the later ones are done."""
    _end_making(lab, "finish")


def cancel(lab: Lab) -> None:
    """Break the take off; what was made of it is kept."""
    _end_making(lab, "cancel")


def choose(lab: Lab, take: str) -> None:
    """Choose the take that is shown, played and saved."""
    lab.chosen, lab.row = named(lab, take), None
    lab.mark("takes", "cursor")


def step_to(lab: Lab, by: int = 1) -> None:
    """Choose the next take, or with -1 the one before."""
    shown = shown_takes(lab)
    if lab.chosen not in shown:
        lab.chosen = shown[-1] if shown else None
    else:
        lab.chosen = shown[(shown.index(lab.chosen) + by) % len(shown)]
    lab.row = None
    lab.mark("takes", "cursor")


def rate(lab: Lab, stars: float, take: str | None = None) -> None:
    """Rate a take, by default the chosen one, with 0 to 5 stars; it stands in the session."""
    if not 0 <= stars <= MOST_STARS:
        raise UserError(f"A take gets 0 to {MOST_STARS} stars, not {stars:g}.")
    rated = _kept(lab, take)
    lab.record.rate(rated.name, STARS, stars)
    rated.rating = stars
    lab.mark("takes", "session")


def note(lab: Lab, text: str) -> None:
    """Put a note on the chosen take; where the cursor is, if it is anywhere."""
    noted = _kept(lab, None)
    place = None if lab.row is None else noted.timeline.place(lab.row)
    lab.record.note(noted.name, text, place)
    noted.notes = (*noted.notes, text)
    lab.mark("takes", "session")


def hide(lab: Lab, take: str | None = None) -> None:
    """Take a take off the list; it stays in the session, and `take.show` brings it back."""
    _set_hidden(lab, _kept(lab, take), True)
    if lab.chosen is not None and lab.chosen.hidden:
        shown = shown_takes(lab)
        lab.chosen = shown[-1] if shown else None


def show(lab: Lab, take: str) -> None:
    """Bring a hidden take back on the list."""
    _set_hidden(lab, _kept(lab, take), False)


def list_takes(lab: Lab) -> list[LabTake]:
    """List the takes."""
    return shown_takes(lab)


def named(lab: Lab, name: str | None) -> LabTake:
    """The take of that name, or the chosen one; UserError where there is none."""
    if name is None:
        if lab.chosen is None:
            raise UserError("There is no take yet.")
        return lab.chosen
    for take in lab.takes:
        if name in (take.name, take.name.removeprefix("take-")):
            return take
    raise UserError(f"There is no take {name!r}; there are {', '.join(take_names(lab)) or 'none'}.")


def with_wave(lab: Lab, take: LabTake, then: Callable[[Wave], None], levels: int | None = None) -> None:
    """Have the worker decode a take, all of it or the leading levels, and hand on the sound.

    That of all levels of a finished take is kept.
    """
    kept = not take.running and levels is None

    def decoded(wave: Wave) -> None:
        if kept:
            _keep_wave(lab, take, wave)
        then(wave)
        lab.mark("sound", "takes")

    if kept and take.wave is not None:
        decoded(take.wave)
    else:
        lab.answers.expect(lab.living_worker().decode(take.segments, levels), decoded)


def _keep_wave(lab: Lab, take: LabTake, wave: Wave) -> None:
    """Keep the sound of a take; that of those decoded longest ago is let go, as it can be made again."""
    take.wave = wave
    lab.waves = [*(name for name in lab.waves if name != take.name), take.name]
    if lab.most_waves is None:
        return
    while len(lab.waves) > lab.most_waves:
        if (other := lab.find(lab.waves.pop(0))) is not None:
            other.wave = None


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
        take.add(steps)
        lab.mark("steps")
        lab.record.add(steps)
    while speaking.refused:
        _, reason = speaking.refused.pop(0)
        lab.tell(reason, error=True)
    if over:
        _end(lab, take, speaking)


def the_player(lab: Lab) -> Player:
    """The player; UserError while the device is looked for."""
    if lab.player is None:
        raise UserError("The sound device is still being looked for.")
    return lab.player


def _speak_now(lab: Lab, text: str | None) -> LabTake:
    if lab.manner.task == "stt":
        return begin(lab, ask(lab, ""))
    spoken = (lab.text if text is None else text).strip()
    if not spoken:
        raise UserError("There is no text to speak.")
    return begin(lab, ask(lab, spoken))


def _end_making(lab: Lab, how: EventKind) -> None:
    """End what is made, or take back what is to be made once there is a model."""
    if (waiting := awaited(lab)) is not None:
        waiting.take_back()
    lab.change_running(Event(how))


def _end(lab: Lab, take: LabTake, speaking: Speaking) -> None:
    take.speaking = None
    lab.mark("takes", "session")
    if (error := speaking.made.exception()) is None:
        take.made = speaking.made.result()
        lab.memory = take.made.memory
        lab.record.end(take)
    else:
        take.failure = str(as_user_error(error))
        gone = lab.worker is None or lab.worker.death is not None
        if not gone and not isinstance(error, WorkerClosedError):
            lab.tell(take.failure, error=True)
    take.end()
    # Some tenths of a second for a long take, in which no key would be answered.
    lab.answers.expect(beside(lambda: PackedSteps(take.steps, lab.shelf)), take.put_away)


def shown_takes(lab: Lab) -> list[LabTake]:
    """The takes that are not hidden."""
    return [take for take in lab.takes if not take.hidden]


def _kept(lab: Lab, name: str | None) -> LabTake:
    """A take that stands in the session."""
    take = named(lab, name)
    if take.begun is None:
        raise UserError(f"{take.name} never began, and is not in the session.")
    return take


def _set_hidden(lab: Lab, take: LabTake, hidden: bool) -> None:
    lab.record.rate(take.name, HIDDEN, float(hidden))
    take.hidden = hidden
    lab.mark("takes", "session")


def take_names(lab: Lab) -> tuple[str, ...]:
    """The names of all takes."""
    return tuple(take.name for take in lab.takes)


def _hidden(lab: Lab) -> tuple[str, ...]:
    return tuple(take.name for take in lab.takes if take.hidden)


def not_ready(lab: Lab) -> str | None:
    """Why no take can be begun now."""
    return _never_ready(lab) if lab.loading is None else "the model is still being loaded."


def _never_ready(lab: Lab) -> str | None:
    """Why no take can be begun, not even as soon as the model is there."""
    if lab.loading is None and lab.description is None:
        return f"no model is loaded; {lab.hint('model.restart')} starts its process again."
    return "a take is being made; stop it first." if lab.running else None


def nothing_running(lab: Lab) -> str | None:
    """Why a command for a running take cannot be given."""
    return None if lab.running else "no take is being made."


def _nothing_to_end(lab: Lab) -> str | None:
    return None if awaited(lab) else nothing_running(lab)


def no_takes(lab: Lab) -> str | None:
    """Why a command for a take cannot be given."""
    return None if lab.takes else "there is no take yet."


COMMANDS = (
    command("take.speak", speak, key="ctrl+g", footer="Speak", unavailable=_never_ready, rest="text"),
    command("take.stop", stop, key="escape", footer="Stop", unavailable=_nothing_to_end),
    command("take.cancel", cancel, key="ctrl+b", unavailable=_nothing_to_end),
    command("take.choose", choose, unavailable=no_takes, complete={"take": take_names}, rest="take"),
    command("take.next", step_to, unavailable=no_takes),
    command("take.list", list_takes),
    command("take.rate", rate, unavailable=no_takes, complete={"take": take_names}),
    command("take.note", note, unavailable=no_takes, rest="text"),
    command("take.hide", hide, unavailable=no_takes, complete={"take": take_names}),
    command("take.show", show, unavailable=no_takes, complete={"take": _hidden}),
)
