"""What laws share that give a metric as a function of the loss."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from analysis.laws.base import FloatArray, Law, Parameter

STEEPEST = 1e3


def level(name: str, meaning: str) -> Parameter:
    """A value of the metric, in [0, 1]."""
    return Parameter(name=name, lower=0.0, upper=1.0, unit="", meaning=meaning)


class MetricLaw(Law):
    """What both share: one axis, the loss; a metric in [0, 1]; residuals of the metric itself.

    Slopes are free in their logarithm; the steps of the loss are seen in units of its spread.
    """

    axes = ("loss",)
    response = "metric"
    unit = ""
    rises = ("loss",)
    descends = ("loss",)
    floor = None
    residual = "linear"
    proportion = True
    signed_response = True
    needed: ClassVar[dict[str, int]] = {"loss": 4}

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean and standard deviation of the loss (2,)."""
        return np.array([x[:, 0].mean(), max(float(x[:, 0].std()), 1e-300)])

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log metric, of 1e-12 at least, and its derivative; see ``Law.log_value``."""
        value, jac = self.linear_value(free, x, centre)
        value = np.maximum(value, 1e-12)
        return np.log(value), jac / value[:, None, :]


def spread_of(
    law: Law, found: list[tuple[float, list[float]]], x: FloatArray, loss: FloatArray
) -> FloatArray:
    """The eight best starting points and a spread of eight others, within the bounds."""
    found.sort(key=lambda pair: pair[0])
    chosen = [*range(8), *np.linspace(8, len(found) - 1, 8).astype(int)]
    centre = law.centre(x)
    free = law.to_free(np.array([found[i][1] for i in chosen]), centre)
    return law.to_natural(np.clip(free, *law.bounds(x, loss)), centre)
