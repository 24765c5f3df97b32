"""What listeners said of takes. What is not understood is passed over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from valle_lab.session.base import Model, Name, Text
from valle_lab.session.schema import Place, Session, Take


class Rating(Model):
    """How good a take is, by one scale."""

    scale: Name = "stars"
    value: Annotated[float, Field(ge=-1e9, le=1e9)]


class Note(Model):
    """A remark, on the whole or on one decision."""

    text: Text
    place: Place | None = None


Opinion = TypeVar("Opinion", Rating, Note)


def ratings_of(holder: Take | Session) -> tuple[Rating, ...]:
    """The ratings of a take or a session that can be understood, oldest first."""
    return _understood(holder.ratings, Rating)


def notes_of(holder: Take | Session) -> tuple[Note, ...]:
    """The notes on a take or a session that can be understood, oldest first."""
    return _understood(holder.notes, Note)


def _understood(opinions: Any, kind: type[Opinion]) -> tuple[Opinion, ...]:
    read: Callable[[Any], Opinion] = kind.model_validate
    found = []
    for opinion in opinions if isinstance(opinions, (list, tuple)) else ():
        try:
            found.append(read(opinion))
        except ValidationError:
            continue
    return tuple(found)
