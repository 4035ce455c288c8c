"""The optimum of E + A / N^alpha + B / D^beta under k N^m D^q = C, in closed form."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from analysis.fit.sampled import Sampled
from analysis.laws import FloatArray
from analysis.text import Interval

_RANGES = (*[(-math.inf, math.inf)] * 3, (0.0, 1.0))  # of a, b, gamma and the share of data


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """One law and cost, or R of them.

    Attributes:
        theta: E, A, alpha, B, beta (..., 5), the last four positive.
        cost: log k, m, q (3,) or (..., 3), the last two positive.
    """

    theta: FloatArray
    cost: FloatArray

    @property
    def scale(self) -> FloatArray:
        """S = m beta + q alpha (...)."""
        total: FloatArray = (
            self.cost[..., 1] * self.theta[..., 4] + self.cost[..., 2] * self.theta[..., 2]
        )
        return total

    @property
    def exponents(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """A = beta / s, b = alpha / s, gamma = alpha beta / s, and D's share q b of compute."""
        alpha, beta = self.theta[..., 2], self.theta[..., 4]
        b = alpha / self.scale
        return beta / self.scale, b, b * beta, self.cost[..., 2] * b

    def optimum(self, log_c: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log N*, log D* and the loss there, at log C (m,); shapes (..., m)."""
        E, A, alpha, B, beta = (self.theta[..., i, None] for i in range(5))
        log_k, m, q = (self.cost[..., i, None] for i in range(3))
        # log G: marginal returns per share of compute are equal at the optimum
        balance = np.log(alpha) + np.log(A) + np.log(q) - np.log(beta) - np.log(B) - np.log(m)
        scale = self.scale[..., None]
        log_n = (q * balance + beta * (log_c - log_k)) / scale
        log_d = (-m * balance + alpha * (log_c - log_k)) / scale
        loss = E + np.exp(np.log(A) - alpha * log_n) + np.exp(np.log(B) - beta * log_d)
        return log_n, log_d, loss

    def loss(self, log_n: FloatArray, log_d: FloatArray) -> FloatArray:
        """Loss at log N and log D, of one law."""
        E, A, alpha, B, beta = self.theta
        loss: FloatArray = E + A * np.exp(-alpha * log_n) + B * np.exp(-beta * log_d)
        return loss

    def log_d(self, level: float, log_n: FloatArray) -> FloatArray:
        """Log D at which the loss is ``level`` at log N (m,), of one law; NaN where nowhere."""
        E, A, alpha, B, beta = self.theta
        left = level - E - A * np.exp(-alpha * log_n)
        log_d: FloatArray = (np.log(B) - np.log(np.where(left > 0, left, np.nan))) / beta
        return log_d

    def log_c(self, log_n: FloatArray, log_d: FloatArray) -> FloatArray:
        """Log C at log N and log D, of one cost."""
        log_k, m, q = self.cost
        log_c: FloatArray = log_k + m * log_n + q * log_d
        return log_c


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exponents:
    """How the optimum moves with C, with 95 % intervals.

    Attributes:
        a: of N* ~ C^a.
        b: of D* ~ C^b.
        gamma: of the excess loss ~ C^-gamma.
        share_data: share of a marginal log-increase of C that goes to data, q b, in [0, 1];
            alpha / (alpha + beta) for C = k N D. The rest, m a, goes to size.
        a_interval: of ``a``.
        b_interval: of ``b``.
        gamma_interval: of ``gamma``.
        share_data_interval: of ``share_data``, within [0, 1].
    """

    a: float
    b: float
    gamma: float
    share_data: float
    a_interval: Interval
    b_interval: Interval
    gamma_interval: Interval
    share_data_interval: Interval


def exponents_of(best: Surface, drawn: Surface, dof: int) -> Exponents:
    """The exponents of a surface, with percentiles of its refits.

    Args:
        best: one law and cost.
        drawn: R of them; none gives NaN intervals.
        dof: degrees of freedom of the fit.
    """
    points = [float(v) for v in best.exponents]
    ends = [
        Sampled(point=point, samples=sample, dof=dof, lower=lower, upper=upper).interval
        for point, sample, (lower, upper) in zip(points, drawn.exponents, _RANGES, strict=True)
    ]
    return Exponents(
        a=points[0],
        b=points[1],
        gamma=points[2],
        share_data=points[3],
        a_interval=ends[0],
        b_interval=ends[1],
        gamma_interval=ends[2],
        share_data_interval=ends[3],
    )
