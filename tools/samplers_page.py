"""Write the page of all samplers from their declarations.

python tools/samplers_page.py docs/samplers.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from valle.samplers.declaration import Parameter, StageDeclaration, plain
from valle.samplers.stages import STAGES

FAMILIES = {
    "guidance": "Guidance",
    "bans": "Bans and biases",
    "penalties": "Penalties",
    "loops": "Against loops",
    "length": "Length",
    "truncation": "Truncation",
    "temperature": "Temperature",
    "choosers": "Choosers",
    "search": "Search",
}

INTRODUCTION = """\
# The samplers

This page is made from the declarations of the stages with `make docs`; `valle-lab samplers` prints the \
same, and `valle-lab samplers --schema` the JSON schema of a stack.

A stack is an ordered list of stages for each phase: `ar` decides level 0 frame by frame, `nar` the \
levels 1 to 7, each in one pass, `nar_len` level 0 in rounds, and `len`, `stt`, `phn` and `un_phn` \
lengths and texts. `nar.3` is a list for level 3 alone. Guidance stands first, one chooser or search \
last, the rest in any order and as often as you like. A stage that a list lacks is put at its usual \
place, which is the order of this page.

A parameter is written `stage.parameter`, as in `top_k.k`; of a second stage of a kind \
`temperature#2.value`; of another phase `nar:temperature.value`. Every stage has the switch `.on`. A \
number may be a curve over steps, or over the entropy or varentropy of the row, unless its range says \
fixed: `{"curve": "linear", "values": [1.0, 0.6], "end": 150}`. Every stage but a chooser takes a \
condition, `{"measure": "entropy", "above": 3.0}` as its `.when`, in bits. Where a parameter is at its \
neutral value the stage does nothing and is skipped.

A search stands where a chooser would and decides over several hypotheses of a whole phase: its steps are \
told when the winner is known, and what else it found is kept in the session, as codes with their \
log-probabilities. While it is under way only `finish` and `cancel` are taken: `finish` takes the best \
hypothesis so far. The hypotheses are rows of one batch.
"""


def page(stages: dict[str, StageDeclaration] | None = None) -> str:
    """The page in Markdown."""
    declared = sorted((STAGES if stages is None else stages).values(), key=lambda stage: stage.place)
    families = {
        name: list(members)
        for name, members in groupby(
            sorted(declared, key=lambda stage: list(FAMILIES).index(stage.family)),
            key=lambda stage: stage.family,
        )
    }
    parts = [INTRODUCTION, "\n".join(_contents(families))]
    for name, members in families.items():
        parts.append(f"## {FAMILIES[name]}")
        parts += ["\n\n".join(_section(stage)) for stage in members]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _contents(families: dict[str, list[StageDeclaration]]) -> Iterator[str]:
    for name, members in families.items():
        links = ", ".join(f"[{stage.name}](#{stage.name})" for stage in members)
        yield f"- {FAMILIES[name]}: {links}"


def _section(stage: StageDeclaration) -> Iterator[str]:
    yield f"### {stage.name}"
    yield stage.help
    if stage.parameters:
        rows = ["| parameter | range | default | neutral | what it is |", "| --- | --- | --- | --- | --- |"]
        yield "\n".join([*rows, *map(_row, stage.parameters)])
    yield "\n".join(f"- {fact}" for fact in _facts(stage))


def _facts(stage: StageDeclaration) -> Iterator[str]:
    if stage.also:
        yield f"Elsewhere: {', '.join(f'`{name}`' for name in stage.also)}."
    yield f"Source: {stage.source}."
    for reason in dict.fromkeys(stage.refused.values()):
        phases = " or ".join(f"`{phase}`" for phase, why in stage.refused.items() if why == reason)
        yield f"Not in {phases}: {reason}."
    if sum(item.neutral is not None for item in stage.parameters) > 1:
        both = (
            "any of its neutral values"
            if stage.neutral_when == "any"
            else "all of its neutral values together"
        )
        yield f"Off with {both}."
    if stage.stateful:
        yield "Keeps a state from step to step."
    if stage.keeps_argmax and not stage.decides:
        yield "The most likely id stays the most likely."


def _row(item: Parameter) -> str:
    cells = [
        f"`{item.name}`",
        _range(item),
        f"`{_shown(item.default)}`",
        "" if item.neutral is None else f"`{_shown(item.neutral)}`",
        item.help + (f" Source: {item.source}." if item.source else ""),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _range(item: Parameter) -> str:
    """What the parameter may be, with its unit."""
    if item.choices:
        return ", ".join(f"`{choice}`" for choice in item.choices)
    if item.type == "boolean":
        return "`true`, `false`"
    if item.type == "ids":
        return "a list of ids"
    bounds = f"{_shown(item.minimum)} to {_shown(item.maximum)}"
    if item.type == "biases":
        return f"ids with numbers, {bounds} {item.unit}".rstrip()
    words = [bounds, item.unit, "(fixed)" if item.fixed else ""]
    return " ".join(word for word in words if word) + (
        f", at most `{item.bounded_by}`" if item.bounded_by else ""
    )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) else str(int(value))
    return json.dumps(plain(value)) if not isinstance(value, str) else value


def main() -> None:
    """Write the page to the file that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.parse_args().path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
