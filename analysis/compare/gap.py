"""How much of a gap a method closes: its way from a baseline to a ceiling, as a share of the whole.

share = (method - baseline) / (ceiling - baseline), all three on the same resamples of patients and
draws. Resampled shares have no use where the gap may be zero: some divide by next to nothing. So
the interval is Fieller's (1954, Journal of the Royal Statistical Society B 16:175), made of
resamples (von Luxburg and Franz 2009, Statistica Sinica 19:1095): all rho for which the 95 %
interval of

    method - baseline - rho (ceiling - baseline)

holds zero. It leaves out 0 where the method differs from the baseline, and 1 where it differs from
the ceiling, by the intervals of those differences. Where the interval of the gap itself does not
lie on the better side of zero, no share is too large to be possible, and the interval is said to
be unbounded (Fieller's may leave out some shares in the middle even then; ours leaves out none).

Simulated with 120 patients and 1 to 8 draws, 95 % intervals held a share of 0.6 in 93 to 100 % of
300 cases each, whether the gap was clear or next to nothing, where most had no ends. Percentiles of
resampled shares had ends throughout, and held it in 87 to 100 %.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from analysis.compare.paired import Measured, contrast
from scaling.records.multilabel import METRICS
from scaling.records.patients import Estimate

_STEP = 0.05  # first step of the search for an end of an interval
_CLOSE = 1e-5  # how well an end is known, of itself or of 1
_FARTHEST = 1e4  # beyond it an end is as good as unbounded


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Share of a gap that a method closes: 0 at the baseline, 1 at the ceiling.

    Attributes:
        value: NaN where there is no gap: the ceiling is no better than the baseline.
        low: of the 95 % interval; minus infinity where that is unbounded.
        high: infinity likewise.
        gap: the ceiling less the baseline, in units of the metric.
    """

    value: float
    low: float
    high: float
    gap: Estimate

    @property
    def bounded(self) -> bool:
        """Whether the interval has two ends."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def share_closed(method: Measured, baseline: Measured, ceiling: Measured, metric: str) -> Share:
    """How far a method gets from a baseline to a ceiling.

    Args:
        method: of ``measure_methods``.
        baseline: of the same call.
        ceiling: of the same call.
        metric: of all three, one of ``METRICS``.
    """
    more_is_better = METRICS[metric]
    gap = Estimate.of(contrast([(1.0, ceiling), (-1.0, baseline)], metric))
    better = gap.value > 0 if more_is_better else gap.value < 0
    above = float(contrast([(1.0, method), (-1.0, baseline)], metric)[0])
    value = above / gap.value if better else math.nan
    clear = gap.low > 0 if more_is_better else gap.high < 0
    if not clear:
        return Share(value=value, low=-math.inf, high=math.inf, gap=gap)

    def holds(rho: float) -> bool:
        parts = [(1.0, method), (rho - 1.0, baseline), (-rho, ceiling)]
        left = Estimate.of(contrast(parts, metric))
        return left.low <= 0 <= left.high

    low, high = (_end(holds, value, step) for step in (-_STEP, _STEP))
    return Share(value=value, low=low, high=high, gap=gap)


def _end(holds: Callable[[float], bool], inside: float, step: float) -> float:
    """Where an interval ends that goes on from ``inside`` in the direction of ``step``."""
    outside = inside + step
    while holds(outside):
        if abs(outside) > _FARTHEST:
            return math.copysign(math.inf, step)
        step *= 2
        inside, outside = outside, outside + step
    while abs(outside - inside) > _CLOSE * max(1.0, abs(inside)):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside
