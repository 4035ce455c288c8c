"""A power law that saturates at a floor through its argument."""

from __future__ import annotations

from typing import final

import numpy as np

from analysis.laws.base import FloatArray, Parameter
from analysis.laws.curve import LARGE, STEEPEST, CurveLaw, rate, softplus


@final
class M3(CurveLaw):
    """L(D) = b * (1 / D + g)^c.

    Falls as a power law while D is below 1 / g and levels off at b g^c.
    Free parameters are the log of the loss at the centre of the data, log g and c.
    Source: Alabdulmohsin et al. 2022 (arXiv 2209.06640), M3.
    """

    name = "m3"
    formula = "L(D) = b * (1 / D + g)^c"
    source = "Alabdulmohsin et al. 2022 (arXiv 2209.06640), M3"
    floor = None
    parameters = (
        Parameter(
            name="b", lower=0.0, upper=np.inf, unit="nats", positive=True, form="centred",
            meaning="loss carried to 1 / D + g = 1",
        ),
        Parameter(
            name="g", lower=0.0, upper=np.inf, unit="1/records", positive=True, form="log",
            meaning="inverse of the data beyond which more changes little",
        ),
        Parameter(
            name="c", lower=0.0, upper=STEEPEST, unit="", meaning="exponent of D", exponent=True
        ),
    )  # fmt: skip

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        size, shift, slope = (theta[..., i, None] for i in range(3))
        found: FloatArray = size * (1.0 / x[:, 0] + shift) ** slope
        return found

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Log loss at the centre, log g, c."""
        free = np.log(np.maximum(theta, np.finfo(float).tiny))
        free[..., 2] = np.asarray(theta)[..., 2]
        free[..., 0] += free[..., 2] * (softplus(free[..., 1] + centre[0]) - centre[0])
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.exp(free)
        theta[..., 2] = np.asarray(free)[..., 2]
        carried = softplus(np.asarray(free)[..., 1] + centre[0]) - centre[0]
        theta[..., 0] = np.exp(np.asarray(free)[..., 0] - theta[..., 2] * carried)
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log loss and its derivative; see ``Law.log_value``."""
        u = np.log(x[:, 0]) - centre[0]
        size, shift, slope = free[:, :1], free[:, 1:2] + centre[0], free[:, 2:3]
        k = np.logaddexp(-u, shift) - softplus(shift)
        by_shift = slope * (rate(shift + u) - rate(shift))
        return size + slope * k, np.stack([np.ones_like(k), by_shift, k], axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """1 / g from the smallest D (all floor) to a thousand times the largest (none)."""
        shape = (*loss.shape[:-1], 3)
        lower, upper = np.zeros(shape), np.full(shape, STEEPEST)
        lower[..., 0] = np.log(loss.min(axis=-1)) - LARGE
        upper[..., 0] = np.log(loss.max(axis=-1)) + LARGE
        lower[..., 1] = -np.log(x[:, 0].max()) - LARGE
        upper[..., 1] = -np.log(x[:, 0].min())
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """G on a grid; the level and c by least squares of log loss."""
        centre = self.centre(x)
        u, log_loss = np.log(x[:, 0]) - centre[0], np.log(loss)
        shift = -u.max() + np.array([-6.0, -3.0, -2.0, -1.0, 0.0, 1.0])
        k = np.logaddexp(-u, shift[:, None]) - softplus(shift[:, None])
        off = k - k.mean(axis=1, keepdims=True)
        size = np.maximum((off**2).sum(axis=1), 1e-300)
        slope = np.clip((off * log_loss).sum(axis=1) / size, 0.02, STEEPEST)
        free = np.stack(
            [log_loss.mean() - slope * k.mean(axis=1), shift - centre[0], slope], axis=1
        )
        return self.to_natural(np.clip(free, *self.bounds(x, loss)), centre)
