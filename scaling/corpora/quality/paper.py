"""ECG paper: which lead is drawn where, in millimetres, at 25 mm/s and 10 mm/mV.

Needs neither a plotting library nor a corpus: the PNG of ``show`` and the page of the quality
report draw the same layout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

MM_PER_S = 25.0
MM_PER_UNIT = 10.0
ROW_MM = 25.0
PULSE_MM = 5.0  # width of the calibration pulse, 0.2 s
LEFT_MM = 8.0  # before the traces: the pulse
TOP_MM, BOTTOM_MM = 10.0, 5.0  # beyond the rows: for tall complexes, and for marks
LONGEST_S = 10.0

_COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
_RHYTHM = "II"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A stretch of one lead on the paper.

    Attributes:
        lead: its name.
        x_mm: left end.
        y_mm: zero line, counted downwards from the top.
        start: first sample.
        stop: one past the last sample.
    """

    lead: str
    x_mm: float
    y_mm: float
    start: int
    stop: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A sheet.

    Attributes:
        width_mm: of the grid.
        height_mm: of the grid.
        traces: what is drawn on it.
        seconds: time shown.
    """

    width_mm: float
    height_mm: float
    traces: tuple[Trace, ...]
    seconds: float


def lay_out(leads: Sequence[str], fs_hz: int, samples: int) -> Paper:
    """Place the leads of a recording on a sheet.

    Twelve leads go in three rows of four columns, a quarter of the time each, above a rhythm
    strip of lead II. Fewer have a row each. At most the first ten seconds are shown.
    """
    shown = min(samples, round(LONGEST_S * fs_hz))
    seconds = shown / fs_hz
    traces: list[Trace] = []
    if all(lead in leads for column in _COLUMNS for lead in column):
        edges = [round(shown * k / len(_COLUMNS)) for k in range(len(_COLUMNS) + 1)]
        for k, column in enumerate(_COLUMNS):
            for row, lead in enumerate(column):
                traces.append(_trace(lead, row, edges[k], edges[k + 1], fs_hz))
        traces.append(_trace(_RHYTHM, 3, 0, shown, fs_hz))
    else:
        traces = [_trace(lead, row, 0, shown, fs_hz) for row, lead in enumerate(leads)]
    return Paper(
        width_mm=_up(LEFT_MM + seconds * MM_PER_S + 2.0),
        height_mm=max(trace.y_mm for trace in traces) + ROW_MM / 2 + BOTTOM_MM,
        traces=tuple(traces),
        seconds=seconds,
    )


def _trace(lead: str, row: int, start: int, stop: int, fs_hz: int) -> Trace:
    return Trace(
        lead=lead,
        x_mm=LEFT_MM + start / fs_hz * MM_PER_S,
        y_mm=TOP_MM + (row + 0.5) * ROW_MM,
        start=start,
        stop=stop,
    )


def _up(mm: float) -> float:
    """To the next whole large square."""
    return -(-mm // 5) * 5.0
