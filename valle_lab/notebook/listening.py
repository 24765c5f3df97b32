"""Takes against each other in a notebook: sheets of seeds, A/B on the same noise, blind trials, the tree."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from valle.audio.riff import wav_bytes
from valle.audio.wav import SAMPLE_RATE, Wave
from valle_lab.lab import Lab as Controller

if TYPE_CHECKING:
    from valle_lab.lab.comparison import Comparison
    from valle_lab.lab.sheet import Sheet, SheetView
    from valle_lab.lab.tree import Twig
    from valle_lab.lab.trials import BlindTrial, TrialView


class Sound:
    """A wave that a notebook shows as a player."""

    def __init__(self, wave: Wave) -> None:
        self.wave = wave
        """[samples], mono, 24 kHz."""

    def _repr_html_(self) -> str:
        from valle_lab.export.markup import data_uri, element

        source = data_uri("audio/wav", wav_bytes(self.wave, SAMPLE_RATE))
        return element("audio", "", controls="controls", src=source)


class Listening:
    """The part of a notebook's lab that sets takes against each other."""

    controller: Controller

    @abstractmethod
    def run(self, name: str, *arguments: Any) -> Any:
        """Do a command and wait for it."""

    def sheet(self, text: str, count: int = 8, *, seed: int | None = None) -> SheetView:
        """Speak a text with so many seeds at once; the rows come with the fewest signs of failure first.

        `lab[row.take]` is the take of a row, `told(view)` the sheet as a table. Raises UserError.
        """
        self.run("text.set", text)
        made: Sheet = self.run("sheet.make", count, seed)
        return made.view()

    def hold(self) -> None:
        """Hold the stack as it is as side A; what it is changed to afterwards is side B."""
        self.run("ab.hold")

    def compare(self, text: str | None = None, *, takes: tuple[str, str] | None = None) -> Comparison:
        """Speak a text with the held stack and the one as it is, on the same noise; or take two takes.

        Says what either side stands for, and where they part. Raises UserError.
        """
        if takes is not None:
            found: Comparison = self.run("ab.takes", *takes)
            return found
        self.run("ab.speak", text)
        found = self.run("ab.show")
        return found

    def trial(self, text: str | None = None, *, takes: tuple[str, ...] = ()) -> TrialView:
        """Begin a blind trial: of a text with both stacks on the same noise, or of two or three takes.

        `hear` plays its labels, `choose` decides it; what is which cannot be seen before. Raises UserError.
        """
        if takes or text is None:
            trial: BlindTrial = self.run("trial.open", *([" ".join(takes)] if takes else []))
            return trial.view()
        self.run("trial.speak", text)
        view: TrialView = self.run("trial.show")
        return view

    def hear(self, label: str) -> Sound:
        """X, Y or Z of the blind trial, as a player in the notebook. Raises UserError."""
        self.run("trial.show")
        trial = self.controller.trial
        assert trial is not None
        return Sound(trial.sound(label.upper()))

    def choose(self, label: str) -> TrialView:
        """Decide the blind trial for a label or `none`; its key is told from then on. Raises UserError."""
        view: TrialView = self.run("trial.choose", label)
        return view

    def tree(self) -> tuple[Twig, ...]:
        """Which take goes on from which; `told(lab.tree())` draws it."""
        twigs: tuple[Twig, ...] = self.run("fork.tree")
        return twigs
