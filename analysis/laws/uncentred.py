"""A law whose centred amplitudes move in their own logarithm, so that they can be held or bounded.

The logarithm of an amplitude carried to the centre of the data conditions a fit, but a bound of
the amplitude is then no bound of a free parameter. This law has the free parameters of another,
but for the amplitudes named. It is meant for those that are held or bounded only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np

from analysis.laws.base import BoolArray, FloatArray, Law

_STEP = 1e-3
_LARGEST = 700.0  # log of the largest double, nearly
_FAR = 1e9  # of a parameter of either sign
_OFFSETS, _WEIGHTS = (-2.0, -1.0, 1.0, 2.0), (1.0, -8.0, 8.0, -1.0)  # fourth order, over 12


class Uncentred(Law):
    """``base`` with the amplitudes ``names`` free in their own logarithm."""

    def __init__(self, base: Law, names: Collection[str]) -> None:
        self.base = base
        self.places = [base.names.index(name) for name in names]
        for name in ("name", "formula", "source", "axes", "response", "unit", "held", "rises",
                     "floor", "needed", "residual", "signed_axes",
                     "signed_response", "additive_floor"):  # fmt: skip
            setattr(self, name, getattr(base, name))
        self.parameters = tuple(  # type: ignore[misc]
            dataclasses.replace(p, form="log" if p.positive else "same") if p.name in names else p
            for p in base.parameters
        )
        self.positive = [base.parameters[i].positive for i in self.places]

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        return self.base.value(theta, x)

    def centre(self, x: FloatArray) -> FloatArray:
        """That of the base."""
        return self.base.centre(x)

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Those of the base, and the logarithms of the amplitudes."""
        free = np.array(self.base.to_free(theta, centre))
        sizes = np.asarray(theta, dtype=np.float64)[..., self.places]
        with np.errstate(all="ignore"):
            logs = np.log(np.maximum(sizes, np.finfo(float).tiny))
        free[..., self.places] = np.where(self.positive, logs, sizes)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        own = np.asarray(free, dtype=np.float64)[..., self.places]
        theta = np.array(self.base.to_natural(free, centre))
        with np.errstate(all="ignore"):
            theta[..., self.places] = np.where(self.positive, np.exp(own), own)
        return theta

    def _centred(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """The free parameters of the base."""
        return self.base.to_free(self.to_natural(free, centre), centre)

    def _through(self, free: FloatArray, jac: FloatArray, centre: FloatArray) -> FloatArray:
        """Derivative by the own free parameters from that by those of the base (R, P, n)."""
        found = jac.copy()
        found[:, self.places] = 0.0
        for i in range(free.shape[1]):
            step = np.zeros_like(free)
            step[:, i] = _STEP * (1.0 + np.abs(free[:, i]))
            moved = sum(
                w * self._centred(free + k * step, centre)[:, self.places]
                for k, w in zip(_OFFSETS, _WEIGHTS, strict=True)
            ) / (12.0 * step[:, i, None])
            found[:, i] += np.einsum("ra,ran->rn", moved, jac[:, self.places])
        return found

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log response and its derivative; see ``Law.log_value``."""
        f, jac = self.base.log_value(self._centred(free, centre), x, centre)
        return f, self._through(free, jac, centre)

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Response and its derivative; see ``Law.linear_value``."""
        f, jac = self.base.linear_value(self._centred(free, centre), x, centre)
        return f, self._through(free, jac, centre)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Those of the base; an amplitude as the problem limits it."""
        lower, upper = (np.array(end) for end in self.base.bounds(x, loss))
        most = np.where(self.positive, _LARGEST, _FAR)
        lower[..., self.places], upper[..., self.places] = -most, most
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """The starts of the base."""
        return self.base.guess(x, loss)

    def problems(self, x: FloatArray) -> list[str]:
        """Those of the base."""
        return self.base.problems(x)

    def identifiable(self, x: FloatArray, counts: FloatArray) -> BoolArray:
        """As for the base."""
        return self.base.identifiable(x, counts)
