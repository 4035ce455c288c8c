"""Farseer's joint law, whose data exponent depends on the size of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import FloatArray, Law, Parameter
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.power import EXPONENT

_JOINT = Chinchilla()
_BEND = 0.5  # largest power of N inside an exponential: published ones are 0.05 to 0.24
_STEEPEST = (2.0, 3.0, 1.0)  # largest slopes in log N of the three parts
_SMALL = 1e-4
_NO_POWER = 1e-9
_BENDS = ((0.1, -0.2, 0.05), (-0.3, -0.2, -0.2), (0.3, 0.3, 0.2))
_BEST = 8


def _part(name: str, meaning: str) -> Parameter:
    return Parameter(
        name=name, lower=-np.inf, upper=np.inf, unit="", meaning=meaning, form="centred"
    )


def _power(name: str, meaning: str) -> Parameter:
    return Parameter(name=name, lower=-_BEND, upper=_BEND, unit="", meaning=meaning)


@final
class Farseer(Law):
    """L(N, D) = exp(s * N^q + S) + exp(B * N^b + Q) / D^exp(A * N^a + E).

    The loss at unlimited data, the size of the data term and its exponent each are the exponential
    of u N^v + w. The free parameters of such a part are its value and its slope in log N at the
    centre of the data, and v: u N^v + w = g0 + g1 (e^(v t) - 1) / v with t = log N less its mean,
    which is smooth also where v is 0. The data term is carried to the mean of log D.
    Source: Li et al. 2025 (arXiv 2506.10972), with the letters used there.
    """

    name = "farseer"
    formula = "L(N, D) = exp(s * N^q + S) + exp(B * N^b + Q) / D^exp(A * N^a + E)"
    source = "Li et al. 2025 (arXiv 2506.10972)"
    axes = ("N", "D")
    floor = None
    needed: ClassVar[Mapping[str, int]] = {"N": 5, "D": 3}
    parameters = (
        _part("s", "size of the part of N in the log loss at unlimited data"),
        _power("q", "power of N in the log loss at unlimited data"),
        _part("S", "log loss at unlimited data less the part of N"),
        _part("B", "size of the part of N in the log of the data term"),
        _power("b", "power of N in the log of the data term"),
        _part("Q", "log of the data term at D = 1 less the part of N"),
        _part("A", "size of the part of N in the log of the exponent of D"),
        _power("a", "power of N in the log of the exponent of D"),
        _part("E", "log of the exponent of D less the part of N"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        log_n, log_d = np.log(x).T

        def part(i: int) -> FloatArray:
            u, v, w = (theta[..., k, None] for k in (i, i + 1, i + 2))
            found: FloatArray = u * np.exp(v * log_n) + w
            return found

        found: FloatArray = np.exp(part(0)) + np.exp(part(3) - np.exp(part(6)) * log_d)
        return found

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log scale, by axis."""
        mean: FloatArray = np.log(x).mean(axis=0)
        return mean

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Slope, power and value of each part at the centre."""
        free = np.array(theta, dtype=np.float64)
        for i in (0, 3, 6):
            size = free[..., i] * np.exp(free[..., i + 1] * centre[0])
            free[..., i] = size * free[..., i + 1]
            free[..., i + 2] += size
        carried = np.exp(free[..., 8]) * centre[1]
        free[..., 3] -= carried * free[..., 6]
        free[..., 5] -= carried
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        carried = np.exp(theta[..., 8]) * centre[1]
        theta[..., 3] += carried * theta[..., 6]
        theta[..., 5] += carried
        for i in (0, 3, 6):
            power = theta[..., i + 1]
            power = np.where(np.abs(power) < _NO_POWER, np.copysign(_NO_POWER, power), power)
            size = theta[..., i] / power
            theta[..., i] = size * np.exp(-power * centre[0])
            theta[..., i + 1] = power
            theta[..., i + 2] -= size
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log loss and its derivative; see ``Law.log_value``."""
        log_n, log_d = (np.log(x) - centre).T
        at = [free[:, i, None] for i in range(9)]
        rise, bent = zip(*(_risen(at[i], log_n) for i in (1, 4, 7)), strict=True)
        first = np.exp(at[2] + at[0] * rise[0])
        base = np.exp(at[8]) * centre[1]  # what carries the data term to the mean of log D
        slope = at[3] + base * at[6]
        exponent = np.exp(at[8] + at[6] * rise[2])
        whole = exponent * (log_d + centre[1])
        second = np.exp(np.minimum(at[5] + base + slope * rise[1] - whole, 300.0))
        jac = np.empty((*free.shape, len(x)))
        jac[:, 0] = first * rise[0]
        jac[:, 1] = first * at[0] * bent[0]
        jac[:, 2] = first
        jac[:, 3] = second * rise[1]
        jac[:, 4] = second * slope * bent[1]
        jac[:, 5] = second
        jac[:, 6] = second * (base * rise[1] - whole * rise[2])
        jac[:, 7] = -second * whole * at[6] * bent[2]
        jac[:, 8] = second * (base + base * at[6] * rise[1] - whole)
        loss = first + second
        jac /= loss[:, None, :]
        return np.log(loss), jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Loss at unlimited data below the largest and falling with N; exponents as elsewhere."""
        smallest, largest = np.log(loss.min(axis=-1)), np.log(loss.max(axis=-1))
        shape = (*smallest.shape, 9)
        lower, upper = np.empty(shape), np.empty(shape)
        for i, steep in zip((0, 3, 6), _STEEPEST, strict=True):
            lower[..., i], upper[..., i] = -steep, steep
            lower[..., i + 1], upper[..., i + 1] = -_BEND, _BEND
        upper[..., 0] = 0.0
        lower[..., 2], upper[..., 2] = smallest - 14.0, largest
        lower[..., 5], upper[..., 5] = smallest - 21.0, largest + 7.0
        lower[..., 8], upper[..., 8] = np.log(EXPONENT)
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Starts of Chinchilla's law, whose data term does not depend on N, and several powers."""
        centre = self.centre(x)
        joint = _JOINT.to_free(_JOINT.guess(x, loss)[:_BEST], centre)
        floor = np.maximum(joint[:, 0], 1e-3 * loss.min())
        term = np.exp(joint[:, 1])
        found = []
        for bends in _BENDS:
            free = np.zeros((len(joint), 9))
            free[:, 0] = -joint[:, 2] * term / (floor + term)
            free[:, 2] = np.log(floor + term)
            free[:, 5], free[:, 8] = joint[:, 3], np.log(joint[:, 4])
            free[:, 1::3] = bends
            found.append(free)
        return self.to_natural(np.clip(np.concatenate(found), *self.bounds(x, loss)), centre)


def _risen(power: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(e^(v t) - 1) / v and its derivative by v, for powers v (R, 1) and t (n,)."""
    flat = np.abs(power) < _SMALL
    v = np.where(flat, 1.0, power)
    full = np.expm1(v * t) / v
    rise = np.where(flat, t * (1.0 + power * t * (0.5 + power * t / 6.0)), full)
    bent = np.where(flat, t * t * (0.5 + power * t / 3.0), (t * np.exp(v * t) - full) / v)
    return rise, bent
