"""``valle-lab samplers --calibrate``: thresholds from recorded takes, printed and kept per model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from valle.errors import UserError
from valle.samplers.calibrate import TAKEN, Calibration, Decisions, calibrate, keep
from valle_lab.cli.output import narrate, print_json

if TYPE_CHECKING:
    from valle_lab.session import schema


def print_calibration(files: Sequence[str], json_output: bool) -> None:
    """Calibrate every model that the sessions have takes of; print and keep what comes of it."""
    if not files:
        raise UserError("--calibrate needs sessions, as in: valle-lab samplers --calibrate a.json b.json")
    names: dict[str, str] = {}
    found: dict[str, list[Decisions]] = {}
    for take in _takes(files):
        model = take.origin.model
        names[model.sha256] = model.name
        found.setdefault(model.sha256, []).extend(_decisions(take))
    made = [calibrate(model, _joined(parts)) for model, parts in found.items()]
    kept = [keep(calibration) for calibration in made]
    if json_output:
        print_json(
            [
                {"name": names[item.model], **item.to_dict(), "file": str(file)}
                for item, file in zip(made, kept, strict=True)
            ]
        )
        return
    for calibration, file in zip(made, kept, strict=True):
        print("\n".join(_lines(names[calibration.model], calibration)))
        narrate(f"kept in {file}")


def _takes(files: Sequence[str]) -> Iterator[schema.Take]:
    from valle_lab.session.save import load_session

    for file in files:
        yield from load_session(Path(file)).takes


def _decisions(take: schema.Take) -> Iterator[Decisions]:
    """The decisions of level 0 by AR; a trace without the raw measures tells nothing."""
    for segment in take.segments:
        for trace in segment.traces:
            measures, evidence = trace.measures, trace.evidence
            if trace.phase != "ar" or "raw" not in measures.stages:
                continue
            raw = measures.stages.index("raw")
            second = np.zeros(len(trace.tokens.values()))
            if evidence.top_logits is not None and evidence.top_logits.shape[2] > 1:
                logits = evidence.top_logits.values()[:, 0, 1].astype(np.float64)
                second = np.exp(logits - evidence.logsumexp.values()[:, 0])
            yield Decisions(
                entropy=measures.entropy.values()[raw, :, 0],
                varentropy=measures.varentropy.values()[raw, :, 0],
                probability=measures.probability.values()[raw, :, 0],
                second=second,
            )


def _joined(parts: Sequence[Decisions]) -> Decisions:
    names = ("entropy", "varentropy", "probability", "second")
    nothing = np.zeros(0)
    return Decisions(*(np.concatenate([nothing, *(getattr(part, name) for part in parts)]) for name in names))


def _lines(name: str, calibration: Calibration) -> Iterator[str]:
    yield f"{name} ({calibration.model[:12]}), {calibration.decisions} decisions"
    for stage, values in calibration.stages.items():
        settings = " ".join(f"{parameter}={value:g}" for parameter, value in values.items())
        taken = "" if stage in TAKEN else "  (not taken by itself; use --set)"
        yield f"  {stage} {settings}{taken}"
    shares = ", ".join(f"{region} {share:.0%}" for region, share in calibration.shares.items())
    yield f"  regions of entropix: {shares}"
