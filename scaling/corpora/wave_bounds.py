"""Onset, peak and offset of each wave in each lead.

Where a wave lies is known from all leads (``median_beat``). In each lead it begins and ends at
the foot of its outermost steep slope, a little beyond that place at most. The constants were
chosen on the odd records of LUDB, so that the mean error is small both in single leads and for
the earliest onset and the latest offset of twelve.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.median_beat import Span, feet, smooth


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the ends of a kind of wave are found. Samples are of 2 ms.

    Attributes:
        width: samples by which a lead is smoothed.
        steep: least share of a lead's steepest slope that counts as one of the wave.
        reach: samples from a steep slope to what is surely beyond its foot.
        slack: how far the ends may lie before and after the wave in all leads.
        many_phases: of QRS: what levels off is the slope, not the lead itself.
    """

    width: int
    steep: float
    reach: int
    slack: Span
    many_phases: bool = False


P = Shape(width=9, steep=0.3, reach=30, slack=(12, 7))
QRS = Shape(width=9, steep=0.3, reach=25, slack=(18, 18), many_phases=True)
T = Shape(width=21, steep=0.3, reach=60, slack=(20, 20))


def lead_bounds(
    x_RT: NDArray[np.float64], shape: Shape, rising: Span, falling: Span
) -> NDArray[np.float64]:
    """Onset, peak and offset of a wave in each row.

    Args:
        x_RT: (rows, samples): leads, of one beat or of several aligned.
        shape: of the wave.
        rising: samples between which its first slope lies.
        falling: samples between which its last slope lies.

    Returns:
        (rows, 3) samples.
    """
    curve = smooth(x_RT, shape.width)
    gradient = np.gradient(curve, axis=-1)
    slope = np.abs(gradient)
    if shape.many_phases:
        curve = slope = smooth(np.abs(np.gradient(x_RT, axis=-1)), shape.width)
    rows = np.arange(len(x_RT))
    begin, end = _steep(slope, shape, rising)[0], _steep(slope, shape, falling)[1]
    up, down = np.sign(gradient[rows, begin]), -np.sign(gradient[rows, end])
    if shape.many_phases:
        up = down = np.ones(len(rows))
    stop = np.minimum(np.maximum(begin - shape.reach, rising[0] - shape.slack[0]), begin - 3)
    onset = feet(up[:, None] * curve, begin, stop)
    stop = np.maximum(np.minimum(end + shape.reach, falling[1] + shape.slack[1]), end + 3)
    offset = feet(down[:, None] * curve, end, stop)
    return np.stack([onset, _peaks(x_RT, onset, offset), offset], axis=1).astype(np.float64)


def _steep(
    slope_RT: NDArray[np.float64], shape: Shape, span: Span
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last steep sample of each row within a span."""
    start, stop = max(span[0], 1), min(max(span[1], span[0] + 3), slope_RT.shape[1] - 2)
    inside = slope_RT[:, start:stop]
    steep = inside >= shape.steep * inside.max(axis=1, keepdims=True)
    if not shape.many_phases:  # where the lead turns steepest, not where it begins to
        steep &= inside >= slope_RT[:, start - 1 : stop - 1]
        steep &= inside >= slope_RT[:, start + 1 : stop + 1]
        steep[np.arange(len(steep)), inside.argmax(axis=1)] = True
    first = start + steep.argmax(axis=1)
    return first, stop - 1 - steep[:, ::-1].argmax(axis=1)


def _peaks(
    x_RT: NDArray[np.float64], onset_R: NDArray[np.int64], offset_R: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sample farthest from the line between onset and offset."""
    rows = np.arange(len(x_RT))[:, None]
    k = np.arange(int((offset_R - onset_R).max()) + 1)
    at = np.minimum(onset_R[:, None] + k, x_RT.shape[1] - 1)
    share = k / np.maximum(offset_R - onset_R, 1)[:, None]
    ends = x_RT[rows, onset_R[:, None]], x_RT[rows, offset_R[:, None]]
    away = np.abs(x_RT[rows, at] - ends[0] - share * (ends[1] - ends[0]))
    away[share > 1] = 0
    return np.asarray(onset_R + away.argmax(axis=1))
