"""A law whose formula is a function of numpy arrays, and whose derivatives are found by steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from analysis.laws.base import FloatArray, Law
from analysis.laws.derivatives import Formula, complex_step, differences, is_analytic
from analysis.laws.sampling import starts

Function = Callable[..., npt.NDArray[Any]]
Guess = Callable[[dict[str, FloatArray], FloatArray], npt.ArrayLike]

_DECADE = math.log(10.0)
_SEARCHED = 3.0 * _DECADE  # about a typical size, or beyond the sizes seen in the data
_ALLOWED = 100.0 * _DECADE  # a positive parameter without a bound may go as far
_LARGEST = 300.0 * _DECADE
_VANISHED = 1e-9  # an amplitude this small, relative to the response, has vanished
_UNKNOWN = 345.0  # log response where the formula has no value: its square is still finite


class FormulaLaw(Law):
    """A law made by ``plain_law``, each of a class of its own.

    Free parameters are the natural ones, the logarithms of positive ones, and for an amplitude
    the logarithm of what the response has above the floor at the centre of the data.
    """

    function: ClassVar[Function]
    typical: ClassVar[Mapping[str, float]]
    guessed: ClassVar[Guess | None]
    exact: bool | None = None  # whether complex steps are; None until the first derivative

    def _places(self, *forms: str) -> list[int]:
        return [i for i, p in enumerate(self.parameters) if p.form in forms]

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
        """Mean of log scale, by axis."""
        mean: FloatArray = np.log(x).mean(axis=0)
        return mean

    def _unit(self, theta: npt.NDArray[Any], centre: FloatArray) -> npt.NDArray[Any]:
        """Response at the centre with an amplitude of 1 and no floor, shape (...)."""
        one = theta.copy()
        one[..., self._places("centred")] = 1.0
        if self.floor is not None:
            one[..., self.names.index(self.floor)] = 0.0
        return self._call(one, np.exp(centre)[None])[..., 0]

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Logarithms of positive parameters, the others as they are."""
        free = np.array(theta, dtype=np.float64)
        logs = self._places("log", "centred")
        with np.errstate(all="ignore"):
            free[..., logs] = np.log(np.maximum(free[..., logs], np.finfo(float).tiny))
            for i in self._places("centred"):
                free[..., i] += np.log(self._unit(np.array(theta, dtype=np.float64), centre))
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        found: FloatArray = self._natural(np.asarray(free, dtype=np.float64), centre)
        return found

    def _natural(self, free: npt.NDArray[Any], centre: FloatArray) -> npt.NDArray[Any]:
        theta = free.copy()
        logs = self._places("log", "centred")
        with np.errstate(all="ignore"):
            theta[..., logs] = np.exp(theta[..., logs])
            for i in self._places("centred"):
                theta[..., i] /= self._unit(theta, centre)
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log response and its derivative; see ``Law.log_value``."""
        f = self.value(self.to_natural(free, centre), x)
        if self.exact is None:
            self._examine(free, x, centre)
        step = differences if self.exact is False else complex_step
        jac = step(self._in_free(centre), free, x, self._sizes(free, f))
        known = np.isfinite(f) & np.isfinite(jac).all(axis=1)
        f, jac = np.where(known, f, 1.0), np.where(known[:, None, :], jac, 0.0)
        f = np.maximum(f, 1e-12 * np.abs(f).max(axis=1, keepdims=True) + 1e-300)
        return np.where(known, np.log(f), _UNKNOWN), jac / f[:, None, :]

    def _in_free(self, centre: FloatArray) -> Formula:
        return lambda free, x: self._call(self._natural(free, centre), x)

    def _examine(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> None:
        """Find out whether complex steps are exact; once they are not, they are not used again."""
        if self.exact is not False:
            sizes = self._sizes(free, self.value(self.to_natural(free, centre), x))
            found = is_analytic(self._in_free(centre), free, x, sizes)
            self.exact = self.exact if found is None else found

    def _sizes(self, free: FloatArray, f: FloatArray) -> FloatArray:
        """What is small for each free parameter (R, P), for responses ``f`` (R, n).

        One in a logarithm; else the value itself, but a thousandth of its range, or of the
        largest response for a floor, where the value is less.
        """
        found = np.ones_like(free)
        for i in self._places("same"):
            p = self.parameters[i]
            least: FloatArray | float = 1e-3 * (p.upper - p.lower)
            if p.name == self.floor:
                known = np.nan_to_num(np.abs(f), nan=0.0, posinf=0.0)
                least = np.maximum(1e-3 * known.max(axis=1), 1e-280)
            elif not math.isfinite(p.upper - p.lower):
                least = 1e-3 * abs(self.typical[p.name])
            found[:, i] = np.maximum(np.abs(free[:, i]), least)
        return found

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Those given; a floor below the smallest response, no others further than 100 decades."""
        low, high = self._ranges(x, loss.reshape(-1), _ALLOWED)
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        shape = (*smallest.shape, len(self.parameters))
        lower, upper = np.broadcast_to(low, shape).copy(), np.broadcast_to(high, shape).copy()
        for i in self._places("centred"):
            lower[..., i] = np.log(smallest) + math.log(_VANISHED)
            upper[..., i] = np.log(largest) + _SEARCHED
        if self.floor is not None:
            k = self.names.index(self.floor)
            upper[..., k] = np.minimum(self.parameters[k].upper, smallest * (1 - 1e-9))
            lower[..., k] = np.minimum(self.parameters[k].lower, upper[..., k])
        return lower, upper

    def _ranges(
        self, x: FloatArray, loss: FloatArray, reach: float
    ) -> tuple[FloatArray, FloatArray]:
        """Free ends of every parameter (P,), ``reach`` beyond the sizes seen where none is given.

        Without ``typical`` those sizes are 1, the scales and the responses.
        """
        seen = np.log([1.0, x.min(), x.max(), loss.min(), loss.max()])
        ends = np.empty((2, len(self.parameters)))
        for i, p in enumerate(self.parameters):
            size = self.typical.get(p.name)
            if p.form == "same":
                about, middle = abs(size or 0.0) * (1e6 if reach == _ALLOWED else 10.0), size or 0.0
                ends[0, i] = p.lower if math.isfinite(p.lower) else middle - about
                ends[1, i] = p.upper if math.isfinite(p.upper) else middle + about
                continue
            around = seen if size is None else np.log([size])
            if p.form == "centred":
                around = np.log([loss.min(), loss.max()])
            low, high = max(around.min() - reach, -_LARGEST), min(around.max() + reach, _LARGEST)
            if math.isfinite(p.upper):
                low, high = min(low, math.log(p.upper) - reach), math.log(p.upper)
            if p.lower > 0:
                low, high = math.log(p.lower), max(high, math.log(p.lower) + reach)
            ends[:, i] = low, min(high, math.log(p.upper))
        return ends[0], ends[1]

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
        self._examine(free, x, centre)
        theta = self.to_natural(free, centre)
        return theta[np.isfinite(theta).all(axis=1)]

    def _misfit(self, theta: FloatArray, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Sum of squared residuals (S,); infinite where the formula has no value."""
        f = self.value(theta, x)
        with np.errstate(all="ignore"):
            error = np.log(f / loss) if self.residual == "log" else (f - loss) / loss.max()
            total = (error**2).sum(axis=1)
        found: FloatArray = np.where(np.isfinite(total), total, np.inf)
        return found
