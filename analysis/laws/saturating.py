"""A law of few records seen many times: undercapacity, undertraining and overfitting."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import FloatArray, Law, Parameter
from analysis.laws.power import EXPONENT, amplitude, exponent, irreducible, non_negative

_RISE = 10.0  # an uninformed loss is at most so many times the largest seen
_VANISHED, _MOST = -21.0, 7.0  # log of a term of h at the centre
_FLOORS, _RISES = (0.0, 0.6), (1.2, 3.0)
_SLOPES = (0.2, 0.5, 1.0)
_OVER = ((0.2, 0.5), (0.5, 1.0), (1.0, 2.0))
_BEST, _SPREAD = 16, 8


@final
class Saturating(Law):
    """L(N, D, S) = E + (L0 - E) * h / (1 + h).

    h = a / N^alpha + b / S^beta + c * N^gamma / D^delta.

    The terms of h are too small a model, too little training (S samples seen) and overfitting of D
    unique records. The loss stays between E and L0, that of a prediction without information,
    which the kind of loss fixes (``fixed={"L0": ...}``); with h small and many records it is
    Chinchilla's law. Free parameters are E, log L0, the logs of the terms at the centre of the
    data, and the exponents.
    Source: Bryant & Liu 2026 (arXiv 2605.09189), whose T is S here.
    """

    name = "saturating"
    formula = (
        "L(N, D, S) = E + (L0 - E) * h / (1 + h). "
        "h = a / N^alpha + b / S^beta + c * N^gamma / D^delta"
    )
    source = "Bryant & Liu 2026 (arXiv 2605.09189)"
    axes = ("N", "D", "S")
    rises = ("N",)
    needed: ClassVar[Mapping[str, int]] = {"N": 3, "D": 3, "S": 3}
    parameters = (
        irreducible(),
        Parameter(
            name="L0", lower=0.0, upper=np.inf, unit="nats", positive=True, form="log",
            meaning="loss of a prediction without information",
        ),
        amplitude("a", "N"),
        exponent("alpha", "N"),
        amplitude("b", "S"),
        exponent("beta", "S"),
        amplitude("c", "D, which grows with N"),
        exponent("gamma", "N in overfitting"),
        exponent("delta", "D in overfitting"),
    )  # fmt: skip

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        floor, top, a, alpha, b, beta, c, gamma, delta = (theta[..., i, None] for i in range(9))
        n, d, s = np.log(x).T
        h = a * np.exp(-alpha * n) + b * np.exp(-beta * s) + c * np.exp(gamma * n - delta * d)
        found: FloatArray = floor + (top - floor) * h / (1.0 + h)
        return found

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log scale, by axis."""
        mean: FloatArray = np.log(x).mean(axis=0)
        return mean

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Log of each term at the centre, less that of its amplitude (..., 3)."""
        n, d, s = centre
        over = free[..., 7] * n - free[..., 8] * d
        return np.stack([-free[..., 3] * n, -free[..., 5] * s, over], axis=-1)

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, log L0, then log of each term at the centre, and exponents."""
        free = np.array(theta, dtype=np.float64)
        free[..., [1, 2, 4, 6]] = np.log(np.maximum(free[..., [1, 2, 4, 6]], np.finfo(float).tiny))
        free[..., [2, 4, 6]] += self._carried(free, centre)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., [2, 4, 6]] -= self._carried(theta, centre)
        theta[..., [1, 2, 4, 6]] = np.exp(theta[..., [1, 2, 4, 6]])
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log loss and its derivative; see ``Law.log_value``."""
        n, d, s = (np.log(x) - centre).T
        floor, log_top, at_n, alpha, at_s, beta, over, gamma, delta = (
            free[:, i, None] for i in range(9)
        )
        by_n, by_s = np.exp(at_n - alpha * n), np.exp(at_s - beta * s)
        by_d = np.exp(np.minimum(over + gamma * n - delta * d, 300.0))
        rest = 1.0 / (1.0 + by_n + by_s + by_d)
        top, share = np.exp(log_top), 1.0 - rest
        span = top - floor
        loss = floor + span * share
        steep = span * rest * rest  # derivative by h
        jac = np.empty((*free.shape, len(x)))
        jac[:, 0], jac[:, 1] = rest, top * share
        jac[:, 2], jac[:, 3] = steep * by_n, -steep * by_n * n
        jac[:, 4], jac[:, 5] = steep * by_s, -steep * by_s * s
        jac[:, 6] = steep * by_d
        jac[:, 7], jac[:, 8] = steep * by_d * n, -steep * by_d * d
        jac /= loss[:, None, :]
        return np.log(loss), jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss), L0 from the largest loss to ten times it."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        shape = (*smallest.shape, 9)
        lower, upper = np.empty(shape), np.empty(shape)
        lower[..., 0], upper[..., 0] = 0.0, smallest * (1 - 1e-9)
        lower[..., 1], upper[..., 1] = np.log(largest) + 1e-6, np.log(_RISE * largest)
        lower[..., [2, 4, 6]], upper[..., [2, 4, 6]] = _VANISHED, _MOST
        lower[..., [3, 5, 7, 8]], upper[..., [3, 5, 7, 8]] = EXPONENT
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E, L0 and exponents on a grid; h = (L - E) / (L0 - L) is linear in the amplitudes."""
        n, d, s = (np.log(x) - self.centre(x)).T
        grid = list(itertools.product(_SLOPES, _SLOPES, _OVER))
        table = np.array(
            [[np.exp(-p * n), np.exp(-q * s), np.exp(g * n - e * d)] for p, q, (g, e) in grid]
        )
        free, misfit = [], []
        for share, rise in itertools.product(_FLOORS, _RISES):
            floor, top = share * loss.min(), rise * loss.max()
            relative = table / ((loss - floor) / (top - loss))
            gram = relative @ relative.transpose(0, 2, 1)
            size, error = non_negative(gram, relative.sum(axis=2), float(len(loss)))
            for (p, q, (g, e)), term, miss in zip(grid, size, error, strict=True):
                at_n, at_s, over = np.log(np.maximum(term, 1e-4))
                free.append([floor, np.log(top), at_n, p, at_s, q, over, g, e])
                misfit.append(miss)
        order = np.argsort(misfit, kind="stable")
        rest = np.linspace(_BEST, len(order) - 1, _SPREAD).astype(int)
        chosen = np.array(free)[order[[*range(_BEST), *rest]]]
        return self.to_natural(np.clip(chosen, *self.bounds(x, loss)), self.centre(x))
