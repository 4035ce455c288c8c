"""Draw one record of a corpus the way it would come out of a recorder."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.corpora.format.corpus import Corpus
from scaling.corpora.quality import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 200
FINE, COARSE, INK = "#f6d5d5", "#e9a5a5", "#101010"
_HEADER_MM, _MARGIN_MM, _MM = 17.0, 5.0, 25.4
_CHARACTER_MM = 1.6  # of the header, on average
_LABELS_SHOWN = 12


def show(corpus: Corpus, record: str, out: Path) -> None:
    """Write a PNG of one record on ECG paper, 25 mm/s and 10 mm/mV in true proportions.

    Args:
        corpus: an open corpus.
        record: record id.
        out: file to write.

    Raises:
        CorpusError: no such record.
    """
    from matplotlib.figure import Figure

    row = corpus.row_of(record)
    sheet = paper.lay_out(corpus.leads, corpus.info["fs_hz"], corpus.info["samples"])
    width = max(sheet.width_mm, 120.0) + 2 * _MARGIN_MM
    height = sheet.height_mm + _HEADER_MM + 2 * _MARGIN_MM
    figure = Figure(figsize=(width / _MM, height / _MM), dpi=DPI)
    axes = figure.add_axes(
        (_MARGIN_MM / width, _MARGIN_MM / height, sheet.width_mm / width, sheet.height_mm / height)
    )
    axes.set(xlim=(0, sheet.width_mm), ylim=(sheet.height_mm, 0), xticks=[], yticks=[])
    _draw_grid(axes, sheet)
    _draw_traces(axes, sheet, corpus, row)
    title, *lines = header(corpus, row)
    top = height - _MARGIN_MM
    # No mathematics in text from a dataset: a "$" in a label would otherwise be parsed.
    figure.text(_MARGIN_MM / width, (top - 4) / height, title, size=11, weight="bold",
                parse_math=False)  # fmt: skip
    for k, line in enumerate(lines):
        place = (top - 8.5 - 4 * k) / height
        cut = textwrap.shorten(line, int(width / _CHARACTER_MM), placeholder=" ...")
        figure.text(_MARGIN_MM / width, place, cut, size=8, parse_math=False)
    figure.savefig(out, format="png", metadata={"Software": None})


def header(corpus: Corpus, row: int) -> tuple[str, str, str]:
    """Three lines: who, what is known of the record, how it was prepared."""
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
    found = [
        f"{what} in {record[column]}"
        for column, what in (("flat_leads", "flat"), ("saturated_leads", "clipped"))
        if record[column]
    ]
    how = (
        f"{corpus.spec.source}, preset {corpus.spec.preprocessing}, {corpus.info['fs_hz']} Hz, "
        f"25 mm/s, 10 mm/{'mV' if corpus.units == 'mV' else 'unit'}"
    )
    known_line = " · ".join([*known, *found])
    return f"Record {record['record']}", f"{known_line} · {how}", _labels(corpus, row)


def _labels(corpus: Corpus, row: int) -> str:
    parts = []
    for task in corpus.tasks:
        positive = np.flatnonzero(corpus.labels(task)[row])
        names = [corpus.classes(task)[k] for k in positive[:_LABELS_SHOWN]]
        if len(positive) > _LABELS_SHOWN:
            names.append(f"and {len(positive) - _LABELS_SHOWN} more")
        what = ", ".join(names) if corpus.valid(task)[row] else "not in the task"
        parts.append(f"{task + ': ' if task else ''}{what or 'none'}")
    return " · ".join(parts)


def _draw_grid(axes: Axes, sheet: paper.Paper) -> None:
    for step, colour, line in ((1, FINE, 0.4), (5, COARSE, 0.6)):
        xs = np.arange(0, sheet.width_mm + 1e-6, step)
        ys = np.arange(0, sheet.height_mm + 1e-6, step)
        style: dict[str, Any] = {"color": colour, "linewidth": line, "zorder": 1}
        axes.vlines(xs, 0, sheet.height_mm, **style)
        axes.hlines(ys, 0, sheet.width_mm, **style)


def _draw_traces(axes: Axes, sheet: paper.Paper, corpus: Corpus, row: int) -> None:
    signal_LT = corpus.batch(np.array([row]))[0]
    fs_hz, peaks = corpus.info["fs_hz"], corpus.r_peaks(row)
    for y_mm in sorted({trace.y_mm for trace in sheet.traces}):
        axes.plot(*pulse(y_mm), color=INK, linewidth=0.7, zorder=3)
    for trace in sheet.traces:
        lead = signal_LT[corpus.leads.index(trace.lead), trace.start : trace.stop]
        x = trace.x_mm + np.arange(len(lead)) / fs_hz * paper.MM_PER_S
        y = trace.y_mm - lead * paper.MM_PER_UNIT
        axes.plot(x, y, color=INK, linewidth=0.7, zorder=3, solid_joinstyle="round")
        axes.text(trace.x_mm + 1, trace.y_mm - 8, trace.lead, size=8, weight="bold", zorder=4)
        if trace.start:
            axes.vlines(trace.x_mm, trace.y_mm - 3, trace.y_mm + 3, color=INK, linewidth=0.5)
    last = sheet.traces[-1]
    shown = peaks[(peaks >= last.start) & (peaks < last.stop)]
    x = last.x_mm + shown / fs_hz * paper.MM_PER_S
    axes.plot(x, np.full(len(x), sheet.height_mm - 1.5), "^", color="#b00020", markersize=3)


def pulse(y_mm: float) -> tuple[list[float], list[float]]:
    """Corners of the calibration pulse of one millivolt (or unit), x and y in millimetres."""
    low, high = y_mm, y_mm - paper.MM_PER_UNIT
    left, right = 1.5, 1.5 + paper.PULSE_MM
    return [0.5, left, left, right, right, right + 1], [low, low, high, high, low, low]
