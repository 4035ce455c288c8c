"""A law whose formula is a function of numpy arrays, and whose derivatives follow from it."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from analysis.laws.base import UNKNOWN, FloatArray, Law, logged
from analysis.laws.derivatives import complex_step, differences, is_analytic
from analysis.laws.dual import Dual, Exponential
from analysis.laws.sampling import starts
from analysis.laws.separable import linear_parameters, projected, units

Function = Callable[..., npt.NDArray[Any]]
Guess = Callable[[dict[str, FloatArray], FloatArray], npt.ArrayLike]
Planes = dict[int, tuple[float, dict[int, float]]]  # level and slopes by parameter
Derivative = Literal["forward", "complex", "differences"]

_DECADE = math.log(10.0)
_SEARCHED = 3.0 * _DECADE  # about a typical size, or beyond the sizes seen in the data
_ALLOWED = 100.0 * _DECADE  # a positive parameter without a bound may go as far
_LARGEST = 300.0 * _DECADE
_VANISHED = 1e-9  # an amplitude this small, relative to the response, has vanished
_ROWS = 48  # that starting points are judged by
_STRAIGHT = 1e-10
_REMEMBERED = 32  # centres
_PLACES = 5  # of a scale that is 0 or less somewhere, where terms are measured


class FormulaLaw(Law):
    """A law made by ``plain_law``, each of a class of its own.

    Free parameters are the natural ones and the logarithms of positive ones. Those without a bound
    that the formula is linear in (amplitudes) move as the logarithm of their term at the centre of
    the data, like those of the laws that come with the project.

    Attributes:
        derivative: how it is found; None until the first is needed.
        linear: places of the parameters that the formula is linear in; None until data are seen.
        apart: parameters held or bounded, which are free in their own logarithm.
    """

    function: ClassVar[Function]
    typical: ClassVar[Mapping[str, float]]
    guessed: ClassVar[Guess | None]
    signed_axes = True
    signed_response = True
    derivative: Derivative | None = None
    linear: list[int] | None = None
    apart: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.straight: dict[tuple[bytes, frozenset[str]], Planes | None] = {}
        self.amplitudes: dict[tuple[tuple[int, ...], frozenset[str]], list[int]] = {}
        self.logs = frozenset(self._places("log", "centred"))

    def uncentred(self, names: Collection[str]) -> Law:
        """The same law with parameters ``names`` free in their own logarithm."""
        if not names:
            return self
        found = copy.copy(self)
        found.apart = self.apart | frozenset(names)
        found.parameters = tuple(  # type: ignore[misc]
            dataclasses.replace(p, form="log") if p.name in names and p.form == "centred" else p
            for p in self.parameters
        )
        return found

    def _places(self, *forms: str) -> list[int]:
        return [i for i, p in enumerate(self.parameters) if p.form in forms]

    @property
    def _amplitudes(self) -> list[int]:
        """Places of the parameters that move as the logarithm of their term."""
        key = (tuple(self.linear or ()), self.apart)
        if key not in self.amplitudes:
            self.amplitudes[key] = self._own_amplitudes()
        return self.amplitudes[key]

    def _own_amplitudes(self) -> list[int]:
        found = []
        for i, p in enumerate(self.parameters):
            unbounded = p.form == "log" and p.lower == 0 and math.isinf(p.upper)
            own = p.form == "centred" or (unbounded and i in (self.linear or ()))
            if own and p.name not in self.apart:
                found.append(i)
        return found

    def _columns(self, x: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(self.axes, x.T, strict=True))

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        return np.asarray(self._call(np.asarray(theta, dtype=np.float64), x))

    def _call(self, theta: npt.NDArray[Any], x: FloatArray) -> npt.NDArray[Any]:
        """The formula for natural parameters (..., P), real or complex; shape (..., n)."""
        given = {name: theta[..., i, None] for i, name in enumerate(self.names)}
        with np.errstate(all="ignore"):
            found = np.asarray(type(self).function(self._columns(x), **given))
        return np.broadcast_to(found, (*theta.shape[:-1], len(x)))

    def centre(self, x: FloatArray) -> FloatArray:
        """Where terms are measured: the geometric mean of each axis, row by row one after another.

        Where an axis has values of 0 or below it is five rows of the data instead.
        """
        if self.linear is None:
            self.linear = self._examined(x)
        if x.min() > 0:
            mean: FloatArray = np.exp(np.log(x).mean(axis=0))
            return mean
        rows = np.linspace(0, len(x) - 1, min(_PLACES, len(x))).astype(int)
        return np.asarray(x[rows].reshape(-1))

    def _examined(self, x: FloatArray) -> list[int]:
        """Places of the parameters that the formula is linear in, positive ones first."""
        random = np.random.default_rng(0)
        low, high = self._ranges(x, np.ones(1), _DECADE)
        free = low + (high - low) * random.uniform(0.2, 0.8, (2, len(low)))
        logs = self._places("log", "centred")
        free[:, logs] = np.exp(free[:, logs])
        rows = x[np.linspace(0, len(x) - 1, min(_PLACES, len(x))).astype(int)]
        order = [*self._places("centred", "log"), *self._places("same")]
        return linear_parameters(self._call, free, rows, order)

    def _units(self, theta: npt.NDArray[Any], centre: FloatArray) -> npt.NDArray[Any]:
        """Size (..., A) of the term of each amplitude of 1, at the centre."""
        places = centre.reshape(-1, len(self.axes))
        terms = units(self._call, theta, places, self.linear or (), self._amplitudes)
        if terms.shape[-1] == 1:
            one = terms[..., 0]
            found: npt.NDArray[Any] = one * np.where(one.real < 0, -1.0, 1.0)
        else:
            found = np.sqrt((terms * terms).mean(axis=-1))
        return found

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Logarithms of positive parameters or of their terms, the others as they are."""
        theta = np.asarray(theta, dtype=np.float64)
        free, tiny = theta.copy(), np.finfo(float).tiny
        logs = self._places("log", "centred")
        with np.errstate(all="ignore"):
            free[..., logs] = np.log(np.maximum(free[..., logs], tiny))
            if amplitudes := self._amplitudes:
                free[..., amplitudes] += np.log(np.maximum(self._units(theta, centre), tiny))
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
            if amplitudes := self._amplitudes:
                size = self._units(theta, centre)
                theta[..., amplitudes] /= np.where(size == 0, np.finfo(float).tiny, size)
        return theta

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Response and its derivative, far away where there is none; see ``Law.linear_value``."""
        if self.derivative is None:
            self._examine(free, x, centre)
        if self.derivative == "forward":
            f, parts = self._forward(free, x, centre)
            jac = _filled(free, f, parts)
        else:
            f = self.value(self.to_natural(free, centre), x)
            step = complex_step if self.derivative == "complex" else differences
            jac = step(
                lambda at, x: self._call(self._natural(at, centre), x), free, x,
                self._sizes(free, f),
            )  # fmt: skip
        if _all_finite(f) and _all_finite(jac):
            return f, jac
        known = np.isfinite(f) & np.isfinite(jac).all(axis=1)
        return np.where(known, f, math.exp(UNKNOWN)), np.where(known[:, None, :], jac, 0.0)

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log response and its derivative; see ``Law.log_value``."""
        if self.derivative == "forward":
            f, parts = self._forward(free, x, centre)
            if _all_finite(f) and f.min() > 0:
                jac = _filled(free, f, parts, 1.0 / f)
                if _all_finite(jac):
                    return np.log(f), jac
        return logged(*self.linear_value(free, x, centre))

    def _forward(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, dict[int, Any]]:
        """Value (R, n) and derivatives by the number of the parameter, by dual numbers."""
        with np.errstate(all="ignore"):
            found = type(self).function(self._columns(x), **self._carried(free, centre))
            value = found.value if isinstance(found, Dual) else found
            parts: dict[int, Any] = found.parts if isinstance(found, Dual) else {}
        if np.shape(value) != (len(free), len(x)):
            value = np.array(np.broadcast_to(value, (len(free), len(x))), dtype=np.float64)
        return value, parts

    def _carried(self, free: FloatArray, centre: FloatArray) -> dict[str, Dual]:
        """Natural parameters (R, 1) with their derivatives by the free ones."""
        found = {
            name: (Exponential if i in self.logs else Dual)(free[:, i, None], {i: 1.0})
            for i, name in enumerate(self.names)
        }
        amplitudes = self._amplitudes
        key = (centre.tobytes(), self.apart)
        if key not in self.straight:
            if len(self.straight) >= _REMEMBERED:
                self.straight.clear()
            self.straight[key] = self._plane(centre, amplitudes)
        planes = self.straight[key]
        if planes is not None:
            for i, (level, slopes) in planes.items():
                log = free[:, i, None] - level
                for k, slope in slopes.items():
                    log = log - slope * free[:, k, None]
                by = {k: -slope for k, slope in slopes.items()}
                found[self.names[i]] = Exponential(log, {**by, i: 1.0})
            return found
        unit, moved = self._bent(free, centre, amplitudes)
        for row, i in enumerate(amplitudes):
            parts = {k: -v[:, row, None] for k, v in moved.items() if v[:, row].any()}
            found[self.names[i]] = Exponential(
                free[:, i, None] - unit[:, row, None], {**parts, i: 1.0}
            )
        return found

    def _plane(self, centre: FloatArray, amplitudes: list[int]) -> Planes | None:
        """By amplitude the log size of its term, where that is linear in the free parameters.

        It is for products of powers, whose sizes then cost nothing. None where it is not.
        """
        if not amplitudes:
            return {}
        places, count = centre.reshape(-1, len(self.axes)), len(self.parameters)
        low, high = self._ranges(places, np.ones(1), _DECADE)
        free = low + (high - low) * np.random.default_rng(1).uniform(0.3, 0.7, (count + 4, count))
        theta, logs = free.copy(), self._places("log", "centred")
        theta[:, logs] = np.exp(theta[:, logs])
        with np.errstate(all="ignore"):
            size = np.log(self._units(theta, centre))
        if not np.isfinite(size).all():
            return None
        linear = {*(self.linear or ()), *amplitudes}
        others = [i for i in range(count) if i not in linear]
        columns = np.column_stack([np.ones(len(free)), free[:, others]])
        found = np.linalg.lstsq(columns, size, rcond=None)[0]
        if np.abs(columns @ found - size).max() > _STRAIGHT * (1.0 + np.abs(size).max()):
            return None
        return {
            i: (
                float(found[0, row]),
                {k: float(v) for k, v in zip(others, found[1:, row], strict=True)
                 if abs(v) > _STRAIGHT},
            )
            for row, i in enumerate(amplitudes)
        }  # fmt: skip

    def _bent(
        self, free: FloatArray, centre: FloatArray, amplitudes: list[int]
    ) -> tuple[FloatArray, dict[int, FloatArray]]:
        """The same by going through the formula."""
        places, logs = centre.reshape(-1, len(self.axes)), self._places("log", "centred")
        linear = {*(self.linear or ()), *amplitudes}
        given: dict[str, Any] = {}
        for i, name in enumerate(self.names):
            if i in linear:
                given[name] = np.zeros((1, len(amplitudes) + 1, 1))
                if i in amplitudes:
                    given[name][0, amplitudes.index(i)] = 1.0
            else:
                given[name] = (Exponential if i in logs else Dual)(free[:, i, None, None], {i: 1.0})
        each = type(self).function(self._columns(places), **given)
        value = each.value if isinstance(each, Dual) else each
        parts: dict[int, Any] = each.parts if isinstance(each, Dual) else {}
        shape = (len(free), len(amplitudes) + 1, len(places))

        def own(of: Any) -> FloatArray:
            whole: FloatArray = np.broadcast_to(of, shape)
            return whole[:, :-1] - whole[:, -1:]

        term = own(value)
        square = np.maximum((term * term).sum(axis=2), np.finfo(float).tiny)
        moved = {k: (term * own(v)).sum(axis=2) / square for k, v in parts.items()}
        return 0.5 * np.log(square / len(places)), moved

    def _examine(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> None:
        """Find out how derivatives are found; what has failed once is not used again."""
        if self.derivative is None:
            try:
                f = self._forward(free[:2], x, centre)[0]
            except (TypeError, ValueError, AttributeError, IndexError):
                f = np.full(1, np.nan)
            plain = self.value(self.to_natural(free[:2], centre), x)
            if f.shape == plain.shape and np.allclose(f, plain, rtol=1e-8, equal_nan=True):
                self.derivative = "forward"
        if self.derivative not in {"forward", "differences"}:
            sizes = self._sizes(free, self.value(self.to_natural(free, centre), x))
            found = is_analytic(
                lambda at, x: self._call(self._natural(at, centre), x), free, x, sizes
            )
            if found is not None:
                self.derivative = "complex" if found else "differences"

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
        """Those given; no others further than 100 decades.

        A floor stays below the smallest response, but for linear residuals.
        """
        low, high = self._ranges(x, loss.reshape(-1), _ALLOWED)
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        size = np.maximum(np.abs(loss).max(axis=-1), 1e-300)
        shape = (*smallest.shape, len(self.parameters))
        lower, upper = np.broadcast_to(low, shape).copy(), np.broadcast_to(high, shape).copy()
        for i in self._amplitudes:
            least = np.where(smallest > 0, smallest, size)
            lower[..., i] = np.log(least) + math.log(_VANISHED)
            upper[..., i] = np.log(size) + _SEARCHED
        if self.floor is not None:
            k = self.names.index(self.floor)
            top = smallest - 1e-9 * np.abs(smallest)
            if self.residual == "linear":
                top = largest
            upper[..., k] = np.minimum(self.parameters[k].upper, top)
            below = smallest - 10.0 * size
            least = np.maximum(self.parameters[k].lower, below)
            lower[..., k] = np.minimum(least, upper[..., k])
        return lower, upper

    def _ranges(
        self, x: FloatArray, loss: FloatArray, reach: float
    ) -> tuple[FloatArray, FloatArray]:
        """Free ends of every parameter (P,), ``reach`` beyond the sizes seen where none is given.

        Without ``typical`` those sizes are 1, the scales and the responses.
        """
        sizes = np.abs(np.array([1.0, *x.min(axis=0), *x.max(axis=0), loss.min(), loss.max()]))
        seen = np.log(sizes[sizes > 0])
        ends = np.empty((2, len(self.parameters)))
        for i, p in enumerate(self.parameters):
            size = self.typical.get(p.name)
            if p.form == "same":
                about, middle = abs(size or 0.0) * (1e6 if reach == _ALLOWED else 10.0), size or 0.0
                if p.name == self.floor and size is None:
                    about = 2.0 * sizes[-2:].max()
                ends[0, i] = p.lower if math.isfinite(p.lower) else middle - about
                ends[1, i] = p.upper if math.isfinite(p.upper) else middle + about
                continue
            around = seen if size is None else np.log([size])
            low, high = max(around.min() - reach, -_LARGEST), min(around.max() + reach, _LARGEST)
            if math.isfinite(p.upper):
                low, high = min(low, math.log(p.upper) - reach), math.log(p.upper)
            if p.lower > 0:
                low, high = math.log(p.lower), max(high, math.log(p.lower) + reach)
            ends[:, i] = low, min(high, math.log(p.upper))
        return ends[0], ends[1]

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """The guess given, or the best of a scrambled Sobol sequence and a spread of others.

        Of a sequence only parameters are drawn that the formula is not linear in.
        """
        centre, own = self.centre(x), type(self).guessed
        lower, upper = self.bounds(x, loss)
        if own is None:
            theta = self._drawn(x, loss, centre)
        else:
            theta = np.atleast_2d(np.asarray(own(self._columns(x), loss), dtype=np.float64))
        free = np.clip(np.nan_to_num(self.to_free(theta, centre)), lower, upper)
        self._examine(free, x, centre)
        theta = self.to_natural(free, centre)
        return theta[np.isfinite(theta).all(axis=1)]

    def _drawn(self, x: FloatArray, loss: FloatArray, centre: FloatArray) -> FloatArray:
        """Starting points (S, P) by search over what the formula is not linear in."""
        rows = np.argsort(loss, kind="stable")
        rows = rows[np.linspace(0, len(loss) - 1, min(_ROWS, len(loss))).astype(int)]
        at, seen = x[rows], loss[rows]
        linear = list(self.linear or ())
        searched = [i for i in range(len(self.parameters)) if i not in linear]
        low, high = self._ranges(x, loss, _SEARCHED)
        natural = np.array([[p.lower, p.upper] for p in self.parameters])[linear]
        logs = [k for k, i in enumerate(searched) if i in self._places("log", "centred")]
        positive = [i for i in linear if self.parameters[i].lower >= 0]
        relative = self.residual == "log" and bool((seen > 0).all())
        weight = 1.0 / seen if relative else np.full(len(seen), 1.0 / np.abs(seen).max())

        def full(points: FloatArray) -> FloatArray:
            theta = np.zeros((len(points), len(self.parameters)))
            own = points.copy()
            with np.errstate(all="ignore"):
                own[:, logs] = np.exp(own[:, logs])
                theta[:, searched] = own
                if linear:
                    theta = projected(self._call, theta, at, seen, weight, linear, positive)
                    theta[:, linear] = np.clip(theta[:, linear], natural[:, 0], natural[:, 1])
            return theta

        points = starts(
            lambda points: self._misfit(full(points), at, seen, relative=relative),
            low[searched], high[searched],
        )  # fmt: skip
        return full(points)

    def _misfit(
        self, theta: FloatArray, x: FloatArray, loss: FloatArray, *, relative: bool
    ) -> FloatArray:
        """Sum of squared residuals (S,); infinite where the formula has no value."""
        f = self.value(theta, x)
        with np.errstate(all="ignore"):
            error = np.log(f / loss) if relative else (f - loss) / np.abs(loss).max()
            total = (error**2).sum(axis=1)
        found: FloatArray = np.where(np.isfinite(total), total, np.inf)
        return found


def _filled(
    free: FloatArray, f: FloatArray, parts: Mapping[int, Any], factor: FloatArray | None = None
) -> FloatArray:
    """Derivatives (R, P, n) by number of the parameter as one array, times ``factor`` (R, n)."""
    jac = np.empty((*free.shape, f.shape[1]))
    for i in range(free.shape[1]):
        if i not in parts:
            jac[:, i] = 0.0
        elif factor is None:
            jac[:, i] = parts[i]
        else:
            np.multiply(parts[i], factor, out=jac[:, i])
    return jac


def _all_finite(values: FloatArray) -> bool:
    """Whether all are, and of a size that can be squared; quickly."""
    flat = values.reshape(-1)
    return math.isfinite(float(flat @ flat))
