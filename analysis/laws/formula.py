"""A law whose formula is a function of numpy arrays: its Jacobian and its starts follow from it."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from analysis.laws.base import (
    UNKNOWN,
    FloatArray,
    Formula,
    Law,
    WithJacobian,
    log_response,
    log_size,
)
from analysis.laws.derivatives import (
    Dual,
    Exponential,
    Parts,
    complex_step,
    differences,
    is_analytic,
    value_and_parts,
)
from analysis.laws.variable_projection import linear_parameters, projected, sobol_starts, unit_terms

Function = Callable[..., npt.NDArray[Any]]
Guess = Callable[[dict[str, FloatArray], FloatArray], npt.ArrayLike]
Planes = dict[int, tuple[float, dict[int, float]]]  # log sizes: level and slopes by parameter
Derivative = Literal["forward", "complex", "differences"]

_DECADE = math.log(10.0)
_SEARCHED = 3.0 * _DECADE  # about a typical size, or beyond the sizes seen in the data
_ALLOWED = 100.0 * _DECADE  # a positive parameter without a bound may go as far
_LARGEST = 300.0 * _DECADE
_VANISHED = 1e-9  # an amplitude this small, relative to the response, has vanished
_ROWS = 48  # that starting points are judged by
_STRAIGHT = 1e-10  # relative error of a plane
_REMEMBERED = 32  # centres
_PLACES = 5  # of a scale that is 0 or less somewhere, where terms are measured


class FormulaLaw(Law):
    """A law made by ``plain_law``, each of a class of its own.

    Free parameters are the natural ones and the logarithms of positive ones. Those without a bound
    that the formula is linear in (amplitudes) move as the logarithm of their term at the centre of
    the data, like those of the laws that come with the project.

    Attributes:
        derivative: how it is computed; None until the first is needed.
        linear: places of the parameters that the formula is linear in; None until data are seen.
        without_centre: parameters held or bounded, which are free in their own logarithm.
    """

    function: ClassVar[Function]
    typical: ClassVar[Mapping[str, float]]
    own_guess: ClassVar[Guess | None]
    signed_axes = True
    signed_response = True
    derivative: Derivative | None = None
    linear: list[int] | None = None
    without_centre: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.planes: dict[tuple[bytes, frozenset[str]], Planes | None] = {}
        self.amplitudes: dict[tuple[tuple[int, ...], frozenset[str]], list[int]] = {}
        self.logs = self._places("log", "centred")

    def uncentred(self, names: Collection[str]) -> Law:
        """The same law with parameters ``names`` free in their own logarithm."""
        if not names:
            return self
        law = copy.copy(self)
        law.without_centre = self.without_centre | frozenset(names)
        law.parameters = tuple(  # type: ignore[misc]
            dataclasses.replace(p, form="log") if p.name in names and p.form == "centred" else p
            for p in self.parameters
        )
        return law

    @property
    def _amplitudes(self) -> list[int]:
        """Places of the parameters that move as the logarithm of their term."""
        key = (tuple(self.linear or ()), self.without_centre)
        if key not in self.amplitudes:
            self.amplitudes[key] = [
                i
                for i, p in enumerate(self.parameters)
                if p.name not in self.without_centre
                and (
                    p.form == "centred"
                    or (p.form == "log" and p.lower == 0 and math.isinf(p.upper) and i in key[0])
                )
            ]
        return self.amplitudes[key]

    def _columns(self, x: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(self.axes, x.T, strict=True))

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        return np.asarray(self._call(np.asarray(theta, dtype=np.float64), x))

    def _call(self, theta: npt.NDArray[Any], x: FloatArray) -> npt.NDArray[Any]:
        """The formula for natural parameters (..., P), real or complex; shape (..., n)."""
        given = {name: theta[..., i, None] for i, name in enumerate(self.names)}
        with np.errstate(all="ignore"):
            response = np.asarray(type(self).function(self._columns(x), **given))
        return np.broadcast_to(response, (*theta.shape[:-1], len(x)))

    def centre(self, x: FloatArray) -> FloatArray:
        """Where terms are measured: the geometric mean of each axis, row by row one after another.

        Where an axis has values of 0 or below it is five rows of the data instead.
        """
        if self.linear is None:
            self.linear = self._linear(x)
        if x.min() > 0:
            return np.asarray(np.exp(np.log(x).mean(axis=0)))
        rows = np.linspace(0, len(x) - 1, min(_PLACES, len(x))).astype(int)
        return np.asarray(x[rows].reshape(-1))

    def _linear(self, x: FloatArray) -> list[int]:
        """Places of the parameters that the formula is linear in, positive ones first."""
        low, high = self._ranges(x, np.ones(1), _DECADE)
        draws = low + (high - low) * np.random.default_rng(0).uniform(0.2, 0.8, (2, len(low)))
        draws[:, self.logs] = np.exp(draws[:, self.logs])
        rows = x[np.linspace(0, len(x) - 1, min(_PLACES, len(x))).astype(int)]
        order = [*self._places("centred", "log"), *self._places("same")]
        return linear_parameters(self._call, draws, rows, order)

    def _term_sizes(self, theta: npt.NDArray[Any], centre: FloatArray) -> npt.NDArray[Any]:
        """Size (..., A) of the term of each amplitude of 1, at the centre."""
        places = centre.reshape(-1, len(self.axes))
        terms = unit_terms(self._call, theta, places, self.linear or (), self._amplitudes)
        if terms.shape[-1] == 1:
            one = terms[..., 0]
            return np.asarray(one * np.where(one.real < 0, -1.0, 1.0))
        return np.asarray(np.sqrt((terms * terms).mean(axis=-1)))

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Logarithms of positive parameters or of their terms, the others as they are."""
        theta = np.asarray(theta, dtype=np.float64)
        free = theta.copy()
        with np.errstate(all="ignore"):
            free[..., self.logs] = log_size(free[..., self.logs])
            if amplitudes := self._amplitudes:
                free[..., amplitudes] += log_size(self._term_sizes(theta, centre))
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        return np.asarray(self._natural(np.asarray(free, dtype=np.float64), centre))

    def _natural(self, free: npt.NDArray[Any], centre: FloatArray) -> npt.NDArray[Any]:
        """Natural parameters of free ones, real or complex."""
        theta = free.copy()
        with np.errstate(all="ignore"):
            theta[..., self.logs] = np.exp(theta[..., self.logs])
            if amplitudes := self._amplitudes:
                size = self._term_sizes(theta, centre)
                theta[..., amplitudes] /= np.where(size == 0, np.finfo(float).tiny, size)
        return theta

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Response and its derivative, far away where there is none; see ``Law.linear_value``."""
        if self.derivative is None:
            self._choose_derivative(free, x, centre)
        if self.derivative == "forward":
            f, parts = self._forward(free, x, centre)
            jac = _jacobian(free, f, parts)
        else:
            f = self.value(self.to_natural(free, centre), x)
            step = complex_step if self.derivative == "complex" else differences
            jac = step(self._of_free(centre), free, x, self._step_sizes(free, f))
        if _all_finite(f) and _all_finite(jac):
            return f, jac
        known = np.isfinite(f) & np.isfinite(jac).all(axis=1)
        return np.where(known, f, math.exp(UNKNOWN)), np.where(known[:, None, :], jac, 0.0)

    def _of_free(self, centre: FloatArray) -> Formula:
        """The formula as a function of free parameters."""
        return lambda free, x: self._call(self._natural(free, centre), x)

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log response and its derivative; see ``Law.log_value``."""
        if self.derivative == "forward":
            f, parts = self._forward(free, x, centre)
            if _all_finite(f) and f.min() > 0:
                jac = _jacobian(free, f, parts, 1.0 / f)
                if _all_finite(jac):
                    return np.log(f), jac
        return log_response(*self.linear_value(free, x, centre))

    def _forward(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, Parts]:
        """Value (R, n) and derivatives by the number of the parameter, by dual numbers."""
        with np.errstate(all="ignore"):
            dual = type(self).function(self._columns(x), **self._duals(free, centre))
            value, parts = value_and_parts(dual)
        if np.shape(value) != (len(free), len(x)):
            value = np.array(np.broadcast_to(value, (len(free), len(x))), dtype=np.float64)
        return value, parts

    def _duals(self, free: FloatArray, centre: FloatArray) -> dict[str, Dual]:
        """Natural parameters (R, 1) with their derivatives by the free ones."""
        duals = {
            name: (Exponential if i in self.logs else Dual)(free[:, i, None], {i: 1.0})
            for i, name in enumerate(self.names)
        }
        amplitudes = self._amplitudes
        key = (centre.tobytes(), self.without_centre)
        if key not in self.planes:
            if len(self.planes) >= _REMEMBERED:
                self.planes.clear()
            self.planes[key] = self._fit_planes(centre, amplitudes)
        planes = self.planes[key]
        if planes is not None:
            for i, (level, slopes) in planes.items():
                log = free[:, i, None] - level
                for k, slope in slopes.items():
                    log = log - slope * free[:, k, None]
                by = {k: -slope for k, slope in slopes.items()}
                duals[self.names[i]] = Exponential(log, {**by, i: 1.0})
            return duals
        log_sizes, slopes_by = self._sizes_by_formula(free, centre, amplitudes)
        for row, i in enumerate(amplitudes):
            log = free[:, i, None] - log_sizes[:, row, None]
            parts = {k: -v[:, row, None] for k, v in slopes_by.items() if v[:, row].any()}
            duals[self.names[i]] = Exponential(log, {**parts, i: 1.0})
        return duals

    def _fit_planes(self, centre: FloatArray, amplitudes: list[int]) -> Planes | None:
        """By amplitude the log size of its term, where that is linear in the free parameters.

        It is for products of powers, whose sizes then cost nothing. None where it is not.
        """
        if not amplitudes:
            return {}
        places, count = centre.reshape(-1, len(self.axes)), len(self.parameters)
        low, high = self._ranges(places, np.ones(1), _DECADE)
        free = low + (high - low) * np.random.default_rng(1).uniform(0.3, 0.7, (count + 4, count))
        theta = free.copy()
        theta[:, self.logs] = np.exp(theta[:, self.logs])
        with np.errstate(all="ignore"):
            size = np.log(self._term_sizes(theta, centre))
        if not np.isfinite(size).all():
            return None
        linear = {*(self.linear or ()), *amplitudes}
        others = [i for i in range(count) if i not in linear]
        columns = np.column_stack([np.ones(len(free)), free[:, others]])
        plane = np.linalg.lstsq(columns, size, rcond=None)[0]
        if np.abs(columns @ plane - size).max() > _STRAIGHT * (1.0 + np.abs(size).max()):
            return None
        planes: Planes = {}
        for i, (level, *slopes) in zip(amplitudes, plane.T.tolist(), strict=True):
            by = {k: v for k, v in zip(others, slopes, strict=True) if abs(v) > _STRAIGHT}
            planes[i] = (level, by)
        return planes

    def _sizes_by_formula(
        self, free: FloatArray, centre: FloatArray, amplitudes: list[int]
    ) -> tuple[FloatArray, dict[int, FloatArray]]:
        """Log sizes (R, A) of the terms and their derivatives, through the formula."""
        places = centre.reshape(-1, len(self.axes))
        linear = {*(self.linear or ()), *amplitudes}
        given: dict[str, Any] = {}
        for i, name in enumerate(self.names):
            if i in linear:
                given[name] = np.zeros((1, len(amplitudes) + 1, 1))
                if i in amplitudes:
                    given[name][0, amplitudes.index(i)] = 1.0
            else:
                kind = Exponential if i in self.logs else Dual
                given[name] = kind(free[:, i, None, None], {i: 1.0})
        value, parts = value_and_parts(type(self).function(self._columns(places), **given))
        shape = (len(free), len(amplitudes) + 1, len(places))

        def terms(values: Any) -> FloatArray:
            each: FloatArray = np.broadcast_to(values, shape)
            return each[:, :-1] - each[:, -1:]

        term = terms(value)
        square = np.maximum((term * term).sum(axis=2), np.finfo(float).tiny)
        slopes = {k: (term * terms(v)).sum(axis=2) / square for k, v in parts.items()}
        return 0.5 * np.log(square / len(places)), slopes

    def _choose_derivative(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> None:
        """Find out how derivatives can be computed; what has failed once is not used again."""
        if self.derivative is None:
            try:
                f = self._forward(free[:2], x, centre)[0]
            except (TypeError, ValueError, AttributeError, IndexError):
                f = np.full(1, np.nan)
            direct = self.value(self.to_natural(free[:2], centre), x)
            if f.shape == direct.shape and np.allclose(f, direct, rtol=1e-8, equal_nan=True):
                self.derivative = "forward"
        if self.derivative not in {"forward", "differences"}:
            sizes = self._step_sizes(free, self.value(self.to_natural(free, centre), x))
            analytic = is_analytic(self._of_free(centre), free, x, sizes)
            if analytic is not None:
                self.derivative = "complex" if analytic else "differences"

    def _step_sizes(self, free: FloatArray, f: FloatArray) -> FloatArray:
        """What is small for each free parameter (R, P), for responses ``f`` (R, n).

        One in a logarithm; else the value itself, but a thousandth of its range, or of the
        largest response for a floor, where the value is less.
        """
        sizes = np.ones_like(free)
        for i in self._places("same"):
            p = self.parameters[i]
            least: FloatArray | float = 1e-3 * (p.upper - p.lower)
            if p.name == self.floor:
                known = np.nan_to_num(np.abs(f), nan=0.0, posinf=0.0)
                least = np.maximum(1e-3 * known.max(axis=1), 1e-280)
            elif not math.isfinite(p.upper - p.lower):
                least = 1e-3 * abs(self.typical[p.name])
            sizes[:, i] = np.maximum(np.abs(free[:, i]), least)
        return sizes

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
        centre, own_guess = self.centre(x), type(self).own_guess
        lower, upper = self.bounds(x, loss)
        if own_guess is None:
            theta = self._sampled(x, loss)
        else:
            theta = np.atleast_2d(np.asarray(own_guess(self._columns(x), loss), dtype=np.float64))
        free = np.clip(np.nan_to_num(self.to_free(theta, centre)), lower, upper)
        self._choose_derivative(free, x, centre)
        theta = self.to_natural(free, centre)
        return theta[np.isfinite(theta).all(axis=1)]

    def _sampled(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Starting points (S, P) by search over what the formula is not linear in."""
        rows = np.argsort(loss, kind="stable")
        rows = rows[np.linspace(0, len(loss) - 1, min(_ROWS, len(loss))).astype(int)]
        scales, response = x[rows], loss[rows]
        linear = list(self.linear or ())
        searched = [i for i in range(len(self.parameters)) if i not in linear]
        low, high = self._ranges(x, loss, _SEARCHED)
        ends = np.array([[p.lower, p.upper] for p in self.parameters])[linear]
        logs = [k for k, i in enumerate(searched) if i in self.logs]
        positive = [i for i in linear if self.parameters[i].lower >= 0]
        relative = self.residual == "log" and bool((response > 0).all())
        weight = 1.0 / (response if relative else np.full(len(response), np.abs(response).max()))

        def completed(points: FloatArray) -> FloatArray:
            theta, points = np.zeros((len(points), len(self.parameters))), points.copy()
            with np.errstate(all="ignore"):
                points[:, logs] = np.exp(points[:, logs])
                theta[:, searched] = points
                if linear:
                    theta = projected(self._call, theta, scales, response, weight, linear, positive)
                    theta[:, linear] = np.clip(theta[:, linear], ends[:, 0], ends[:, 1])
            return theta

        def misfit(points: FloatArray) -> FloatArray:
            return self._misfit(completed(points), scales, response, relative=relative)

        return completed(sobol_starts(misfit, low[searched], high[searched]))

    def _misfit(
        self, theta: FloatArray, x: FloatArray, loss: FloatArray, *, relative: bool
    ) -> FloatArray:
        """Sum of squared residuals (S,); infinite where the formula has no value."""
        f = self.value(theta, x)
        with np.errstate(all="ignore"):
            error = np.log(f / loss) if relative else (f - loss) / np.abs(loss).max()
            total = (error**2).sum(axis=1)
        return np.where(np.isfinite(total), total, np.inf)


def _jacobian(
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
