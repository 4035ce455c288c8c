"""Forward differentiation of a formula in numpy: values that carry their derivatives along.

A ``Dual`` stands for an array and its derivatives by some parameters, and goes through numpy's
functions like an array (NEP 13). Derivatives are exact to rounding, as those of complex steps are,
but need no complex arithmetic, and a term costs derivatives only by the parameters it has
(Griewank & Walther 2008, chapter 3). A function that is not known here raises ``TypeError``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

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
_STEPS = {"sign", "floor", "ceil", "rint", "trunc", "heaviside"}  # their derivative is 0
_TESTS = {
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
        found = ufunc(*values)
        if name not in _SLOPES:
            return found
        slope = _SLOPES[name](values[0], found)
        return Dual(found, {k: slope * part for k, part in inputs[0].parts.items()})

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


def _split(x: Any) -> tuple[Any, Parts]:
    return (x.value, x.parts) if isinstance(x, Dual) else (x, {})


def _sum(first: Parts, by_first: Any, second: Parts, by_second: Any) -> Parts:
    """Chain rule for two arguments; ``None`` stands for a factor of 1."""
    found = {k: v if by_first is None else by_first * v for k, v in first.items()}
    for k, v in second.items():
        own = v if by_second is None else by_second * v
        found[k] = found[k] + own if k in found else own
    return found


def _add(x: Any, y: Any) -> Dual:
    (a, by_a), (b, by_b) = _split(x), _split(y)
    return Dual(a + b, _sum(by_a, None, by_b, None))


def _subtract(x: Any, y: Any) -> Dual:
    (a, by_a), (b, by_b) = _split(x), _split(y)
    return Dual(a - b, _sum(by_a, None, by_b, -1.0))


def _multiply(x: Any, y: Any) -> Dual:
    if isinstance(x, Exponential) and isinstance(y, Exponential):
        return Exponential(x.log + y.log, _sum(x.log_parts, None, y.log_parts, None))
    (a, by_a), (b, by_b) = _split(x), _split(y)
    return Dual(a * b, _sum(by_a, b, by_b, a))


def _divide(x: Any, y: Any) -> Dual:
    if isinstance(y, Exponential):
        if isinstance(x, Exponential):
            return Exponential(x.log - y.log, _sum(x.log_parts, None, y.log_parts, -1.0))
        return _multiply(x, y.times(-1.0))
    (a, by_a), (b, by_b) = _split(x), _split(y)
    inverse = 1.0 / b
    found = a * inverse
    return Dual(found, _sum(by_a, inverse, by_b, -found * inverse if by_b else None))


def _power(x: Any, y: Any) -> Dual:
    if isinstance(x, Exponential):
        if not isinstance(y, Dual):
            return x.times(y)
        raised = _multiply(Dual(x.log, x.log_parts), y)
        return Exponential(raised.value, raised.parts)
    (a, by_a), (b, by_b) = _split(x), _split(y)
    a = np.asarray(a, dtype=np.float64)
    if not by_b:
        found = a**b
        return Dual(found, _sum(by_a, b * a ** (np.asarray(b) - 1.0), {}, None))
    positive = a > 0
    if positive.all():  # an exponential is several times as fast as a power
        log_a = np.log(a)
        return Exponential(b * log_a, _sum(by_a, b / a if by_a else None, by_b, log_a))
    found = a**b
    log_a = np.log(a, out=np.zeros_like(a), where=positive)
    rise = np.asarray(b) * a ** (np.asarray(b) - 1.0) if by_a else None
    return Dual(found, _sum(by_a, rise, by_b, found * log_a))


def _logaddexp(x: Any, y: Any) -> Dual:
    (a, by_a), (b, by_b) = _split(x), _split(y)
    found = np.logaddexp(a, b)
    return Dual(found, _sum(by_a, np.exp(a - found), by_b, np.exp(b - found)))


def _larger(x: Any, y: Any) -> Dual:
    return _where(np.greater_equal(x, y), x, y)


def _smaller(x: Any, y: Any) -> Dual:
    return _where(np.less_equal(x, y), x, y)


def _where(test: Any, x: Any, y: Any) -> Dual:
    if isinstance(test, Dual):
        test = test.value != 0
    (a, by_a), (b, by_b) = _split(x), _split(y)
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
    "maximum": _larger,
    "fmax": _larger,
    "minimum": _smaller,
    "fmin": _smaller,
}
_OF_LOG: dict[str, Callable[..., Dual]] = {
    "log": lambda x: Dual(x.log, x.log_parts),
    "sqrt": lambda x: x.times(0.5),
    "square": lambda x: x.times(2.0),
    "reciprocal": lambda x: x.times(-1.0),
}
_KNOWN = {*_SLOPES, *_STEPS, *_TESTS, *_SPECIAL}
