"""What limits a loss: what more of one axis still takes off it, and which axis holds it up.

k-fold N takes L(N, inf) - E to k^-alpha of itself, k-fold D takes L(inf, D) - E to k^-beta (S1,
Eq. 3). Over the range of the runs that is how much of what an axis can give is used up.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import final

import numpy as np

from analysis.fit.result import Fit
from analysis.fit.sampled import UNKNOWN, Sampled
from analysis.laws.base import EXPONENT
from analysis.questions.additive import AXES, PLACE, PLURAL, Additive, Axis
from analysis.questions.answer import Line, Question, side_of, terms_doubt
from analysis.text import Interval, number


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reduction(Question):
    """The excess-loss reduction ratio of one law.

    Attributes:
        times: by how much.
        exponent: alpha (of N) or beta (of D), with its resamples.
        left: times^-exponent, the share of the excess loss that is left, in (0, 1).
        reason: why the data do not determine it; "" where they do.
    """

    axis: Axis
    times: float
    exponent: Sampled
    left: Sampled
    reason: str
    warnings: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """The share that is left; NaN with a ``reason``."""
        return math.nan if self.reason else self.left.point

    @property
    def interval(self) -> Interval:
        """95 % interval of ``ratio``; NaN with a ``reason``."""
        return UNKNOWN if self.reason else self.left.interval

    @property
    def gone(self) -> float:
        """The share that is taken off, whether or not the data determine it."""
        return 1 - self.left.point

    @property
    def gone_interval(self) -> Interval:
        """95 % interval of ``gone``, that of the exponent: it cannot reach beyond 0 or 1."""
        ends = self.left.interval
        return Interval(low=1 - ends.high, high=1 - ends.low).holding(self.gone)

    @property
    def title(self) -> str:
        """What was asked."""
        return f"What {number(self.times)} times the {PLURAL[self.axis]} leave of the excess loss"

    @property
    def lines(self) -> tuple[Line, ...]:
        """The ratio and the exponent."""
        name = "alpha" if self.axis == "N" else "beta"
        words = "" if self.reason else f"{number(100 * self.gone)} % of it is gone"
        return (
            Line.of("left", self.left, words, self.reason),
            Line.of(name, self.exponent, reason=self.reason),
        )


def reduction(fit: Fit, axis: Axis = "N", times: float = 10.0) -> Reduction:
    """The share of the excess loss that is left after scaling one axis (S1, Eq. 3).

    The other axis must not limit the loss.

    Args:
        fit: of ``chinchilla``, ``tied``, or of the marginal law of the axis.
        axis: ``N`` (backbone parameters) or ``D`` (unique training records).
        times: how many times, above 1.

    Raises:
        ValueError: ``times`` not above 1, or a law without that exponent.
    """
    if not (math.isfinite(times) and times > 1):
        raise ValueError(f"times must be finite and above 1, not {times}")
    return _reduction(fit, Additive.of(fit), axis, float(times))


def _reduction(fit: Fit, law: Additive, axis: Axis, times: float) -> Reduction:
    exponent = law.exponent(axis)
    # In logarithms, so that its interval is that of the exponent.
    left = law.sampled(
        times ** -law.theta[:, PLACE[axis][1]],
        positive=True,
        lower=times ** -EXPONENT[1],
        upper=times ** -EXPONENT[0],
    )
    return Reduction(
        axis=axis,
        times=times,
        exponent=exponent,
        left=left,
        reason=terms_doubt(fit, axis),
        warnings=fit.warnings,
    )


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck(Question):
    """What limits the loss of the largest run, and how far the range of each axis has carried it.

    Attributes:
        data_share: share of the reducible loss at the largest N and D that is due to finite
            data, (B / D^beta) / (A / N^alpha + B / D^beta), in [0, 1].
        gains: by axis what the largest value leaves of the excess loss at the smallest, whose
            ``gone`` is the share of what the axis can give that is used up: near 1 the loss has
            stopped falling along it. It grows with the range of the axis.
        reason: why the law does not determine ``data_share``; "" where it does.
    """

    data_share: Sampled
    gains: Mapping[Axis, Reduction]
    reason: str
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was asked."""
        return "Whether data or model size limits the loss of the largest run"

    @property
    def lines(self) -> tuple[Line, ...]:
        """Data's share, then how much of the gains of N and of D is used up."""
        told = {
            "above": "data limits it more",
            "below": "model size limits it more",
            "": "which limits it more is not told",
        }[side_of(self.data_share.interval, 0.5)]
        words = "" if self.reason or self.data_share.why else told
        share = Line.of("data's share of the reducible loss", self.data_share, words, self.reason)
        return (share, *(self._used_up(axis) for axis in AXES))

    def _used_up(self, axis: Axis) -> Line:
        name, gain = f"gains of {axis} used up", self.gains[axis]
        if gain.reason or math.isnan(gain.gone):
            return Line.none(name, gain.reason or "the law has no parameters")
        return Line(
            name=name,
            value=gain.gone,
            interval=gain.gone_interval,
            words=f"over a range of {number(gain.times)} times",
            reason=gain.left.why,
        )


def bottleneck(fit: Fit) -> Bottleneck:
    """What limits the loss of the largest run: data or model size (S1, Section 4).

    S1 judges saturation by the look of its curves; how much is used up is our measure of it.

    Args:
        fit: of ``chinchilla`` or ``tied``.

    Raises:
        ValueError: a marginal law or one of another form.
    """
    law = Additive.joint(fit)
    by_n, by_d = (law.term(axis, law.ranges[axis][1]) for axis in AXES)
    with np.errstate(invalid="ignore"):
        share = by_d / (by_n + by_d)
    return Bottleneck(
        data_share=law.sampled(share, lower=0.0, upper=1.0),
        gains={a: _reduction(fit, law, a, law.ranges[a][1] / law.ranges[a][0]) for a in AXES},
        reason=terms_doubt(fit, "ND"),
        warnings=fit.warnings,
    )
