"""ECG paper: one record as it would come out of a recorder, 25 mm/s and 10 mm/mV.

``save_png`` writes it in true proportions under a header; the quality page draws the same paper.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.format.corpus import Corpus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MM_PER_S = 25.0
MM_PER_UNIT = 10.0
MM_PER_INCH = 25.4
ROW_MM = 25.0
PULSE_MM = 5.0  # width of the calibration pulse, 0.2 s
LEFT_MM = 8.0  # before the traces: the pulse
TOP_MM, BOTTOM_MM = 10.0, 5.0  # beyond the rows: for tall complexes, and for marks
LONGEST_S = 10.0
DPI = 200
FINE, COARSE, INK, MARK = "#f6d5d5", "#e9a5a5", "#101010", "#b00020"

_COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
_RHYTHM = "II"
_HEADER_MM, _MARGIN_MM = 17.0, 5.0
_CHARACTER_MM = 1.6  # of the header, on average
_MOST_CLASSES = 12  # named in the header


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Samples ``start`` to ``stop`` of one lead on the paper, from ``x_mm`` on.

    The zero line ``y_mm`` is counted downwards from the top.
    """

    lead: str
    x_mm: float
    y_mm: float
    start: int
    stop: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A sheet: the size of its grid, and what is drawn on it."""

    width_mm: float
    height_mm: float
    traces: tuple[Trace, ...]


def lay_out(leads: Sequence[str], fs_hz: int, samples: int) -> Paper:
    """Place the leads of a recording on a sheet.

    Twelve leads go in three rows of four columns, a quarter of the time each, above a rhythm
    strip of lead II. Fewer have a row each. At most the first ten seconds are shown.
    """
    shown = min(samples, round(LONGEST_S * fs_hz))
    traces: list[Trace] = []
    if all(lead in leads for column in _COLUMNS for lead in column):
        edges = [round(shown * k / len(_COLUMNS)) for k in range(len(_COLUMNS) + 1)]
        for k, column in enumerate(_COLUMNS):
            for row, lead in enumerate(column):
                traces.append(_trace(lead, row, edges[k], edges[k + 1], fs_hz))
        traces.append(_trace(_RHYTHM, 3, 0, shown, fs_hz))
    else:
        traces = [_trace(lead, row, 0, shown, fs_hz) for row, lead in enumerate(leads)]
    width_mm = LEFT_MM + shown / fs_hz * MM_PER_S + 2.0
    return Paper(
        width_mm=-(-width_mm // 5) * 5.0,  # to the next whole large square
        height_mm=max(trace.y_mm for trace in traces) + ROW_MM / 2 + BOTTOM_MM,
        traces=tuple(traces),
    )


def _trace(lead: str, row: int, start: int, stop: int, fs_hz: int) -> Trace:
    return Trace(
        lead=lead,
        x_mm=LEFT_MM + start / fs_hz * MM_PER_S,
        y_mm=TOP_MM + (row + 0.5) * ROW_MM,
        start=start,
        stop=stop,
    )


def draw(
    axes: Axes, sheet: Paper, corpus: Corpus, row: int, points_per_s: int | None = None
) -> None:
    """Draw grid, calibration pulses, leads and R peaks of one record on axes of the sheet's size.

    A unit of the axes becomes a millimetre. Of a finer signal the extremes are drawn, about
    ``points_per_s``; None draws all.
    """
    axes.set(xlim=(0, sheet.width_mm), ylim=(sheet.height_mm, 0), xticks=[], yticks=[])
    _draw_grid(axes, sheet)
    signal_LT = corpus.batch(np.array([row]))[0]
    fs_hz, peaks = corpus.info["fs_hz"], corpus.r_peaks(row)
    ink: dict[str, Any] = {"color": INK, "linewidth": 0.7, "zorder": 3}
    for y_mm in sorted({trace.y_mm for trace in sheet.traces}):
        axes.plot(*pulse(y_mm), **ink)
    for trace in sheet.traces:
        lead = signal_LT[corpus.leads.index(trace.lead), trace.start : trace.stop]
        samples, lead = extremes(lead, 2 * fs_hz // points_per_s if points_per_s else 1)
        x = trace.x_mm + samples / fs_hz * MM_PER_S
        axes.plot(x, trace.y_mm - lead * MM_PER_UNIT, **ink, solid_joinstyle="round")
        axes.text(trace.x_mm + 1, trace.y_mm - 8, trace.lead, size=8, weight="bold", zorder=4)
        if trace.start:
            axes.vlines(trace.x_mm, trace.y_mm - 3, trace.y_mm + 3, color=INK, linewidth=0.5)
    last = sheet.traces[-1]
    shown = peaks[(peaks >= last.start) & (peaks < last.stop)]
    x = last.x_mm + shown / fs_hz * MM_PER_S
    axes.plot(x, np.full(len(x), sheet.height_mm - 1.5), "^", color=MARK, markersize=3)


def extremes(
    lead: NDArray[np.float32], width: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices and values of the smallest and largest of each ``width`` samples; all up to 2."""
    if width <= 2:
        return np.arange(len(lead)), lead
    whole = len(lead) // width * width
    stretches = lead[:whole].reshape(-1, width)
    order = np.sort(np.stack([stretches.argmin(axis=1), stretches.argmax(axis=1)], axis=1), axis=1)
    index = (order + np.arange(0, whole, width)[:, None]).ravel()
    return index, lead[index]


def _draw_grid(axes: Axes, sheet: Paper) -> None:
    """One broken line a colour and direction: a line a millimetre would fill the SVG."""
    for step, colour, width in ((1, FINE, 0.4), (5, COARSE, 0.6)):
        xs = np.repeat(np.arange(0, sheet.width_mm + 1e-6, step), 3)
        ys = np.repeat(np.arange(0, sheet.height_mm + 1e-6, step), 3)
        style: dict[str, Any] = {"color": colour, "linewidth": width, "zorder": 1}
        axes.plot(xs, np.tile([0, sheet.height_mm, np.nan], len(xs) // 3), **style)
        axes.plot(np.tile([0, sheet.width_mm, np.nan], len(ys) // 3), ys, **style)


def pulse(y_mm: float) -> tuple[list[float], list[float]]:
    """Corners of the calibration pulse of one millivolt (or unit), x and y in millimetres."""
    low, high = y_mm, y_mm - MM_PER_UNIT
    left, right = 1.5, 1.5 + PULSE_MM
    return [0.5, left, left, right, right, right + 1], [low, low, high, high, low, low]


def save_png(corpus: Corpus, record: str, out: Path) -> None:
    """Write a PNG of one record in true proportions, with a header.

    Raises:
        CorpusError: no such record.
    """
    from matplotlib.figure import Figure

    row = corpus.row_of(record)
    sheet = lay_out(corpus.leads, corpus.info["fs_hz"], corpus.info["samples"])
    width = max(sheet.width_mm, 120.0) + 2 * _MARGIN_MM
    height = sheet.height_mm + _HEADER_MM + 2 * _MARGIN_MM
    figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH), dpi=DPI)
    axes = figure.add_axes(
        (_MARGIN_MM / width, _MARGIN_MM / height, sheet.width_mm / width, sheet.height_mm / height)
    )
    draw(axes, sheet, corpus, row)
    title, *lines = header(corpus, row)
    left, top = _MARGIN_MM / width, height - _MARGIN_MM
    # No mathematics in text from a dataset: a "$" in a label would otherwise be parsed.
    style: dict[str, Any] = {"parse_math": False}
    figure.text(left, (top - 4) / height, title, size=11, weight="bold", **style)
    for k, line in enumerate(lines):
        cut = textwrap.shorten(line, int(width / _CHARACTER_MM), placeholder=" ...")
        figure.text(left, (top - 8.5 - 4 * k) / height, cut, size=8, **style)
    figure.savefig(out, format="png", metadata={"Software": None})


def header(corpus: Corpus, row: int) -> tuple[str, str, str]:
    """Three lines: who, what is known of the record and how it was prepared, its labels."""
    record = corpus.record(row)
    known = [f"patient {record['patient']}", record["split"]]
    if record["sex"]:
        known.append(record["sex"])
    if record["age"] is not None:
        known.append(f"{record['age']:.3g} years")
    peaks = corpus.r_peaks(row)
    if len(peaks) > 1:
        rate = 60 * corpus.info["fs_hz"] * (len(peaks) - 1) / float(peaks[-1] - peaks[0])
        known.append(f"{rate:.0f} beats/min")
    known += [
        f"{fault} in {record[column]}"
        for column, fault in (("flat_leads", "flat"), ("saturated_leads", "clipped"))
        if record[column]
    ]
    how = (
        f"{corpus.spec.source}, preset {corpus.spec.preprocessing}, {corpus.info['fs_hz']} Hz, "
        f"25 mm/s, 10 mm/{'mV' if corpus.units == 'mV' else 'unit'}"
    )
    return f"Record {record['record']}", " · ".join([*known, how]), _labels(corpus, row)


def _labels(corpus: Corpus, row: int) -> str:
    parts = []
    for task in corpus.tasks:
        positive = np.flatnonzero(corpus.labels(task)[row])
        names = [corpus.classes(task)[k] for k in positive[:_MOST_CLASSES]]
        if len(positive) > _MOST_CLASSES:
            names.append(f"and {len(positive) - _MOST_CLASSES} more")
        classes = ", ".join(names) if corpus.valid(task)[row] else "not in the task"
        parts.append(f"{task + ': ' if task else ''}{classes or 'none'}")
    return " · ".join(parts)
