"""What is typed before there is a screen to type into."""

from __future__ import annotations

from textual.events import Event, Key, Paste


class Early:
    """Keeps keys and pastes until they are released, in their order."""

    def __init__(self) -> None:
        self._held: list[Event] | None = []
        """None once they were released."""

    def holds(self, event: Event) -> bool:
        """Keep this event, if it is one that came too early."""
        if self._held is None or not isinstance(event, Key | Paste):
            return False
        self._held.append(event)
        return True

    def release(self) -> list[Event]:
        """What was kept, as it was meant; from now on nothing is."""
        held, self._held = self._held or [], None
        return [_as_typed(event) for event in held]


def _as_typed(event: Event) -> Event:
    """Before the lab had the terminal, that made a line feed of the enter key."""
    return Key("enter", "\r") if isinstance(event, Key) and event.key == "ctrl+j" else event
