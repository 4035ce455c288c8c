"""What laws of one scale share that saturate at its low end: E + A / (x + x0)^gamma."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import FloatArray, Law
from analysis.laws.power import EXPONENT

_EXPONENTS = np.geomspace(0.05, 3.0, 12)
_SHIFTS = np.geomspace(1e-3, 1e3, 13)
_RANGE = np.log(1e6)
_VANISHED = 1e-9


class ShiftedPowerLaw(Law):
    """y(x) = E + A / (x + x0)^gamma, parameters in the order E, A, x0, gamma.

    Free parameters are E, the log of the term at the centre of the data, log x0 and gamma.
    """

    additive_floor = True

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        floor, size, shift, slope = (theta[..., i, None] for i in range(4))
        found: FloatArray = floor + size * np.exp(-slope * np.log(x[:, 0] + shift))
        return found

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log scale (1,)."""
        mean: FloatArray = np.log(x).mean(axis=0)
        return mean

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, log term at the centre, log shift, exponent."""
        free = np.array(theta, dtype=np.float64)
        tiny = np.finfo(float).tiny
        carried = free[..., 3] * np.log(np.exp(centre[0]) + free[..., 2])
        free[..., 1] = np.log(np.maximum(free[..., 1], tiny)) - carried
        free[..., 2] = np.log(np.maximum(free[..., 2], tiny))
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 2] = np.exp(theta[..., 2])
        carried = theta[..., 3] * np.log(np.exp(centre[0]) + theta[..., 2])
        theta[..., 1] = np.exp(theta[..., 1] + carried)
        return theta

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Response, of any sign, and its derivative; see ``Law.linear_value``."""
        floor, size, log_shift, slope = (free[:, i, None] for i in range(4))
        shift, middle = np.exp(log_shift), np.exp(centre[0])
        offset = np.log((x[:, 0] + shift) / (middle + shift))
        term = np.exp(size - slope * offset)
        loss = floor + term
        moved = shift / (x[:, 0] + shift) - shift / (middle + shift)
        jac = [np.ones_like(loss), term, -term * slope * moved, -term * offset]
        return loss, np.stack(jac, axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest), shifts within a million of the scales, terms not vanishing."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        shape = (*smallest.shape, 4)
        lower, upper = np.empty(shape), np.empty(shape)
        lower[..., 0], upper[..., 0] = 0.0, smallest * (1 - 1e-9)
        lower[..., 1], upper[..., 1] = np.log(_VANISHED * smallest), np.log(1e3 * largest)
        lower[..., 2] = np.log(x[:, 0].min()) - _RANGE
        upper[..., 2] = np.log(x[:, 0].max()) + _RANGE / 2
        lower[..., 3], upper[..., 3] = EXPONENT
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E and the amplitude by least squares for shifts and exponents on a grid."""
        centre = self.centre(x)
        middle = np.exp(centre[0])
        found: list[tuple[float, tuple[float, ...]]] = []
        for shift in middle * _SHIFTS:
            for slope in _EXPONENTS:
                term = np.exp(-slope * np.log((x[:, 0] + shift) / (middle + shift)))
                for floor, size in _two(term / loss, 1.0 / loss):
                    misfit = float((((floor + size * term) / loss - 1.0) ** 2).sum())
                    found.append((misfit, (floor, np.log(size), np.log(shift), slope)))
        found.sort(key=lambda pair: pair[0])
        chosen = [*range(12), *np.linspace(12, len(found) - 1, 12).astype(int)]
        starts = np.array([found[i][1] for i in chosen])
        lower, upper = self.bounds(x, loss)
        return self.to_natural(np.clip(starts, lower, upper), centre)


def _two(term: FloatArray, floor: FloatArray) -> list[tuple[float, float]]:
    """Least-squares floor and size, not negative, for relative residuals."""
    both = np.linalg.lstsq(np.column_stack([floor, term]), np.ones(len(term)), rcond=None)[0]
    alone = max(float(term.sum() / (term**2).sum()), 1e-300)
    if both[0] <= 0 or both[1] <= 0:
        return [(0.0, alone)]
    return [(float(both[0]), float(both[1]))]
