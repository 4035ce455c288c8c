"""Laws of the form E + A / N^alpha + B / D^beta, in all resamples at once.

The joint law, its marginals (which lack a term) and the tied law are of this form, so that what
S1 asks of them has a closed form.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled, Source, aligned, source_of
from analysis.laws import FloatArray
from analysis.laws.base import EXPONENT
from analysis.text import count, number

Axis = Literal["N", "D"]
AXES: tuple[Axis, ...] = ("N", "D")
PLURAL = {"N": "parameters", "D": "records"}
_NAMES = {
    "chinchilla": ("E", "A", "alpha", "B", "beta"),
    "n_law": ("E", "A", "alpha", "", ""),
    "d_law": ("E", "", "", "B", "beta"),
    "tied": ("E", "A", "alpha", "B", "alpha"),
}
PLACE = {"N": (1, 2), "D": (3, 4)}


def thetas(fit: Fit) -> FloatArray:
    """Natural parameters of the estimate and of each resample (1 + R, P), NaN where none."""
    found = np.full((1 + fit.options.n_boot, len(fit.law.names)), math.nan)
    found[0] = fit.theta
    found[1 + fit.bootstrap.draw] = fit.bootstrap.theta
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Additive:
    """A law and its refits.

    Attributes:
        theta: E, A, alpha, B, beta of the estimate, then of each resample (1 + R, 5), NaN where
            there is none. A term that the law lacks has amplitude 0 and exponent 1.
        axes: the law depends on.
        ranges: smallest and largest scale of the data, by axis.
        dof: degrees of freedom of the fit.
        source: of the resamples.
    """

    theta: FloatArray
    axes: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    dof: int
    source: Source

    @classmethod
    def of(cls, fit: Fit) -> Additive:
        """The law of a fit.

        Raises:
            ValueError: a law of another form.
        """
        if fit.law.name not in _NAMES:
            raise ValueError(
                f"{fit.law.name} is not E + A / N^alpha + B / D^beta: fit {', '.join(_NAMES)}"
            )
        drawn = thetas(fit)
        theta = np.tile([0.0, 0.0, 1.0, 0.0, 1.0], (len(drawn), 1))
        for place, name in enumerate(_NAMES[fit.law.name]):
            if name:
                theta[:, place] = drawn[:, fit.law.names.index(name)]
        return cls(
            theta=theta,
            axes=fit.law.axes,
            ranges=fit.ranges,
            dof=fit.problem.dof,
            source=source_of(fit.options, fit.rows["trial"]),
        )

    @classmethod
    def joint(cls, fit: Fit) -> Additive:
        """The law of a fit that depends on N and on D.

        Raises:
            ValueError: a marginal law or one of another form.
        """
        found = cls.of(fit)
        if found.axes != AXES:
            raise ValueError(f"{fit.law.name} is not a joint law of N and D, such as chinchilla")
        return found

    def exponent(self, axis: Axis) -> Sampled:
        """Exponent of an axis, one that the law depends on."""
        self.check(axis)
        return self.sampled(self.theta[:, PLACE[axis][1]], lower=EXPONENT[0], upper=EXPONENT[1])

    def check(self, axis: str) -> None:
        """Refuse an axis that the law does not depend on: a ValueError that names those it does."""
        if axis not in self.axes:
            raise ValueError(f"the law depends on {', '.join(self.axes)}, not on {axis!r}")

    def term(self, axis: Axis, scale: float) -> FloatArray:
        """Loss from a finite axis at ``scale`` (1 + R,), in the unit of the loss."""
        amplitude, exponent = (self.theta[:, k] for k in PLACE[axis])
        found: FloatArray = amplitude * np.exp(-exponent * math.log(scale))
        return found

    def without(self, axis: Axis, held: Mapping[str, float]) -> FloatArray:
        """Loss at unlimited ``axis`` (1 + R,), the other axes at ``held``."""
        found: FloatArray = self.theta[:, 0].copy()
        for other in AXES:
            if other != axis and other in self.axes:
                found += self.term(other, held[other])
        return found

    def loss(self, at: Mapping[str, float]) -> FloatArray:
        """Loss at a scale for every axis (1 + R,)."""
        found = self.without("N", at)
        return found + self.term("N", at["N"]) if "N" in self.axes else found

    def inverse(self, axis: Axis, loss: FloatArray, held: Mapping[str, float]) -> FloatArray:
        """Scale of ``axis`` at which the loss is ``loss`` (1 + R,); infinite at or below E.

        The other axes are at ``held``.
        """
        amplitude, exponent = (self.theta[:, k] for k in PLACE[axis])
        excess = loss - self.without(axis, held)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found = np.exp((np.log(amplitude) - np.log(excess)) / exponent)
        return np.where(excess > 0, found, np.where(np.isnan(excess), math.nan, math.inf))

    def held(self, axis: str, given: Mapping[str, float]) -> dict[str, float]:
        """The other axes of the law, checked.

        Raises:
            ValueError: one is missing, not the law's, or not positive and finite.
        """
        self.check(axis)
        others = [a for a in self.axes if a != axis]
        if wrong := set(others) ^ set(given):
            raise ValueError(f"hold {' and '.join(others) or 'nothing'} (got {sorted(wrong)})")
        return {a: positive(a, given[a]) for a in others}

    def outside(self, at: Mapping[str, float], of: str = "") -> list[str]:
        """A warning for each scale that lies outside the data, which are said to be ``of``."""
        return [
            f"{a} = {count(v)} lies {number(out)} times outside the data{of}"
            for a, v in at.items()
            if (out := beyond(self.ranges[a], v)) > 1 + 1e-9
        ]

    def sampled(
        self,
        values: FloatArray,
        *,
        positive: bool = False,
        lower: float = -math.inf,
        upper: float = math.inf,
    ) -> Sampled:
        """Values of the estimate and of each resample (1 + R,) as one number."""
        return Sampled.of(
            values, self.dof, self.source, positive=positive, lower=lower, upper=upper
        )


def positive(name: str, value: float) -> float:
    """``value`` as a number.

    Raises:
        ValueError: it is not positive and finite.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, not {value}")
    return float(value)


def beyond(ranges: tuple[float, float], scale: float) -> float:
    """How many times ``scale`` lies outside ``ranges``; 1 within."""
    low, high = ranges
    return max(1.0, scale / high, low / scale) if scale > 0 else math.inf


def together(first: Fit, second: Fit) -> tuple[Additive, Additive]:
    """Both laws with their resamples side by side; of independent runs they are shuffled.

    Raises:
        ValueError: laws of different axes or of another form.
    """
    laws = [Additive.of(fit) for fit in (first, second)]
    if laws[0].axes != laws[1].axes:
        raise ValueError(f"laws of {' and of '.join(', '.join(law.axes) for law in laws)}")
    drawn, source = aligned([law.theta[1:] for law in laws], [law.source for law in laws])
    dof = min(law.dof for law in laws)
    a, b = (
        dataclasses.replace(law, theta=np.concatenate([law.theta[:1], own]), dof=dof, source=source)
        for law, own in zip(laws, drawn, strict=True)
    )
    return a, b
