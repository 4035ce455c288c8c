"""What laws share that are a product of powers: y = c times powers of the scales.

They are straight planes in logarithms, so the fit is a linear one and its start is its answer.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from analysis.laws.base import FloatArray, Law, Parameter

STEEPEST = 10.0


def factor(name: str, meaning: str, unit: str) -> Parameter:
    """What the powers are multiplied by."""
    return Parameter(
        name=name, lower=0.0, upper=np.inf, unit=unit, meaning=meaning, positive=True,
        form="centred",
    )  # fmt: skip


def power(name: str, meaning: str) -> Parameter:
    """Power of a scale, of either sign."""
    return Parameter(name=name, lower=-STEEPEST, upper=STEEPEST, unit="", meaning=meaning)


class ProductLaw(Law):
    """y(x) = c times the product over axes k of x_k^(s_k p_k), with signs s_k of +1 or -1.

    Subclasses name the parameters in the order c, p_1, p_2, ...
    """

    signs: ClassVar[tuple[int, ...]]
    floor = None

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        found: FloatArray = theta[..., :1] * np.exp(
            (theta[..., 1:] * np.array(self.signs)) @ np.log(x).T
        )
        return found

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log scale, by axis."""
        mean: FloatArray = np.log(x).mean(axis=0)
        return mean

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Log response at the centre, then the powers."""
        free = np.array(theta, dtype=np.float64)
        slope = (free[..., 1:] * np.array(self.signs)) @ centre
        free[..., 0] = np.log(np.maximum(free[..., 0], np.finfo(float).tiny)) + slope
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 0] = np.exp(theta[..., 0] - (theta[..., 1:] * np.array(self.signs)) @ centre)
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log response and its derivative; see ``Law.log_value``."""
        columns = np.column_stack([np.ones(len(x)), (np.log(x) - centre) * np.array(self.signs)])
        value: FloatArray = free @ columns.T
        return value, np.repeat(columns.T[None], len(free), axis=0)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The response at the centre within 1e9 of those seen, powers within ten."""
        shape = (*loss.shape[:-1], len(self.parameters))
        lower, upper = np.empty(shape), np.empty(shape)
        lower[..., 0] = np.log(loss.min(axis=-1)) - 20.0
        upper[..., 0] = np.log(loss.max(axis=-1)) + 20.0
        for i, parameter in enumerate(self.parameters[1:], start=1):
            lower[..., i], upper[..., i] = parameter.lower, parameter.upper
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Ordinary least squares in logarithms, and starts around it."""
        centre = self.centre(x)
        columns = np.column_stack([np.ones(len(x)), (np.log(x) - centre) * np.array(self.signs)])
        best = np.linalg.lstsq(columns, np.log(loss), rcond=None)[0]
        spread = np.random.default_rng(0).standard_normal((7, len(best)))
        lower, upper = self.bounds(x, loss)
        starts = np.clip(np.concatenate([best[None], best + spread]), lower, upper)
        return self.to_natural(starts, centre)
