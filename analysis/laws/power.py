"""What laws of the form L = E + sum of power-law terms share.

A term of axis k is A_k / x_k^a_k. The free parameters are E, and for each term
c_k = log A_k - a_k m_k with m_k the mean of log x_k over the data, then a_k. Starting points
come from variable projection (Golub & Pereyra 1973): for fixed exponents the law is linear in
E and the amplitudes, which non-negative least squares gives exactly, so that only the
exponents are searched, on a grid.
"""

from __future__ import annotations

import itertools
from typing import ClassVar

import numpy as np

from analysis.laws.base import FloatArray, Law, Parameter

EXPONENT = (0.01, 4.0)
SCALES_NEEDED = 3
_GRID = np.geomspace(0.03, 3.0, 14)
_BEST, _SPREAD = 16, 16
_COLLINEAR = 0.995


def irreducible(meaning: str = "irreducible loss (Bayes loss)") -> Parameter:
    """The loss that no amount of the law's scales removes, in [0, smallest loss)."""
    return Parameter(name="E", lower=0.0, upper=np.inf, unit="nats", meaning=meaning)


def amplitude(name: str, axis: str) -> Parameter:
    """Size of one term; its unit depends on the exponent."""
    return Parameter(
        name=name,
        lower=0.0,
        upper=np.inf,
        unit="nats",
        meaning=f"loss from finite {axis}, carried back to {axis} = 1",
        positive=True,
    )


def exponent(name: str, axis: str) -> Parameter:
    """How fast one term falls."""
    low, high = EXPONENT
    return Parameter(name=name, lower=low, upper=high, unit="", meaning=f"exponent of {axis}")


class AdditivePowerLaw(Law):
    """L(x) = E + sum over axes k of A_k / x_k^a_k.

    Subclasses name the axes and the parameters, in the order E, A_1, a_1, A_2, a_2, ...
    Residuals are of log loss, so every free bound is finite.
    """

    floor: ClassVar[float] = 1e-9  # a term this small, relative to the loss, has vanished

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        terms = theta[..., None, 1::2] * np.exp(-theta[..., None, 2::2] * np.log(x))
        total: FloatArray = theta[..., :1] + terms.sum(axis=-1)
        return total

    def jacobian(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Derivative by natural parameters; see ``Law.jacobian``."""
        theta = np.asarray(theta, dtype=np.float64)
        log_x = np.log(x)
        powers = np.exp(-theta[..., None, 2::2] * log_x)
        result = np.ones((*powers.shape[:-1], theta.shape[-1]))
        result[..., 1::2] = powers
        result[..., 2::2] = -theta[..., None, 1::2] * powers * log_x
        return result

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log scale, by axis."""
        mean: FloatArray = np.log(x).mean(axis=0)
        return mean

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, then log amplitude at the centre and exponent of each term."""
        free = np.array(theta, dtype=np.float64)
        amplitudes = np.maximum(free[..., 1::2], np.finfo(float).tiny)
        free[..., 1::2] = np.log(amplitudes) - free[..., 2::2] * centre
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 1::2] = np.exp(theta[..., 1::2] + theta[..., 2::2] * centre)
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log loss and its derivative; see ``Law.log_value``."""
        offset = np.log(x) - centre
        terms = np.exp(free[:, None, 1::2] - free[:, None, 2::2] * offset)
        loss = free[:, :1] + terms.sum(axis=-1)
        shares = terms / loss[..., None]
        result = np.empty((*loss.shape, free.shape[1]))
        result[..., 0] = 1.0 / loss
        result[..., 1::2] = shares
        result[..., 2::2] = -shares * offset
        return np.log(loss), result

    def bounds(self, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss), terms from vanishing to 1,000 times the largest loss."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        shape = (*smallest.shape, len(self.parameters))
        lower, upper = np.empty(shape), np.empty(shape)
        lower[..., 0], upper[..., 0] = 0.0, smallest * (1 - 1e-9)
        lower[..., 1::2] = np.log(self.floor * smallest)[..., None]
        upper[..., 1::2] = np.log(1e3 * largest)[..., None]
        lower[..., 2::2], upper[..., 2::2] = EXPONENT
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Variable projection over a grid of exponents: the best points and a spread of others.

        The spread makes the share of starts that agree say something about the problem.
        """
        from scipy.optimize import nnls

        centre = self.centre(x)
        offset = np.log(x) - centre
        found: list[tuple[float, FloatArray]] = []
        for exponents in itertools.product(_GRID, repeat=len(self.axes)):
            columns = np.column_stack([np.ones(len(x)), np.exp(-np.array(exponents) * offset)])
            linear, misfit = nnls(columns / loss[:, None], np.ones(len(x)))
            free = np.empty(len(self.parameters))
            free[0], free[2::2] = linear[0], exponents
            free[1::2] = np.log(np.maximum(linear[1:], 1e-4 * loss.min()))
            found.append((misfit, free))
        found.sort(key=lambda pair: pair[0])
        rest = np.linspace(_BEST, len(found) - 1, _SPREAD).astype(int)
        chosen = sorted({*range(min(_BEST, len(found))), *(int(i) for i in rest if i >= 0)})
        starts = np.array([found[i][1] for i in chosen if i < len(found)])
        lower, upper = self.bounds(loss)
        return self.to_natural(np.clip(starts, lower, upper), centre)

    def problems(self, x: FloatArray) -> list[str]:
        """Too few scales on an axis, too few points, or axes that move together."""
        found = []
        for k, axis in enumerate(self.axes):
            distinct = len(np.unique(x[:, k]))
            if distinct < SCALES_NEEDED:
                found.append(
                    f"{distinct} value{'s' * (distinct != 1)} of {axis}: "
                    f"{self.name} needs at least {SCALES_NEEDED}"
                )
        if len(x) <= len(self.parameters):
            found.append(
                f"{len(x)} points for {len(self.parameters)} parameters: "
                f"{self.name} needs at least {len(self.parameters) + 1}"
            )
        if len(self.axes) == 2 and not found:
            correlation = float(np.corrcoef(np.log(x).T)[0, 1])
            if abs(correlation) > _COLLINEAR:
                found.append(f"{' and '.join(self.axes)} move together (r = {correlation:.4f})")
        return found
