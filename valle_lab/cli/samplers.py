"""``valle-lab samplers``: what stages there are, one in full, the schema of a stack, the check of a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import print_json

if TYPE_CHECKING:
    from valle.samplers.declaration import Parameter, StageDeclaration


def samplers(
    common: Common,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STAGE]",
            help="Show this one in full; with --export a file or a preset, with --calibrate sessions.",
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="The JSON schema of a stack.")] = False,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check a stack in TOML or JSON, and say what is odd about it."),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(metavar="PROGRAM", help="A stack as settings of llama.cpp, reference or transformers."),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Thresholds that fit the model of recorded takes; they are kept."),
    ] = False,
) -> int | None:
    """List the stages of a stack, or show one in full."""
    if calibrate:
        from valle_lab.cli.calibration import print_calibration

        print_calibration(names or [], json_output)
        return None
    if names and len(names) > 1:
        raise UserError(f"one name at a time, not {len(names)}: {' '.join(names)[:60]}")
    name = names[0] if names else None
    if schema:
        return _print_schema()
    if export is not None:
        from valle_lab.cli.exports import print_export

        print_export(export, name, common.settings().paths.presets, json_output)
        return None
    if check is not None:
        return _check(check, json_output)
    from valle.samplers.declaration import describe
    from valle.samplers.stages import STAGES, find

    chosen = [find(name)] if name is not None else list(STAGES.values())
    if json_output:
        print_json([describe(declaration) for declaration in chosen])
    elif name is not None:
        _print_in_full(chosen[0])
    else:
        for declaration in chosen:
            _print_in_short(declaration)
    return None


def _print_in_short(declaration: StageDeclaration) -> None:
    """Name, family and parameters with their defaults, and what it does below."""
    from valle_lab.lines import WIDTH

    parameters = " ".join(f"{item.name}={_shown(item.default)}" for item in declaration.parameters)
    head = f"{declaration.name} ({declaration.family}) {parameters}".rstrip()
    print(fill(head, WIDTH, subsequent_indent=" " * 8, break_long_words=False))
    print(fill(declaration.help, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4))


def _print_in_full(declaration: StageDeclaration) -> None:
    print(f"{declaration.name} ({declaration.family})\n{declaration.help}\n")
    print(f"phases  {' '.join(declaration.phases)}")
    for phase, reason in declaration.refused.items():
        print(f"not in  {phase}: {reason}")
    if declaration.also:
        print(f"elsewhere called  {', '.join(declaration.also)}")
    print(f"source  {declaration.source}")
    for parameter in declaration.parameters:
        print(f"\n{declaration.name}.{parameter.name}\n  {parameter.help}")
        for key, value in _facts(parameter):
            print(f"  {key:8}{value}")


def _facts(parameter: Parameter) -> list[tuple[str, str]]:
    facts = [("type", parameter.type), ("default", _shown(parameter.default))]
    if parameter.minimum is not None or parameter.maximum is not None:
        facts.append(
            ("range", f"{_shown(parameter.minimum)} to {_shown(parameter.maximum)} {parameter.unit}".strip())
        )
    if parameter.step is not None:
        facts.append(("step", _shown(parameter.step)))
    if parameter.choices:
        facts.append(("choices", ", ".join(parameter.choices)))
    if parameter.neutral is not None:
        facts.append(("neutral", _shown(parameter.neutral)))
    if not parameter.curved:
        facts.append(("curves", "none"))
    if parameter.source:
        facts.append(("source", parameter.source))
    return facts


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ",".join(map(_shown, value)) + "]"
    if hasattr(value, "to_dict"):
        return json.dumps(value.to_dict())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _print_schema() -> int | None:
    from valle.samplers.schema import stack_schema

    print_json(stack_schema())
    return None


def _check(file: Path, json_output: bool) -> int | None:
    from valle.samplers.lint import lint
    from valle.samplers.resolve import resolve
    from valle_lab.cli.stacks import read_stack

    stack = read_stack(file)
    remarks = lint(stack)
    if json_output:
        print_json([asdict(remark) for remark in remarks])
        return None
    for name, stages in stack.lists.items():
        print(name)
        for stage in resolve(stages):
            values = " ".join(f"{key}={_shown(value)}" for key, value in stage.parameters.items())
            print(f"  {stage.key} {values}".rstrip() + ("" if stage.stage.on else "  (off)"))
            for remark in remarks:
                if (remark.list, remark.stage) == (name, stage.key):
                    print(f"    - {remark.text}")
    return None
