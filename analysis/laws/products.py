"""Products of powers, y = c times powers of the scales: straight planes in logarithms.

The fit is a linear one and its start is its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import (
    FloatArray,
    Law,
    Parameter,
    WithJacobian,
    bounded,
    bounds_from,
    positive,
)

_STEEPEST = 10.0


def factor(name: str, meaning: str, unit: str) -> Parameter:
    """What the powers are multiplied by."""
    return positive(name, meaning, unit, form="centred")


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
        """See ``Law._carried``."""
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
    D / N^(p/q) alone. Source: Kaplan et al. 2020 (arXiv 2001.08361), section 4.2; S1, Eq. S.8.
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
    Source: Hernandez et al. 2021 (arXiv 2102.01293), Eq. 1.1; S1, Eq. S.9.
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
