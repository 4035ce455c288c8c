"""Laws of one loss: another task's loss, an accuracy that falls, an error that rises."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import (
    EXPONENT,
    BoolArray,
    FloatArray,
    Law,
    Parameter,
    WithJacobian,
    bounded,
    bounds_from,
    factor,
    irreducible,
    positive,
    unpack,
)
from analysis.laws.curves import logistic
from analysis.laws.variable_projection import best_and_spread, floor_and_amplitude

_VANISHED = 1e-9  # a term this small, relative to the loss, has vanished
_EXPONENTS = np.geomspace(0.05, 3.0, 10)
_FLOORS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98)
_STEEPEST = 1e3  # over the spread of the losses
_REACHED = 0.9  # share of the way from low to high from which high counts as measured


@final
class LossToLoss(Law):
    """L_ood = E_ood + K * (L_id - E_id)^kappa.

    L_id is the loss on the task trained on, L_ood on another; kappa = 1 passes excess loss on in
    proportion, less diminishes it. Pairs alone hardly determine both floors and kappa: take the
    floors from joint fits (``analysis.transfer``) or hold them, with their standard
    errors if known. Without, intervals also hold a fit that frees E_id: the pairs tell one floor,
    given the other.
    Free parameters are E_ood, the log of the term at the centre of the data, kappa, E_id.
    """

    name = "loss_to_loss"
    additive_floor = True
    formula = "L_ood = E_ood + K * (L_id - E_id)^kappa"
    source = "S1, Eq. 4; Brandfonbrener et al. 2024 (arXiv 2411.12925), Eq. 2"
    axes = ("L_id",)
    response = "L_ood"
    rises = ("L_id",)
    descends = ("L_id",)
    floor = "E_ood"
    borrowed = ("E_id", "E_ood")
    needed: ClassVar[Mapping[str, int]] = {"L_id": 4}
    parameters = (
        irreducible("loss on the other task that no scale removes", "E_ood"),
        factor("K", "excess loss on the other task at an excess of 1 nat", "nats"),
        bounded("kappa", "transfer exponent", EXPONENT),
        irreducible("loss on the task trained on that no scale removes", "E_id"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss on the other task in nats; E_ood, its limit, at losses at or below E_id."""
        floor, size, kappa, below = unpack(theta)
        excess = np.maximum(x[:, 0] - below, 0.0)
        return np.asarray(floor + size * excess**kappa)

    def valueless(self, theta: FloatArray, x: FloatArray) -> tuple[BoolArray, str]:
        """Losses at or below E_id; see ``Law.valueless``."""
        below = float(theta[3])
        why = f"L_id is at or below E_id = {below:.6g}: the law has no value there"
        return x[:, 0] <= below, why

    def centre(self, x: FloatArray) -> FloatArray:
        """Geometric mean of the loss trained on (1,), in nats."""
        return np.array([np.exp(np.log(x[:, 0]).mean())])

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        return free[..., 2:3] * _log_excess(centre[0], free[..., 3:])

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        floor, size, kappa, below = unpack(free)
        excess = np.maximum(x[:, 0] - below, 1e-12 * x[:, 0])
        middle = np.maximum(centre[0] - below, 1e-12 * centre[0])
        offset = np.log(excess / middle)
        term = np.exp(size + kappa * offset)
        loss = floor + term
        moved = kappa * (1.0 / middle - 1.0 / excess)
        jac = [np.ones_like(loss), term, term * offset, term * moved]
        return loss, np.stack(jac, axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Floors in [0, smallest loss), terms from vanishing to 1,000 times the largest."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        return bounds_from(
            loss,
            (0.0, smallest * (1 - 1e-9)),
            (np.log(_VANISHED * smallest), np.log(1e3 * largest)),
            EXPONENT,
            (0.0, x[:, 0].min() * (1 - 1e-9)),
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E_ood and the term by least squares for kappa and E_id on a grid."""
        centre, free, misfit = self.centre(x)[0], [], []
        for below, kappa in itertools.product(x[:, 0].min() * np.array(_FLOORS), _EXPONENTS):
            offset = _log_excess(x[:, 0], below) - _log_excess(centre, below)
            term = np.exp(kappa * offset)
            floor, size = floor_and_amplitude(term, loss)
            columns = np.column_stack([np.ones(len(x)), term]) / loss[:, None]
            misfit.append(((columns @ [floor, size] - 1.0) ** 2).sum())
            free.append([floor, np.log(size), kappa, below])
        return self._inside(np.array(free)[best_and_spread(misfit, 12, 8)], x, loss)


def _log_excess(loss: FloatArray | float, floor: FloatArray | float) -> FloatArray:
    """Log of loss less floor; of a trifle of the loss where it is at or below the floor."""
    return np.asarray(np.log(np.maximum(loss - floor, 1e-12 * np.asarray(loss))))


def level(name: str, meaning: str) -> Parameter:
    """A value of the metric, in [0, 1]."""
    return bounded(name, meaning, (0.0, 1.0))


class MetricLaw(Law):
    """A metric in [0, 1] as a function of one axis, the loss; residuals are of the metric itself.

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

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log metric, of 1e-12 at least, and its derivative; see ``Law.log_value``."""
        value, jac = self.linear_value(free, x, centre)
        value = np.maximum(value, 1e-12)
        return np.log(value), jac / value[:, None, :]

    def _chosen(
        self, theta: list[list[float]], misfit: list[float], x: FloatArray, loss: FloatArray
    ) -> FloatArray:
        """The eight best starting points and a spread of eight others, within the bounds."""
        chosen = np.array(theta)[best_and_spread(misfit, 8, 8)]
        return self._inside(self.to_free(chosen, self.centre(x)), x, loss)


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
        positive("k", "steepness", "1/nats"),
        bounded("L0", "loss half-way", (0.0, np.inf), "nats"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Metric; see ``Law.value``."""
        low, high, slope, middle = unpack(theta)
        return np.asarray(low + (high - low) * logistic(slope * (middle - x[:, 0])))

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Metric and its derivative; see ``Law.linear_value``."""
        low, high, log_slope, middle = unpack(free)
        slope = np.exp(log_slope)
        share = logistic(slope * (middle - x[:, 0]))
        value = low + (high - low) * share
        steep = -(high - low) * share * (1.0 - share)
        jac = [1.0 - share, share, steep * slope * (x[:, 0] - middle), -steep * slope]
        return value, np.stack(jac, axis=1)

    def open_end(self, theta: FloatArray, x: FloatArray) -> tuple[str, float, str] | None:
        """``high``, where the curve is not near it at the lowest loss; see ``Law.open_end``."""
        low, high, slope, middle = theta
        share = float(logistic(np.asarray(slope * (middle - x[:, 0].min()))))
        if not share < _REACHED:
            return None
        why = f"at the lowest loss the curve has gone {share:.0%} of the way to high = {high:.3g}"
        return "high", 1.0 if high > low else 0.0, why

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Levels in [0, 1], half-way within three spans of the losses."""
        least, most = float(x.min()), float(x.max())
        span = max(most - least, 1e-12)
        return bounds_from(
            loss,
            *((0.0, 1.0), (0.0, 1.0)),
            (np.log(1e-2 / span), np.log(_STEEPEST / span)),
            (max(0.0, least - 3 * span), most + 3 * span),
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Levels by least squares for steepness and half-way point on a grid."""
        span = max(float(np.ptp(x)), 1e-12)
        slopes = np.geomspace(0.5, 30, 8) / span
        middles = np.linspace(float(x.min()) - span / 2, float(x.max()) + span / 2, 9)
        theta, misfit = [], []
        for slope, middle in itertools.product(slopes, middles):
            share = logistic(slope * (middle - x[:, 0]))
            columns = np.column_stack([1.0 - share, share])
            levels = np.clip(np.linalg.lstsq(columns, loss, rcond=None)[0], 1e-6, 1.0)
            misfit.append(((columns @ levels - loss) ** 2).sum())
            theta.append([*levels, slope, max(middle, 0.0)])
        return self._chosen(theta, misfit, x, loss)


@final
class ErrorLaw(MetricLaw):
    """metric(L) = eps - k * exp(-gamma * L).

    A downstream error that rises with the loss towards eps, its value by chance.
    """

    name = "error_law"
    formula = "metric(L) = eps - k * exp(-gamma * L)"
    source = "Gadre et al. 2024 (arXiv 2403.08540), Eq. 5"
    parameters = (
        level("eps", "error at high loss, by chance"),
        factor("k", "error below chance, carried back to a loss of 0"),
        positive("gamma", "how fast the error falls with the loss", "1/nats"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Metric; see ``Law.value``."""
        chance, size, rate = unpack(theta)
        return np.asarray(chance - size * np.exp(-rate * x[:, 0]))

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        return np.asarray(-np.exp(free[..., 2:]) * centre[0])

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Metric and its derivative; see ``Law.linear_value``."""
        chance, size, log_rate = unpack(free)
        rate, offset = np.exp(log_rate), x[:, 0] - centre[0]
        term = np.exp(size - rate * offset)
        jac = np.stack([np.ones_like(term), -term, term * rate * offset], axis=1)
        return chance - term, jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A level in (0, 1], rates within a thousand of what the spread of the loss shows."""
        span = max(float(np.ptp(x)), 1e-12)
        rates = (np.log(1e-3 / span), np.log(_STEEPEST / span))
        return bounds_from(loss, (1e-6, 1.0), (np.log(1e-9), np.log(10.0)), rates)

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Level and term by least squares for rates on a grid."""
        centre = self.centre(x)
        span = max(float(np.ptp(x)), 1e-12)
        theta, misfit = [], []
        for rate in np.geomspace(0.02, 30, 24) / span:
            term = np.exp(-rate * (x[:, 0] - centre[0]))
            columns = np.column_stack([np.ones(len(x)), -term])
            chance, size = np.linalg.lstsq(columns, loss, rcond=None)[0]
            chance, size = float(np.clip(chance, 1e-3, 1.0)), max(float(size), 1e-6)
            misfit.append(((columns @ [chance, size] - loss) ** 2).sum())
            theta.append([chance, size * np.exp(rate * centre[0]), rate])
        return self._chosen(theta, misfit, x, loss)
