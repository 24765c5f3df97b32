"""``valle-lab diff``: two takes side by side, step by step."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from valle_lab.session import schema
    from valle_lab.session.diff import Difference, StepPair
    from valle_lab.session.sound import SoundDifference

LONGEST_VALUE = 60


def diff(
    common: Common,
    one: Annotated[str, typer.Argument(metavar="A", help="A session's last take; FILE#TAKE names another.")],
    other: Annotated[str, typer.Argument(metavar="B", help="The take to compare it with.")],
    around: Annotated[
        int, typer.Option("--around", metavar="N", min=0, help="Steps to show on each side of the parting.")
    ] = 4,
    sound: Annotated[bool, typer.Option(help="Decode both and tell how far they sound apart.")] = True,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int | None:
    """Compare two takes: where they part, what was measured there, how they sound. 0 the same, 1 others."""
    from valle_lab.session.diff import difference

    takes = find_take(one), find_take(other)
    found = difference(*takes)
    heard, silent = sounds(*takes, common.codec) if sound and found.first is not None else ((), "")
    if json_output:
        told = {"sound": [asdict(item) for item in heard], "no_sound": silent or None}
        print_json({"a": one, "b": other, **found.to_dict(), **told})
    else:
        _show(found, one, other, around)
        _show_sound(heard, silent)
    return 0 if found.same else 1


def sounds(
    one: schema.Take, other: schema.Take, codec: str | None
) -> tuple[tuple[SoundDifference, ...], str]:
    """How far the segments of two takes sound apart, and why that cannot be told, if so."""
    from valle.audio.opening import open_codec
    from valle.checkpoints.details import CodecName
    from valle_lab.session.convert import from_session_take
    from valle_lab.session.sound import sound_difference

    waves = []
    try:
        for take in (one, other):
            named = take.origin.codec
            opened = open_codec(codec or "auto", CodecName(named.name, named.sha256))
            segments = from_session_take(take).segments
            waves.append([opened.decode(item.codes()) for item in segments if item.frames])
    except UserError as error:
        return (), f"no sound is compared: {error}"
    both = zip(*waves, strict=False)
    return tuple(sound_difference(number, *pair) for number, pair in enumerate(both)), ""


def find_take(name: str) -> schema.Take:
    """The take that `FILE` or `FILE#TAKE` names, by id or number; the last one without. Raises UserError."""
    from valle_lab.session.save import load_session

    file, mark, take = (name, "", "") if Path(name).exists() else name.rpartition("#")
    session = load_session(Path(file or name))
    try:
        return session.take(take if mark and file else None)
    except KeyError:
        known = ", ".join(item.id for item in session.takes[:10]) or "none"
        raise UserError(f"{file or name} has no take {take!r}; it has {known}") from None


def _show(found: Difference, one: str, other: str, around: int) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(f"A {one}\nB {other}"))
    for name, values in found.asked.items():
        console.print(Text(f"A {name}: {_short(values[0])}\nB {name}: {_short(values[1])}"))
    console.print(f"A ends by {', '.join(found.stops[0])}; B by {', '.join(found.stops[1])}")
    if found.first is None:
        console.print("the codes are the same")
        return
    first = found.first
    console.print(
        f"they part in segment {first.segment}, {first.phase}.{first.level} step {first.step} position "
        f"{first.position} ({first.seconds:.2f} s): {_token(first.tokens[0])} and {_token(first.tokens[1])}"
    )
    _show_levels(found, console)
    near = [pair for pair in found.steps if pair.segment == first.segment and _is_near(pair, found, around)]
    if near:
        _show_steps(near, console)


def _is_near(pair: StepPair, found: Difference, around: int) -> bool:
    assert found.first is not None
    return found.first.phase == "ar" and abs(pair.step - found.first.step) <= around


def _show_sound(heard: Sequence[SoundDifference], silent: str) -> None:
    from rich.console import Console
    from rich.text import Text

    from valle_lab.session.sound import STRETCH, strip

    console = Console(highlight=False, soft_wrap=True)
    if silent:
        console.print(Text(" ".join(silent.split())))
    for item in heard:
        parts = "the same throughout" if item.parts_at is None else f"apart from {item.parts_at:.1f} s on"
        console.print(
            Text(
                f"sound of segment {item.segment}: {parts}, {item.mean:.1f} dB in the mean; A lasts "
                f"{item.seconds[0]:.2f} s, B {item.seconds[1]:.2f} s; a mark is {STRETCH} s:"
            )
        )
        console.print(Text(f"|{strip(item.distance)}|"))


def _show_levels(found: Difference, console: Console) -> None:
    from rich.table import Table

    table = Table("segment", "level", "frames A", "frames B", "part at", "equal", box=None)
    for level in found.levels:
        if any(level.frames):
            parts = "-" if level.parts_at is None else str(level.parts_at)
            numbers = (level.segment, level.level, *level.frames, parts, f"{level.equal:.0%}")
            table.add_row(*map(str, numbers))
    console.print(table)


def _show_steps(pairs: list[StepPair], console: Console) -> None:
    from rich.table import Table

    table = Table("step", "token", "margin", "raw bits", "stages: kept ids and rank of the token", box=None)
    for pair in pairs:
        for side in (0, 1):
            raw = (pair.measures.get("raw") or (None, None))[side]
            stages = ", ".join(
                f"{stage} {values['kept']:.0f}/{values['rank']:.0f}"
                for stage, both in pair.measures.items()
                if (values := both[side]) is not None
            )
            margin = pair.margin[side]
            table.add_row(
                f"{'AB'[side]} {pair.step}",
                _token(pair.tokens[side]),
                "-" if margin is None else f"{margin:.3f}",
                "-" if raw is None else f"{raw['entropy']:.2f}",
                stages,
            )
    console.print(table)


def _token(token: int | None) -> str:
    return "nothing" if token is None else "stop" if token == 1024 else str(token)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
