"""Laws of records that are seen several times: in samples, by worth, and with overfitting.

D is the number of unique training records, S of samples seen (records times epochs).
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
    bounds_from,
    exponent,
    irreducible,
    positive,
    power_term,
    unpack,
    with_last,
)
from analysis.laws.power_laws import AdditivePowerLaw, Chinchilla
from analysis.laws.variable_projection import best_and_spread, non_negative_least_squares

_JOINT = Chinchilla()


@final
class Samples(AdditivePowerLaw):
    """L(N, S) = E + A / N^alpha + B / S^beta.

    S is the number of training samples seen, records times epochs: the simplest rival of
    ``data_constrained``, which asks what a repetition is worth.
    """

    name = "samples"
    formula = "L(N, S) = E + A / N^alpha + B / S^beta"
    source = "Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2, in samples seen"
    axes = ("N", "S")
    parameters = (irreducible(), *power_term("A", "alpha", "N"), *power_term("B", "beta", "S"))


_DECAYS = (1e-2, 1e4)
_DECAYS_GUESSED = ((15.0, 5.0), (5.0, 50.0), (50.0, 5.0), (1e3, 1e3))


def _decay(name: str, of: str) -> Parameter:
    meaning = f"after this many, further {of} add 1/e of their first worth"
    return positive(name, meaning, "repetitions", within=_DECAYS)


@final
class DataConstrained(Law):
    """L(N, D, S) = E + A / N'^alpha + B / D'^beta.

    D is the number of unique training records and S of samples seen (records times epochs).
    With R_D = S / D - 1 repetitions, D' = D (1 + R_D* (1 - exp(-R_D / R_D*))); likewise
    N' = U (1 + R_N* (1 - exp(-R_N / R_N*))) with U the smaller of N and the model that is
    compute-optimal for D records seen once, and R_N = N / U - 1: parameters beyond it are worth
    less as well. Free parameters are those of the joint law, and log R_D*, log R_N*.
    Source: Muennighoff et al. 2023 (arXiv 2305.16264), Eqs. 5 to 8 and Appendix A.
    """

    name = "data_constrained"
    formula = "L(N, D, S) = E + A / N'^alpha + B / D'^beta"
    source = "Muennighoff et al. 2023 (arXiv 2305.16264), Eqs. 5 to 8"
    axes = ("N", "D", "S")
    additive_floor = True
    needed: ClassVar[Mapping[str, int]] = {"N": 3, "D": 2, "S": 3}
    parameters = (
        *Chinchilla.parameters,
        _decay("R_D", "repetitions of the data"),
        _decay("R_N", "parameters"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        centre = self.centre(x)
        free = np.atleast_2d(self.to_free(theta, centre))
        loss: FloatArray = self.linear_value(free, x, centre)[0]
        return loss if theta.ndim > 1 else loss[0]

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log N and of log D."""
        return _JOINT.centre(x[:, :2])

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        return np.asarray(-free[..., 2:5:2] * centre)

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        floor, at_n, alpha, at_d, beta, log_rd, log_rn = unpack(free)
        data, size = np.log(x[:, 1]) - centre[1], np.log(x[:, 0]) - centre[0]
        repeats = np.maximum(x[:, 2] / x[:, 1] - 1.0, 0.0)
        extra_d, by_rd, _ = _worth(repeats, np.exp(log_rd))
        excess = beta * data + np.log(alpha / beta) + at_n - at_d
        optimal = excess / alpha  # log of the compute-optimal model for D, less the centre
        ample = size > optimal
        over = np.clip(size - optimal, 0.0, 60.0)
        extra_n, by_rn, by_r = _worth(np.expm1(over), np.exp(log_rn))
        worth_d, worth_n = data + extra_d, np.minimum(size, optimal) + extra_n
        term_n, term_d = np.exp(at_n - alpha * worth_n), np.exp(at_d - beta * worth_d)
        loss = floor + term_n + term_d
        ratio = np.exp(over)
        through = np.where(ample, -term_n * alpha * (1.0 - by_r * ratio), 0.0) / alpha
        jac = np.empty((*free.shape, len(x)))
        jac[:, 0] = 1.0
        jac[:, 1] = term_n + through
        jac[:, 2] = -term_n * worth_n + through * (1.0 - excess) / alpha
        jac[:, 3] = term_d - through
        jac[:, 4] = -term_d * worth_d + through * (data - 1.0 / beta)
        jac[:, 5] = -term_d * beta * by_rd
        jac[:, 6] = -term_n * alpha * by_rn
        return loss, jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Those of the joint law; decay constants from a hundredth to ten thousand."""
        lower, upper = _JOINT.bounds(x[:, :2], loss)
        least, most = np.log(_DECAYS)
        return with_last(lower, least, least), with_last(upper, most, most)

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Starts of the joint law in data as they would count, for several decay constants."""
        repeats = np.maximum(x[:, 2] / x[:, 1] - 1.0, 0.0)
        theta = []
        for decays in _DECAYS_GUESSED:
            counted = x[:, 1] * np.exp(_worth(repeats, np.array(decays[0]))[0])
            starts = _JOINT.guess(np.column_stack([x[:, 0], counted]), loss)[:8]
            theta.append(with_last(starts, *decays))
        free = self.to_free(np.concatenate(theta), self.centre(x))
        return self._inside(free, x, loss)

    def problems(self, x: FloatArray) -> list[str]:
        """As for every law; and repetitions must vary."""
        reasons = super().problems(x)
        if not reasons and len(np.unique(np.round(np.log(x[:, 2] / x[:, 1]), 6))) < 2:
            reasons.append(f"S / D (epochs) is the same in all runs: {self.name} needs several")
        return reasons


def _worth(repeats: FloatArray, decay: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log of 1 + R* (1 - exp(-R / R*)), and its derivatives by log R* and by R."""
    ratio = repeats / decay
    faded = np.exp(-ratio)
    total = 1.0 + decay * (1.0 - faded)
    return np.log(total), decay * (1.0 - faded - ratio * faded) / total, faded / total


_RISE = 10.0  # an uninformed loss is at most so many times the largest seen
_VANISHED, _MOST = -21.0, 7.0  # log of a term of h at the centre
_FLOORS, _RISES = (0.0, 0.6), (1.2, 3.0)
_SLOPES = (0.2, 0.5, 1.0)
_OVER = ((0.2, 0.5), (0.5, 1.0), (1.0, 2.0))


@final
class Saturating(Law):
    """L(N, D, S) = E + (L0 - E) * h / (1 + h).

    h = a / N^alpha + b / S^beta + c * N^gamma / D^delta.

    The terms of h are too small a model, too little training (S samples seen) and overfitting of D
    unique records. The loss stays between E and L0, that of a prediction without information,
    which the kind of loss fixes (``fixed={"L0": ...}``); with h small and many records it is
    Chinchilla's law. Free parameters are E, log L0, the logs of the terms at the centre of the
    data, and the exponents. The T of the source is S here.
    """

    name = "saturating"
    formula = (
        "L(N, D, S) = E + (L0 - E) * h / (1 + h). "
        "h = a / N^alpha + b / S^beta + c * N^gamma / D^delta"
    )
    source = "Bryant & Liu 2026 (arXiv 2605.09189)"
    axes = ("N", "D", "S")
    rises = ("N",)
    needed: ClassVar[Mapping[str, int]] = {"N": 3, "D": 3, "S": 3}
    parameters = (
        irreducible(),
        positive("L0", "loss of a prediction without information", "nats"),
        *power_term("a", "alpha", "N"),
        *power_term("b", "beta", "S"),
        amplitude("c", "D, which grows with N"),
        exponent("gamma", "N in overfitting"),
        exponent("delta", "D in overfitting"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        floor, top, a, alpha, b, beta, c, gamma, delta = unpack(theta)
        n, d, s = np.log(x).T
        h = a * np.exp(-alpha * n) + b * np.exp(-beta * s) + c * np.exp(gamma * n - delta * d)
        return np.asarray(floor + (top - floor) * h / (1.0 + h))

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        n, d, s = centre
        over = free[..., 7] * n - free[..., 8] * d
        return np.stack([-free[..., 3] * n, -free[..., 5] * s, over], axis=-1)

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log loss and its derivative; see ``Law.log_value``."""
        n, d, s = (np.log(x) - centre).T
        floor, log_top, at_n, alpha, at_s, beta, over, gamma, delta = unpack(free)
        by_n, by_s = np.exp(at_n - alpha * n), np.exp(at_s - beta * s)
        by_d = np.exp(np.minimum(over + gamma * n - delta * d, 300.0))
        rest = 1.0 / (1.0 + by_n + by_s + by_d)
        top, share = np.exp(log_top), 1.0 - rest
        span = top - floor
        loss = floor + span * share
        steep = span * rest * rest  # derivative by h
        jac = [
            *(rest, top * share),
            *(steep * by_n, -steep * by_n * n),
            *(steep * by_s, -steep * by_s * s),
            *(steep * by_d, steep * by_d * n, -steep * by_d * d),
        ]
        return np.log(loss), np.stack(jac, axis=1) / loss[:, None, :]

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss), L0 from the largest loss to ten times it."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        term = (_VANISHED, _MOST)
        return bounds_from(
            loss,
            (0.0, smallest * (1 - 1e-9)),
            (np.log(largest) + 1e-6, np.log(_RISE * largest)),
            *((term, EXPONENT) * 3),
            EXPONENT,
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E, L0 and exponents on a grid; h = (L - E) / (L0 - L) is linear in the amplitudes."""
        n, d, s = (np.log(x) - self.centre(x)).T
        grid = list(itertools.product(_SLOPES, _SLOPES, _OVER))
        table = np.array(
            [[np.exp(-p * n), np.exp(-q * s), np.exp(g * n - e * d)] for p, q, (g, e) in grid]
        )
        free, misfit = [], []
        for share, rise in itertools.product(_FLOORS, _RISES):
            floor, top = share * loss.min(), rise * loss.max()
            relative = table / ((loss - floor) / (top - loss))
            gram = relative @ relative.transpose(0, 2, 1)
            size, error = non_negative_least_squares(gram, relative.sum(axis=2), float(len(loss)))
            for (p, q, (g, e)), term, miss in zip(grid, size, error, strict=True):
                at_n, at_s, over = np.log(np.maximum(term, 1e-4))
                free.append([floor, np.log(top), at_n, p, at_s, q, over, g, e])
                misfit.append(miss)
        return self._inside(np.array(free)[best_and_spread(misfit, 16, 8)], x, loss)
