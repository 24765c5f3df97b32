"""The adapters of an engine: put into its model, and taken out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from valle.adapter_use import AdapterUse
from valle.errors import UserError
from valle.request import Recipe

if TYPE_CHECKING:
    from valle.checkpoints.details import Details
    from valle.models.adapters import Attached
    from valle.models.ar_nar import ArNar


class LoadedAdapters:
    """A base of the engine, which has the model."""

    model: ArNar
    model_hash: str
    details: Details
    recipe: Recipe
    _attached: Attached | None = None
    """None until there is an adapter."""

    def use_adapters(self, adapters: Sequence[tuple[str | Path, float]]) -> None:
        """Have these adapters in the model and no others: their files, with the strengths of takes to come.

        Raises UserError, and leaves none in, where one of them is no adapter of this model.
        """
        self.recipe = replace(self.recipe, adapters=())
        if self._attached is not None:
            self._attached.clear()
        if not adapters:
            return
        from valle.models.adapters import Attached, load

        self._attached = self._attached or Attached(self.model, model_hash=self.model_hash)
        uses = []
        try:
            for file, strength in adapters:
                adapter = load(Path(file))
                uses.append(AdapterUse(adapter.name, adapter.hash, strength))
                self._attached.add(adapter)
        except UserError:
            self._attached.clear()
            raise
        self.recipe = replace(self.recipe, adapters=tuple(uses))

    def _check_adapters(self, recipe: Recipe) -> None:
        """Raise UserError where a take asks for an adapter that is not in."""
        there = {each.name: each.hash for each in self._attached.adapters} if self._attached else {}
        for use in recipe.adapters:
            if there.get(use.name) != use.sha256:
                raise UserError(
                    f"The take is made with the adapter {use.name} ({use.sha256[:12]}), which is not loaded; "
                    "name its file with --lora."
                )
