"""A smoothly broken power law: two slopes and a floor."""

from __future__ import annotations

from typing import final

import numpy as np

from analysis.laws.base import FloatArray, Parameter
from analysis.laws.curve import (
    LARGE,
    SMALLEST,
    STEEPEST,
    VANISHED,
    CurveLaw,
    linear_start,
    rate,
    softplus,
)
from analysis.laws.power import irreducible

_SHARP = (0.1, 4.0)  # width of the break, in log D


@final
class BrokenPowerLaw(CurveLaw):
    """L(D) = E + b / D^c0 * (1 + (D / d)^(1 / f))^(-c1 * f).

    The excess falls with exponent c0 before the break at d and c0 + c1 after it; f is the width
    of the break in log D. Free parameters are E, the log of the term at the centre of the data,
    c0, c1, log d and log f.
    Source: Caballero et al. 2023 (arXiv 2210.14891), Eq. 1 with one break.
    """

    name = "bnsl"
    additive_floor = True
    formula = "L(D) = E + b / D^c0 * (1 + (D / d)^(1 / f))^(-c1 * f)"
    source = "Caballero et al. 2023 (arXiv 2210.14891), Eq. 1"
    parameters = (
        irreducible("loss left at unlimited D"),
        Parameter(
            name="b", lower=0.0, upper=np.inf, unit="nats", positive=True, form="centred",
            meaning="excess loss before the break, carried back to D = 1",
        ),
        Parameter(name="c0", lower=0.0, upper=STEEPEST, unit="", meaning="exponent before it"),
        Parameter(
            name="c1", lower=-STEEPEST, upper=STEEPEST, unit="", meaning="what the break adds"
        ),
        Parameter(
            name="d", lower=0.0, upper=np.inf, unit="records", positive=True, form="log",
            meaning="data at the break",
        ),
        Parameter(
            name="f", lower=_SHARP[0], upper=_SHARP[1], unit="", positive=True, form="log",
            meaning="width of the break in log D",
        ),
    )  # fmt: skip

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        floor, size, before, added, place, width = (theta[..., i, None] for i in range(6))
        log_x = np.log(x[:, 0])
        bend = width * softplus((log_x - np.log(place)) / width)
        found: FloatArray = floor + size * np.exp(-before * log_x - added * bend)
        return found

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, log term at the centre, both exponents, log place and width of the break."""
        free = np.array(theta, dtype=np.float64)
        free[..., 4:] = np.log(free[..., 4:])
        free[..., 1] = np.log(np.maximum(free[..., 1], np.finfo(float).tiny))
        free[..., 1] -= free[..., 2] * centre[0] + free[..., 3] * _bend(free, centre)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        carried = theta[..., 2] * centre[0] + theta[..., 3] * _bend(theta, centre)
        theta[..., 1] = np.exp(theta[..., 1] + carried)
        theta[..., 4:] = np.exp(theta[..., 4:])
        return theta

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        u = np.log(x[:, 0]) - centre[0]
        floor, size, before, added, place, log_width = (free[:, i, None] for i in range(6))
        width, at = np.exp(log_width), place - centre[0]
        inner, middle = (u - at) / width, -at / width
        k = width * (softplus(inner) - softplus(middle))
        here, there = rate(inner), rate(middle)
        term = np.exp(np.clip(size - before * u - added * k, -700.0, 300.0))
        loss = floor + term
        jac = [
            np.ones_like(loss),
            term,
            -term * u,
            -term * k,
            term * added * (here - there),
            -term * added * (k - here * (u - at) - there * at),
        ]
        return loss, np.stack(jac, axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss); the break lies within the data."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        shape = (*smallest.shape, 6)
        lower, upper = np.zeros(shape), np.empty(shape)
        upper[..., 0] = smallest * (1 - 1e-6)
        lower[..., 1], upper[..., 1] = np.log(smallest) - VANISHED, np.log(largest) + LARGE
        lower[..., 2], upper[..., 2] = SMALLEST, STEEPEST
        lower[..., 3], upper[..., 3] = -STEEPEST, STEEPEST
        lower[..., 4], upper[..., 4] = np.log(x[:, 0].min()), np.log(x[:, 0].max())
        lower[..., 5], upper[..., 5] = np.log(_SHARP)
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Slopes and the break on a grid; E and the amplitude are linear."""
        centre = self.centre(x)
        u = np.log(x[:, 0]) - centre[0]
        place = u.min() + np.array([0.15, 0.4, 0.7]) * (u.max() - u.min())
        slopes = np.array([[0.05, 0.5], [0.05, 1.5], [0.5, -0.3], [0.3, 0.3]])
        slope = np.repeat(slopes, len(place), axis=0)
        at, width = np.tile(place, len(slopes))[:, None], 0.5
        k = width * (softplus((u - at) / width) - softplus(-at / width))
        floor, size = linear_start(np.exp(-slope[:, :1] * u - slope[:, 1:] * k), loss)
        free = np.column_stack(
            [floor, size, slope, at + centre[0], np.full(len(at), np.log(width))]
        )
        return self.to_natural(np.clip(free, *self.bounds(x, loss)), centre)


def _bend(free: FloatArray, centre: FloatArray) -> FloatArray:
    """What c1 multiplies at the centre of the data."""
    width = np.exp(free[..., 5])
    found: FloatArray = width * softplus((centre[0] - free[..., 4]) / width)
    return found
