"""A law whose formula is a function of numpy arrays, and whose derivatives are found by steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from analysis.laws.base import FloatArray, Law
from analysis.laws.derivatives import complex_step, differences, is_analytic
from analysis.laws.sampling import starts

Function = Callable[..., npt.NDArray[Any]]
Guess = Callable[[dict[str, FloatArray], FloatArray], npt.ArrayLike]

_DECADE = math.log(10.0)
_SEARCHED = 3.0 * _DECADE  # about a typical size, or beyond the sizes seen in the data
_ALLOWED = 100.0 * _DECADE  # a positive parameter without a bound may go as far
_LARGEST = 300.0 * _DECADE
_UNKNOWN = 345.0  # log response where the formula has no value: its square is still finite


class FormulaLaw(Law):
    """A law made by ``plain_law``, each of a class of its own.

    Free parameters are the natural ones, and the logarithms of positive ones.
    """

    function: ClassVar[Function]
    typical: ClassVar[Mapping[str, float]]
    guessed: ClassVar[Guess | None]
    exact: bool | None = None  # whether complex steps are; None until the first derivative

    @property
    def _logs(self) -> npt.NDArray[np.bool_]:
        return np.array([p.form == "log" for p in self.parameters])

    def _columns(self, x: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(self.axes, x.T, strict=True))

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        found: FloatArray = self._call(np.asarray(theta, dtype=np.float64), x)
        return found

    def _call(self, theta: npt.NDArray[Any], x: FloatArray) -> npt.NDArray[Any]:
        """The formula for natural parameters (..., P), real or complex; shape (..., n)."""
        given = {name: theta[..., i, None] for i, name in enumerate(self.names)}
        with np.errstate(all="ignore"):
            found = np.asarray(type(self).function(self._columns(x), **given))
        return np.broadcast_to(found, (*theta.shape[:-1], len(x)))

    def centre(self, x: FloatArray) -> FloatArray:
        """None is needed: a zero (1,)."""
        return np.zeros(1)

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Logarithms of positive parameters, the others as they are."""
        theta = np.array(theta, dtype=np.float64)
        logs = self._logs
        theta[..., logs] = np.log(np.maximum(theta[..., logs], np.finfo(float).tiny))
        return theta

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., self._logs] = np.exp(theta[..., self._logs])
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log response and its derivative; see ``Law.log_value``."""
        theta = self.to_natural(free, centre)
        f, jac = self.value(theta, x), self._jacobian(theta, x)
        known = np.isfinite(f) & np.isfinite(jac).all(axis=1)
        f, jac = np.where(known, f, 1.0), np.where(known[:, None, :], jac, 0.0)
        least = 1e-12 * np.abs(f).max(axis=1, keepdims=True) + 1e-300
        f = np.maximum(f, least)
        slope = np.where(self._logs, theta, 1.0)[..., None]
        return np.where(known, np.log(f), _UNKNOWN), jac * slope / f[:, None, :]

    def _jacobian(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Derivative (R, P, n) by the natural parameters."""
        size = self._sizes(theta, x)
        if self.exact is None:
            self._examine(theta, x)
        step = differences if self.exact is False else complex_step
        return step(self._call, theta, x, size)

    def _examine(self, theta: FloatArray, x: FloatArray) -> None:
        """Find out whether complex steps are exact; once they are not, they are not used again."""
        if self.exact is not False:
            found = is_analytic(self._call, theta, x, self._sizes(theta, x))
            self.exact = self.exact if found is None else found

    def _sizes(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """What is small for each parameter (R, P): itself, or a thousandth of its range at 0."""
        least = np.array([
            0.0 if p.form == "log"
            else 1e-3 * abs(self.typical.get(p.name, 0.0)) if math.isinf(p.upper - p.lower)
            else 1e-3 * (p.upper - p.lower)
            for p in self.parameters
        ])  # fmt: skip
        found = np.maximum(np.abs(theta), np.maximum(least, 1e-280))
        if self.floor is not None:
            k = self.names.index(self.floor)
            f = np.nan_to_num(np.abs(self.value(theta, x)), posinf=0.0).max(axis=1)
            found[:, k] = np.maximum(found[:, k], 1e-3 * f)
        return found

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Those given; a floor below the smallest response, no others further than 100 decades."""
        low, high = self._ranges(x, loss.reshape(-1), _ALLOWED)
        shape = (*loss.shape[:-1], len(self.parameters))
        lower, upper = np.broadcast_to(low, shape).copy(), np.broadcast_to(high, shape).copy()
        if self.floor is not None:
            k = self.names.index(self.floor)
            top = np.minimum(self.parameters[k].upper, loss.min(axis=-1) * (1 - 1e-9))
            lower[..., k] = np.minimum(self.parameters[k].lower, top)
            upper[..., k] = top
        return lower, upper

    def _ranges(
        self, x: FloatArray, loss: FloatArray, reach: float
    ) -> tuple[FloatArray, FloatArray]:
        """Free ends of every parameter (P,), ``reach`` beyond the sizes seen where none is given.

        Without ``typical`` those sizes are 1, the scales and the responses.
        """
        seen = np.log([1.0, x.min(), x.max(), loss.min(), loss.max()])
        ends = []
        for p in self.parameters:
            size = self.typical.get(p.name)
            if p.form == "log":
                around = seen if size is None else np.log([size])
                low, high = around.min() - reach, around.max() + reach
                low, high = max(low, -_LARGEST), min(high, _LARGEST)
                if math.isfinite(p.upper):
                    high = math.log(p.upper)
                    low = min(low, high - reach)
                if p.lower > 0:
                    low = math.log(p.lower)
                    high = max(high, low + reach) if math.isinf(p.upper) else high
            else:
                about = abs(size or 0.0) * (1e6 if reach == _ALLOWED else 10.0)
                low = p.lower if math.isfinite(p.lower) else (size or 0.0) - about
                high = p.upper if math.isfinite(p.upper) else (size or 0.0) + about
            ends.append((low, high))
        return np.array([e[0] for e in ends]), np.array([e[1] for e in ends])

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """The guess given, or the best of a scrambled Sobol sequence and a spread of others."""
        centre, own = self.centre(x), type(self).guessed
        lower, upper = self.bounds(x, loss)
        if own is None:
            low, high = self._ranges(x, loss, _SEARCHED)
            free = starts(
                lambda at: self._misfit(self.to_natural(at, centre), x, loss),
                np.clip(low, lower, upper), np.clip(high, lower, upper),
            )  # fmt: skip
        else:
            given = np.asarray(own(self._columns(x), loss), dtype=np.float64)
            free = np.clip(self.to_free(np.atleast_2d(given), centre), lower, upper)
        theta = self.to_natural(free, centre)
        self._examine(theta, x)
        return theta

    def _misfit(self, theta: FloatArray, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Sum of squared residuals (S,); infinite where the formula has no value."""
        f = self.value(theta, x)
        with np.errstate(all="ignore"):
            error = np.log(f / loss) if self.residual == "log" else (f - loss) / loss.max()
            total: FloatArray = (error**2).sum(axis=1)
        return np.where(np.isfinite(total), total, np.inf)
