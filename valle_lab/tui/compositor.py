"""Painting no more than what changed.

Where anything changes, Textual's own compositor asks every widget between the uppermost and the lowest change
for its lines: two lines that change ten times a second, one at each end of the screen, cost as much as all of
it. Measured at 120 x 40, that was three quarters of the work of the screen while a take was made.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip


class LeanCompositor(Compositor):
    """Asks only the widgets that are seen in the changed places, and only for the lines of these."""

    def __init__(self) -> None:
        super().__init__()
        self._changed: tuple[Region, ...] = ()

    def render_partial_update(self) -> ChopsUpdate | None:
        self._changed = tuple(self._dirty_regions)
        try:
            return super().render_partial_update()
        finally:
            self._changed = ()

    def _get_renders(self, crop: Region | None = None) -> Iterable[tuple[Region, Region, list[Strip]]]:
        """Region, clip and lines of the widgets, from front to back, until nothing behind them is seen."""
        if not self._changed:
            yield from super()._get_renders(crop)
            return
        uncovered = list(self._changed)
        for widget, (region, clip) in self.visible_widgets.items():
            seen = region.intersection(clip)
            touched = [change.intersection(seen) for change in uncovered if change.overlaps(seen)]
            if not touched:
                continue
            lines = Region.from_union(touched)
            part = Region(seen.x, lines.y, seen.width, lines.height)
            yield part, part, widget.render_lines(part.translate(-region.offset))
            uncovered = [change for change in uncovered if not seen.contains_region(change)]
            if not uncovered:
                return
