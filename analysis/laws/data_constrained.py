"""The joint law where records are seen several times: what a repetition is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import FloatArray, Law, Parameter
from analysis.laws.chinchilla import Chinchilla

_JOINT = Chinchilla()
_REPEATS = (1e-2, 1e4)
_GUESSED = ((15.0, 5.0), (5.0, 50.0), (50.0, 5.0), (1e3, 1e3))


def _decay(name: str, of: str) -> Parameter:
    return Parameter(
        name=name, lower=_REPEATS[0], upper=_REPEATS[1], unit="repetitions", positive=True,
        form="log", meaning=f"after this many, further {of} add 1/e of their first worth",
    )  # fmt: skip


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
        found: FloatArray = self.linear_value(free, x, centre)[0]
        return found if theta.ndim > 1 else found[0]

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log N and of log D."""
        return _JOINT.centre(x[:, :2])

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Those of the joint law, then the logs of the decay constants."""
        theta = np.asarray(theta, dtype=np.float64)
        return np.concatenate(
            [_JOINT.to_free(theta[..., :5], centre), np.log(theta[..., 5:])], axis=-1
        )

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        free = np.asarray(free, dtype=np.float64)
        return np.concatenate(
            [_JOINT.to_natural(free[..., :5], centre), np.exp(free[..., 5:])], axis=-1
        )

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        floor, at_n, alpha, at_d, beta, log_rd, log_rn = (free[:, i, None] for i in range(7))
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
        ends = _JOINT.bounds(x[:, :2], loss)
        low, high = (
            np.concatenate([end, np.full((*end.shape[:-1], 2), np.log(limit))], axis=-1)
            for end, limit in zip(ends, _REPEATS, strict=True)
        )
        return low, high

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Starts of the joint law in data as they would count, for several decay constants."""
        found = []
        for decay in _GUESSED:
            repeats = np.maximum(x[:, 2] / x[:, 1] - 1.0, 0.0)
            counted = x[:, 1] * np.exp(_worth(repeats, np.array(decay[0]))[0])
            starts = _JOINT.guess(np.column_stack([x[:, 0], counted]), loss)[:8]
            found.append(np.column_stack([starts, np.broadcast_to(decay, (len(starts), 2))]))
        centre = self.centre(x)
        free = self.to_free(np.concatenate(found), centre)
        return self.to_natural(np.clip(free, *self.bounds(x, loss)), centre)

    def problems(self, x: FloatArray) -> list[str]:
        """As for every law; and repetitions must vary."""
        found = super().problems(x)
        if not found and len(np.unique(np.round(np.log(x[:, 2] / x[:, 1]), 6))) < 2:
            found.append(f"S / D (epochs) is the same in all runs: {self.name} needs several")
        return found


def _worth(repeats: FloatArray, decay: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log of 1 + R* (1 - exp(-R / R*)), and its derivatives by log R* and by R."""
    ratio = repeats / decay
    faded = np.exp(-ratio)
    total = 1.0 + decay * (1.0 - faded)
    return np.log(total), decay * (1.0 - faded - ratio * faded) / total, faded / total
