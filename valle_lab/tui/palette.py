"""The lab's commands in the command palette; only those that can be given now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

if TYPE_CHECKING:
    from valle_lab.lab.registry import Command
    from valle_lab.tui.app import LabApp


HELP_WEIGHT = 0.5
KEY_STYLE = "dim"


class LabCommands(Provider):
    """Offers `area: action`; a command with arguments asks for them."""

    async def discover(self) -> Hits:
        for command in self._available():
            shown = Content.assemble(command.title, self._key(command))
            yield DiscoveryHit(shown, self._action(command), command.name, command.help)
        for system in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(system.title, system.callback, help=system.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._available():
            score = max(matcher.match(command.title), matcher.match(command.help) * HELP_WEIGHT)
            if score > 0:
                shown = Content.assemble(matcher.highlight(command.title), self._key(command))
                yield Hit(score, shown, self._action(command), command.name, command.help)
        for system in self.app.get_system_commands(self.screen):
            if (score := matcher.match(system.title)) > 0:
                yield Hit(score, matcher.highlight(system.title), system.callback, help=system.help)

    def _available(self) -> list[Command]:
        return [
            command
            for command in self._lab_app.lab.commands
            if command.unavailable(self._lab_app.lab) is None
        ]

    def _key(self, command: Command) -> tuple[str, str]:
        """The key that gives the command, to be seen behind its name."""
        key = self._lab_app.lab.key_of(command.name)
        return (f"  {key}" if key else "", KEY_STYLE)

    def _action(self, command: Command) -> partial[None]:
        if command.needs_arguments:
            return partial(self._lab_app.ask_arguments, command)
        return partial(self._lab_app.do_and_answer, command.name)

    @property
    def _lab_app(self) -> LabApp:
        from valle_lab.tui.app import LabApp

        assert isinstance(self.app, LabApp)
        return self.app
