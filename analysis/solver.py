"""Many small robust fits at once: a batched, bounded Levenberg-Marquardt.

Starts, bootstrap resamples, profile points and held-out refits are all the same problem
with other weights, targets or bounds, so one vectorised solver does a thousand of them in
about a second. The objective is the *sum* of Huber terms of log-loss residuals; a mean lets
the tolerances of common optimisers stop too early (Besiroglu et al. 2024, arXiv 2404.10102).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]
Model = Callable[[FloatArray, IndexArray], tuple[FloatArray, FloatArray]]

CHUNK_ELEMENTS = 4_000_000  # doubles in one batch's Jacobian: 32 MB
_ITERATIONS = 500
_DAMPING = (1e-12, 1e12)
_STEP = 1e-11


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What the solver found, for R problems of P parameters.

    Attributes:
        free: parameters (R, P).
        objective: sum of Huber terms (R,).
        gradient: largest cosine between the residuals and a column of the Jacobian, over the
            parameters not held at a bound (R,); 0 at an optimum.
        converged: the steps became negligible (R,).
    """

    free: FloatArray
    objective: FloatArray
    gradient: FloatArray
    converged: BoolArray

    def best(self) -> Solution:
        """The best of all problems, as a solution of one (R = 1)."""
        return self.best_of(len(self.objective))

    def best_of(self, starts: int) -> Solution:
        """Keep the best of each ``starts`` consecutive problems."""
        objective = self.objective.reshape(-1, starts)
        index = np.arange(len(objective)) * starts + objective.argmin(axis=1)
        return Solution(
            free=self.free[index],
            objective=self.objective[index],
            gradient=self.gradient[index],
            converged=self.converged[index],
        )


def huber(residual: FloatArray, delta: float) -> FloatArray:
    """Huber's loss: r^2 / 2 within ``delta``, linear beyond; ``inf`` gives least squares."""
    size = np.abs(residual)
    inner = np.minimum(size, delta)
    value: FloatArray = inner * (size - 0.5 * inner)
    return value


def minimise(
    model: Model,
    start: FloatArray,
    target: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    *,
    delta: float,
    weights: FloatArray | None = None,
) -> Solution:
    """Minimise sum_i w_i Huber(log f_i - target_i) for R problems.

    Args:
        model: free parameters (A, P) of some of the problems, and which they are (A,) -> log f
            (A, n) and its Jacobian (A, n, P).
        start: starting points (R, P).
        target: log losses, (n,) or (R, n).
        lower: lower bounds, (P,) or (R, P); equal to ``upper`` where a parameter is fixed.
        upper: upper bounds.
        delta: where Huber's loss turns linear; ``inf`` for least squares.
        weights: of the points, (n,) or (R, n); None for 1.
    """
    problems, n = len(start), target.shape[-1]
    target = np.broadcast_to(target, (problems, n))
    weights = np.broadcast_to(np.ones(n) if weights is None else weights, (problems, n))
    lower, upper = np.broadcast_to(lower, start.shape), np.broadcast_to(upper, start.shape)
    size = max(1, CHUNK_ELEMENTS // (n * start.shape[1]))
    parts = []
    for begin in range(0, problems, size):
        part = slice(begin, begin + size)
        batch = _Batch(
            model=model,
            target=target[part],
            weights=weights[part],
            lower=lower[part],
            upper=upper[part],
            delta=delta,
            first=begin,
        )
        parts.append(batch.run(start[part]))
    merged: dict[str, Any] = {
        field.name: np.concatenate([getattr(p, field.name) for p in parts])
        for field in dataclasses.fields(Solution)
    }
    return Solution(**merged)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """One chunk of problems; rows leave the working set as they converge."""

    model: Model
    target: FloatArray
    weights: FloatArray
    lower: FloatArray
    upper: FloatArray
    delta: float
    first: int

    def value(self, theta: FloatArray, rows: IndexArray) -> tuple[FloatArray, FloatArray]:
        return self.model(theta, rows + self.first)

    def objective(self, log_f: FloatArray, rows: IndexArray) -> FloatArray:
        terms = huber(log_f - self.target[rows], self.delta)
        total: FloatArray = (self.weights[rows] * terms).sum(axis=1)
        return np.where(np.isfinite(total), total, np.inf)

    def local(
        self, theta: FloatArray, log_f: FloatArray, jac: FloatArray, rows: IndexArray
    ) -> tuple[FloatArray, FloatArray, BoolArray, FloatArray]:
        """Gradient, curvature, parameters held at a bound, and the gradient as a cosine."""
        residual = log_f - self.target[rows]
        psi = np.clip(residual, -self.delta, self.delta)
        ratio = np.divide(psi, residual, out=np.ones_like(psi), where=np.abs(residual) > self.delta)
        weights = self.weights[rows]
        gradient = np.einsum("rnp,rn->rp", jac, weights * psi)
        weighted = jac * (weights * ratio)[..., None]
        curvature = np.matmul(weighted.transpose(0, 2, 1), jac)
        held = ((theta <= self.lower[rows]) & (gradient > 0)) | (
            (theta >= self.upper[rows]) & (gradient < 0)
        )
        held |= self.lower[rows] == self.upper[rows]
        norm = np.sqrt((weights * psi * residual).sum(axis=1))
        columns = np.sqrt(np.einsum("rpp->rp", curvature))
        scale = np.maximum(columns * norm[:, None], 1e-150)
        cosine = np.where(held, 0.0, np.abs(gradient) / scale).max(axis=1)
        return gradient, curvature, held, np.where(norm < 1e-12, 0.0, cosine)

    def run(self, start: FloatArray) -> Solution:
        theta = np.clip(start, self.lower, self.upper)
        rows = np.arange(len(theta))
        log_f, jac = self.value(theta, rows)
        value = self.objective(log_f, rows)
        damping = np.full(len(theta), 1e-3)
        converged = np.zeros(len(theta), dtype=bool)
        final = np.zeros(len(theta))
        for _ in range(_ITERATIONS):
            gradient, curvature, held, final[rows] = self.local(theta[rows], log_f, jac, rows)
            step = _step(gradient, curvature, held, damping[rows])
            new = np.clip(theta[rows] + step, self.lower[rows], self.upper[rows])
            move = np.abs(new - theta[rows]) / (1.0 + np.abs(theta[rows]))
            new_log_f, new_jac = self.value(new, rows)
            new_value = self.objective(new_log_f, rows)
            better = new_value < value[rows]
            small = move.max(axis=1) < _STEP
            theta[rows[better]] = new[better]
            value[rows[better]] = new_value[better]
            log_f[better], jac[better] = new_log_f[better], new_jac[better]
            damping[rows] = np.clip(damping[rows] * np.where(better, 0.2, 5.0), *_DAMPING)
            finished = small | (value[rows] < 1e-30)
            converged[rows[finished]] = True
            keep = ~finished
            rows, log_f, jac = rows[keep], log_f[keep], jac[keep]
            if not rows.size:
                break
        everything = np.arange(len(theta))
        final = self.local(theta, *self.value(theta, everything), everything)[3]
        return Solution(free=theta, objective=value, gradient=final, converged=converged)


def _step(
    gradient: FloatArray, curvature: FloatArray, held: BoolArray, damping: FloatArray
) -> FloatArray:
    """Damped Gauss-Newton step in the parameters that are not held."""
    diagonal = np.einsum("rpp->rp", curvature)
    both = held[:, :, None] | held[:, None, :]
    matrix = np.where(both, 0.0, curvature)
    index = np.arange(gradient.shape[1])
    floor = 1e-14 * diagonal.max(axis=1, keepdims=True) + 1e-290
    matrix[:, index, index] = np.where(held, 1.0, diagonal * (1.0 + damping[:, None]) + floor)
    right = np.where(held, 0.0, -gradient)
    solved: FloatArray = np.linalg.solve(matrix, right[..., None])[..., 0]
    return solved
