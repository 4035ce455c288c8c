"""Where two laws cross along an axis, in all resamples at once.

The difference of two laws is c + A_1 x^-a_1 - A_2 x^-a_2, whose slope in log x changes sign once
at most; so they cross at most twice, once in each direction, and every crossing lies alone on
its side of that turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from analysis.laws import FloatArray
from analysis.questions.evidence.additive import PLACE, Additive, Axis

_HALVINGS = 60


def crossings(
    one: Additive, other: Additive, axis: Axis, held: Mapping[str, float], ends: tuple[float, float]
) -> FloatArray:
    """Crossings (1 + R, 2) between two scales; the first law lower below, then above."""
    c = one.without(axis, held) - other.without(axis, held)
    (A, a), (B, b) = ([law.theta[:, k] for k in PLACE[axis]] for law in (one, other))
    low, high = (np.full(len(c), math.log(end)) for end in ends)

    def difference(t: FloatArray) -> FloatArray:
        found: FloatArray = c + A * np.exp(-a * t) - B * np.exp(-b * t)
        return found

    with np.errstate(divide="ignore", invalid="ignore"):
        turn = (np.log(A * a) - np.log(B * b)) / (a - b)
    turn = np.clip(np.where(np.isnan(turn), low, turn), low, high)
    found = np.full((len(c), 2), math.nan)
    for left, right in ((low, turn), (turn, high)):
        start, end = np.sign(difference(left)), np.sign(difference(right))
        x, y = left.copy(), right.copy()
        for _ in range(_HALVINGS):
            middle = 0.5 * (x + y)
            same = np.sign(difference(middle)) == start
            x, y = np.where(same, middle, x), np.where(same, y, middle)
        crossed = start * end < 0
        for direction, sign in enumerate((-1.0, 1.0)):
            here = crossed & (start == sign)
            found[here, direction] = np.exp(0.5 * (x + y)[here])
    return found


def first_is_lower(
    one: Additive, other: Additive, axis: Axis, held: Mapping[str, float], at: tuple[float, float]
) -> FloatArray:
    """Whether the first law is lower (1) or not (0) at two scales (1 + R, 2); NaN without one."""
    losses = [[law.loss({**held, axis: scale}) for scale in at] for law in (one, other)]
    less = np.array(losses[0]).T - np.array(losses[1]).T
    return np.where(np.isnan(less), math.nan, (less < 0).astype(np.float64))
