"""The phonemes of the text, as the model will get them."""

from __future__ import annotations

from concurrent.futures import Future

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from valle.errors import UserError
from valle.manner import Manner
from valle.request import Sentence
from valle_lab.lab import Lab

PAUSE = 0.4
"""Seconds without a key before the phonemes of what was typed are asked for."""
MOST_CHARACTERS = 1_000
PARTED = "  ·  "
USUAL = Manner().phonemizer
"""Who makes them where nothing is said."""


class PhonemeLine(Static):
    """Follows the text and its language, a moment behind the typing."""

    HELP = (
        "The phonemes of the text, sentence by sentence, as the model will get them. `text.phonemizer` says "
        "who makes them: `espeak`, the `model` itself where it can, or with `ipa` you: the text is in IPA."
    )

    def __init__(self, lab: Lab, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._lab = lab
        self._asked: tuple[object, ...] = ()
        self._timer: Timer | None = None

    def follow(self) -> None:
        """Text, language or model may have changed."""
        if self._wanted != self._asked:
            if self._timer is not None:
                self._timer.stop()
            self._timer = self.set_timer(PAUSE, self.ask)

    def ask(self) -> None:
        """Ask for the phonemes of the text as it is now."""
        self._asked = wanted = self._wanted
        text = self._lab.text[:MOST_CHARACTERS].strip()
        if not text or self._lab.description is None:
            self.update("", layout=False)
            return
        try:
            answer: Future[tuple[Sentence, ...]] = self._lab.run("text.phonemes", text)
        except UserError as error:
            self.update(Content(str(error)), layout=False)
            return
        answer.add_done_callback(lambda done: self._tell(wanted, done))

    @property
    def _wanted(self) -> tuple[object, ...]:
        lab = self._lab
        return lab.text, lab.language, lab.by, lab.manner.phonemizer, lab.description is not None

    def _tell(self, wanted: tuple[object, ...], done: Future[tuple[Sentence, ...]]) -> None:
        if wanted == self._asked and self.is_attached:
            error = done.exception()
            told = str(error) if error else PARTED.join(sentence.phonemes for sentence in done.result())
            by = self._lab.manner.phonemizer
            self.update(Content(told if by == USUAL else f"by {by}: {told}"), layout=False)
