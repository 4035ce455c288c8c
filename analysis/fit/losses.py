"""The loss of a residual: Huber's, squares, or one of your own.

    from analysis.fit.losses import Loss, asymmetric_absolute

    fit_law(data, "chinchilla", loss=asymmetric_absolute(under=1, over=2))
    fit_law(data, "chinchilla", loss=Loss("log-cosh", lambda r: np.log(np.cosh(r)), np.tanh))

A residual is fitted less measured, on the scale of the residuals, so that it is positive where the
law lies above a run.

A loss may have a kink at 0, such as absolute error, which no Newton step survives. The solver
therefore sees it averaged over a width, with the slope (rho(r + w) - rho(r - w)) / 2w, which makes
Huber's loss of the absolute one, and goes to smaller widths from each optimum. The objective
reported is that of the loss itself.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from analysis.laws import FloatArray

SHRINK = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)  # widths of an own loss, in the first
_NODES, _SHARES = np.polynomial.legendre.leggauss(4)
_SHARES = _SHARES / 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Loss:
    """A loss of your own: smallest and 0 at a residual of 0, rising to both sides.

    Attributes:
        name: for certificates and tables.
        value: residuals of any shape -> loss of each.
        slope: residuals -> derivative of the loss; either side's at a kink.
    """

    name: str
    value: Callable[[FloatArray], FloatArray]
    slope: Callable[[FloatArray], FloatArray]

    def check(self) -> None:
        """Try the loss on a few residuals.

        Raises:
            ValueError: it changes their shape, is not finite, is not smallest at 0, or its slope
                is not that of its value.
        """
        at = np.array([[-2.0, -0.3, -1e-3, 0.0, 1e-3, 0.4, 3.0]])
        with np.errstate(all="ignore"):
            value, slope = np.asarray(self.value(at)), np.asarray(self.slope(at))
            step = 1e-6
            rise = (np.asarray(self.value(at + step)) - np.asarray(self.value(at - step))) / 2e-6
        if value.shape != at.shape or slope.shape != at.shape:
            raise ValueError(f"loss {self.name!r} must keep the shape of the residuals")
        if not (np.isfinite(value).all() and np.isfinite(slope).all()):
            raise ValueError(f"loss {self.name!r} is not finite at residuals of -2 to 3")
        if value[0, 3] != 0 or (value < 0).any() or (np.sign(slope) * np.sign(at) < 0).any():
            raise ValueError(f"loss {self.name!r} must be 0 at 0 and rise to both sides")
        smooth = np.abs(at) > step
        if (np.abs(rise - slope) > 1e-3 * (1.0 + np.abs(slope)))[smooth].any():
            raise ValueError(f"loss {self.name!r}: the slope is not the derivative of the value")


def asymmetric_absolute(under: float = 1.0, over: float = 1.0) -> Loss:
    """Absolute error that weighs a law below its runs by ``under`` and above them by ``over``.

    With ``over / (under + over) = q`` the law goes through the quantile 1 - q of the runs (Koenker
    & Bassett 1978).

    Raises:
        ValueError: a weight that is not positive and finite.
    """
    if not all(math.isfinite(w) and w > 0 for w in (under, over)):
        raise ValueError(f"weights must be positive and finite, not {under} and {over}")
    return Loss(
        f"absolute, {under:g} under and {over:g} over",
        lambda r: np.where(r > 0, over * r, -under * r),
        lambda r: np.where(r > 0, over, -under),
    )


class Penalty(Protocol):
    """What the solver needs to know of a loss, for residuals (..., n) of n points."""

    def value(self, residual: FloatArray) -> FloatArray:
        """Loss of each."""

    def score(self, residual: FloatArray) -> FloatArray:
        """Its derivative."""

    def weight(self, residual: FloatArray, blend: FloatArray) -> FloatArray:
        """Curvature: that of Newton's method for ``blend`` 0, of reweighted squares for 1 (R,)."""


def huber(residual: FloatArray, delta: float | FloatArray) -> FloatArray:
    """Huber's loss: r^2 / 2 within ``delta``, linear beyond; ``inf`` gives least squares."""
    size = np.abs(residual)
    inner = np.minimum(size, delta)
    return np.asarray(inner * (size - 0.5 * inner))


@dataclasses.dataclass(frozen=True, slots=True)
class Huber:
    """Huber's loss with ``delta`` (n,); infinite for squares."""

    delta: FloatArray

    def value(self, residual: FloatArray) -> FloatArray:
        """See ``Penalty``."""
        return huber(residual, self.delta)

    def score(self, residual: FloatArray) -> FloatArray:
        """See ``Penalty``."""
        return np.asarray(np.clip(residual, -self.delta, self.delta))

    def weight(self, residual: FloatArray, blend: FloatArray) -> FloatArray:
        """See ``Penalty``."""
        size = np.abs(residual)
        if not blend.any():
            return (size <= self.delta).astype(np.float64)
        with np.errstate(invalid="ignore"):  # 0 times infinity is nowhere used
            ratio, most = np.ones_like(size), np.minimum(blend, 1.0)[:, None] * self.delta
        np.divide(most, size, out=ratio, where=size > self.delta)
        return ratio


@dataclasses.dataclass(frozen=True, slots=True)
class Smoothed:
    """A loss of one's own averaged over ``width`` (n,) to both sides; infinite for squares."""

    loss: Loss
    width: FloatArray

    def value(self, residual: FloatArray) -> FloatArray:
        """See ``Penalty``; a kink at 0 parts the average in two."""
        width = np.where(np.isinf(self.width), 1.0, self.width)
        low, high = residual - width, residual + width
        whole, left, right = (np.zeros_like(residual) for _ in range(3))
        for node, share in zip(_NODES, _SHARES, strict=True):
            whole += share * self.loss.value(residual + node * width)
            left += share * self.loss.value(0.5 * (1.0 + node) * low)
            right += share * self.loss.value(0.5 * (1.0 + node) * high)
        parted = (high * right - low * left) / (2.0 * width)
        smoothed = np.where(np.abs(residual) < width, parted, whole)
        return np.where(np.isinf(self.width), 0.5 * residual**2, smoothed)

    def score(self, residual: FloatArray) -> FloatArray:
        """See ``Penalty``."""
        width = np.where(np.isinf(self.width), 1.0, self.width)
        rise = self.loss.value(residual + width) - self.loss.value(residual - width)
        return np.where(np.isinf(self.width), residual, rise / (2.0 * width))

    def weight(self, residual: FloatArray, blend: FloatArray) -> FloatArray:
        """See ``Penalty``."""
        width = np.where(np.isinf(self.width), 1.0, self.width)
        bend = self.loss.slope(residual + width) - self.loss.slope(residual - width)
        newton = np.maximum(bend / (2.0 * width), 0.0)
        size = np.maximum(np.abs(residual), 1e-3 * width)
        again = np.maximum(np.abs(self.score(residual)) / size, newton)
        curvature = newton + np.minimum(blend, 1.0)[:, None] * (again - newton)
        return np.where(np.isinf(self.width), 1.0, curvature)


def penalty(loss: Loss | None, delta: FloatArray) -> Penalty:
    """Huber's loss, or one's own smoothed over ``delta`` (n,)."""
    return Huber(delta) if loss is None else Smoothed(loss, delta)
