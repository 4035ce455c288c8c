"""Sets of pairs of losses, and the loss-to-loss law fitted to each of them at once."""

from __future__ import annotations

import dataclasses

import numpy as np

from analysis.fit.solve.losses import huber
from analysis.fit.solve.problem import DEVIANCE, REFIT_STEPS
from analysis.fit.solve.solver import REFIT, IndexArray, Solution, minimise
from analysis.laws import FloatArray
from analysis.laws.parameters import EXPONENT

_STARTS = (0.1, 0.4, 1.0, 2.0)
_SHARES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.87, 0.93, 0.97)  # of the smallest loss: E_ood to start at
_GLANCE = 30  # steps from another start, by when a lower optimum shows
_SMALLEST = 1e-9  # of an excess loss or a term, relative to the largest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LossPairs:
    """R sets of n pairs of losses with known floors.

    Free parameters are the log of the term at the centre of the set, kappa, and E_ood.

    Attributes:
        log_excess: log(L_id - E_id) less its mean (R, n).
        centre: that mean (R, 1).
        floor: E_ood (R, 1).
        target: log L_ood (R, n).
        weights: of the pairs (R, n).
    """

    log_excess: FloatArray
    centre: FloatArray
    floor: FloatArray
    target: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, log_loss: FloatArray, floors: FloatArray, weights: FloatArray) -> LossPairs:
        """From log losses (2, R, n), floors (R, 2) and weights that broadcast to (R, n)."""
        excess = np.exp(log_loss[0]) - floors[:, :1]
        smallest = _SMALLEST * np.exp(log_loss[0]).max(axis=1, keepdims=True)
        weights = np.broadcast_to(weights, excess.shape) * (excess > smallest)
        log_excess = np.log(np.maximum(excess, smallest))
        total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        centre = (weights * log_excess).sum(axis=1, keepdims=True) / total
        return cls(
            log_excess=log_excess - centre, centre=centre, floor=floors[:, 1:],
            target=log_loss[1], weights=weights,
        )  # fmt: skip

    def model(self, free: FloatArray, rows: IndexArray) -> tuple[FloatArray, FloatArray]:
        """Log L_ood of problems ``rows`` (A,) and its derivative (A, 3, n)."""
        x = self.log_excess[rows]
        term = np.exp(free[:, :1] + free[:, 1:2] * x)
        loss = free[:, 2:] + term
        return np.log(loss), np.stack([term / loss, term * x / loss, 1.0 / loss], axis=1)

    def residual(self, free: FloatArray) -> FloatArray:
        """Log of fitted over measured (R, n)."""
        residual: FloatArray = self.model(free, np.arange(len(free)))[0] - self.target
        return residual

    def solve(self, delta: float, near: float | None = None, *, hold: bool = True) -> Solution:
        """Best K and kappa of each set, from several kappas.

        Args:
            delta: Huber's delta, in log loss.
            near: kappa of the measured pairs, for resamples: they start there,
                and at the best regression.
            hold: keep E_ood at ``floor``; else it is fitted, in [0, smallest loss).
        """
        if near is None:
            return self._from(self._starts(_STARTS, self.floor[:, 0]), delta, hold)
        own = self._starts((near,), self.floor[:, 0])
        found = self._from(self._lowest(delta, hold), delta, hold)
        tried = self._from(own, delta, hold, iterations=_GLANCE)
        lower = tried.objective < found.objective * (1.0 - 1e-9)
        if not lower.any():
            return found
        return found.replaced(lower, self._from(own, delta, hold).at(lower))

    @property
    def _limit(self) -> FloatArray:
        """What E_ood stays below (R,)."""
        limit: FloatArray = np.exp(self.target.min(axis=1)) * (1 - _SMALLEST)
        return limit

    def _above(self, floor: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``floor`` (R,) kept below the losses, and the losses' excess over it (R, n)."""
        loss, floor = np.exp(self.target), np.minimum(floor, self._limit)
        smallest = _SMALLEST * loss.max(axis=1, keepdims=True)
        return floor, np.maximum(loss - floor[:, None], smallest)

    def _starts(self, kappas: tuple[float, ...], floor: FloatArray) -> FloatArray:
        """Free starting points (R, S, 3) with these kappas and E_ood (R,)."""
        floor, excess = self._above(floor)
        mean = np.average(np.log(excess), axis=1, weights=np.maximum(self.weights, 1e-12))
        places = np.broadcast_arrays(mean[:, None], np.array(kappas), floor[:, None])
        return np.stack(places, axis=-1)

    def _regressed(self, floor: FloatArray) -> FloatArray:
        """Free parameters (R, 3) by regression of log(L_ood - E_ood), with E_ood ``floor`` (R,)."""
        floor, excess = self._above(floor)
        share = excess / np.exp(self.target)
        weights = self.weights * share**2 + 1e-12  # errors are even in log L_ood
        x, y = (
            v - np.average(v, axis=1, weights=weights)[:, None]
            for v in (self.log_excess, np.log(excess))
        )
        slope = (weights * x * y).sum(axis=1) / np.maximum((weights * x * x).sum(axis=1), 1e-300)
        kappa = np.clip(slope, *EXPONENT)
        level = np.average(
            np.log(excess) - kappa[:, None] * self.log_excess, axis=1, weights=weights
        )
        return np.stack([level, kappa, floor], axis=-1)

    def _lowest(self, delta: float, hold: bool) -> FloatArray:
        """Each set's best of several regressions, one for each E_ood it may have (R, 1, 3)."""
        floors = [self.floor[:, 0]] + [share * self._limit for share in _SHARES if not hold]
        places = [self._regressed(floor) for floor in floors]
        every = np.arange(len(self.target))
        objective = [
            (huber(self.model(free, every)[0] - self.target, delta) * self.weights).sum(axis=1)
            for free in places
        ]
        best: FloatArray = np.stack(places)[np.argmin(objective, axis=0), every][:, None]
        return best

    def _from(
        self, start: FloatArray, delta: float, hold: bool, iterations: int = REFIT_STEPS
    ) -> Solution:
        """Best solution of each set from its starts (R, S, 3)."""
        sets, starts, _ = start.shape
        highest, limit = np.exp(self.target.max(axis=1)), self._limit
        floor = np.minimum(self.floor[:, 0], limit)
        low, high = (np.full(sets, v) for v in EXPONENT)
        least, most = (floor, floor) if hold else (np.zeros(sets), limit)
        lower = np.stack([np.log(_SMALLEST * highest), low, least], axis=-1)
        upper = np.stack([np.log(1e3 * highest), high, most], axis=-1)
        lower, upper, target, weights = (
            np.repeat(part, starts, axis=0) for part in (lower, upper, self.target, self.weights)
        )
        return minimise(
            lambda free, rows: self.model(free, rows // starts),
            start.reshape(-1, 3), target, lower, upper, delta=delta, weights=weights,
            tolerance=REFIT, decrement=DEVIANCE / self.target.shape[1], iterations=iterations,
        ).best_of(starts)  # fmt: skip
