"""The contract of a law: response and Jacobian, named bounded parameters, starting points."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Formula = Callable[[npt.NDArray[Any], FloatArray], npt.NDArray[Any]]  # (..., P), (n, K) -> (..., n)
WithJacobian = tuple[FloatArray, FloatArray]  # response (R, n), by the free parameters (R, P, n)
Form = Literal["same", "log", "centred"]  # how the solver sees a parameter

EXPONENT = (0.01, 4.0)  # least and largest exponent of a term
SCALES_NEEDED = 3
COLLINEAR = 0.995
UNKNOWN = 345.0  # log response where a law has no value: its square is still finite
_TINY = np.finfo(float).tiny
_LARGEST = 700.0  # log of the largest double, nearly
_FAR = 1e9  # of a parameter of either sign
# Differences of fourth order, over 12.
_STEP, _OFFSETS, _WEIGHTS = 1e-3, (-2.0, -1.0, 1.0, 2.0), (1.0, -8.0, 8.0, -1.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A named, bounded parameter of a law.

    Attributes:
        name: as in the formula.
        lower: smallest value allowed.
        upper: largest value allowed; for an irreducible loss the smallest loss seen, if lower.
        unit: unit of the value, empty for a pure number.
        meaning: what it is, in a few words.
        positive: spread like a scale, so that intervals are formed in its logarithm.
        form: how the solver sees it: as it is (``same``), as its logarithm (``log``), or as a
            logarithm carried to the centre of the data with the help of other parameters
            (``centred``), which cannot be shared alone; held or bounded it moves as a logarithm.
        exponent: a power of a scale; published laws have 0.05 to 1.
        vanished: for a nuisance parameter that may vanish without harm, what it means that it did;
            its lower bound is then no bound of the fit.
    """

    name: str
    lower: float
    upper: float
    unit: str
    meaning: str
    positive: bool = False
    form: Form = "same"
    exponent: bool = False
    vanished: str = ""


def positive(
    name: str,
    meaning: str,
    unit: str = "",
    *,
    form: Form = "log",
    within: tuple[float, float] = (0.0, np.inf),
) -> Parameter:
    """A parameter that is spread like a scale, and that the solver sees by its logarithm."""
    return dataclasses.replace(bounded(name, meaning, within, unit, form=form), positive=True)


def bounded(
    name: str,
    meaning: str,
    within: tuple[float, float],
    unit: str = "",
    *,
    form: Form = "same",
    exponent: bool = False,
) -> Parameter:
    """A parameter of either sign, or one whose bounds say how far it may go."""
    low, high = within
    return Parameter(
        name=name, lower=low, upper=high, unit=unit, meaning=meaning, form=form, exponent=exponent
    )


def irreducible(meaning: str = "irreducible loss (Bayes loss)", name: str = "E") -> Parameter:
    """The loss that no amount of the law's scales removes, in [0, smallest loss)."""
    return bounded(name, meaning, (0.0, np.inf), "nats")


def factor(name: str, meaning: str, unit: str = "") -> Parameter:
    """A positive size whose logarithm is carried to the centre of the data."""
    return positive(name, meaning, unit, form="centred")


def amplitude(name: str, axis: str) -> Parameter:
    """Size of one term; its unit depends on the exponent."""
    return factor(name, f"loss from finite {axis}, carried back to {axis} = 1", "nats")


def exponent(name: str, axis: str) -> Parameter:
    """How fast one term falls."""
    return bounded(name, f"exponent of {axis}", EXPONENT, exponent=True)


def power_term(size: str, power: str, axis: str) -> tuple[Parameter, Parameter]:
    """The amplitude and the exponent of one term, ``size / axis^power``."""
    return amplitude(size, axis), exponent(power, axis)


class Law(ABC):
    """How loss depends on scale.

    Natural parameters ``theta`` are those of the formula. Free parameters are what the
    solver moves: amplitudes as logarithms at the centre of the data, which takes the
    condition number of a typical problem from 1e11 to about 10. Arrays of parameters have
    shape (..., P) for P parameters, scales ``x`` have shape (n, K) for K axes, and losses
    shape (..., n), in nats.

    Attributes:
        name: what ``fit_law`` calls it.
        axes: columns of the scales, such as ``("N", "D")``.
        parameters: in the order of ``theta``.
        response: column of what the law gives.
        unit: of the response.
        held: axes that the law lacks and that must not vary; runs at the largest value are used.
        rises: axes along which the response may rise.
        descends: axes whose smaller values are the larger runs, such as another loss.
        labels: axes that name a group and have no size.
        floor: parameter that no scale removes, None where the law has none.
        needed: distinct values an axis needs, where not three.
        residual: scale on which residuals are measured unless told: ``log`` or ``linear``.
        borrowed: parameters that are known from other fits: where all are held and no error of
            theirs is given, intervals hold a fit that frees the first.
        proportion: whether the response is a share, from 0 to 1 under linear residuals.
        signed_axes: whether scales may be 0 and below.
        signed_response: whether responses may be 0 and below under linear residuals.
        additive_floor: whether the law is its floor plus what does not depend on the floor, which
            then may be of any sign under linear residuals, and with it the response.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    axes: ClassVar[tuple[str, ...]]
    parameters: ClassVar[tuple[Parameter, ...]]
    response: ClassVar[str] = "loss"
    unit: ClassVar[str] = "nats"
    held: ClassVar[tuple[str, ...]] = ()
    rises: ClassVar[tuple[str, ...]] = ()
    descends: ClassVar[tuple[str, ...]] = ()
    labels: ClassVar[tuple[str, ...]] = ()
    floor: ClassVar[str | None] = "E"
    needed: ClassVar[Mapping[str, int]] = {}
    residual: ClassVar[Literal["log", "linear"]] = "log"
    borrowed: ClassVar[tuple[str, ...]] = ()
    proportion: ClassVar[bool] = False
    signed_axes: ClassVar[bool] = False
    signed_response: ClassVar[bool] = False
    additive_floor: ClassVar[bool] = False

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the order of ``theta``."""
        return tuple(p.name for p in self.parameters)

    @property
    def exponents(self) -> tuple[str, ...]:
        """Names of the exponents, in the order of ``theta``."""
        return tuple(p.name for p in self.parameters if p.exponent)

    @abstractmethod
    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response at ``x`` (n, K) for natural parameters (..., P); shape (..., n)."""

    def centre(self, x: FloatArray) -> FloatArray:
        """Centre of the data that the free parameters refer to: mean of log scale, by axis."""
        return np.asarray(np.log(x).mean(axis=0))

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray | float:
        """What the log of each amplitude (..., A) gains on the way to the centre of the data.

        Of the free parameters (..., P) those of amplitudes are not read.
        """
        return 0.0

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Free parameters of natural ones (..., P), each of the form that ``parameters`` says."""
        free = np.array(theta, dtype=np.float64)
        logs, amplitudes = self._places("log", "centred"), self._places("centred")
        free[..., logs] = log_size(free[..., logs])
        free[..., amplitudes] += self._carried(free, centre)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Natural parameters of free ones; inverts ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        logs, amplitudes = self._places("log", "centred"), self._places("centred")
        theta[..., amplitudes] -= self._carried(theta, centre)
        theta[..., logs] = np.exp(theta[..., logs])
        return theta

    def _places(self, *forms: str) -> list[int]:
        """Where parameters of such forms stand."""
        return [i for i, p in enumerate(self.parameters) if p.form in forms]

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log response (R, n) and its derivative by the free parameters (R, P, n).

        A law gives this or ``linear_value``, or both where that is faster.
        """
        return log_response(*self.linear_value(free, x, centre))

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Response (R, n) and its derivative (R, P, n); laws that may turn negative give it."""
        log_f, jac = self.log_value(free, x, centre)
        f: FloatArray = np.exp(log_f)
        return f, jac * f[:, None, :]

    def uncentred(self, names: Collection[str]) -> Law:
        """The same law with ``names`` free in their own logarithm, so that they can be bounded.

        The law itself where none of them is centred.
        """
        centred = {p.name for p in self.parameters if p.form == "centred"}
        amplitudes = [name for name in names if name in centred]
        return Uncentred(self, amplitudes) if amplitudes else self

    @abstractmethod
    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper free bounds for losses (..., n) at ``x`` (n, K); shape (..., P)."""

    def _inside(self, free: FloatArray, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Starting points from free parameters (S, P), moved into the bounds."""
        return self.to_natural(np.clip(free, *self.bounds(x, loss)), self.centre(x))

    @abstractmethod
    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Natural starting points (S, P), the most promising first, all within the bounds."""

    def problems(self, x: FloatArray) -> list[str]:
        """Why the parameters cannot be told apart from data at ``x``; empty when they can."""
        reasons = []
        for k, axis in enumerate(self.axes):
            distinct, needed = len(np.unique(x[:, k])), self.needed.get(axis, SCALES_NEEDED)
            if distinct < needed:
                reasons.append(
                    f"{distinct} value{'s' * (distinct != 1)} of {axis}: "
                    f"{self.name} needs at least {needed}"
                )
        if len(x) <= len(self.parameters):
            reasons.append(
                f"{len(x)} points for {len(self.parameters)} parameters: "
                f"{self.name} needs at least {len(self.parameters) + 1}"
            )
        if not reasons:
            for j, k in self._varying_pairs():
                columns = log_scales(x)[:, (j, k)]
                correlation = float(np.asarray(np.corrcoef(columns.T))[0, 1])
                if abs(correlation) > COLLINEAR:
                    pair = f"{self.axes[j]} and {self.axes[k]}"
                    reasons.append(f"{pair} move together (r = {correlation:.4f})")
        return reasons

    def valueless(self, theta: FloatArray, x: FloatArray) -> tuple[BoolArray, str]:
        """Points (n,) at which the formula has no value for ``theta`` (P,), and why not.

        A parameter that is not known is NaN, and rules out no point.
        """
        return np.zeros(len(x), dtype=bool), ""

    def open_end(self, theta: FloatArray, x: FloatArray) -> tuple[str, float, str] | None:
        """A level that ``theta`` (P,) puts far beyond what was measured at ``x`` (n, K).

        Returns:
            Its name, the end of its range, and what shows it; None where there is none.
        """
        return None

    def identifiable(self, x: FloatArray, counts: FloatArray) -> BoolArray:
        """Which resamples, with ``counts`` (R, n) of each point, still determine the law (R,).

        The same conditions as ``problems``, for many resamples at once.
        """
        enough: BoolArray = (counts > 0).sum(axis=1) > len(self.parameters)
        for k, axis in enumerate(self.axes):
            order = np.argsort(x[:, k], kind="stable")
            first = np.flatnonzero(np.diff(x[order, k], prepend=np.nan) != 0)
            present = np.add.reduceat(counts[:, order], first, axis=1) > 0
            enough &= present.sum(axis=1) >= self.needed.get(axis, SCALES_NEEDED)
        log_x = log_scales(x) - log_scales(x).mean(axis=0)
        total = np.maximum(counts.sum(axis=1), 1.0)
        mean = counts @ log_x / total[:, None]
        for j, k in self._varying_pairs():
            cov, var_j, var_k = (
                counts @ (log_x[:, a] * log_x[:, b]) / total - mean[:, a] * mean[:, b]
                for a, b in ((j, k), (j, j), (k, k))
            )
            enough &= cov**2 <= COLLINEAR**2 * var_j * var_k + 1e-300
        return enough

    def _varying_pairs(self) -> list[tuple[int, int]]:
        """Pairs of axes that must not move together."""
        count = range(len(self.axes))
        free = [k for k in count if self.needed.get(self.axes[k], SCALES_NEEDED) > 1]
        return list(combinations(free, 2))


class Uncentred(Law):
    """``base`` with the amplitudes ``names`` free in their own logarithm.

    The logarithm of an amplitude carried to the centre of the data conditions a fit, but a bound of
    the amplitude is then no bound of a free parameter. This is meant for amplitudes that are held
    or bounded; one of either sign moves as it is.
    """

    def __init__(self, base: Law, names: Collection[str]) -> None:
        self.base = base
        self.places = [base.names.index(name) for name in names]
        said = [name for name in Law.__annotations__ if name != "parameters"]
        for name in (*said, "centre", "problems", "valueless", "open_end", "identifiable"):
            setattr(self, name, getattr(base, name))
        self.parameters = tuple(  # type: ignore[misc]
            dataclasses.replace(p, form="log" if p.positive else "same") if p.name in names else p
            for p in base.parameters
        )
        self.positive = [base.parameters[i].positive for i in self.places]

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        return self.base.value(theta, x)

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Those of the base, and the logarithms of the amplitudes."""
        free = np.array(self.base.to_free(theta, centre))
        sizes = np.asarray(theta, dtype=np.float64)[..., self.places]
        free[..., self.places] = np.where(self.positive, log_size(sizes), sizes)
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
        total = jac.copy()
        total[:, self.places] = 0.0
        width = _STEP * (1.0 + np.abs(free))
        step = width[:, None, :] * np.eye(free.shape[1])  # one parameter at a time (R, P, P)
        moved = sum(
            w * self._centred(free[:, None, :] + k * step, centre)[..., self.places]
            for k, w in zip(_OFFSETS, _WEIGHTS, strict=True)
        ) / (12.0 * width[:, :, None])
        total += np.einsum("rpa,ran->rpn", moved, jac[:, self.places])
        return total

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log response and its derivative; see ``Law.log_value``."""
        f, jac = self.base.log_value(self._centred(free, centre), x, centre)
        return f, self._through(free, jac, centre)

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
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


def unpack(parameters: FloatArray) -> list[FloatArray]:
    """The parameters (..., P) one by one, each (..., 1) so that it broadcasts with the points."""
    parameters = np.asarray(parameters, dtype=np.float64)
    return [parameters[..., i, None] for i in range(parameters.shape[-1])]


def with_last(parameters: FloatArray, *more: npt.ArrayLike) -> FloatArray:
    """Parameters (..., P) with further ones behind them, each broadcasting with (...)."""
    shape = parameters.shape[:-1]
    columns = [np.broadcast_to(np.asarray(one, np.float64), shape)[..., None] for one in more]
    return np.concatenate([parameters, *columns], axis=-1)


def log_size(size: FloatArray) -> FloatArray:
    """Logarithm of what is not negative; of the smallest double where it is 0."""
    return np.asarray(np.log(np.maximum(size, _TINY)))


def bounds_from(
    loss: FloatArray, *ends: tuple[npt.ArrayLike, npt.ArrayLike] | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bounds (..., P) for losses (..., n) from the two ends of each parameter."""
    lower, upper = (
        np.stack([np.broadcast_to(np.asarray(e, np.float64), loss.shape[:-1]) for e in side], -1)
        for side in zip(*ends, strict=True)
    )
    return lower, upper


def log_response(f: FloatArray, jac: FloatArray) -> WithJacobian:
    """Log response and its derivative from those of the response; far away where there is none."""
    known = (f > 0) & np.isfinite(f) & np.isfinite(jac).all(axis=1)
    log_f: FloatArray = np.log(f, out=np.full_like(f, UNKNOWN), where=known)
    inverse = np.divide(1.0, f, out=np.zeros_like(f), where=known)
    return log_f, np.where(known[:, None, :], jac, 0.0) * inverse[:, None, :]


def log_scales(x: FloatArray) -> FloatArray:
    """Log scales (n, K); an axis with values of 0 or below as it is."""
    logs: FloatArray = np.array(x, dtype=np.float64)
    for k in range(x.shape[1]):
        if len(x) and x[:, k].min() > 0:
            logs[:, k] = np.log(x[:, k])
    return logs
