"""Over sessions: how often what won against what in blind trials, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from valle.errors import UserError
from valle_lab.differences import peculiarities
from valle_lab.session.convert import from_session_request
from valle_lab.session.schema import Session, Trial
from valle_lab.session.seal import LABELS
from valle_lab.wins import Contest

UNDECIDED = "none"


def contests(sessions: Iterable[Session]) -> tuple[Contest, ...]:
    """All decided trials, each counted once however many files tell of it; those with most trials first.

    In a trial of three takes the chosen one won against both others, and these are not compared.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    seen: set[str] = set()
    for session in sessions:
        for trial in session.trials:
            if trial.choice is None or trial.seal in seen:
                continue
            seen.add(trial.seal)
            for winner, loser, tie in _outcomes(session, trial):
                pair = (winner, loser) if winner <= loser else (loser, winner)
                count = counts.setdefault(pair, [0, 0, 0])
                count[2 if tie else 0 if winner == pair[0] else 1] += 1
    found = [_contest(pair, count) for pair, count in counts.items()]
    return tuple(sorted(found, key=lambda item: -(item.wins + item.losses + item.ties)))


def _contest(pair: tuple[str, str], count: list[int]) -> Contest:
    wins, losses, ties = count
    if losses > wins:
        return Contest(pair[1], pair[0], losses, wins, ties)
    return Contest(*pair, wins, losses, ties)


def _outcomes(session: Session, trial: Trial) -> Iterator[tuple[str, str, bool]]:
    """Winner, loser, and whether it was a tie, of each pair of takes that the trial says something of."""
    assert trial.order is not None and trial.choice is not None
    if trial.choice == UNDECIDED:
        for at, one in enumerate(trial.takes):
            for other in trial.takes[at + 1 :]:
                yield *_names(session, trial, one, other), True
        return
    chosen = trial.order[LABELS.index(trial.choice)]
    for other in trial.takes:
        if other != chosen:
            yield *_names(session, trial, chosen, other), False


def _names(session: Session, trial: Trial, one: str, other: str) -> tuple[str, str]:
    """What two takes of a trial stand for: the names it gives, or what they differ in."""
    if trial.names and all(trial.names):
        names = dict(zip(trial.takes, trial.names, strict=True))
        return names[one], names[other]
    by_id = {take.id: take for take in session.takes}
    try:
        first, second = peculiarities([from_session_request(by_id[take]) for take in (one, other)])
    except (KeyError, UserError):
        return one, other
    return first, second
