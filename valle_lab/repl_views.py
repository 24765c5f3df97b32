"""The views of the screen as commands of the REPL, which gives them in words."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from valle.errors import UserError
from valle.step import Place
from valle_lab.attention_lines import alignment_lines, head_lines
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import named, with_wave
from valle_lab.lab.timeline import Measure
from valle_lab.lines import Words
from valle_lab.step_lines import candidate_lines, head_line, histogram_lines, waterfall_lines
from valle_lab.take_lines import AXES, code_lines, round_lines, sound_lines, timeline_lines
from valle_lab.views import AttentionLook, AttentionView, LevelView, Look, StepView
from valle_lab.worker.surface import Wave

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

BINS = 20
View = TypeVar("View")


def step_view(lab: Lab, row: int | None = None, position: int = 0) -> Future[StepView]:
    """Show why a token was chosen: each stage, the logits, the best candidates; by default the newest."""
    take = named(lab, None)
    return lab.see(Look(take.name, _place(lab, take, row), position, bins=BINS))


def waterfall_view(lab: Lab, row: int | None = None) -> Future[Words]:
    """Show what each stage of the stack left of the distribution at a decision."""
    return _then(step_view(lab, row), lambda view: Words(lambda _: [head_line(view), *waterfall_lines(view)]))


def histogram_view(lab: Lab, row: int | None = None) -> Future[Words]:
    """Show the logits of a decision, raw and after the stack."""
    return _then(
        step_view(lab, row),
        lambda view: Words(lambda width: [head_line(view), *histogram_lines(view, width)]),
    )


def candidates_view(lab: Lab, row: int | None = None) -> Future[Words]:
    """Show the best candidates of a decision, with their probability after each stage."""
    return _then(step_view(lab, row), lambda view: Words(lambda _: [head_line(view), *candidate_lines(view)]))


def nar_view(lab: Lab, level: int, position: int = 0, segment: int = 0) -> Future[StepView]:
    """Show why a code of a later level was chosen, at a frame of a segment."""
    take = named(lab, None)
    passes = {(view.segment, view.level): len(view.entropy) for view in take.levels}
    if (segment, level) not in passes:
        raise UserError(f"{take.name} has no pass of level {level} in segment {segment}.")
    if not 0 <= position < passes[segment, level]:
        raise UserError(f"That pass decided the frames 0 to {passes[segment, level] - 1}, not {position}.")
    return lab.see(Look(take.name, Place(segment, "nar", level, 0), position, bins=BINS))


def timeline_view(lab: Lab, measure: str = "entropy") -> Words:
    """Show a measure over all decisions of the chosen take."""
    known: dict[str, Measure] = {name: name for name in AXES}
    if measure not in known:
        raise UserError(f"There is no measure {measure[:40]!r}; there are {', '.join(AXES)}.")
    line = named(lab, None).timeline
    return Words(lambda width: timeline_lines(line, known[measure], width))


def attention_view(lab: Lab, row: int | None = None, segment: int | None = None) -> Future[AttentionView]:
    """Show how much of its weight each head has on text, prompt and response, and which read along."""
    return lab.attend(AttentionLook(named(lab, None).name, segment, row, aligned=True))


def head_view(
    lab: Lab, layer: int, head: int, row: int | None = None, segment: int | None = None
) -> Future[Words]:
    """Show what one head looks at in a decision: its weight on each phoneme, on prompt and response."""
    look = AttentionLook(named(lab, None).name, segment, row, layer=layer, head=head)
    return _then(lab.attend(look), lambda view: Words(lambda width: head_lines(view, width)))


def alignment_view(lab: Lab, segment: int | None = None) -> Future[Words]:
    """Show which phoneme is spoken when, from the heads that read along."""
    look = AttentionLook(named(lab, None).name, segment, aligned=True)
    return _then(lab.attend(look), lambda view: Words(lambda width: alignment_lines(view, width)))


def level_view(lab: Lab) -> list[LevelView]:
    """Show the passes of the NAR: entropy and margin of each level."""
    return named(lab, None).levels


def rounds_view(lab: Lab) -> Words:
    """Show the rounds of demasking, where level 0 of the chosen take was made so."""
    steps = named(lab, None).steps
    return Words(lambda _: round_lines(steps))


def sound_view(lab: Lab) -> Future[Words]:
    """Show the wave of the chosen take."""
    answer: Future[Words] = Future()

    def decoded(wave: Wave) -> None:
        answer.set_result(Words(lambda width: sound_lines(wave, width)))

    with_wave(lab, named(lab, None), decoded, lab.levels)
    return answer


def codes_view(lab: Lab, first: int = 0, segment: int = 0) -> Words:
    """Show the codes of the chosen take, a line a level, from a frame of a segment on."""
    take = named(lab, None)
    if not 0 <= segment < len(take.segments):
        raise UserError(f"{take.name} has no segment {segment}.")
    codes = take.segments[segment].codes()
    if not 0 <= first < max(1, len(codes)):
        raise UserError(f"That segment has the frames 0 to {len(codes) - 1}, not {first}.")
    return Words(lambda width: code_lines(codes, first, width))


def _then(answer: Future[View], shown: Callable[[View], Words]) -> Future[Words]:
    """What an answer looks like, once it is there."""
    words: Future[Words] = Future()

    def arrived(done: Future[View]) -> None:
        if (error := done.exception()) is not None:
            words.set_exception(error)
        else:
            words.set_result(shown(done.result()))

    answer.add_done_callback(arrived)
    return words


def _place(lab: Lab, take: LabTake, row: int | None) -> Place | None:
    row = lab.row if row is None else row
    if row is None:
        return None if not len(take.timeline) else take.timeline.place(len(take.timeline) - 1)
    if not 0 <= row < len(take.timeline):
        raise UserError(f"{take.name} has the decisions 0 to {len(take.timeline) - 1}, not {row}.")
    return take.timeline.place(row)


VIEWS = (
    command("view.timeline", timeline_view, complete={"measure": lambda lab: AXES}),
    command("view.step", step_view),
    command("view.waterfall", waterfall_view),
    command("view.histogram", histogram_view),
    command("view.candidates", candidates_view),
    command("view.attention", attention_view),
    command("view.head", head_view),
    command("view.alignment", alignment_view),
    command("view.rounds", rounds_view),
    command("view.levels", level_view),
    command("view.nar", nar_view),
    command("view.sound", sound_view),
    command("view.codes", codes_view),
)
"""The views of the screen in words."""
