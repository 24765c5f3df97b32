"""``valle-lab audition``: one text over voices, seeds, presets, or windows of a recording."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import ProgressLine, narrate, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from valle_lab.lab import Lab
    from valle_lab.lab.audition import Audition, Candidate

KEYS = "n next, k keep and next, r again, q stop"


@dataclass(frozen=True, slots=True)
class AuditionOptions:
    """What is set beside each other."""

    voice: Annotated[
        list[str] | None, typer.Option(metavar="NAME|FILE", help="A voice; repeatable; without it, all.")
    ] = None
    seeds: Annotated[str, typer.Option(metavar="N|FIRST-LAST", help="How many seeds, or which.")] = "1"
    preset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A preset's stack; repeatable.")
    ] = None
    window: Annotated[
        float | None,
        typer.Option(metavar="S", help="Windows of each recording, that long."),
    ] = None
    step: Annotated[
        float | None,
        typer.Option(metavar="S", help="From one window to the next; else its length."),
    ] = None
    max_duration: Annotated[
        float | None, typer.Option(metavar="S", help="The most seconds that one sentence may sound.")
    ] = None
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write all takes and the session there.")
    ] = None
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Play nothing, write the takes.")] = False
    json: Annotated[bool, typer.Option("--json", help="The table as a list of objects on stdout.")] = False


def audition(
    common: Common,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.")],
    options: AuditionOptions,
) -> int | None:
    """Hear a text in many ways, in turn; keys keep, skip and stop. Without sound the takes are written."""
    from valle_lab.opening import open_lab
    from valle_lab.text_views import in_words
    from valle_lab.waiting import Waiting

    more: dict[str, Any] = {"max_duration": options.max_duration}
    if options.no_audio:
        more["audio.sink"] = "none"
    lab = open_lab(common.settings(**more))
    line = ProgressLine()
    try:
        lab.run("text.set", text)
        ways = _ways(lab, options)
        lab.start()
        waiting = Waiting(lab, lambda notice: narrate(notice.text), line.put)
        waiting.until(lambda: lab.loading is None and lab.player is not None)
        if lab.description is None:
            raise UserError("The model could not be loaded; see above.")
        found = _begin(lab, ways)
        _go_through(lab, found, line)
        _fetch_waves(lab, found)
        folder = _folder(lab, options)
        files = {} if folder is None else _write(lab, found, folder)
        if options.json:
            print_json([_described(found, take, files) for take in found.takes])
        else:
            print("\n".join(in_words(found)))
    finally:
        lab.close(discard=True)
    return None


def _begin(lab: Lab, ways: list[Candidate]) -> Audition:
    from valle_lab.lab.audition import Audition

    assert lab.player is not None
    lab.audition = Audition(lab, lab.text, ways, heard=lab.player.sink.audible)
    narrate(lab.player.sink.description)
    narrate(f"{len(lab.audition.ways)} takes" + (f"; {KEYS}" if lab.player.sink.audible else ""))
    return lab.audition


def _ways(lab: Lab, options: AuditionOptions) -> list[Candidate]:
    from valle_lab.lab.audition import candidates, windows
    from valle_lab.lab.voices import found, tell_remarks
    from valle_lab.presets import find_preset

    for preset in options.preset or ():
        find_preset(lab.settings.paths.presets, preset)
    names: Sequence[str] = options.voice or [voice.name for voice in lab.run("voice.list")]
    seeds, presets = _seeds(options.seeds), options.preset or ()
    voices = [found(lab, name) for name in names]
    tell_remarks(lab, voices)
    if options.window is None:
        return candidates(names, seeds, presets)
    return [
        way
        for name, voice in zip(names, voices, strict=True)
        for way in candidates([name], seeds, presets, windows(voice.recording, options.window, options.step))
    ]


def _seeds(given: str) -> list[int]:
    first, dash, last = given.partition("-")
    try:
        seeds = range(int(first), int(last) + 1) if dash else range(int(given))
    except ValueError:
        raise UserError(f"--seeds {given!r} must be a number, or like 3-10") from None
    if not 0 < len(seeds) <= 1000:
        raise UserError(f"--seeds {given!r} must be 1 to 1000 seeds")
    return list(seeds)


def _go_through(lab: Lab, found: Audition, line: ProgressLine) -> None:
    """Make and play all, and do what the keys say; Ctrl-C ends it as q does."""
    from valle_lab.cli.keys import pressed_keys

    actions = {"n": found.next, " ": found.next, "r": found.again, "q": found.stop}
    try:
        with pressed_keys() as keys:
            while not found.over:
                for notice in lab.poll().notices:
                    line.clear()
                    narrate(notice.text)
                key = keys()
                if key == "k":
                    found.keep()
                    found.next()
                elif key in actions:
                    actions[key]()
                line.show(_doing(lab, found))
                time.sleep(0.02)
    except KeyboardInterrupt:
        found.stop()
    line.clear()
    while lab.running is not None:
        lab.poll()
        time.sleep(0.02)


def _doing(lab: Lab, found: Audition) -> str:
    made = sum(not take.running for take in found.takes)
    take = found.hearing
    heard = "" if take is None else f", {found.current + 1}: {found.label(take)}"
    heard += ", first codebook" if found.preview else ""
    return f"{made}/{len(found.ways)} made{heard}"


def _fetch_waves(lab: Lab, found: Audition) -> None:
    from valle_lab.lab.takes import with_wave

    for take in found.takes:
        if take.wave is None and take.sounds:
            with_wave(lab, take, lambda wave: None)
    lab.audition = None
    lab.wait()


def _folder(lab: Lab, options: AuditionOptions) -> Path | None:
    """Where the takes are written: where it was said, and where nothing could be heard."""
    if options.out is not None:
        return options.out
    heard = lab.player is not None and lab.player.sink.audible
    return None if heard else lab.settings.paths.out / f"audition-{lab.record.name}"


def _write(lab: Lab, found: Audition, folder: Path) -> dict[str, str]:
    """The takes as wavs that carry their sessions, and the session of all; the names of the files."""
    from valle_lab.lab.session import write_take

    files = {}
    for number, take in enumerate(found.takes, 1):
        if take.wave is not None:
            files[take.name] = str(write_take(take, take.wave, folder / f"{number:03}-{take.name}.wav"))
    narrate(f"written: {lab.record.save(folder / 'audition.json')}")
    return files


def _described(found: Audition, take: Any, files: dict[str, str]) -> dict[str, Any]:

    way: Candidate = found.ways[found.takes.index(take)]
    return {
        "name": take.name,
        "voice": take.voice,
        "seed": take.seed,
        "preset": way.preset,
        "start": way.part.start,
        "seconds_of_prompt": way.part.seconds,
        "stop": take.stop,
        "seconds": take.timeline.frames / 75,
        "kept": take.name in found.kept,
        "wav": files.get(take.name),
    }
