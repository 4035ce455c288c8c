"""A number with its value in every resample, and the one rule that gives it an interval.

The interval is that of the percentiles, whose half widths are widened by Student's t over the
normal quantile, as percentiles of few runs are too short. It is formed in logarithms where the
number is positive, and lies within the values the number can have. Infinite samples lie beyond
every bound. Where fewer than half of the resamples have a value there is none (``why``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypedDict, Unpack

import numpy as np

from analysis.fit.intervals import LEVEL, t_quantile
from analysis.fit.options import FitOptions
from analysis.laws import FloatArray, Law
from analysis.text import NORMAL, Interval

ENOUGH = 0.5  # share of the resamples that must have a value
UNKNOWN = Interval(low=math.nan, high=math.nan)
_TAILS = (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)


class Stream(NamedTuple):
    """Random numbers that resamples are drawn with, and the runs that they are drawn for."""

    seed: int
    n_boot: int
    trials: tuple[str, ...]


Source = tuple[Stream, ...]  # what resamples depend on; fits of one source share them, run by run


def source_of(options: FitOptions, trials: Iterable[object]) -> Source:
    """Source of the resamples of a fit with ``options`` to runs of the names ``trials``."""
    pool = options.pool or tuple(dict.fromkeys(str(t) for t in trials))
    return (Stream(options.seed, options.n_boot, pool),)


class Form(TypedDict, total=False):
    """What a number can be; see ``Sampled``."""

    positive: bool
    lower: float
    upper: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A number, with its value in every resample.

    Attributes:
        point: the estimate; may be infinite, NaN where there is none.
        samples: by number of the resample (R,), NaN where a refit did not converge.
        dof: degrees of freedom of the fit behind it, the smallest of several.
        source: of the resamples.
        positive: whether its interval is formed in logarithms.
        lower: smallest value it can have.
        upper: largest value it can have.
    """

    point: float
    samples: FloatArray
    dof: int
    source: Source = ()
    positive: bool = False
    lower: float = -math.inf
    upper: float = math.inf

    @classmethod
    def of(cls, values: FloatArray, dof: int, source: Source = (), **form: Unpack[Form]) -> Sampled:
        """From ``values`` (1 + R,), the estimate and then each resample; ``form`` as the fields."""
        return cls(point=float(values[0]), samples=values[1:], dof=dof, source=source, **form)

    @property
    def why(self) -> str:
        """Why there is no interval; "" where there is one."""
        if math.isnan(self.point):
            return "no estimate"
        if not len(self.samples):
            return "no resamples (n_boot = 0)"
        known = int((~np.isnan(self.samples)).sum())
        if not known > ENOUGH * len(self.samples):
            return f"only {known} of {len(self.samples)} resamples have a value"
        return ""

    @property
    def interval(self) -> Interval:
        """95 % interval by the rule of this module; NaN where unknown (``why``)."""
        if self.why:
            return UNKNOWN
        known, point = self.samples[~np.isnan(self.samples)], np.asarray(self.point)
        with np.errstate(divide="ignore", over="ignore"):
            if self.positive:
                low, high = np.exp(percentile_ends(np.log(known), np.log(point), self.dof))
            else:
                low, high = percentile_ends(known, point, self.dof)
        within = Interval(low=max(float(low), self.lower), high=min(float(high), self.upper))
        return within.holding(self.point)

    def share(self, holds: Callable[[FloatArray], FloatArray]) -> float:
        """Share of the resamples with a value in which ``holds``; NaN without resamples."""
        known = self.samples[~np.isnan(self.samples)]
        return float(np.mean(holds(known))) if len(known) else math.nan

    def less(self, other: Sampled) -> Sampled:
        """Difference, resample by resample."""
        ends = Form(lower=self.lower - other.upper, upper=self.upper - other.lower)
        return combined(np.subtract, self, other, **ends)


def percentile_ends(
    samples: FloatArray, point: FloatArray, dof: int
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends (...) of 95 % intervals of ``point`` (...) from ``samples`` (R, ...).

    Half widths about the point are those of the percentiles times Student's t over normal. NaN
    without samples.
    """
    point = np.asarray(point, dtype=np.float64)
    if not len(samples):
        return np.full(point.shape, math.nan), np.full(point.shape, math.nan)
    finite = np.isfinite(samples).all(axis=0) & np.isfinite(point)
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(samples, _TAILS, axis=0)
        if not finite.all():  # no half way between a number and infinity
            whole = np.quantile(samples, _TAILS, axis=0, method="inverted_cdf")
            low, high = np.where(finite, low, whole[0]), np.where(finite, high, whole[1])
        factor = t_quantile(dof) / NORMAL
        wide_low = point - factor * np.maximum(point - low, 0)
        wide_high = point + factor * np.maximum(high - point, 0)
    low = np.where(np.isfinite(low) & np.isfinite(point), wide_low, low)
    high = np.where(np.isfinite(high) & np.isfinite(point), wide_high, high)
    return np.minimum(low, point), np.maximum(high, point)


def parameter_intervals(
    law: Law, theta: FloatArray, samples: FloatArray, dof: int
) -> dict[str, Interval]:
    """Intervals of natural parameters ``theta`` (P,) from ``samples`` (R, P), within bounds."""
    values = np.concatenate([theta[None], samples])
    return {
        p.name: Sampled.of(own, dof, positive=p.positive, lower=p.lower, upper=p.upper).interval
        for p, own in zip(law.parameters, values.T, strict=True)
    }


def aligned(
    samples: Sequence[FloatArray], sources: Sequence[Source]
) -> tuple[list[FloatArray], Source]:
    """Resamples (R_i, ...) side by side (R, ...), and what they depend on together.

    Those of one source stay paired. Those of other runs are independent, unless they were drawn
    with the same random numbers (one seed): they are shuffled then.
    """
    count = min(len(s) for s in samples)
    orders: dict[Source, np.ndarray] = {}
    met: list[Stream] = []
    found = []
    for values, source in zip(samples, sources, strict=True):
        if source not in orders:
            new = [stream for stream in source if stream not in met]
            alike = {stream.seed for stream in met} & {stream.seed for stream in new}
            order = np.arange(count)
            if alike:
                order = np.random.default_rng(len(orders)).permutation(count)
            orders[source] = order
            met += new
        found.append(values[:count][orders[source]])
    return found, tuple(met)


def combined(of: Callable[..., FloatArray], *parts: Sampled, **form: Unpack[Form]) -> Sampled:
    """``of`` the numbers, one array for each part, for the estimates and resample by resample.

    ``form`` is what ``Sampled`` says of the result: ``positive``, ``lower``, ``upper``.
    """
    samples, source = aligned([p.samples for p in parts], [p.source for p in parts])
    point, dof = float(of(*(np.array(p.point) for p in parts))), min(p.dof for p in parts)
    return Sampled(point=point, samples=of(*samples), dof=dof, source=source, **form)


def mean(parts: Sequence[Sampled]) -> Sampled:
    """Mean, resample by resample, of the form of the first part; NaN without parts."""
    if not parts:
        return Sampled(point=math.nan, samples=np.empty(0), dof=1)
    first = parts[0]
    form = Form(positive=first.positive, lower=first.lower, upper=first.upper)
    return combined(lambda *values: np.mean(values, axis=0), *parts, **form)
