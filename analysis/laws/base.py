"""The contract of a law: a plain function, named bounded parameters and a guess."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Form = Literal["same", "log", "centred"]

SCALES_NEEDED = 3
COLLINEAR = 0.995
UNKNOWN = 345.0  # log response where a law has no value: its square is still finite


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


class Law(ABC):
    """How loss depends on scale.

    Natural parameters ``theta`` are those of the formula. Free parameters are what the
    solver moves: amplitudes as logarithms at the centre of the data, which takes the
    condition number of a typical problem from 1e11 to about 10. Arrays of parameters have
    shape (..., P) for P parameters, scales ``x`` have shape (n, K) for K axes, and losses
    shape (..., n), in nats.

    Attributes:
        name: what ``fit_law`` calls it.
        formula: in plain text.
        source: where the formula comes from.
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
        """Names of the exponents."""
        return tuple(p.name for p in self.parameters if p.exponent)

    @abstractmethod
    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response at ``x`` (n, K) for natural parameters (..., P); shape (..., n)."""

    @abstractmethod
    def centre(self, x: FloatArray) -> FloatArray:
        """Centre of the data that the free parameters refer to."""

    @abstractmethod
    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Free parameters of natural ones; shape (..., P)."""

    @abstractmethod
    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Natural parameters of free ones; inverts ``to_free``."""

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log response (R, n) and its derivative by the free parameters (R, P, n).

        A law gives this or ``linear_value``, or both where that is faster.
        """
        return logged(*self.linear_value(free, x, centre))

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Response (R, n) and its derivative (R, P, n); laws that may turn negative give it."""
        log_f, jac = self.log_value(free, x, centre)
        f: FloatArray = np.exp(log_f)
        return f, jac * f[:, None, :]

    def uncentred(self, names: Collection[str]) -> Law:
        """The same law with ``names`` free in their own logarithm, so that they can be bounded.

        The law itself where none of them is centred.
        """
        from analysis.laws.uncentred import Uncentred

        forms = {p.name: p.form for p in self.parameters}
        own = [name for name in names if forms[name] == "centred"]
        return Uncentred(self, own) if own else self

    @abstractmethod
    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper free bounds for losses (..., n) at ``x`` (n, K); shape (..., P)."""

    @abstractmethod
    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Natural starting points (S, P), the most promising first, all within the bounds."""

    def problems(self, x: FloatArray) -> list[str]:
        """Why the parameters cannot be told apart from data at ``x``; empty when they can."""
        found = []
        for k, axis in enumerate(self.axes):
            distinct, needed = len(np.unique(x[:, k])), self.needed.get(axis, SCALES_NEEDED)
            if distinct < needed:
                found.append(
                    f"{distinct} value{'s' * (distinct != 1)} of {axis}: "
                    f"{self.name} needs at least {needed}"
                )
        if len(x) <= len(self.parameters):
            found.append(
                f"{len(x)} points for {len(self.parameters)} parameters: "
                f"{self.name} needs at least {len(self.parameters) + 1}"
            )
        if not found:
            for j, k in self._varying_pairs():
                pair_of = evened(x)[:, (j, k)]
                correlation = float(np.asarray(np.corrcoef(pair_of.T))[0, 1])
                if abs(correlation) > COLLINEAR:
                    pair = f"{self.axes[j]} and {self.axes[k]}"
                    found.append(f"{pair} move together (r = {correlation:.4f})")
        return found

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
        found = (counts > 0).sum(axis=1) > len(self.parameters)
        for k, axis in enumerate(self.axes):
            order = np.argsort(x[:, k], kind="stable")
            first = np.flatnonzero(np.diff(x[order, k], prepend=np.nan) != 0)
            present = np.add.reduceat(counts[:, order], first, axis=1) > 0
            found &= present.sum(axis=1) >= self.needed.get(axis, SCALES_NEEDED)
        log_x = evened(x) - evened(x).mean(axis=0)
        total = np.maximum(counts.sum(axis=1), 1.0)
        mean = counts @ log_x / total[:, None]
        for j, k in self._varying_pairs():
            cov, var_j, var_k = (
                counts @ (log_x[:, a] * log_x[:, b]) / total - mean[:, a] * mean[:, b]
                for a, b in ((j, k), (j, j), (k, k))
            )
            found &= cov**2 <= COLLINEAR**2 * var_j * var_k + 1e-300
        judged: BoolArray = found
        return judged

    def _varying_pairs(self) -> list[tuple[int, int]]:
        """Pairs of axes that must not move together."""
        count = range(len(self.axes))
        free = [k for k in count if self.needed.get(self.axes[k], SCALES_NEEDED) > 1]
        return list(combinations(free, 2))


def logged(f: FloatArray, jac: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log response and its derivative from those of the response; far away where there is none."""
    known = (f > 0) & np.isfinite(f) & np.isfinite(jac).all(axis=1)
    log_f: FloatArray = np.log(f, out=np.full_like(f, UNKNOWN), where=known)
    inverse = np.divide(1.0, f, out=np.zeros_like(f), where=known)
    return log_f, np.where(known[:, None, :], jac, 0.0) * inverse[:, None, :]


def evened(x: FloatArray) -> FloatArray:
    """Log scales (n, K); an axis with values of 0 or below as it is."""
    found: FloatArray = np.array(x, dtype=np.float64)
    for k in range(x.shape[1]):
        if len(x) and x[:, k].min() > 0:
            found[:, k] = np.log(x[:, k])
    return found
