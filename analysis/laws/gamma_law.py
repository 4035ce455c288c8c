"""The joint law with a power of the sum of its terms."""

from __future__ import annotations

from typing import final

import numpy as np

from analysis.laws.base import FloatArray, Parameter, logged
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.power import AdditivePowerLaw

_JOINT = Chinchilla()
_RANGE = (0.05, 10.0)
_GUESSED = (0.4, 0.7, 1.0, 2.0)
_BEST = 8


@final
class GammaLaw(AdditivePowerLaw):
    """L(N, D) = E + (A / N^alpha + B / D^beta)^gamma.

    Chinchilla's law for gamma = 1 and Kaplan's for beta = 1; below 1 the larger term hides the
    smaller. Free parameters are E, the logs of the terms of N alone and of D alone at the centre
    of the data, and the exponents.
    Source: Beck et al. 2025 (arXiv 2510.02228), L(N, D) with gamma.
    """

    name = "gamma_law"
    formula = "L(N, D) = E + (A / N^alpha + B / D^beta)^gamma"
    source = "Beck et al. 2025 (arXiv 2510.02228)"
    axes = ("N", "D")
    parameters = (
        *Chinchilla.parameters,
        Parameter(
            name="gamma", lower=_RANGE[0], upper=_RANGE[1], unit="",
            meaning="power of both terms together",
        ),
    )  # fmt: skip

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        floor, at_n, alpha, at_d, beta, gamma = (theta[..., i, None] for i in range(6))
        by_n = np.log(at_n) - alpha * np.log(x[:, 0])
        by_d = np.log(at_d) - beta * np.log(x[:, 1])
        found: FloatArray = floor + np.exp(gamma * np.logaddexp(by_n, by_d))
        return found

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, then log of each term alone at the centre, and exponent; gamma."""
        free = np.array(theta, dtype=np.float64)
        size = np.log(np.maximum(free[..., 1:5:2], np.finfo(float).tiny))
        free[..., 1:5:2] = free[..., 5:] * (size - free[..., 2:6:2] * centre)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 1:5:2] = np.exp(theta[..., 1:5:2] / theta[..., 5:] + theta[..., 2:6:2] * centre)
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log loss and its derivative; see ``Law.log_value``."""
        return logged(*self.linear_value(free, x, centre))

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        offset = np.log(x) - centre
        floor, at_n, alpha, at_d, beta, gamma = (free[:, i, None] for i in range(6))
        by_n = at_n / gamma - alpha * offset[:, 0]
        by_d = at_d / gamma - beta * offset[:, 1]
        total = np.logaddexp(by_n, by_d)
        share = np.exp(by_n - total)
        term = np.exp(gamma * total)
        slope = [
            np.ones_like(term),
            term * share,
            -term * gamma * share * offset[:, 0],
            term * (1.0 - share),
            -term * gamma * (1.0 - share) * offset[:, 1],
            term * (total - (share * at_n + (1.0 - share) * at_d) / gamma),
        ]
        return floor + term, np.stack(slope, axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Those of the joint law; gamma from 0.05 to 10."""
        low, high = (
            np.concatenate([end, np.full((*end.shape[:-1], 1), limit)], axis=-1)
            for end, limit in zip(_JOINT.bounds(x, loss), _RANGE, strict=True)
        )
        return low, high

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Starts of the joint law, whose exponents are gamma times those of each term."""
        centre = self.centre(x)
        joint = _JOINT.to_free(_JOINT.guess(x, loss)[:_BEST], centre)
        found = []
        for gamma in _GUESSED:
            free = np.column_stack([joint, np.full(len(joint), gamma)])
            free[:, 2:6:2] /= gamma
            found.append(free)
        return self.to_natural(np.clip(np.concatenate(found), *self.bounds(x, loss)), centre)
