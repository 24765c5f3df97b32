"""``valle-lab say``: speak once, and keep the wav and the session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from valle_lab.cli.common import Common
from valle_lab.cli.output import ProgressLine, narrate, print_json

if TYPE_CHECKING:
    from valle.step import Step
    from valle_lab.settings import AudioSettings
    from valle_lab.speak import Spoken

INTERRUPTED = 130
PATIENCE = 10.0
"""Seconds beyond a wave's own length after which its playing is given up."""


@dataclass(frozen=True, slots=True)
class SayOptions:
    """How a text is spoken; None leaves the choice to the settings."""

    voice: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="A voice, or a recording.")] = None
    seed: Annotated[int | None, typer.Option(metavar="N", help="0 to 2^64 - 1; without it, a new one.")] = (
        None
    )
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="A preset's stack.")] = None
    stack: Annotated[Path | None, typer.Option(metavar="FILE", help="A stack in TOML or JSON.")] = None
    set: Annotated[
        list[str] | None, typer.Option(metavar="[PHASE[.LEVEL]:]stage.param=value", help="Repeatable.")
    ] = None
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SEGMENT/][PHASE[.LEVEL]:]STEP:stage.param=value", help="From that step on; repeatable."
        ),
    ] = None
    mode: Annotated[
        str | None, typer.Option(metavar="MODE", help="ar+nar, nar-len, ...; without it, the model's first.")
    ] = None
    task: Annotated[str, typer.Option(metavar="TASK", help="tts, tts-c, ns or sr.")] = "tts"
    steps: Annotated[int | None, typer.Option(metavar="N", help="Rounds of demasking.")] = None
    denoise_start: Annotated[
        float | None, typer.Option(metavar="T", help="0 to 1: how much of the source's level 0 stays.")
    ] = None
    source: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Speech to say in the voice: nar-len, nar.")
    ] = None
    history: Annotated[
        int, typer.Option(metavar="N", help="Sentences before it that each sentence goes on from.")
    ] = 0
    prefix: Annotated[bool, typer.Option("--prefix", help="Go on from the voice's recording itself.")] = False
    silence: Annotated[float, typer.Option(metavar="S", help="Go on from so many seconds of silence.")] = 0.0
    phonemizer: Annotated[
        str, typer.Option(metavar="espeak|model|ipa", help="Who makes the phonemes; ipa: TEXT is in IPA.")
    ] = "espeak"
    text_language: Annotated[
        str | None, typer.Option(metavar="LANGUAGE", help="Read the text as this language.")
    ] = None
    refine: Annotated[
        bool, typer.Option("--refine", help="Decide level 0 once more after the stop; keep the likelier.")
    ] = False
    prompt: Annotated[
        str | None, typer.Option(metavar="START+SECONDS", help="The part of the voice's recording to use.")
    ] = None
    negative_text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Guidance leads away from this text; '' is none.")
    ] = None
    negative_voice: Annotated[
        str | None, typer.Option(metavar="NAME|FILE|none", help="Guidance leads away from this voice.")
    ] = None
    two_passes: Annotated[
        bool, typer.Option("--two-passes", help="Guide in two passes of the model, not in one batch.")
    ] = False
    layer_skip: Annotated[bool, typer.Option("--layer-skip", help="Leave at an early layer.")] = False
    layer_skip_exit_layer: Annotated[
        int | None, typer.Option(metavar="N", help="The first layer to leave at; half of them without it.")
    ] = None
    layer_skip_entropy_threshold: Annotated[
        float | None, typer.Option(metavar="BITS", help="Leave only where entropy is below.")
    ] = None
    layer_skip_varentropy_threshold: Annotated[
        float | None, typer.Option(metavar="BITS2", help="Leave only where varentropy is below.")
    ] = None
    layer_skip_draft: Annotated[
        int | None, typer.Option(metavar="N", help="Draft N tokens early, have all layers decide on them.")
    ] = None
    max_duration: Annotated[
        float | None, typer.Option(metavar="S", help="The most seconds that one sentence may sound.")
    ] = None
    split: Annotated[bool, typer.Option("--split", help="Speak a long text, in pieces.")] = False
    split_by: Annotated[str, typer.Option(metavar="sentence|line|none", help="What a piece is.")] = "sentence"
    out: Annotated[Path | None, typer.Option(metavar="FILE.wav", help="Where the sound goes.")] = None
    session: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Where the session goes, if not beside it.")
    ] = None
    play: Annotated[bool, typer.Option("--play", help="Play it when it is done.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False


def say(
    common: Common,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads it from stdin.")],
    options: SayOptions,
) -> int | None:
    """Speak a text once; its session is always saved."""
    from valle_lab.cli.plan import make_plan
    from valle_lab.speak import speak

    plan = make_plan(common, text, options)
    progress = ProgressLine()
    progress.show("loading the model")
    try:
        spoken = speak(plan, lambda step: progress.show(_how_far(step)))
    finally:
        progress.clear()
    for line in (*spoken.remarks, *spoken.vain):
        narrate(line)
    narrate(_summary(spoken))
    if options.json:
        print_json(_document(spoken))
    else:
        print("\n".join(str(file) for file in (spoken.wav, spoken.session) if file is not None))
    if options.play and spoken.wav is not None:
        play(spoken.wav, plan.settings.audio)
    return INTERRUPTED if spoken.interrupted else None


def _how_far(step: Step) -> str:
    place = step.place
    done = f"{place.step / 75:.1f} s" if place.phase == "ar" else f"level {place.level}"
    return f"sentence {place.segment + 1}, {place.phase}: {done}"


def _summary(spoken: Spoken) -> str:
    take = spoken.take
    ended = "interrupted" if spoken.interrupted else f"ended by {take.stop}"
    pace = f", computed in {spoken.real_time_factor:.2f} of that time" if spoken.real_time_factor else ""
    return f"{take.duration:.2f} s of speech, {ended}, seed {take.request.seed}{pace}"


def _document(spoken: Spoken) -> dict[str, Any]:
    from valle.take import codes_sha256

    take = spoken.take
    return {
        "session": str(spoken.session),
        "wav": None if spoken.wav is None else str(spoken.wav),
        "seed": take.request.seed,
        "frames": take.frames,
        "seconds": take.duration,
        "stop": take.stop,
        "codes_sha256": list(codes_sha256(take.segments)),
        "ar_steps_per_second": spoken.ar_steps_per_second,
        "real_time_factor": spoken.real_time_factor,
        "segments": [{"frames": segment.frames, "stop": segment.stop} for segment in take.segments],
        "vain": list(spoken.vain),
    }


def play(file: Path, audio: AudioSettings) -> None:
    """Play a wav to its end, and say through what."""
    from valle.audio.wav import read
    from valle_lab.player import Player
    from valle_lab.sinks import open_sink

    player = Player(open_sink(audio.sink, audio.device, audio.player))
    try:
        narrate(player.sink.description)
        if player.sink.audible:
            player.load(read(file, silent_ok=True))
            player.play()
            player.wait(player.duration + PATIENCE)
    finally:
        player.close()
