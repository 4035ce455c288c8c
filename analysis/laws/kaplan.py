"""Kaplan's joint law, in which the scarcer of model and data sets the loss."""

from __future__ import annotations

from typing import final

import numpy as np

from analysis.laws.base import FloatArray, Parameter, logged
from analysis.laws.power import AdditivePowerLaw, exponent, irreducible


def _critical(name: str, axis: str, unit: str) -> Parameter:
    return Parameter(
        name=name, lower=0.0, upper=np.inf, unit=unit, positive=True, form="centred",
        meaning=f"{axis} at which its term alone is 1 nat",
    )  # fmt: skip


@final
class Kaplan(AdditivePowerLaw):
    """L(N, D) = E + ((N_c / N)^(alpha / beta) + D_c / D)^beta.

    Kaplan's own form has E = 0 (``fixed={"E": 0}``); with E it is that of Brandfonbrener et al.
    2024 (arXiv 2411.12925). Free parameters are E, the logs of the terms of N alone and of D
    alone at the centre of the data, and the exponents, as for sums of power laws.
    Source: Kaplan et al. 2020 (arXiv 2001.08361), Eq. 1.5.
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
        theta = np.asarray(theta, dtype=np.float64)
        floor, n_c, alpha, d_c, beta = (theta[..., i, None] for i in range(5))
        by_n = alpha / beta * (np.log(n_c) - np.log(x[:, 0]))
        by_d = np.log(d_c) - np.log(x[:, 1])
        found: FloatArray = floor + np.exp(beta * np.logaddexp(by_n, by_d))
        return found

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, then log of each term alone at the centre, and exponent."""
        free = np.array(theta, dtype=np.float64)
        critical = np.maximum(free[..., 1::2], np.finfo(float).tiny)
        free[..., 1::2] = free[..., 2::2] * (np.log(critical) - centre)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 1::2] = np.exp(theta[..., 1::2] / theta[..., 2::2] + centre)
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
        floor, at_n, alpha, at_d, beta = (free[:, i, None] for i in range(5))
        by_n = (at_n - alpha * offset[:, 0]) / beta
        by_d = at_d / beta - offset[:, 1]
        total = np.logaddexp(by_n, by_d)
        share = np.exp(by_n - total)
        term = np.exp(beta * total)
        loss = floor + term
        slope = np.stack(
            [
                share,
                -share * offset[:, 0],
                1.0 - share,
                total - share * by_n - (1.0 - share) * at_d / beta,
            ],
            axis=1,
        )
        result = np.empty((*free.shape, len(x)))
        result[:, 0] = 1.0
        result[:, 1:] = slope * term[:, None, :]
        return loss, result
