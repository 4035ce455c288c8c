"""An error rate that rises with the loss towards chance."""

from __future__ import annotations

from typing import final

import numpy as np

from analysis.laws.base import FloatArray, Parameter
from analysis.laws.metric import STEEPEST, MetricLaw, level, spread_of


@final
class ErrorLaw(MetricLaw):
    """metric(L) = eps - k * exp(-gamma * L).

    A downstream error that rises with the loss towards eps, its value by chance.
    Source: Gadre et al. 2024 (arXiv 2403.08540), Eq. 5.
    """

    name = "error_law"
    formula = "metric(L) = eps - k * exp(-gamma * L)"
    source = "Gadre et al. 2024 (arXiv 2403.08540), Eq. 5"
    parameters = (
        level("eps", "error at high loss, by chance"),
        Parameter(
            name="k", lower=0.0, upper=np.inf, unit="", positive=True, form="centred",
            meaning="error below chance, carried back to a loss of 0",
        ),
        Parameter(
            name="gamma", lower=0.0, upper=np.inf, unit="1/nats", positive=True, form="log",
            meaning="how fast the error falls with the loss",
        ),
    )  # fmt: skip

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Metric; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        found: FloatArray = theta[..., :1] - theta[..., 1, None] * np.exp(
            -theta[..., 2, None] * x[:, 0]
        )
        return found

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Level, log of the term at the mean loss, log rate."""
        free = np.array(theta, dtype=np.float64)
        tiny = np.finfo(float).tiny
        free[..., 1] = np.log(np.maximum(free[..., 1], tiny)) - free[..., 2] * centre[0]
        free[..., 2] = np.log(np.maximum(free[..., 2], tiny))
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 2] = np.exp(theta[..., 2])
        theta[..., 1] = np.exp(theta[..., 1] + theta[..., 2] * centre[0])
        return theta

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Metric and its derivative; see ``Law.linear_value``."""
        rate, offset = np.exp(free[:, 2, None]), x[:, 0] - centre[0]
        term = np.exp(free[:, 1, None] - rate * offset)
        value = free[:, :1] - term
        jac = np.stack([np.ones_like(term), -term, term * rate * offset], axis=1)
        return value, jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A level in (0, 1], rates within a thousand of what the spread of the loss shows."""
        span = max(float(np.ptp(x)), 1e-12)
        shape = (*loss.shape[:-1], 3)
        lower = [1e-6, np.log(1e-9), np.log(1e-3 / span)]
        upper = [1.0, np.log(10.0), np.log(STEEPEST / span)]
        return np.broadcast_to(lower, shape).copy(), np.broadcast_to(upper, shape).copy()

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Level and term by least squares for rates on a grid."""
        centre = self.centre(x)
        span = max(float(np.ptp(x)), 1e-12)
        found = []
        for rate in np.geomspace(0.02, 30, 24) / span:
            term = np.exp(-rate * (x[:, 0] - centre[0]))
            columns = np.column_stack([np.ones(len(x)), -term])
            level, size = np.linalg.lstsq(columns, loss, rcond=None)[0]
            level, size = float(np.clip(level, 1e-3, 1.0)), max(float(size), 1e-6)
            misfit = float(((columns @ [level, size] - loss) ** 2).sum())
            found.append((misfit, [level, size * np.exp(rate * centre[0]), rate]))
        return spread_of(self, found, x, loss)
