"""Least squares in logs with a resample that keeps sizes and runs apart."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from analysis.fit.bootstrap import random_factors
from analysis.laws import FloatArray


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogFit:
    """Least squares of logs.

    Attributes:
        log_k: value at 0 of all logs.
        slope: exponents, one per column.
        draws: log_k and exponents of refits (R, 1 + columns).
        r2: share of the variance explained.
        scatter: residual standard deviation.
    """

    log_k: float
    slope: tuple[float, ...]
    draws: FloatArray
    r2: float
    scatter: float

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, n_boot: int, seed: int) -> LogFit:
        """Fit y (n,) to x (n, K), of which the first column is log N."""
        centre = x.mean(axis=0)
        basis = np.column_stack([np.ones(len(y)), x - centre])
        q, r = np.linalg.qr(basis)
        solved = np.linalg.solve(r, q.T @ y)
        fitted = basis @ solved
        rng = np.random.default_rng(seed)
        new = fitted + _drawn(x[:, 0], q, y - fitted, n_boot, rng)
        draws = np.linalg.solve(r, q.T @ new.T).T
        draws[:, 0] -= draws[:, 1:] @ centre
        total = float(((y - y.mean()) ** 2).sum())
        left = float(((y - fitted) ** 2).sum())
        return cls(
            log_k=float(solved[0] - solved[1:] @ centre), slope=tuple(map(float, solved[1:])),
            draws=draws, r2=1 - left / total if total > 0 else math.nan,
            scatter=math.sqrt(left / max(1, len(y) - basis.shape[1])),
        )  # fmt: skip


def _drawn(
    log_n: FloatArray, q: FloatArray, residual: FloatArray, n_boot: int, rng: np.random.Generator
) -> FloatArray:
    """Wild residuals (R, n): one random factor for a size's mean, one for a run's departure."""
    size, index, counts = np.unique(np.round(log_n, 9), return_inverse=True, return_counts=True)
    share = np.clip(1 - (q**2).sum(axis=1), 1 / len(residual), None)
    mean = np.bincount(index, residual) / counts
    line = np.vander(size - size.mean(), 2)
    hat = ((np.linalg.qr(line)[0]) ** 2).sum(axis=1)
    of_size = mean / np.sqrt(np.clip(1 - hat, 1 / len(size), None))
    of_run = (residual - mean[index]) / np.sqrt(share)
    sizes = random_factors(rng, n_boot, len(size)) * of_size
    drawn: FloatArray = sizes[:, index] + random_factors(rng, n_boot, len(residual)) * of_run
    return drawn
