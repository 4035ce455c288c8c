"""Starting points for a law about which nothing is known but the bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.laws.base import FloatArray

Misfit = Callable[[FloatArray], FloatArray]

_SOBOL = (5, 10)  # 2^6 points for one dimension, twice as many for each more, 2^10 at most
_ROUNDS, _KEPT, _DRAWN = 6, 32, 8
_EASY = 2  # dimensions up to which a sequence covers the box densely enough
_BEST, _SPREAD = 16, 8
_SHRINK = 0.5


def starts(misfit: Misfit, low: FloatArray, high: FloatArray) -> FloatArray:
    """Points (S, P) between ``low`` and ``high`` (P,), the best first.

    A scrambled Sobol sequence covers the box evenly (Sobol 1967; Owen 1998). Its best points are
    then improved by a few rounds of random steps, half as large each time, so that those given
    to the solver lie in a valley of the misfit rather than on its slopes. The rest are spread
    over the whole sequence, which makes the share of starts that agree say something.

    Args:
        misfit: points (S, P) -> what is to be small (S,); infinite where there is no value.
        low: lower ends.
        high: upper ends.
    """
    from scipy.stats import qmc

    size = len(low)
    if not size:
        return np.zeros((_BEST, 0))
    power = min(_SOBOL[0] + size, _SOBOL[1])
    unit = qmc.Sobol(size, scramble=True, rng=0).random_base2(power)
    points = low + unit * (high - low)
    value = misfit(points)
    order = np.argsort(value, kind="stable")
    points, value = points[order], value[order]
    rest = points[np.linspace(_KEPT, len(points) - 1, _SPREAD).astype(int)]
    best, value = points[:_KEPT], value[:_KEPT]
    rng = np.random.default_rng(0)
    width = 0.25 * (high - low)
    for _ in range(_ROUNDS if size > _EASY else 0):
        step = rng.standard_normal((_DRAWN, *best.shape)) * width
        near = np.clip(best + step, low, high).reshape(-1, len(low))
        own = np.concatenate([value[None], misfit(near).reshape(_DRAWN, -1)])
        every = np.concatenate([best[None], near.reshape(_DRAWN, *best.shape)])
        chosen, index = own.argmin(axis=0), np.arange(len(best))
        best, value = every[chosen, index], own[chosen, index]
        width = _SHRINK * width
    best = best[np.argsort(value, kind="stable")][:_BEST]
    return np.concatenate([best, rest])
