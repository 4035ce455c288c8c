"""How much of the excess loss is left after scaling one axis (S1, Eq. 3)."""

from __future__ import annotations

import dataclasses
import math
from typing import final

from analysis.fit.loglog import UNKNOWN
from analysis.fit.result import Fit
from analysis.questions.answer import Line, Question
from analysis.questions.evidence.additive import PLURAL, Additive, Axis, doubt
from analysis.questions.evidence.quantity import Quantity
from analysis.text.numbers import Interval, number


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reduction(Question):
    """The excess-loss reduction ratio of one law.

    Attributes:
        axis: scaled.
        times: by how much.
        exponent: alpha (of N) or beta (of D), with its resamples.
        reason: why the data do not determine it; "" where they do.
        warnings: the fit's warnings.
    """

    axis: Axis
    times: float
    exponent: Quantity
    reason: str
    warnings: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """times^-exponent in (0, 1); NaN with a ``reason``."""
        return math.nan if self.reason else self.times**-self.exponent.point

    @property
    def interval(self) -> Interval:
        """95 % interval of ``ratio``; NaN with a ``reason``."""
        ends = self.exponent.interval
        if self.reason:
            return UNKNOWN
        found = Interval(low=self.times**-ends.high, high=self.times**-ends.low)
        return found.holding(self.ratio)

    @property
    def title(self) -> str:
        """What was asked."""
        return f"What {number(self.times)} times the {PLURAL[self.axis]} leave of the excess loss"

    @property
    def lines(self) -> tuple[Line, ...]:
        """The ratio and the exponent."""
        name = "alpha" if self.axis == "N" else "beta"
        why = self.reason or self.exponent.why
        if math.isnan(self.ratio) and not why:
            why = "the law has no parameters"
        words = "" if self.reason else f"{number(100 * (1 - self.ratio))} % of it is gone"
        return (
            Line(name="left", value=self.ratio, interval=self.interval, words=words, reason=why),
            Line.of(name, self.exponent, reason=self.reason),
        )


def reduction(fit: Fit, axis: Axis = "N", times: float = 10.0) -> Reduction:
    """The share of the excess loss that is left after scaling one axis.

    S1's Eq. 3: k-fold N takes L(N, inf) - E to k^-alpha of itself, k-fold D takes L(inf, D) - E
    to k^-beta. The other axis must not limit the loss.

    Args:
        fit: of ``chinchilla``, ``tied``, or of the marginal law of the axis.
        axis: ``N`` (backbone parameters) or ``D`` (unique training records).
        times: how many times, above 1.

    Raises:
        ValueError: ``times`` not above 1, or a law without that exponent.
    """
    if not (math.isfinite(times) and times > 1):
        raise ValueError(f"times must be finite and above 1, not {times}")
    exponent = Additive.of(fit).exponent(axis)
    return Reduction(
        axis=axis, times=float(times), exponent=exponent, reason=doubt(fit, axis),
        warnings=fit.warnings,
    )  # fmt: skip
