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
_GRID = np.geomspace(0.03, 3.0, 14)
_BEST, _SPREAD = 16, 16


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
        form="centred",
    )


def exponent(name: str, axis: str) -> Parameter:
    """How fast one term falls."""
    low, high = EXPONENT
    return Parameter(
        name=name, lower=low, upper=high, unit="", meaning=f"exponent of {axis}", exponent=True
    )


class AdditivePowerLaw(Law):
    """L(x) = E + sum over axes k of A_k / x_k^a_k.

    Subclasses name the axes and the parameters, in the order E, A_1, a_1, A_2, a_2, ...
    Residuals are of log loss, so every free bound is finite.
    """

    vanished: ClassVar[float] = 1e-9  # a term this small, relative to the loss, has vanished
    additive_floor = True

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        terms = theta[..., None, 1::2] * np.exp(-theta[..., None, 2::2] * np.log(x))
        total: FloatArray = theta[..., :1] + terms.sum(axis=-1)
        return total

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
        result = np.empty((*free.shape, len(x)))
        loss = np.repeat(free[:, :1], len(x), axis=1)
        for k in range(len(self.axes)):
            term, slope = result[:, 1 + 2 * k], free[:, 2 + 2 * k, None]
            np.exp(free[:, 1 + 2 * k, None] - slope * offset[:, k], out=term)
            loss += term
        inverse = np.divide(1.0, loss, out=result[:, 0])
        for k in range(len(self.axes)):
            result[:, 1 + 2 * k] *= inverse
            np.multiply(result[:, 1 + 2 * k], -offset[:, k], out=result[:, 2 + 2 * k])
        return np.log(loss), result

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        offset = np.log(x) - centre
        result = np.ones((*free.shape, len(x)))
        loss = np.repeat(free[:, :1], len(x), axis=1)
        for k in range(len(self.axes)):
            term, slope = result[:, 1 + 2 * k], free[:, 2 + 2 * k, None]
            np.exp(free[:, 1 + 2 * k, None] - slope * offset[:, k], out=term)
            np.multiply(term, -offset[:, k], out=result[:, 2 + 2 * k])
            loss += term
        return loss, result

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss), terms from vanishing to 1,000 times the largest loss."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        shape = (*smallest.shape, len(self.parameters))
        lower, upper = np.empty(shape), np.empty(shape)
        lower[..., 0], upper[..., 0] = 0.0, smallest * (1 - 1e-9)
        lower[..., 1::2] = np.log(self.vanished * smallest)[..., None]
        upper[..., 1::2] = np.log(1e3 * largest)[..., None]
        lower[..., 2::2], upper[..., 2::2] = EXPONENT
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Variable projection over a grid of exponents: the best points and a spread of others.

        The spread makes the share of starts that agree say something about the problem.
        """
        centre = self.centre(x)
        misfit, free = _projected(np.log(x) - centre, loss)
        order = np.argsort(misfit, kind="stable")
        rest = np.linspace(_BEST, len(order) - 1, _SPREAD).astype(int)
        chosen = sorted({*range(min(_BEST, len(order))), *(int(i) for i in rest if i >= 0)})
        starts = free[order[[i for i in chosen if i < len(order)]]]
        lower, upper = self.bounds(x, loss)
        return self.to_natural(np.clip(starts, lower, upper), centre)


def _projected(offset: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Best E and amplitudes for every combination of exponents on a grid.

    Relative errors are minimised under non-negativity. All combinations share the inner
    products of a few columns, and with so few unknowns the supports are simply tried in turn.

    Args:
        offset: log scales less their centre (n, K).
        loss: (n,).

    Returns:
        Misfit (S,) and free parameters (S, 1 + 2 K).
    """
    axes = offset.shape[1]
    columns = [1.0 / loss]
    columns += [np.exp(-a * offset[:, k]) / loss for k in range(axes) for a in _GRID]
    table = np.array(columns)
    gram, right = table @ table.T, table.sum(axis=1)
    exponent = np.array(list(itertools.product(range(len(_GRID)), repeat=axes)))
    index = np.column_stack(
        [np.zeros(len(exponent), dtype=int), exponent + 1 + len(_GRID) * np.arange(axes)]
    )
    linear, misfit = non_negative(
        gram[index[:, :, None], index[:, None, :]], right[index], float(len(loss))
    )
    free = np.empty((len(index), 1 + 2 * axes))
    free[:, 0], free[:, 2::2] = linear[:, 0], _GRID[exponent]
    free[:, 1::2] = np.log(np.maximum(linear[:, 1:], 1e-4 * loss.min()))
    return misfit, free


def non_negative(
    gram: FloatArray, right: FloatArray, total: float
) -> tuple[FloatArray, FloatArray]:
    """Non-negative least squares (S, m) and their misfit (S,), from normal equations."""
    count, size = right.shape
    best, lowest = np.zeros((count, size)), np.full(count, total)
    for support in itertools.chain.from_iterable(
        itertools.combinations(range(size), k) for k in range(1, size + 1)
    ):
        part = list(support)
        matrix = gram[:, part][:, :, part]
        ridge = 1e-13 * np.einsum("spp->sp", matrix).max(axis=1)
        found = np.linalg.solve(
            matrix + ridge[:, None, None] * np.eye(len(part)), right[:, part, None]
        )[..., 0]
        misfit = total - (found * right[:, part]).sum(axis=1)
        better = (found >= 0).all(axis=1) & (misfit < lowest)
        lowest[better] = misfit[better]
        best[better] = 0.0
        best[np.ix_(better, part)] = found[better]
    return best, lowest
