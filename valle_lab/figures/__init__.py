"""Figures of takes and decisions, drawn by matplotlib without a screen; importing them takes a second.

Each function makes a `Picture` of plain values: a timeline, a step's view, a wave. None of them touches
pyplot, whose figures belong to everybody.
"""

from __future__ import annotations

from valle_lab.figures.attention import alignment, attention
from valle_lab.figures.canvas import Picture
from valle_lab.figures.decision import histogram, waterfall
from valle_lab.figures.rounds import rounds
from valle_lab.figures.sound import spectrogram
from valle_lab.figures.stages import levels, stages
from valle_lab.figures.timeline import timeline

__all__ = [
    "Picture",
    "alignment",
    "attention",
    "histogram",
    "levels",
    "rounds",
    "spectrogram",
    "stages",
    "timeline",
    "waterfall",
]
