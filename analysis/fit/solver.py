"""Many small robust fits at once: a batched, bounded Levenberg-Marquardt.

Starts, bootstrap resamples, profile points and held-out refits are all the same problem
with other weights, targets or bounds, so one vectorised solver does a thousand of them in
about a second. The objective is the *sum* of Huber terms of residuals; a mean lets the
tolerances of common optimisers stop too early (Besiroglu et al. 2024, arXiv 2404.10102).

The curvature blends two forms with the damping. Far from the optimum it is that of iteratively
reweighted least squares, which never overshoots; close to it only points within delta count,
which is Newton's method for Huber's loss and needs five steps where reweighting needs fifty.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from analysis.fit.losses import Loss, Penalty, penalty
from analysis.laws import BoolArray, FloatArray

IndexArray = npt.NDArray[np.intp]
Model = Callable[[FloatArray, IndexArray], tuple[FloatArray, FloatArray]]

CHUNK_ELEMENTS = 100_000  # doubles in the Jacobians worked on at once: 0.8 MB stays in cache
_ITERATIONS = 500
_DAMPING = (1e-12, 1e12)
_FIRST = 0.1
_REWEIGHTED = 10.0  # share of the reweighted curvature, for each unit of damping
_UNDAMPED = 1e-2  # damping up to which a step tells how far the optimum is
_LATE = 15  # steps after which a problem is in a curved valley
_PROBE = 0.1  # of a step, where its bend is measured
_BEND = 0.75  # largest bend of a step, in its length
_STEP = 1e-10
_GRADIENT = 1e-12
_CLOSE = 1e-6  # steps this small are taken when the objective cannot resolve them
_EPS = 4e-16
_ROUNDING = 1e-9  # of residuals together, below which their direction is rounding error
REFIT = 1e-8  # gradient of a refit: a thousandth of a standard error even when ill-conditioned


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

    @classmethod
    def none(cls, parameters: int) -> Solution:
        """No problems."""
        none, free = np.empty(0), np.empty((0, parameters))
        return cls(free=free, objective=none, gradient=none, converged=np.empty(0, dtype=bool))

    def best(self) -> Solution:
        """The best of all problems, as a solution of one (R = 1)."""
        return self.best_of(len(self.objective))

    def best_of(self, starts: int) -> Solution:
        """Keep the best of each ``starts`` consecutive problems."""
        objective = self.objective.reshape(-1, starts)
        return self.at(np.arange(len(objective)) * starts + objective.argmin(axis=1))

    def at(self, index: IndexArray | BoolArray) -> Solution:
        """The problems at ``index``."""
        each = {f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)}
        return Solution(**each)

    def replaced(self, rows: BoolArray, other: Solution) -> Solution:
        """With the problems that ``rows`` (R,) marks taken from ``other``."""
        copies = {f.name: getattr(self, f.name).copy() for f in dataclasses.fields(self)}
        for name, values in copies.items():
            values[rows] = getattr(other, name)
        return Solution(**copies)


def minimise(
    model: Model,
    start: FloatArray,
    target: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    *,
    delta: float | FloatArray,
    loss: Loss | None = None,
    weights: FloatArray | None = None,
    iterations: int = _ITERATIONS,
    tolerance: float = _GRADIENT,
    decrement: float = 0.0,
) -> Solution:
    """Minimise sum_i w_i rho(f_i - target_i) for R problems, rho Huber's loss or one's own.

    Args:
        model: free parameters (A, P) of some of the problems, and which they are (A,) -> f
            (A, n), on the scale of the targets, and its Jacobian (A, P, n).
        start: starting points (R, P).
        target: such as log losses, (n,) or (R, n).
        lower: lower bounds, (P,) or (R, P); equal to ``upper`` where a parameter is fixed.
        upper: upper bounds.
        delta: where Huber's loss turns linear, one for all points or (n,); ``inf`` for least
            squares. For a loss of one's own, what its slope is smoothed over.
        loss: one's own, None for Huber's.
        weights: of the points, (n,) or (R, n); None for 1.
        iterations: after which a problem that has not converged is given up.
        tolerance: of the gradient, as a cosine, at which a problem has converged.
        decrement: share of the objective that a nearly undamped step may still promise to gain
            where a problem has converged (Newton's decrement); 0 for none.
    """
    problems, n = len(start), target.shape[-1]
    work = _Work(
        model=model,
        target=np.broadcast_to(target, (problems, n)),
        weights=None if weights is None else np.broadcast_to(weights, (problems, n)),
        lower=np.broadcast_to(lower, start.shape),
        upper=np.broadcast_to(upper, start.shape),
        penalty=penalty(loss, np.broadcast_to(np.asarray(delta, dtype=np.float64), (n,))),
        iterations=iterations,
        tolerance=tolerance,
        decrement=decrement,
    )
    with np.errstate(all="ignore"):  # a step into a place without a value is not taken
        return work.run(start, max(1, CHUNK_ELEMENTS // (n * start.shape[1])))


@dataclasses.dataclass(slots=True)
class _Active:
    """Problems being worked on: which they are, and the state of each."""

    rows: IndexArray
    theta: FloatArray
    f: FloatArray
    jac: FloatArray
    value: FloatArray
    damping: FloatArray
    steps: IndexArray

    def kept(self, keep: BoolArray) -> _Active:
        return _Active(*(getattr(self, f.name)[keep] for f in dataclasses.fields(self)))

    def joined(self, other: _Active) -> _Active:
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self))
        return _Active(*map(np.concatenate, pairs))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """All problems; a few at a time are worked on, and the finished make place for others."""

    model: Model
    target: FloatArray
    weights: FloatArray | None
    lower: FloatArray
    upper: FloatArray
    penalty: Penalty
    iterations: int
    tolerance: float
    decrement: float

    def begin(self, theta: FloatArray, rows: IndexArray) -> _Active:
        theta = np.clip(theta, self.lower[rows], self.upper[rows])
        f, jac = self.model(theta, rows)
        damping, steps = np.full(len(rows), _FIRST), np.zeros(len(rows), dtype=np.intp)
        return _Active(rows, theta, f, jac, self.objective(f, rows), damping, steps)

    def weigh(self, terms: FloatArray, rows: IndexArray) -> FloatArray:
        return terms if self.weights is None else terms * self.weights[rows]

    def objective(self, f: FloatArray, rows: IndexArray) -> FloatArray:
        terms = self.weigh(self.penalty.value(f - self.target[rows]), rows)
        total: FloatArray = terms.sum(axis=1)
        return np.where(np.isfinite(total), total, np.inf)

    def local(
        self, at: _Active, blend: FloatArray
    ) -> tuple[FloatArray, FloatArray, BoolArray, FloatArray]:
        """Gradient, curvature, parameters held at a bound, and the gradient as a cosine."""
        residual = at.f - self.target[at.rows]
        psi = self.weigh(self.penalty.score(residual), at.rows)
        ratio = self.penalty.weight(residual, blend)
        gradient = np.matmul(at.jac, psi[..., None])[..., 0]
        curvature = np.matmul(
            at.jac * self.weigh(ratio, at.rows)[:, None, :], at.jac.transpose(0, 2, 1)
        )
        low, high = self.lower[at.rows], self.upper[at.rows]
        held = ((at.theta <= low) & (gradient > 0)) | ((at.theta >= high) & (gradient < 0))
        held |= low == high
        norm = np.sqrt((psi * residual).sum(axis=1))
        columns = np.sqrt(np.einsum("rpp->rp", curvature))
        scale = np.maximum(columns * np.maximum(norm, _ROUNDING)[:, None], 1e-150)
        cosine = np.where(held, 0.0, np.abs(gradient) / scale).max(axis=1)
        return gradient, curvature, held, cosine

    def step(self, at: _Active) -> BoolArray:
        """Take one step of every active problem; returns which are finished."""
        gradient, curvature, held, cosine = self.local(at, _REWEIGHTED * at.damping)
        matrix = _damped(curvature, held, at.damping)
        step = _solved(matrix, held, -gradient)
        gain = -0.5 * (gradient * step).sum(axis=1)
        near = (at.damping <= _UNDAMPED) & (gain <= self.decrement * at.value)
        if (late := at.steps >= _LATE).any():
            step[late] += self.bend(at.kept(late), step[late], matrix[late], held[late])
        new = np.clip(at.theta + step, self.lower[at.rows], self.upper[at.rows])
        move = (np.abs(new - at.theta) / (1.0 + np.abs(at.theta))).max(axis=1)
        f, jac = self.model(new, at.rows)
        value = self.objective(f, at.rows)
        better = (value < at.value) | ((move < _CLOSE) & (value <= at.value * (1.0 + _EPS)))
        at.theta[better], at.value[better] = new[better], value[better]
        at.f[better], at.jac[better] = f[better], jac[better]
        at.damping = np.clip(at.damping * np.where(better, 0.1, 5.0), *_DAMPING)
        at.steps += 1
        finished: BoolArray = (move < _STEP) | (at.value < 1e-30) | (at.steps >= self.iterations)
        finished |= (cosine < self.tolerance) | (near & better)
        return finished

    def bend(
        self, at: _Active, step: FloatArray, matrix: FloatArray, held: BoolArray
    ) -> FloatArray:
        """Second-order part of a step, along the curve that keeps the residuals straight.

        Valleys in which E and an exponent trade off are curved, and straight steps along them
        must be short (geodesic acceleration; Transtrum & Sethna 2012, arXiv 1201.5885).
        """
        probe = self.model(at.theta + _PROBE * step, at.rows)[0]
        straight: FloatArray = np.matmul(step[:, None, :], at.jac)[:, 0]
        second = 2.0 / _PROBE * ((probe - at.f) / _PROBE - straight)
        inside = self.penalty.weight(at.f - self.target[at.rows], np.zeros(len(at.rows)))
        right = np.matmul(at.jac, (self.weigh(second, at.rows) * inside)[..., None])[..., 0]
        second_step = 0.5 * _solved(matrix, held, -right)
        scale = np.sqrt(np.einsum("rpp->rp", matrix))
        length = np.linalg.norm(scale * step, axis=1)
        usable = np.linalg.norm(scale * second_step, axis=1) <= _BEND * length
        return np.where((usable & np.isfinite(second_step).all(axis=1))[:, None], second_step, 0.0)

    def run(self, start: FloatArray, size: int) -> Solution:
        count = len(start)
        solution = Solution(
            free=np.empty_like(start, dtype=np.float64),
            objective=np.empty(count),
            gradient=np.empty(count),
            converged=np.zeros(count, dtype=bool),
        )
        first = np.arange(min(size, count))
        active, taken = self.begin(start[first], first), len(first)
        while len(active.rows):
            finished = self.step(active)
            if finished.any():
                self.finish(active.kept(finished), solution)
                active = active.kept(~finished)
                if taken < count and len(active.rows) <= size // 2:
                    rows = np.arange(taken, min(count, taken + size - len(active.rows)))
                    active, taken = active.joined(self.begin(start[rows], rows)), rows[-1] + 1
        return solution

    def finish(self, done: _Active, solution: Solution) -> None:
        solution.free[done.rows], solution.objective[done.rows] = done.theta, done.value
        solution.gradient[done.rows] = self.local(done, np.ones(len(done.rows)))[3]
        solution.converged[done.rows] = (done.steps < self.iterations) & np.isfinite(done.value)


def _damped(curvature: FloatArray, held: BoolArray, damping: FloatArray) -> FloatArray:
    """Curvature (A, P, P) with damping on its diagonal; held parameters are set apart."""
    diagonal = np.einsum("rpp->rp", curvature)
    both = held[:, :, None] | held[:, None, :]
    matrix = np.where(both, 0.0, curvature)
    index = np.arange(held.shape[1])
    floor = 1e-14 * diagonal + 1e-290  # its own: parameters differ by the unit of the response
    matrix[:, index, index] = np.where(held, 1.0, diagonal * (1.0 + damping[:, None]) + floor)
    return matrix


def _solved(matrix: FloatArray, held: BoolArray, right: FloatArray) -> FloatArray:
    """Solution (A, P), 0 for held parameters; the matrix is scaled to a unit diagonal first."""
    unit = 1.0 / np.sqrt(np.einsum("rpp->rp", matrix))
    scaled = matrix * unit[:, :, None] * unit[:, None, :]
    right = np.where(held, 0.0, right * unit)
    return np.asarray(np.linalg.solve(scaled, right[..., None])[..., 0] * unit)
