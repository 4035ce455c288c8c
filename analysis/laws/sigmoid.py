"""A metric that falls with the loss from a ceiling to chance."""

from __future__ import annotations

from typing import final

import numpy as np

from analysis.laws.base import FloatArray, Parameter
from analysis.laws.metric import STEEPEST, MetricLaw, level, spread_of

_REACHED = 0.9  # share of the way from low to high from which high counts as measured


@final
class Sigmoid(MetricLaw):
    """metric(L) = low + (high - low) / (1 + exp(k * (L - L0))).

    Falls from high at low loss to low at high loss, such as an accuracy from its ceiling to
    chance. Where no point lies near high, ``fit_law`` holds it at the end of its range unless that
    explains the rows clearly worse, and says so: six public sets (Gadre et al. 2024, accuracies of
    the runs with the highest 70 % of the losses) foretell the others with a mean error of 6 to
    14 % with high fitted and of 1.3 to 3.5 % with high = 1. Source: Grattafiori et al. 2024
    (arXiv 2407.21783), section 3.2.1; Bhagia et al. 2024 (arXiv 2412.04403), Eq. 4, whose code
    adds a point at a loss of 0 and the largest metric.
    """

    name = "sigmoid"
    formula = "metric(L) = low + (high - low) / (1 + exp(k * (L - L0)))"
    source = "Bhagia et al. 2024 (arXiv 2412.04403), Eq. 4"
    parameters = (
        level("low", "metric at high loss, such as chance"),
        level("high", "metric at low loss"),
        Parameter(
            name="k", lower=0.0, upper=np.inf, unit="1/nats", meaning="steepness",
            positive=True, form="log",
        ),
        Parameter(name="L0", lower=0.0, upper=np.inf, unit="nats", meaning="loss half-way"),
    )  # fmt: skip

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Metric; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        low, high, slope, middle = (theta[..., i, None] for i in range(4))
        found: FloatArray = low + (high - low) * _falling(slope * (x[:, 0] - middle))
        return found

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Both levels, log steepness, the loss half-way."""
        free = np.array(theta, dtype=np.float64)
        free[..., 2] = np.log(np.maximum(free[..., 2], np.finfo(float).tiny))
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 2] = np.exp(theta[..., 2])
        return theta

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Metric and its derivative; see ``Law.linear_value``."""
        low, high, log_slope, middle = (free[:, i, None] for i in range(4))
        slope = np.exp(log_slope)
        share = _falling(slope * (x[:, 0] - middle))
        value = low + (high - low) * share
        steep = -(high - low) * share * (1.0 - share)
        jac = [1.0 - share, share, steep * slope * (x[:, 0] - middle), -steep * slope]
        return value, np.stack(jac, axis=1)

    def open_end(self, theta: FloatArray, x: FloatArray) -> tuple[str, float, str] | None:
        """``high``, where the curve is not near it at the lowest loss; see ``Law.open_end``."""
        low, high, slope, middle = theta
        share = float(_falling(np.asarray(slope * (x[:, 0].min() - middle))))
        if not share < _REACHED:
            return None
        shown = f"at the lowest loss the curve has gone {share:.0%} of the way to high = {high:.3g}"
        return "high", 1.0 if high > low else 0.0, shown

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Levels in [0, 1], half-way within three spans of the losses."""
        least, most = float(x.min()), float(x.max())
        span = max(most - least, 1e-12)
        shape = (*loss.shape[:-1], 4)
        lower = [0.0, 0.0, np.log(1e-2 / span), max(0.0, least - 3 * span)]
        upper = [1.0, 1.0, np.log(STEEPEST / span), most + 3 * span]
        return np.broadcast_to(lower, shape).copy(), np.broadcast_to(upper, shape).copy()

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Levels by least squares for steepness and half-way point on a grid."""
        span = max(float(np.ptp(x)), 1e-12)
        found = []
        for slope in np.geomspace(0.5, 30, 8) / span:
            for middle in np.linspace(float(x.min()) - span / 2, float(x.max()) + span / 2, 9):
                share = _falling(slope * (x[:, 0] - middle))
                columns = np.column_stack([1.0 - share, share])
                levels = np.clip(np.linalg.lstsq(columns, loss, rcond=None)[0], 1e-6, 1.0)
                misfit = float(((columns @ levels - loss) ** 2).sum())
                found.append((misfit, [*levels, slope, max(middle, 0.0)]))
        return spread_of(self, found, x, loss)


def _falling(z: FloatArray) -> FloatArray:
    """1 / (1 + exp(z)), safe for large ``z``."""
    found: FloatArray = 0.5 * (1.0 - np.tanh(0.5 * z))
    return found
