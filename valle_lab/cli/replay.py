"""``valle-lab replay``: make the takes of sessions again, and say whether they are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import ProgressLine, narrate, print_json

if TYPE_CHECKING:
    from valle_lab.session.engines import Engines
    from valle_lab.session.replay import Options, Report

MODES = ("exact", "tolerant", "forced")


def replay(
    common: Common,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Sessions, or wavs that carry one.")],
    mode: Annotated[str, typer.Option(metavar="MODE", help="exact, tolerant or forced.")] = "tolerant",
    take: Annotated[str | None, typer.Option(metavar="TAKE", help="One take, by id or number.")] = None,
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Judge on a model that the take was not made with.")
    ] = False,
    all_layers: Annotated[
        bool, typer.Option("--all-layers", help="Judge without leaving at early layers.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the sound of the replays.")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Make the takes of a seed sheet one by one, not at once again.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """Make takes again and judge them: 0 identical, 1 diverged, 2 cannot run, 3 benign; the worst of all."""
    from valle_lab.session.replay import exit_code, replay_file

    if mode not in MODES:
        raise UserError(f"--mode {mode!r} must be one of {', '.join(MODES)}")
    options = _options(common, mode, take, any_model, out)
    options = replace(options, alone=alone, all_layers=all_layers)
    engines = engines_of(common, any_model)
    progress = ProgressLine()
    reports: list[Report] = []
    try:
        for file in files:
            progress.show(f"replaying {file}")
            found = replay_file(file, options, engines)
            progress.clear()
            for report in found:
                _tell(report, json_output)
            reports += found
    finally:
        progress.clear()
        engines.close()
    if json_output:
        print_json([report.to_dict() for report in reports])
    return exit_code(reports)


def _options(common: Common, mode: str, take: str | None, any_model: bool, out: Path | None) -> Options:
    from valle_lab.cli.outputs import check_folder
    from valle_lab.session.judge import Mode
    from valle_lab.session.replay import Options

    chosen: Mode = next(item for item in get_args(Mode) if item == mode)
    if out is not None:
        if out.exists() and not out.is_dir():
            raise UserError(f"--out {out} is not a folder")
        check_folder(out)
    return Options(chosen, take, any_model, common.threads, out)


def engines_of(common: Common, any_model: bool) -> Engines:
    from valle_lab.session.engines import Choices, Engines

    settings = common.settings()
    return Engines(
        Choices(
            model=common.model,
            usual_model=settings.model,
            folder=settings.paths.models,
            any_model=any_model,
            codec=settings.codec,
            device=common.device,
            dtype=common.dtype,
            attention=common.attention,
            tokenizer=settings.tokenizer,
            force_codec=settings.force_codec,
            lora=common.lora,
            adapters=settings.paths.adapters,
        )
    )


def _tell(report: Report, json_output: bool) -> None:
    if report.verdict == "error":
        narrate(f"{report.error}")
    elif not json_output:
        print(_line(report))


def _line(report: Report) -> str:
    """`FILE TAKE: identical`, or what is not, and where first."""
    line = f"{report.session} {report.take}: "
    if report.other_model is not None:
        line += f"on another model ({report.other_model[:12]}): "
    first = report.first_divergence
    if first is None:
        return line + report.verdict
    kind = f" ({report.kind})" if report.kind is not None else ""
    margin = "" if first.margin is None else f", margin {first.margin:.2g}"
    where = f"{first.segment}/{first.phase}.{first.level}:{first.step}"
    position = f" position {first.position}" if first.phase in ("nar", "nar_len") else ""
    return (
        f"{line}{report.verdict}{kind} from {where}{position} ({first.seconds:.2f} s): recorded "
        f"{_token(first.recorded)}, replayed {_token(first.replayed)}{margin}; {report.different} of "
        f"{report.decisions} tokens differ, the model's numbers by {report.evidence_difference:.1e}"
    )


def _token(token: int | None) -> str:
    return "nothing" if token is None else "stop" if token == 1024 else str(token)
