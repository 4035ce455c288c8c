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

from scaling.corpora.signals.median_beat import Span, feet, smooth

LEAST_R = 0.1  # of S: a smaller R is not the peak of QRS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the ends of a kind of wave are found: pairs are for onset and offset.

    Attributes:
        width: samples (of 2 ms) by which a lead is smoothed.
        steep: least share of a lead's steepest slope that counts as one of the wave.
        reach: samples from a steep slope to what is surely beyond its foot.
        slack: samples by which an end may lie outside of where slopes are sought.
        is_qrs: what levels off is the slope, for it has many phases; R is its peak.
    """

    width: int
    steep: tuple[float, float]
    reach: Span
    slack: Span
    is_qrs: bool = False


P = Shape(width=17, steep=(0.3, 0.3), reach=(30, 30), slack=(12, 7))
QRS = Shape(width=9, steep=(0.3, 0.3), reach=(25, 25), slack=(18, 18), is_qrs=True)
T = Shape(width=31, steep=(0.7, 0.5), reach=(40, 60), slack=(20, 24))


def lead_bounds(
    x_RT: NDArray[np.float64], shape: Shape, rising: Span, falling: Span
) -> NDArray[np.float64]:
    """Onset, peak and offset of a wave in each row.

    Args:
        x_RT: (rows, samples): leads, of one beat or of several aligned.
        shape: of the wave.
        rising: samples between which its first steep slope is sought.
        falling: samples between which its last steep slope is sought.

    Returns:
        (rows, 3) samples.
    """
    if shape.is_qrs:
        curve = smooth(np.abs(np.gradient(x_RT, axis=-1)), shape.width)
    else:
        curve = smooth(x_RT, shape.width)
    onset, offset = _end(curve, shape, rising, 0), _end(curve, shape, falling, 1)
    peak = _peaks(x_RT, onset, offset, LEAST_R if shape.is_qrs else 1.0)
    return np.stack([onset, peak, offset], axis=1).astype(np.float64)


def _end(curve_RT: NDArray[np.float64], shape: Shape, span: Span, side: int) -> NDArray[np.int64]:
    """(rows,) onset, or with ``side`` 1 offset: the foot beyond the outermost steep slope."""
    start, stop = max(span[0], 1), min(max(span[1], span[0] + 3), curve_RT.shape[1] - 2)
    slope = curve_RT if shape.is_qrs else np.gradient(curve_RT, axis=-1)
    size = np.abs(slope[:, start - 1 : stop + 1])
    inside = size[:, 1:-1]
    steep = inside >= shape.steep[side] * inside.max(axis=1, keepdims=True)
    rows = np.arange(len(inside))
    if not shape.is_qrs:  # where the lead is steepest, not where it begins to be steep
        steep &= (inside >= size[:, :-2]) & (inside >= size[:, 2:])
        steep[rows, inside.argmax(axis=1)] = True
    if side:
        at = stop - 1 - steep[:, ::-1].argmax(axis=1)
        beyond = np.minimum(at + shape.reach[1], span[1] + shape.slack[1])
        beyond, sign = np.maximum(beyond, at + 3), -1
    else:
        at = start + steep.argmax(axis=1)
        beyond = np.maximum(at - shape.reach[0], span[0] - shape.slack[0])
        beyond, sign = np.minimum(beyond, at - 3), 1
    falls = curve_RT if shape.is_qrs else sign * np.sign(slope[rows, at])[:, None] * curve_RT
    return feet(falls, at, beyond)


def _peaks(
    x_RT: NDArray[np.float64],
    onset_R: NDArray[np.int64],
    offset_R: NDArray[np.int64],
    least: float,
) -> NDArray[np.int64]:
    """(rows,) sample farthest above the line between onset and offset, or farthest below it.

    The highest is taken where it is at least ``least`` times as far.
    """
    rows = np.arange(len(x_RT))[:, None]
    k = np.arange(int((offset_R - onset_R).max()) + 1)
    at = np.minimum(onset_R[:, None] + k, x_RT.shape[1] - 1)
    share = k / np.maximum(offset_R - onset_R, 1)[:, None]
    first, last = x_RT[rows, onset_R[:, None]], x_RT[rows, offset_R[:, None]]
    above = np.where(share > 1, 0.0, x_RT[rows, at] - first - share * (last - first))
    high = above.max(axis=1) >= -least * above.min(axis=1)
    return np.asarray(onset_R + np.where(high, above.argmax(axis=1), above.argmin(axis=1)))
