"""Sums of power laws, L = E + sum of A_k / x_k^a_k, and products of powers.

The sums are the joint law of N and D, its marginals, and the tied law. Their free parameters are
E, and for each term c_k = log A_k - a_k m_k with m_k the mean of log x_k over the data, then a_k.
Starting points come from variable projection: for fixed exponents the law is linear in E and the
amplitudes, which non-negative least squares gives exactly, so that only the exponents are searched,
on a grid. Products are straight planes in logarithms: the fit is linear, and its start its answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import (
    EXPONENT,
    FloatArray,
    Law,
    Parameter,
    WithJacobian,
    amplitude,
    bounded,
    bounds_from,
    exponent,
    factor,
    irreducible,
    power_term,
)
from analysis.laws.variable_projection import best_and_spread, non_negative_least_squares

_GRID = np.geomspace(0.03, 3.0, 14)
_BEST, _SPREAD = 16, 16
_STEEPEST = 10.0  # power of a product
_VANISHED = 1e-9  # a term this small, relative to the loss, has vanished


class AdditivePowerLaw(Law):
    """L(x) = E + sum over axes k of A_k / x_k^a_k.

    Subclasses name the axes and the parameters, in the order E, A_1, a_1, A_2, a_2, ...
    Residuals are of log loss, so every free bound is finite.
    """

    additive_floor = True

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        terms = theta[..., None, 1::2] * np.exp(-theta[..., None, 2::2] * np.log(x))
        return np.asarray(theta[..., :1] + terms.sum(axis=-1))

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """See ``Law._carried``; of a term A / x^a it is -a log x."""
        return np.asarray(-free[..., 2::2] * centre)

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log loss and its derivative; see ``Law.log_value``."""
        offset = np.log(x) - centre
        loss, jac = self._terms(free, offset)
        inverse = np.divide(1.0, loss, out=jac[:, 0])
        for k in range(len(self.axes)):
            jac[:, 1 + 2 * k] *= inverse
            np.multiply(jac[:, 1 + 2 * k], -offset[:, k], out=jac[:, 2 + 2 * k])
        return np.log(loss), jac

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        offset = np.log(x) - centre
        loss, jac = self._terms(free, offset)
        jac[:, 0] = 1.0
        for k in range(len(self.axes)):
            np.multiply(jac[:, 1 + 2 * k], -offset[:, k], out=jac[:, 2 + 2 * k])
        return loss, jac

    def _terms(self, free: FloatArray, offset: FloatArray) -> WithJacobian:
        """Loss, and room for its derivative that holds the terms in their amplitudes' places."""
        jac = np.empty((*free.shape, len(offset)))
        loss = np.repeat(free[:, :1], len(offset), axis=1)
        for k in range(len(self.axes)):
            term, slope = jac[:, 1 + 2 * k], free[:, 2 + 2 * k, None]
            np.exp(free[:, 1 + 2 * k, None] - slope * offset[:, k], out=term)
            loss += term
        return loss, jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss), terms from vanishing to 1,000 times the largest loss."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        term = (np.log(_VANISHED * smallest), np.log(1e3 * largest))
        terms = (term, EXPONENT) * len(self.axes)
        return bounds_from(loss, (0.0, smallest * (1 - 1e-9)), *terms)

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Variable projection over a grid of exponents: the best points and a spread of others."""
        misfit, free = _on_grid(np.log(x) - self.centre(x), loss)
        return self._inside(free[best_and_spread(misfit, _BEST, _SPREAD)], x, loss)


def _on_grid(offset: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
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
    linear, misfit = non_negative_least_squares(
        gram[index[:, :, None], index[:, None, :]], right[index], float(len(loss))
    )
    free = np.empty((len(index), 1 + 2 * axes))
    free[:, 0], free[:, 2::2] = linear[:, 0], _GRID[exponent]
    free[:, 1::2] = np.log(np.maximum(linear[:, 1:], 1e-4 * loss.min()))
    return misfit, free


@final
class Chinchilla(AdditivePowerLaw):
    """L(N, D) = E + A / N^alpha + B / D^beta.

    N is the number of backbone parameters, D of unique training records, L in nats.
    """

    name = "chinchilla"
    formula = "L(N, D) = E + A / N^alpha + B / D^beta"
    source = "Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2"
    axes = ("N", "D")
    parameters = (irreducible(), *power_term("A", "alpha", "N"), *power_term("B", "beta", "D"))


@final
class NLaw(AdditivePowerLaw):
    """L(N) = E + A / N^alpha, at one data size.

    N is the number of backbone parameters, L in nats. E holds what the finite data costs as well.
    """

    name = "n_law"
    formula = "L(N) = E + A / N^alpha"
    source = "marginal of Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2"
    axes = ("N",)
    held = ("D",)
    parameters = (
        irreducible("loss left at unlimited N, with this D"),
        *power_term("A", "alpha", "N"),
    )


@final
class DLaw(AdditivePowerLaw):
    """L(D) = E + B / D^beta, at one model size.

    D is the number of unique training records, L in nats. E holds what the finite model costs too.
    """

    name = "d_law"
    formula = "L(D) = E + B / D^beta"
    source = "marginal of Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2"
    axes = ("D",)
    held = ("N",)
    parameters = (
        irreducible("loss left at unlimited D, with this N"),
        *power_term("B", "beta", "D"),
    )


_JOINT = Chinchilla()
_TIED = [0, 1, 3, 4]  # E, A, B, alpha among E, A, alpha, B, beta of the joint law


@final
class Tied(Law):
    """L(N, D) = E + A / N^alpha + B / D^alpha.

    With M = D / N this is a power law in compute at every M, which lets few runs extrapolate.
    """

    name = "tied"
    formula = "L(N, D) = E + A / N^alpha + B / D^alpha"
    source = "Gadre et al. 2024 (arXiv 2403.08540), Eq. 4"
    axes = ("N", "D")
    additive_floor = True
    needed: ClassVar[Mapping[str, int]] = {"N": 2, "D": 2}
    parameters = (
        irreducible(),
        amplitude("A", "N"),
        amplitude("B", "D"),
        exponent("alpha", "N and of D"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        return _JOINT.value(_untied(theta), x)

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        return np.asarray(-free[..., 3:] * centre)

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log loss and its derivative; see ``Law.log_value``."""
        return _tied(*_JOINT.log_value(_untied(free), x, centre))

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        return _tied(*_JOINT.linear_value(_untied(free), x, centre))

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Those of the joint law."""
        lower, upper = _JOINT.bounds(x, loss)
        return lower[..., _TIED], upper[..., _TIED]

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """The starts of the joint law, with the geometric mean of their exponents."""
        starts = _JOINT.to_free(_JOINT.guess(x, loss), self.centre(x))
        starts[:, 4] = np.sqrt(starts[:, 2] * starts[:, 4])
        return self.to_natural(starts[:, _TIED], self.centre(x))


def _untied(parameters: FloatArray) -> FloatArray:
    """E, A, alpha, B, alpha of E, A, B, alpha (..., 4)."""
    return np.asarray(parameters, dtype=np.float64)[..., [0, 1, 3, 2, 3]]


def _tied(value: FloatArray, jac: FloatArray) -> WithJacobian:
    """With the derivatives by both exponents added up."""
    return value, np.stack([jac[:, 0], jac[:, 1], jac[:, 3], jac[:, 2] + jac[:, 4]], axis=1)


def power(name: str, meaning: str) -> Parameter:
    """Power of a scale, of either sign."""
    return bounded(name, meaning, (-_STEEPEST, _STEEPEST))


class ProductLaw(Law):
    """y(x) = c times the product over axes k of x_k^(s_k p_k), with signs s_k of +1 or -1.

    Subclasses name the parameters in the order c, p_1, p_2, ...
    """

    signs: ClassVar[tuple[int, ...]]
    floor = None

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        log: FloatArray = (theta[..., 1:] * np.array(self.signs)) @ np.log(x).T
        return theta[..., :1] * np.exp(log)

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        carried: FloatArray = (free[..., 1:] * np.array(self.signs)) @ centre
        return carried[..., None]

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log response and its derivative; see ``Law.log_value``."""
        columns = self._columns(x, centre)
        value: FloatArray = free @ columns.T
        return value, np.repeat(columns.T[None], len(free), axis=0)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The response at the centre within 1e9 of those seen, powers within ten."""
        size = (np.log(loss.min(axis=-1)) - 20.0, np.log(loss.max(axis=-1)) + 20.0)
        return bounds_from(loss, size, *((p.lower, p.upper) for p in self.parameters[1:]))

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Ordinary least squares in logarithms, and starts around it."""
        columns = self._columns(x, self.centre(x))
        best = np.linalg.lstsq(columns, np.log(loss), rcond=None)[0]
        spread = np.random.default_rng(0).standard_normal((7, len(best)))
        return self._inside(np.concatenate([best[None], best + spread]), x, loss)

    def _columns(self, x: FloatArray, centre: FloatArray) -> FloatArray:
        """What the free parameters are multiplied by (n, P)."""
        return np.column_stack([np.ones(len(x)), (np.log(x) - centre) * np.array(self.signs)])


@final
class Overfitting(ProductLaw):
    """delta(N, D) = c * N^p / D^q.

    delta = (L(N, D) - L(N, inf)) / L(N, inf), the extent of overfitting of S1, Eq. S.8, which
    ``analysis.questions.extent`` takes from a fit. A joint law with exponent beta has q = beta
    and p between 0 and alpha; runs that collapse onto one curve have delta a function of
    D / N^(p/q) alone.
    """

    name = "overfitting"
    formula = "delta(N, D) = c * N^p / D^q"
    source = "Kaplan et al. 2020 (arXiv 2001.08361), section 4.2; S1, Eq. S.8"
    axes = ("N", "D")
    response = "delta"
    unit = ""
    rises = ("N",)
    signs = (1, -1)
    parameters = (
        factor("c", "extent of overfitting, carried back to N = D = 1", ""),
        power("p", "how fast overfitting grows with model size"),
        power("q", "how fast overfitting falls with data"),
    )


@final
class EffectiveData(ProductLaw):
    """D_T(D, N) = k * D^alpha * N^beta.

    D_T is the effective data transferred: how many more records a model trained from scratch
    needs to reach the loss of one fine-tuned on D records; ``analysis.questions.transferred``
    measures it. N is the number of backbone parameters. S1 finds beta < 0.
    """

    name = "effective_data"
    formula = "D_T(D, N) = k * D^alpha * N^beta"
    source = "Hernandez et al. 2021 (arXiv 2102.01293), Eq. 1.1; S1, Eq. S.9"
    axes = ("D", "N")
    response = "D_T"
    unit = "records"
    rises = ("D", "N")
    needed: ClassVar[Mapping[str, int]] = {"D": 3, "N": 2}
    signs = (1, 1)
    parameters = (
        factor("k", "effective data transferred, carried back to D = N = 1", "records"),
        power("alpha", "how fast transferred data grow with the data fine-tuned on"),
        power("beta", "how fast transferred data grow with model size"),
    )
