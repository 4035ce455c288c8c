"""Derivatives of a formula that is code and nothing more.

Forward differentiation: a ``Dual`` stands for an array and its derivatives by some parameters, and
goes through numpy's functions like an array (NEP 13). Derivatives are exact to rounding, and a term
costs derivatives only by the parameters it has (Griewank & Walther 2008, chapter 3). A function
that is not known here raises ``TypeError``.

Complex steps, Im f(x + ih) / h, have no subtraction and so no rounding error either (Squire & Trapp
1998, SIAM Review 40, 110-112), but need a formula that is analytic: ``abs`` and ``real`` are not,
and some functions refuse complex numbers. ``is_analytic`` finds out by comparison with differences.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.laws.base import FloatArray, Formula

Array = npt.NDArray[Any]
Parts = dict[int, Any]

# derivative of each function of one argument, from the argument and the value
_SLOPES: dict[str, Callable[[Any, Any], Any]] = {
    "negative": lambda x, y: -1.0,
    "positive": lambda x, y: 1.0,
    "exp2": lambda x, y: np.log(2.0) * y,
    "expm1": lambda x, y: y + 1.0,
    "log": lambda x, y: 1.0 / x,
    "log2": lambda x, y: 1.0 / (np.log(2.0) * x),
    "log10": lambda x, y: 1.0 / (np.log(10.0) * x),
    "log1p": lambda x, y: 1.0 / (1.0 + x),
    "sqrt": lambda x, y: 0.5 / y,
    "cbrt": lambda x, y: y / (3.0 * x),
    "square": lambda x, y: 2.0 * x,
    "reciprocal": lambda x, y: -y * y,
    "sin": lambda x, y: np.cos(x),
    "cos": lambda x, y: -np.sin(x),
    "tan": lambda x, y: 1.0 + y * y,
    "arctan": lambda x, y: 1.0 / (1.0 + x * x),
    "arcsinh": lambda x, y: 1.0 / np.sqrt(1.0 + x * x),
    "sinh": lambda x, y: np.cosh(x),
    "cosh": lambda x, y: np.sinh(x),
    "tanh": lambda x, y: 1.0 - y * y,
    "absolute": lambda x, y: np.sign(x),
    "conjugate": lambda x, y: 1.0,
    "expit": lambda x, y: y * (1.0 - y),
}
_FLAT = {"sign", "floor", "ceil", "rint", "trunc", "heaviside"}  # their derivative is 0
_COMPARISONS = {
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "isfinite", "isnan",
    "isinf", "signbit",
}  # fmt: skip


class Dual(np.lib.mixins.NDArrayOperatorsMixin):
    """An array and its derivatives.

    Attributes:
        value: of any shape.
        parts: derivative by the number of the parameter, each broadcasting with the value; those
            left out are 0.
    """

    __slots__ = ("parts", "value")

    def __init__(self, value: Any, parts: Parts) -> None:
        self.value = value
        self.parts = parts

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the value."""
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        """Of the value."""
        return np.ndim(self.value)

    @property
    def real(self) -> Dual:
        """Itself."""
        return self

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise TypeError("a formula under differentiation cannot become a plain array")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        if method != "__call__" or kwargs or name not in _KNOWN:
            return NotImplemented
        special = _OF_LOG if isinstance(inputs[0], Exponential) and name in _OF_LOG else _SPECIAL
        if name in special:
            return special[name](*inputs)
        values = [v.value if isinstance(v, Dual) else v for v in inputs]
        value = ufunc(*values)
        if name not in _SLOPES:
            return value
        slope = _SLOPES[name](values[0], value)
        return Dual(value, {k: slope * part for k, part in inputs[0].parts.items()})

    def __array_function__(
        self, function: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if function is np.where and len(args) == 3:
            return _where(*args)
        if function is np.clip and len(args) == 3 and not kwargs:
            return np.minimum(np.maximum(args[0], args[1]), args[2])
        if function is np.real:
            return args[0]
        return NotImplemented


class Exponential(Dual):
    """A positive ``Dual`` known by its logarithm, until a value is asked for.

    Products, quotients and powers of such are sums of logarithms, so that a term like A / N^a costs
    one exponential and no division.
    """

    __slots__ = ("_parts", "_value", "log", "log_parts")

    def __init__(self, log: Any, log_parts: Parts) -> None:
        self.log = log
        self.log_parts = log_parts
        self._value: Any = None
        self._parts: Parts | None = None

    @property
    def value(self) -> Any:
        """Exp of the logarithm."""
        if self._value is None:
            self._value = np.exp(self.log)
        return self._value

    @property
    def parts(self) -> Parts:  # type: ignore[override]
        """Derivatives of the value."""
        if self._parts is None:
            value = self.value
            self._parts = {
                k: value if isinstance(v, float) and v == 1.0 else value * v
                for k, v in self.log_parts.items()
            }
        return self._parts

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the value."""
        return np.shape(self.log)

    def times(self, power: Any) -> Exponential:
        """A constant power of it."""
        return Exponential(power * self.log, {k: power * v for k, v in self.log_parts.items()})


def value_and_parts(x: Any) -> tuple[Any, Parts]:
    """Value and derivatives; a number or array has none."""
    return (x.value, x.parts) if isinstance(x, Dual) else (x, {})


def _chain(first: Parts, by_first: Any, second: Parts, by_second: Any) -> Parts:
    """Chain rule for two arguments; ``None`` stands for a factor of 1."""
    parts = {k: v if by_first is None else by_first * v for k, v in first.items()}
    for k, v in second.items():
        own = v if by_second is None else by_second * v
        parts[k] = parts[k] + own if k in parts else own
    return parts


def _add(x: Any, y: Any) -> Dual:
    (a, by_a), (b, by_b) = value_and_parts(x), value_and_parts(y)
    return Dual(a + b, _chain(by_a, None, by_b, None))


def _subtract(x: Any, y: Any) -> Dual:
    (a, by_a), (b, by_b) = value_and_parts(x), value_and_parts(y)
    return Dual(a - b, _chain(by_a, None, by_b, -1.0))


def _multiply(x: Any, y: Any) -> Dual:
    if isinstance(x, Exponential) and isinstance(y, Exponential):
        return Exponential(x.log + y.log, _chain(x.log_parts, None, y.log_parts, None))
    (a, by_a), (b, by_b) = value_and_parts(x), value_and_parts(y)
    return Dual(a * b, _chain(by_a, b, by_b, a))


def _divide(x: Any, y: Any) -> Dual:
    if isinstance(y, Exponential):
        if isinstance(x, Exponential):
            return Exponential(x.log - y.log, _chain(x.log_parts, None, y.log_parts, -1.0))
        return _multiply(x, y.times(-1.0))
    (a, by_a), (b, by_b) = value_and_parts(x), value_and_parts(y)
    inverse = 1.0 / b
    value = a * inverse
    return Dual(value, _chain(by_a, inverse, by_b, -value * inverse if by_b else None))


def _power(x: Any, y: Any) -> Dual:
    if isinstance(x, Exponential):
        if not isinstance(y, Dual):
            return x.times(y)
        raised = _multiply(Dual(x.log, x.log_parts), y)
        return Exponential(raised.value, raised.parts)
    (a, by_a), (b, by_b) = value_and_parts(x), value_and_parts(y)
    a = np.asarray(a, dtype=np.float64)
    if not by_b:
        value = a**b
        return Dual(value, _chain(by_a, b * a ** (np.asarray(b) - 1.0), {}, None))
    positive = a > 0
    if positive.all():  # an exponential is several times as fast as a power
        log_a = np.log(a)
        return Exponential(b * log_a, _chain(by_a, b / a if by_a else None, by_b, log_a))
    value = a**b
    log_a = np.log(a, out=np.zeros_like(a), where=positive)
    rise = np.asarray(b) * a ** (np.asarray(b) - 1.0) if by_a else None
    return Dual(value, _chain(by_a, rise, by_b, value * log_a))


def _logaddexp(x: Any, y: Any) -> Dual:
    (a, by_a), (b, by_b) = value_and_parts(x), value_and_parts(y)
    value = np.logaddexp(a, b)
    return Dual(value, _chain(by_a, np.exp(a - value), by_b, np.exp(b - value)))


def _maximum(x: Any, y: Any) -> Dual:
    return _where(np.greater_equal(x, y), x, y)


def _minimum(x: Any, y: Any) -> Dual:
    return _where(np.less_equal(x, y), x, y)


def _where(test: Any, x: Any, y: Any) -> Dual:
    if isinstance(test, Dual):
        test = test.value != 0
    (a, by_a), (b, by_b) = value_and_parts(x), value_and_parts(y)
    return Dual(
        np.where(test, a, b),
        {k: np.where(test, by_a.get(k, 0.0), by_b.get(k, 0.0)) for k in {**by_a, **by_b}},
    )


_SPECIAL: dict[str, Callable[..., Dual]] = {
    "exp": lambda x: Exponential(x.value, x.parts),
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "true_divide": _divide,
    "power": _power,
    "float_power": _power,
    "logaddexp": _logaddexp,
    "maximum": _maximum,
    "fmax": _maximum,
    "minimum": _minimum,
    "fmin": _minimum,
}
_OF_LOG: dict[str, Callable[..., Dual]] = {
    "log": lambda x: Dual(x.log, x.log_parts),
    "sqrt": lambda x: x.times(0.5),
    "square": lambda x: x.times(2.0),
    "reciprocal": lambda x: x.times(-1.0),
}
_KNOWN = {*_SLOPES, *_FLAT, *_COMPARISONS, *_SPECIAL}


_COMPLEX_STEP = 1e-20  # of the size of a parameter
_DIFFERENCE = 1e-3
_SAME = 1e-6  # two step sizes agree: the formula is smooth there
_WRONG = 1e-4
_EPS = 2.3e-16
_NOISE = 30.0  # rounding errors that a difference of five values may hold
# Five equally spaced points, fourth order (Fornberg 1988): about, right and left of the point.
_OFFSETS = np.array([[-2, -1, 0, 1, 2], [0, 1, 2, 3, 4], [-4, -3, -2, -1, 0]], dtype=np.float64)
_WEIGHTS = np.array([[1, -8, 0, 8, -1], [-25, 48, -36, 16, -3], [3, -16, 36, -48, 25]]) / 12.0


def complex_step(
    formula: Formula, theta: FloatArray, x: FloatArray, size: FloatArray
) -> FloatArray:
    """Derivative (R, P, n) by the parameters ``theta`` (R, P), at scales ``x`` (n, K).

    ``size`` (R, P), positive, is what is small for each parameter.
    """
    count = theta.shape[1]
    step = _COMPLEX_STEP * size
    moved = theta[:, None, :] + 1j * step[:, None, :] * np.eye(count)
    with np.errstate(all="ignore"):
        slope: FloatArray = formula(moved, x).imag / step[:, :, None]
    return slope


def differences(
    formula: Formula, theta: FloatArray, x: FloatArray, size: FloatArray, step: float = _DIFFERENCE
) -> FloatArray:
    """Derivative by differences of fourth order; see ``complex_step``.

    They are central, and one-sided where the formula has no value on the other side.
    """
    count = theta.shape[1]
    width = step * size
    slope = np.full((*theta.shape, x.shape[0]), np.nan)
    for offsets, weights in zip(_OFFSETS, _WEIGHTS, strict=True):
        missing = ~np.isfinite(slope)
        if not missing.any():
            break
        shift = offsets[:, None, None, None] * width[:, None, :] * np.eye(count)
        with np.errstate(all="ignore"):
            values = formula(theta[:, None, :] + shift, x)
            new = np.tensordot(weights, values, axes=(0, 0)) / width[:, :, None]
        slope = np.where(missing, new, slope)
    return slope


def is_analytic(
    formula: Formula, theta: FloatArray, x: FloatArray, size: FloatArray
) -> bool | None:
    """Whether complex steps give the derivative at ``theta`` (R, P); None if nothing can be judged.

    They are compared with differences wherever those of two step sizes agree with one another.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            exact = complex_step(formula, theta, x, size)
        except (TypeError, np.exceptions.ComplexWarning):
            return False
    coarse = differences(formula, theta, x, size)
    fine = differences(formula, theta, x, size, 0.5 * _DIFFERENCE)
    with np.errstate(all="ignore"):
        scale = np.abs(fine).max(axis=2, keepdims=True, initial=0.0, where=np.isfinite(fine))
        smooth = np.abs(coarse - fine) <= _SAME * scale
        # what rounding of the values alone does to a difference, of whatever size it is
        level = np.abs(formula(theta, x)).max(
            axis=1, initial=0.0, where=np.isfinite(fine).all(axis=1)
        )
        rounding = _EPS * level[:, None, None] / (0.5 * _DIFFERENCE * size[:, :, None])
        wrong = smooth & ~(np.abs(exact - fine) <= _WRONG * scale + _NOISE * rounding)
        judged = smooth & (scale > _NOISE * rounding / _WRONG)
    return None if not judged.any() else not wrong.any()
