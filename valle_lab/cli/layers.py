"""Leaving at an early layer: the options of ``say``, and ``valle-lab layers``, which finds thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valle.early_exit import EarlyExit, asked_exit
from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.output import narrate, print_json, print_table

if TYPE_CHECKING:
    from valle.layer_thresholds import LayerThresholds
    from valle.models.exits import LayerMeasures
    from valle_lab.cli.say import SayOptions

USUAL_LAYER = 3
"""Half of the built-in model's layers."""
AGREEMENT = 0.9


def early_exit(options: SayOptions) -> EarlyExit | None:
    """How level 0 is decided without all layers, if it is. Raises UserError for what is out of range."""
    given = {
        "layer": options.layer_skip_exit_layer,
        "entropy": options.layer_skip_entropy_threshold,
        "varentropy": options.layer_skip_varentropy_threshold,
        "draft": options.layer_skip_draft,
    }
    return asked_exit(options.layer_skip, USUAL_LAYER, given)


def leaves_open(options: SayOptions) -> bool:
    """Whether both thresholds are left to what is kept for the model."""
    return options.layer_skip_entropy_threshold is options.layer_skip_varentropy_threshold is None


def layers(
    common: Common,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Sessions, takes of the model.")],
    agreement: Annotated[
        float, typer.Option(metavar="SHARE", help="How many of those that leave must agree with all layers.")
    ] = AGREEMENT,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """Measure how sure each layer is on recorded takes; keep the thresholds at which it may be the last."""
    from valle.layer_thresholds import fit, keep

    if not 0 < agreement <= 1:
        raise UserError(f"--agreement {agreement} must be above 0 and at most 1")
    model, measures = _measured(common, files)
    found = fit(measures.entropy, measures.varentropy, measures.agrees, agreement)
    kept = keep(model, found)
    if json_output:
        print_json([{"model": model, **asdict(each)} for each in found])
        return None
    print_table([("layer", "entropy", "varentropy", "leaving", "agree", "agree of all"), *map(_row, found)])
    narrate(f"{len(measures)} decisions; kept in {kept}")
    return None


def _measured(common: Common, files: Sequence[Path]) -> tuple[str, LayerMeasures]:
    """The model's hash, and what its layers make of the takes. UserError for takes of several models."""
    from valle.models.exits import joined
    from valle_lab.cli.replay import engines_of
    from valle_lab.session.convert import from_session_take
    from valle_lab.session.save import load_session

    engines, parts, model = engines_of(common, any_model=False), [], ""
    try:
        for file in files:
            for record in load_session(file).takes:
                engine = engines(record)
                if model and engine.model_hash != model:
                    raise UserError(f"{file}: has takes of another model than the files before it")
                model = engine.model_hash
                take = from_session_take(record)
                for number, segment in enumerate(take.segments):
                    if segment.frames:
                        parts.append(engine.measure_layers(take.request, number, segment.levels[0]))
    finally:
        engines.close()
    if not parts:
        raise UserError(f"{', '.join(map(str, files))}: no take has speech in it")
    return model, joined(parts)


def _row(found: LayerThresholds) -> tuple[str, ...]:
    return (
        str(found.layer),
        f"{found.entropy:g}",
        f"{found.varentropy:g}",
        f"{found.leaving:.0%}",
        f"{found.agreement:.0%}",
        f"{found.agreement_of_all:.0%}",
    )
