"""Bars, heat maps, lines and the axis of time: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rich.style import Style

from valle.samplers.stack import Stack
from valle.samplers.stages import STAGES
from valle.step import Place, StageMeasures, Step
from valle_lab.tui.axes import region
from valle_lab.tui.blocks import EIGHTHS, SHADES, bars, fitted, sampled, shades
from valle_lab.tui.heat import HALF, heat_strips
from valle_lab.tui.layout import layout_for
from valle_lab.tui.lines import Line, to_strip
from valle_lab.tui.widgets.attention import map_labels, map_picture
from valle_lab.tui.widgets.nar import GUTTER, level_lines, raster
from valle_lab.views import Alignment

SHARES = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1))


@given(SHARES, st.integers(1, 6))
def test_bars_are_as_high_as_their_shares(shares: np.ndarray, height: int) -> None:
    lines = bars(shares, height)
    drawn = [sum(EIGHTHS.index(line[x]) for line in lines) for x in range(len(shares))]
    assert len(lines) == height
    for share, eighths in zip(shares, drawn, strict=True):
        assert 0 <= eighths - share * 8 * height < 1 or eighths == np.ceil(share * 8 * height)
        assert (eighths > 0) == (share > 0)


@given(SHARES, st.integers(1, 60))
def test_fitting_keeps_the_highest_and_the_order(values: np.ndarray, columns: int) -> None:
    out = fitted(values, columns)
    assert out.shape == (columns,)
    assert set(out) <= set(values)
    if columns <= len(values):
        assert out.max() == values.max()
    else:
        assert set(out) == set(values)


@given(SHARES, st.integers(1, 60))
def test_samples_are_values_that_are_there_in_their_order(values: np.ndarray, columns: int) -> None:
    out = sampled(values, columns)
    middles = (np.arange(columns) + 0.5) * len(values) / columns
    places = np.searchsorted(np.arange(len(values)) + 1.0, middles, "right")
    assert out.tolist() == values[places].tolist()


def test_the_raster_has_a_row_a_round_and_is_dark_where_nothing_was_decided() -> None:
    def round_(number: int, masked: list[bool], entropy: float) -> Step:
        values = np.full(4, entropy, np.float32)
        ids = np.zeros(4, np.int16)
        measures = StageMeasures("raw", ids, *[values] * 4, ids, *[values] * 2)
        place = Place(0, "nar_len", 0, number)
        return Step("a", place, ids, ids, measures=(measures,), masked=np.array(masked))

    drawn = raster([round_(0, [True] * 4, 10.0), round_(1, [False, True, False, False], 0.0)], 4)
    assert drawn.tolist() == [[SHADES - 1] * 4, [0, 1, 0, 0]]
    assert raster([], 7).shape == (0, 7)


def test_a_heat_map_has_two_rows_a_line_and_merges_equal_cells() -> None:
    levels = np.array([[0, 0, 5], [1, 1, 5], [SHADES - 1] * 3])
    strips = heat_strips(levels)
    assert [strip.text for strip in strips] == [HALF * 3, HALF * 3]
    assert [len(segment.text) for segment in strips[0]] == [2, 1]
    assert [segment.style == Style(color=segment.style.color) for segment in strips[1] if segment.style] == [
        True
    ]
    assert shades(np.array([0.0, 0.5, 1.0, np.nan]), 0, 1).tolist() == [0, 8, SHADES - 1, 0]


def test_a_line_becomes_segments_with_marks_over_it() -> None:
    line = Line("label", "abcdef", ["x"] * 3 + ["y"] * 3)
    styles = {"x": Style(color="red"), "y": Style(color="blue"), "g": Style(), "m": Style(reverse=True)}
    strip = to_strip(line, 7, "g", styles.__getitem__, {1: "m", 5: "m"})
    assert strip.text == "label  abcdef" and strip.cell_length == 13
    marked = [segment.text for segment in strip if segment.style and segment.style.reverse]
    assert marked == ["b", "f"]
    assert strip.crop(0, 13).text == strip.text


def test_regions_and_layouts() -> None:
    limits = {parameter.name: parameter.default for parameter in STAGES["entropix"].parameters}
    low, high = limits["low_entropy"] / 2, limits["high_entropy"] + 1
    entropy = np.array([low, high, low, limits["medium_entropy"] + 1])
    varentropy = np.array([limits["low_varentropy"] / 2] * 2 + [limits["high_varentropy"] + 1] * 2)
    assert region(entropy, varentropy, None) == ["sure", "even", "forked", "lost"]
    own = Stack.from_dict({"ar": [{"name": "entropix", "low_entropy": 0.0}]})
    assert region(entropy[:1], varentropy[:1], own) == ["between"]
    sizes = {(59, 50): "-too-small", (80, 17): "-too-small", (80, 24): "-narrow", (200, 24): "-narrow"}
    sizes |= {(110, 32): "-medium", (159, 60): "-medium", (160, 40): "-wide", (400, 100): "-wide"}
    assert {size: layout_for(*size) for size in sizes} == sizes


def test_the_numbers_of_a_level_fit_beside_its_strip() -> None:
    bits, none = np.full(2, 9.876, np.float32), np.zeros(2, np.int64)
    measured = StageMeasures("raw", none, bits, bits, bits, bits, none, bits, bits)
    margin = np.array([1.234e-5, 3.0], np.float32)
    step = Step("take-1", Place(0, "nar", 7, 0), none, none, margin=margin, measures=(measured,))
    (line,) = level_lines([step], 40, 1)
    assert line.gutter == "level 7 H 9.88 margin 0.000" and len(line.gutter) < GUTTER


@given(st.integers(1, 60), st.integers(2, 40))
def test_a_line_of_the_map_is_labelled_with_its_phonemes(count: int, rows: int) -> None:
    letters = [chr(ord("A") + number) for number in range(count)]
    # One phoneme has all the weight: only its line is light, and has its letter.
    for place in {0, count // 2, count - 1}:
        weights = np.zeros((30, count), np.float32)
        weights[:, place] = 1.0
        picture = map_picture(Alignment((), weights, np.zeros(30, np.int32)), 20, rows)
        labels = map_labels(letters, len(picture))
        (light,) = {int(row) // 2 for row in np.flatnonzero(picture.max(axis=1))}
        assert len(labels) == len(heat_strips(picture))
        assert letters[place] in labels[light] or len(labels[light]) == 8
