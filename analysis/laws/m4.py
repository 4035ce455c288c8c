"""A learning curve with a plateau early and a floor late."""

from __future__ import annotations

from typing import final

import numpy as np

from analysis.laws.base import FloatArray, Parameter
from analysis.laws.curve import (
    LARGE,
    SMALLEST,
    STEEPEST,
    VANISHED,
    CurveLaw,
    rate,
    softplus,
    softplus_and_rate,
)
from analysis.laws.power import irreducible

_RISE = float(np.log(10.0))  # the plateau is at most ten times the largest loss
_ALPHA = float(np.log(10.0))  # alpha lies within a factor of ten of 1
_NEWTON = 40


@final
class M4(CurveLaw):
    """(L - E) / (L0 - L)^alpha = b / D^c.

    L falls from the plateau L0 (chance) to the floor E. With z = (L - E) / (L0 - E) and
    w = log(z / (1 - z)) the law reads w + (alpha - 1) log(1 + e^w) = t, where t is linear in
    log D. The left side rises and is convex for alpha > 1, concave for alpha < 1, so Newton's
    method from t (t < 0) or t / alpha converges from one side, always.
    Free parameters are E, log L0, the log of the term at the centre of the data, c, log alpha.
    Source: Alabdulmohsin et al. 2022 (arXiv 2209.06640), M4.
    """

    name = "m4"
    formula = "(L - E) / (L0 - L)^alpha = b / D^c"
    source = "Alabdulmohsin et al. 2022 (arXiv 2209.06640), M4"
    parameters = (
        irreducible("loss left at unlimited D"),
        Parameter(
            name="L0", lower=0.0, upper=np.inf, unit="nats", positive=True, form="log",
            meaning="plateau at little data",
        ),
        Parameter(
            name="b", lower=0.0, upper=np.inf, unit="", positive=True, form="centred",
            meaning="left side carried back to D = 1",
        ),
        Parameter(
            name="c", lower=SMALLEST, upper=STEEPEST, unit="", meaning="exponent of D",
            exponent=True,
        ),
        Parameter(
            name="alpha", lower=0.1, upper=10.0, unit="", positive=True, form="log",
            meaning="how slowly the plateau is left",
        ),
    )  # fmt: skip

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        floor, top, size, slope, alpha = (theta[..., i, None] for i in range(5))
        span = top - floor
        t = np.log(size) - slope * np.log(x[:, 0]) + (alpha - 1.0) * np.log(span)
        found: FloatArray = floor + span * rate(_solved(t, alpha))
        return found

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, log L0, log term at the centre, c, log alpha."""
        free = np.array(theta, dtype=np.float64)
        tiny = np.finfo(float).tiny
        span = np.log(np.maximum(free[..., 1] - free[..., 0], tiny))
        size = np.log(np.maximum(free[..., 2], tiny))
        free[..., 2] = size - free[..., 3] * centre[0] + free[..., 4] * span
        free[..., 1], free[..., 4] = np.log(free[..., 1]), np.log(free[..., 4])
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 1], theta[..., 4] = np.exp(theta[..., 1]), np.exp(theta[..., 4])
        span = np.log(np.maximum(theta[..., 1] - theta[..., 0], np.finfo(float).tiny))
        theta[..., 2] = np.exp(theta[..., 2] + theta[..., 3] * centre[0] - theta[..., 4] * span)
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log loss and its derivative; see ``Law.log_value``."""
        u = np.log(x[:, 0]) - centre[0]
        floor, log_top, size, slope, log_alpha = (free[:, i, None] for i in range(5))
        alpha, top = np.exp(log_alpha), np.exp(log_top)
        span = np.maximum(top - floor, 1e-12 * top)
        w = _solved(size - slope * u - np.log(span), alpha)
        z = rate(w)
        loss = floor + span * z
        by_t = span * z * (1.0 - z) / (1.0 + (alpha - 1.0) * z)
        jac = [
            1.0 - z + by_t / span,
            top * (z - by_t / span),
            by_t,
            -by_t * u,
            -by_t * alpha * softplus(w),
        ]
        return np.log(loss), np.stack(jac, axis=1) / loss[:, None, :]

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss), a plateau above the data and at most ten times as high."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        shape = (*smallest.shape, 5)
        lower, upper = np.zeros(shape), np.empty(shape)
        upper[..., 0] = smallest * (1 - 1e-6)
        lower[..., 1], upper[..., 1] = np.log(largest) + 1e-6, np.log(largest) + _RISE
        lower[..., 2], upper[..., 2] = np.log(smallest) - VANISHED, np.log(largest) + 3 * LARGE
        lower[..., 3], upper[..., 3] = SMALLEST, STEEPEST
        lower[..., 4], upper[..., 4] = -_ALPHA, _ALPHA
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E, L0 and alpha on a grid; the rest is linear in log D."""
        centre, starts = self.centre(x), []
        u = np.log(x[:, 0]) - centre[0]
        columns = np.column_stack([np.ones(len(u)), -u])
        for share in (0.0, 0.7):
            for rise in (0.02, 0.5):
                for alpha in (0.3, 1.0, 3.0):
                    floor, top = share * loss.min(), np.log(loss.max()) + rise
                    span = np.exp(top) - floor
                    z = (loss - floor) / span
                    target = np.log(z) - alpha * np.log1p(-z)
                    size, slope = np.linalg.lstsq(columns, target, rcond=None)[0]
                    slope = np.clip(slope, 0.02, STEEPEST)
                    starts.append([floor, top, size + np.log(span), slope, np.log(alpha)])
        return self.to_natural(np.clip(starts, *self.bounds(x, loss)), centre)


def _solved(t: FloatArray, alpha: FloatArray) -> FloatArray:
    """W with w + (alpha - 1) log(1 + e^w) = t; alpha > 0 broadcasts against t."""
    w = np.where(t < 0.0, t, t / alpha)
    for _ in range(_NEWTON):
        log_sum, slope = softplus_and_rate(w)
        step = (w + (alpha - 1.0) * log_sum - t) / (1.0 + (alpha - 1.0) * slope)
        w = w - step
        if np.abs(step).max() <= 1e-12:
            break
    return w
