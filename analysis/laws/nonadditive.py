"""Joint laws of N and D whose terms do not simply add: Kaplan's, the gamma law and Farseer.

In the first two the scarcer of model and data sets the loss; in Farseer the exponent of D depends
on N.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import (
    EXPONENT,
    FloatArray,
    Law,
    Parameter,
    WithJacobian,
    bounded,
    bounds_from,
    exponent,
    factor,
    irreducible,
    log_response,
    log_size,
    unpack,
    with_last,
)
from analysis.laws.power_laws import AdditivePowerLaw, Chinchilla

_JOINT = Chinchilla()
_JOINT_STARTS = 8  # of Chinchilla's law that others begin with
_GAMMA = (0.05, 10.0)
_GAMMAS = (0.4, 0.7, 1.0, 2.0)
_LARGEST_POWER = 0.5  # of N inside an exponential: published ones are 0.05 to 0.24
_STEEPEST_IN_N = (2.0, 3.0, 1.0)  # largest slopes in log N of the three parts
_SMALL = 1e-4
_NO_POWER = 1e-9
_POWERS_GUESSED = ((0.1, -0.2, 0.05), (-0.3, -0.2, -0.2), (0.3, 0.3, 0.2))


def _critical(name: str, axis: str, unit: str) -> Parameter:
    return factor(name, f"{axis} at which its term alone is 1 nat", unit)


@final
class Kaplan(AdditivePowerLaw):
    """L(N, D) = E + ((N_c / N)^(alpha / beta) + D_c / D)^beta.

    Kaplan's own form has E = 0 (``fixed={"E": 0}``); with E it is that of Brandfonbrener et al.
    2024 (arXiv 2411.12925). Free parameters are E, the logs of the terms of N alone and of D
    alone at the centre of the data, and the exponents, as for sums of power laws.
    """

    name = "kaplan"
    formula = "L(N, D) = E + ((N_c / N)^(alpha / beta) + D_c / D)^beta"
    source = "Kaplan et al. 2020 (arXiv 2001.08361), Eq. 1.5"
    axes = ("N", "D")
    parameters = (
        irreducible(),
        _critical("N_c", "N", "parameters"),
        exponent("alpha", "N"),
        _critical("D_c", "D", "records"),
        exponent("beta", "D"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        floor, n_c, alpha, d_c, beta = unpack(theta)
        by_n = alpha / beta * (np.log(n_c) - np.log(x[:, 0]))
        by_d = np.log(d_c) - np.log(x[:, 1])
        return np.asarray(floor + np.exp(beta * np.logaddexp(by_n, by_d)))

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, then log of each term alone at the centre, and exponent."""
        free = np.array(theta, dtype=np.float64)
        free[..., 1::2] = free[..., 2::2] * (log_size(free[..., 1::2]) - centre)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 1::2] = np.exp(theta[..., 1::2] / theta[..., 2::2] + centre)
        return theta

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log loss and its derivative; see ``Law.log_value``."""
        return log_response(*self.linear_value(free, x, centre))

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        offset = np.log(x) - centre
        floor, at_n, alpha, at_d, beta = unpack(free)
        by_n = (at_n - alpha * offset[:, 0]) / beta
        by_d = at_d / beta - offset[:, 1]
        total = np.logaddexp(by_n, by_d)
        share = np.exp(by_n - total)
        term = np.exp(beta * total)
        jac = [
            np.ones_like(term),
            share * term,
            -share * offset[:, 0] * term,
            (1.0 - share) * term,
            (total - share * by_n - (1.0 - share) * at_d / beta) * term,
        ]
        return floor + term, np.stack(jac, axis=1)


@final
class GammaLaw(Law):
    """L(N, D) = E + (A / N^alpha + B / D^beta)^gamma.

    Chinchilla's law for gamma = 1 and Kaplan's for beta = 1; below 1 the larger term hides the
    smaller. Free parameters are E, the logs of the terms of N alone and of D alone at the centre
    of the data, and the exponents.
    """

    name = "gamma_law"
    formula = "L(N, D) = E + (A / N^alpha + B / D^beta)^gamma"
    source = "Beck et al. 2025 (arXiv 2510.02228)"
    axes = ("N", "D")
    additive_floor = True
    parameters = (*Chinchilla.parameters, bounded("gamma", "power of both terms together", _GAMMA))

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        floor, a, alpha, b, beta, gamma = unpack(theta)
        by_n = np.log(a) - alpha * np.log(x[:, 0])
        by_d = np.log(b) - beta * np.log(x[:, 1])
        return np.asarray(floor + np.exp(gamma * np.logaddexp(by_n, by_d)))

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, then log of each term alone at the centre, and exponent; gamma."""
        free = np.array(theta, dtype=np.float64)
        size = log_size(free[..., 1:5:2])
        free[..., 1:5:2] = free[..., 5:] * (size - free[..., 2:6:2] * centre)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 1:5:2] = np.exp(theta[..., 1:5:2] / theta[..., 5:] + theta[..., 2:6:2] * centre)
        return theta

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        offset = np.log(x) - centre
        floor, at_n, alpha, at_d, beta, gamma = unpack(free)
        by_n = at_n / gamma - alpha * offset[:, 0]
        by_d = at_d / gamma - beta * offset[:, 1]
        total = np.logaddexp(by_n, by_d)
        share = np.exp(by_n - total)
        term = np.exp(gamma * total)
        jac = [
            np.ones_like(term),
            term * share,
            -term * gamma * share * offset[:, 0],
            term * (1.0 - share),
            -term * gamma * (1.0 - share) * offset[:, 1],
            term * (total - (share * at_n + (1.0 - share) * at_d) / gamma),
        ]
        return floor + term, np.stack(jac, axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Those of the joint law; gamma from 0.05 to 10."""
        lower, upper = _JOINT.bounds(x, loss)
        return with_last(lower, _GAMMA[0]), with_last(upper, _GAMMA[1])

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Starts of the joint law, whose exponents are gamma times those of each term."""
        centre = self.centre(x)
        joint = _JOINT.to_free(_JOINT.guess(x, loss)[:_JOINT_STARTS], centre)
        starts = []
        for gamma in _GAMMAS:
            free = with_last(joint, gamma)
            free[:, 2:6:2] /= gamma
            starts.append(free)
        return self._inside(np.concatenate(starts), x, loss)


def _part(name: str, meaning: str) -> Parameter:
    return bounded(name, meaning, (-np.inf, np.inf), form="centred")


def _power(name: str, meaning: str) -> Parameter:
    return bounded(name, meaning, (-_LARGEST_POWER, _LARGEST_POWER))


@final
class Farseer(Law):
    """L(N, D) = exp(s * N^q + S) + exp(B * N^b + Q) / D^exp(A * N^a + E).

    The loss at unlimited data, the size of the data term and its exponent each are the exponential
    of u N^v + w. The free parameters of such a part are its value and its slope in log N at the
    centre of the data, and v: u N^v + w = g0 + g1 (e^(v t) - 1) / v with t = log N less its mean,
    which is smooth also where v is 0. The data term is carried to the mean of log D. Letters are
    those of the source.
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
        log_n, log_d = np.log(x).T
        at = unpack(theta)
        floor, term, slope = (at[i] * np.exp(at[i + 1] * log_n) + at[i + 2] for i in (0, 3, 6))
        return np.asarray(np.exp(floor) + np.exp(term - np.exp(slope) * log_d))

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

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log loss and its derivative; see ``Law.log_value``."""
        log_n, log_d = (np.log(x) - centre).T
        at = unpack(free)
        rise, by_power = zip(*(_box_cox(at[i], log_n) for i in (1, 4, 7)), strict=True)
        first = np.exp(at[2] + at[0] * rise[0])
        base = np.exp(at[8]) * centre[1]  # what carries the data term to the mean of log D
        slope = at[3] + base * at[6]
        exponent = np.exp(at[8] + at[6] * rise[2])
        whole = exponent * (log_d + centre[1])
        second = np.exp(np.minimum(at[5] + base + slope * rise[1] - whole, 300.0))
        jac = np.empty((*free.shape, len(x)))
        jac[:, 0] = first * rise[0]
        jac[:, 1] = first * at[0] * by_power[0]
        jac[:, 2] = first
        jac[:, 3] = second * rise[1]
        jac[:, 4] = second * slope * by_power[1]
        jac[:, 5] = second
        jac[:, 6] = second * (base * rise[1] - whole * rise[2])
        jac[:, 7] = -second * whole * at[6] * by_power[2]
        jac[:, 8] = second * (base + base * at[6] * rise[1] - whole)
        loss = first + second
        jac /= loss[:, None, :]
        return np.log(loss), jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Loss at unlimited data below the largest and falling with N; exponents as elsewhere."""
        smallest, largest = np.log(loss.min(axis=-1)), np.log(loss.max(axis=-1))
        power = (-_LARGEST_POWER, _LARGEST_POWER)
        floor, term, slope = ((-steep, steep) for steep in _STEEPEST_IN_N)
        return bounds_from(
            loss,
            *((floor[0], 0.0), power, (smallest - 14.0, largest)),
            *(term, power, (smallest - 21.0, largest + 7.0)),
            *(slope, power, np.log(EXPONENT)),
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Starts of Chinchilla's law, whose data term does not depend on N, and several powers."""
        centre = self.centre(x)
        joint = _JOINT.to_free(_JOINT.guess(x, loss)[:_JOINT_STARTS], centre)
        floor = np.maximum(joint[:, 0], 1e-3 * loss.min())
        term = np.exp(joint[:, 1])
        starts = []
        for powers in _POWERS_GUESSED:
            free = np.zeros((len(joint), 9))
            free[:, 0] = -joint[:, 2] * term / (floor + term)
            free[:, 2] = np.log(floor + term)
            free[:, 5], free[:, 8] = joint[:, 3], np.log(joint[:, 4])
            free[:, 1::3] = powers
            starts.append(free)
        return self._inside(np.concatenate(starts), x, loss)


def _box_cox(power: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(e^(v t) - 1) / v (Box & Cox 1964) and its derivative by v, for powers v (R, 1), t (n,)."""
    flat = np.abs(power) < _SMALL
    v = np.where(flat, 1.0, power)
    full = np.expm1(v * t) / v
    rise = np.where(flat, t * (1.0 + power * t * (0.5 + power * t / 6.0)), full)
    slope = np.where(flat, t * t * (0.5 + power * t / 3.0), (t * np.exp(v * t) - full) / v)
    return rise, slope
