"""The joint law with one exponent for model and data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import FloatArray, Law
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.power import amplitude, exponent, irreducible

_JOINT = Chinchilla()
_PLACE = [0, 1, 3, 2, 3]  # of E, A, alpha, B, beta of the joint law among E, A, B, alpha


@final
class Tied(Law):
    """L(N, D) = E + A / N^alpha + B / D^alpha.

    With M = D / N this is a power law in compute at every M, which lets few runs extrapolate.
    Source: Gadre et al. 2024 (arXiv 2403.08540), Eq. 4.
    """

    name = "tied"
    formula = "L(N, D) = E + A / N^alpha + B / D^alpha"
    source = "Gadre et al. 2024 (arXiv 2403.08540), Eq. 4"
    axes = ("N", "D")
    additive_floor = True
    needed: ClassVar[Mapping[str, int]] = {"N": 2, "D": 2}
    parameters = (
        irreducible(),
        amplitude("A", "N"),
        amplitude("B", "D"),
        exponent("alpha", "N and of D"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        return _JOINT.value(_joint(theta), x)

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log scale, by axis."""
        return _JOINT.centre(x)

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E, log amplitudes at the centre, exponent."""
        return _JOINT.to_free(_joint(theta), centre)[..., [0, 1, 3, 4]]

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        return _JOINT.to_natural(_joint(free), centre)[..., [0, 1, 3, 4]]

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log loss and its derivative; see ``Law.log_value``."""
        value, jac = _JOINT.log_value(_joint(free), x, centre)
        return value, np.stack([jac[:, 0], jac[:, 1], jac[:, 3], jac[:, 2] + jac[:, 4]], axis=1)

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        value, jac = _JOINT.linear_value(_joint(free), x, centre)
        return value, np.stack([jac[:, 0], jac[:, 1], jac[:, 3], jac[:, 2] + jac[:, 4]], axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Those of the joint law."""
        lower, upper = _JOINT.bounds(x, loss)
        return lower[..., [0, 1, 3, 4]], upper[..., [0, 1, 3, 4]]

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """The starts of the joint law, with the geometric mean of their exponents."""
        starts = _JOINT.to_free(_JOINT.guess(x, loss), self.centre(x))
        starts[:, 4] = np.sqrt(starts[:, 2] * starts[:, 4])
        return self.to_natural(starts[:, [0, 1, 3, 4]], self.centre(x))


def _joint(parameters: FloatArray) -> FloatArray:
    return np.asarray(parameters, dtype=np.float64)[..., _PLACE]
