"""Sets of pairs of losses, and the loss-to-loss law fitted to each of them at once."""

from __future__ import annotations

import dataclasses

import numpy as np

from analysis.laws import FloatArray
from analysis.laws.power import EXPONENT
from analysis.solver import REFIT, IndexArray, Solution, minimise

_STARTS = (0.1, 0.4, 1.0, 2.0)
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
            near: kappa of the measured pairs, for resamples: they start there and at 1 only.
            hold: keep E_ood at ``floor``; else it is fitted, in [0, smallest loss).
        """
        if near is None:
            return self._from(_STARTS, delta, hold, {})
        found = self._from((near,), delta, hold, {})
        other = self._from((1.0,), delta, hold, {"iterations": _GLANCE})
        lower = other.objective < found.objective * (1.0 - 1e-9)
        if not lower.any():
            return found
        return found.replaced(lower, self._from((1.0,), delta, hold, {}).at(lower))

    def _from(
        self, kappas: tuple[float, ...], delta: float, hold: bool, control: dict[str, int]
    ) -> Solution:
        """Best solution from these kappas."""
        sets, starts = len(self.target), len(kappas)
        loss = np.exp(self.target)
        highest, limit = loss.max(axis=1), loss.min(axis=1) * (1 - _SMALLEST)
        floor = np.minimum(self.floor[:, 0], limit)
        excess = np.maximum(loss - floor[:, None], _SMALLEST * highest[:, None])
        mean = np.average(np.log(excess), axis=1, weights=np.maximum(self.weights, 1e-12))
        start = np.stack(
            np.broadcast_arrays(mean[:, None], np.array(kappas), floor[:, None]), axis=-1
        )
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
            tolerance=REFIT, **control,
        ).best_of(starts)  # fmt: skip
