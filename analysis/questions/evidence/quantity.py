"""A number with its resamples, and how resamples of several fits are brought together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from analysis.fit.intervals import LEVEL, t_quantile, widened
from analysis.fit.loglog import UNKNOWN
from analysis.fit.result import Fit
from analysis.laws import FloatArray
from analysis.text.numbers import NORMAL, Interval

ENOUGH = 0.5  # share of the resamples that must have a value


def source_of(fit: Fit) -> Hashable:
    """What the resamples of a fit depend on: two fits of one source share them, run by run."""
    options = fit.options
    trials = options.pool or tuple(dict.fromkeys(str(t) for t in fit.rows["trial"]))
    return options.seed, options.n_boot, trials


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number, with its value in every resample.

    Attributes:
        point: the estimate; may be infinite, NaN where there is none.
        samples: by number of the resample (R,), NaN where a refit did not converge.
        dof: degrees of freedom of the fit behind it, the smallest of several.
        source: of the resamples, see ``source_of``.
        positive: whether its interval is formed in logarithms.
        lower: smallest value it can have.
        upper: largest value it can have.
    """

    point: float
    samples: FloatArray
    dof: int
    source: Hashable = None
    positive: bool = False
    lower: float = -math.inf
    upper: float = math.inf

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
        """95 % percentiles, widened by Student's t over normal; NaN where unknown (``why``)."""
        if self.why:
            return UNKNOWN
        known = self.samples[~np.isnan(self.samples)]
        with np.errstate(divide="ignore", over="ignore"):
            if self.positive:
                low, high = np.exp(_ends(np.log(known), float(np.log(self.point)), self.dof))
            else:
                low, high = _ends(known, self.point, self.dof)
        within = Interval(low=max(float(low), self.lower), high=min(float(high), self.upper))
        return within.holding(self.point)

    def share(self, holds: Callable[[FloatArray], FloatArray]) -> float:
        """Share of the resamples with a value in which ``holds``; NaN without resamples."""
        known = self.samples[~np.isnan(self.samples)]
        return float(np.mean(holds(known))) if len(known) else math.nan


def _ends(samples: FloatArray, point: float, dof: int) -> tuple[float, float]:
    """Ends of the interval; infinite samples lie beyond every bound."""
    if math.isfinite(point) and np.isfinite(samples).all():
        low, high = widened(samples, np.array(point), dof)
        return float(low), float(high)
    tails = [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]
    low, high = np.quantile(samples, tails, method="inverted_cdf")
    factor = t_quantile(dof) / NORMAL if math.isfinite(point) else 1.0
    if math.isfinite(low) and math.isfinite(point):
        low = point - factor * max(point - low, 0.0)
    if math.isfinite(high) and math.isfinite(point):
        high = point + factor * max(high - point, 0.0)
    return float(min(low, point)), float(max(high, point))


def aligned(
    samples: Sequence[FloatArray], sources: Sequence[Hashable]
) -> tuple[list[FloatArray], Hashable]:
    """Resamples (R_i, ...) side by side (R, ...), and what they depend on together.

    Those of one source stay paired. Those of another are independent runs, but their random
    numbers may be the same ones, so they are shuffled.
    """
    count = min(len(s) for s in samples)
    distinct = list(dict.fromkeys(sources))
    order = [
        np.arange(count) if i == 0 else np.random.default_rng(i).permutation(count)
        for i in range(len(distinct))
    ]
    found = [s[:count][order[distinct.index(k)]] for s, k in zip(samples, sources, strict=True)]
    return found, distinct[0] if len(distinct) == 1 else tuple(distinct)


def combined(
    of: Callable[..., FloatArray],
    *parts: Quantity,
    positive: bool = False,
    lower: float = -math.inf,
    upper: float = math.inf,
) -> Quantity:
    """``of`` the quantities, for the estimates and resample by resample.

    Args:
        of: takes one array for each part.
        *parts: at least one.
        positive: of the result, see ``Quantity``.
        lower: of the result.
        upper: of the result.
    """
    samples, source = aligned([p.samples for p in parts], [p.source for p in parts])
    return Quantity(
        point=float(of(*(np.array(p.point) for p in parts))), samples=of(*samples),
        dof=min(p.dof for p in parts), source=source, positive=positive, lower=lower, upper=upper,
    )  # fmt: skip


def mean(parts: Sequence[Quantity]) -> Quantity:
    """Mean of at least one quantity, resample by resample, of the form of the first."""
    first = parts[0]

    def average(*values: FloatArray) -> FloatArray:
        found: FloatArray = np.mean(values, axis=0)
        return found

    return combined(average, *parts, positive=first.positive, lower=first.lower, upper=first.upper)
