"""What all figures share: a sheet without a screen, colours that can be told apart, files."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from valle.errors import UserError
from valle.files import write_atomically

Format = Literal["png", "svg"]
FORMATS: dict[str, Format] = {".png": "png", ".svg": "svg"}
DPI = 120
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#7b4fa3", "#8c8c8c"
"""Of the palette by Okabe and Ito, but for the purple: they differ for those who see few colours too."""
FINE = 0.8


class Picture:
    """A figure that can be kept as a file, and that a notebook shows."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        """For whoever wants to change it: matplotlib's own."""

    def settle(self) -> None:
        """Arrange the parts for good: drawing in several formats then takes half the time."""
        if (engine := self.figure.get_layout_engine()) is not None:
            engine.execute(self.figure)
            self.figure.set_layout_engine("none")
            # The solver's last digits differ from run to run, and SVG names its parts by where they are.
            for axes in self.figure.axes:
                axes.set_position(tuple(round(edge, 6) for edge in axes.get_position().bounds))

    def data(self, format: Format) -> bytes:
        """The figure as the bytes of a file; the same ones each time."""
        self.settle()
        metadata: dict[str, Any] = {"Date": None} if format == "svg" else {"Software": None}
        buffer = io.BytesIO()
        # SVG names its parts by chance otherwise.
        with rc_context({"svg.hashsalt": "valle-lab"}), warnings.catch_warnings():
            # A letter that the font lacks is drawn as a box; nobody can do anything about it here.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            self.figure.savefig(buffer, format=format, dpi=DPI, metadata=metadata)
        return buffer.getvalue()

    def save(self, file: Path | str) -> Path:
        """Write the figure to a file that ends in .png or .svg. Raises UserError, naming the file."""
        path = Path(file).expanduser()
        if path.suffix.lower() not in FORMATS:
            raise UserError(f"{path}: the name must end in {' or '.join(FORMATS)}")
        return write_atomically(path, self.data(FORMATS[path.suffix.lower()]))

    def _repr_png_(self) -> bytes:
        return self.data("png")


def sheet(width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose parts arrange themselves."""
    return Figure(figsize=(width, height), layout="constrained")


def plain(axes: Axes) -> Axes:
    """The axes without what tells nothing: a frame on all sides."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize="small")
    return axes


def title(axes: Axes, text: str) -> None:
    """A small title at the left, in which nothing is taken for a formula."""
    axes.set_title(text, loc="left", fontsize="small", parse_math=False)


def nothing(words: str) -> Picture:
    """A figure that says that there is nothing to draw."""
    figure = sheet(6, 1)
    figure.text(0.5, 0.5, words, ha="center", va="center", color=GREY, parse_math=False)
    return Picture(figure)
