"""Two laws compared: where they cross (S1, Section 5), and what one needs for the other's loss.

The difference of two laws is c + A_1 x^-a_1 - A_2 x^-a_2, whose slope in log x changes sign once
at most; so they cross at most twice, once in each direction, and every crossing lies alone on
its side of that turn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import final

import numpy as np

from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled
from analysis.laws import FloatArray
from analysis.laws.base import BoolArray
from analysis.questions.additive import (
    AXES,
    PLACE,
    PLURAL,
    Additive,
    Axis,
    beyond,
    positive,
    together,
)
from analysis.questions.answer import Line, Question, curve_doubt, terms_doubt
from analysis.text import count, interval, number

REACH = 100.0  # times outside the data up to which a crossing is looked for
_HALVINGS = 60


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Crossover(Question):
    """Where two laws cross along an axis.

    Attributes:
        held: the other axes.
        data: smallest and largest scale that both were measured at.
        reach: how many times outside them a crossing counts.
        scales: estimate and resamples of the crossings (1 + R, 2) at which the first is lower
            below and above; NaN where there is none.
        lower: at either end of ``data`` (1 + R, 2), whether the first is lower; NaN without a
            law.
        below: whether the crossing reported is one with the first lower below it.
        crossing: the one reported (of two, the one nearer the data), in the resamples that have
            it; NaN where there is none.
        reason: why nothing can be said; "" where something can.
    """

    first: str
    second: str
    axis: Axis
    held: Mapping[str, float]
    data: tuple[float, float]
    reach: float
    scales: FloatArray
    lower: FloatArray
    below: bool
    crossing: Sampled
    reason: str
    warnings: tuple[str, ...]

    @property
    def crosses(self) -> bool:
        """Whether the estimates cross within reach."""
        return math.isfinite(self.scale)

    @property
    def scale(self) -> float:
        """Of the crossing reported; NaN where there is none."""
        return self.crossing.point

    @property
    def within(self) -> float:
        """Share of the resamples that cross within the data of both; NaN without resamples."""
        low, high = self.data
        return self._share(np.any((self.scales >= low) & (self.scales <= high), axis=1))

    @property
    def past(self) -> float:
        """Share that cross outside the data only, within reach."""
        return self._share(np.any(np.isfinite(self.scales), axis=1)) - self.within

    @property
    def none(self) -> float:
        """Share that do not cross within reach."""
        return 1.0 - self.within - self.past

    def first_lower(self, end: int) -> float:
        """Share of the resamples in which the first is lower at an end of the data (0 or 1)."""
        return self._share(self.lower[:, end] > 0)

    def _share(self, holds: BoolArray) -> float:
        known = ~np.isnan(self.lower[1:, 0])
        return float(holds[1:][known].mean()) if known.any() else math.nan

    @property
    def title(self) -> str:
        """What was asked."""
        at = "".join(f", at {a} = {count(v)}" for a, v in self.held.items())
        return f"Where {self.first} and {self.second} cross along {self.axis}{at}"

    @property
    def words(self) -> str:
        """The answer in one sentence."""
        if self.reason:
            return ""
        if not self.crosses:
            lower = self.first if self.lower[0, 0] > 0 else self.second
            said = f"no crossing up to {number(self.reach)} times the data: {lower} is lower"
            if math.isfinite(self.none):
                said += f" ({self.none:.0%} of the resamples do not cross)"
            return said
        under, over = (self.first, self.second) if self.below else (self.second, self.first)
        out = beyond(self.data, self.scale)
        where = f"{number(out)} times outside the data" if out > 1 + 1e-9 else "within the data"
        said = f"{under} is lower up to {count(self.scale)} {PLURAL[self.axis]} ({where}), {over} "
        if math.isnan(self.none):
            return said + "above"
        return (
            f"{said}above; {interval(self.crossing.interval)} in the resamples that cross so; "
            f"of all, {self.within:.0%} cross within the data, {self.past:.0%} beyond, "
            f"{self.none:.0%} not"
        )

    @property
    def lines(self) -> tuple[Line, ...]:
        """The crossing, and which is lower at the ends of the data."""
        why = self.reason or ("" if self.crosses else self.words)
        return (Line.of(f"{self.axis} of the crossing", self.crossing, self.words, why),)

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Which is lower at the ends of the data."""
        if self.reason or math.isnan(self.none):
            return ()
        return tuple(
            (
                f"{self.first} lower at {self.axis} = {count(scale)}",
                f"in {self.first_lower(k):.0%} of the resamples",
            )
            for k, scale in enumerate(self.data)
        )


def crossover(
    fit_a: Fit,
    fit_b: Fit,
    axis: Axis = "N",
    *,
    reach: float = REACH,
    names: tuple[str, str] = ("the first", "the second"),
    **held: float,
) -> Crossover:
    """The scale at which the losses of two laws cross.

    S1 (Section 5): Transformer-SSL overtakes ResNet-SSL at large sizes only. Both losses must be
    of the same task. A crossing outside the data is an extrapolation of both laws.

    Args:
        fit_a: of ``chinchilla``, ``tied``, or of the marginal law of the axis.
        fit_b: of a law of the same axes; its resamples are shared with the other's where both
            have one seed and pool.
        axis: along which, ``N`` or ``D``.
        reach: times outside the data up to which a crossing counts, at least 1.
        names: of both.
        **held: the other axes of the laws, such as ``D=8192``.

    Raises:
        ValueError: laws of different axes or another form, another axis that is missing, unknown
            or not positive, or a reach below 1.
    """
    if not (math.isfinite(reach) and reach >= 1):
        raise ValueError(f"reach must be finite and at least 1, not {reach}")
    one, other = together(fit_a, fit_b)
    at = one.held(axis, held)
    data = (
        max(law.ranges[axis][0] for law in (one, other)),
        min(law.ranges[axis][1] for law in (one, other)),
    )
    whys, warnings = [], []
    for law, fit, name in zip((one, other), (fit_a, fit_b), names, strict=True):
        if why := curve_doubt(fit):
            whys.append(f"{name}: {why}")
        if why := terms_doubt(fit, axis):
            warnings.append(f"{name}: {why}; beyond the data its curve means little")
        warnings += law.outside(at, f" of {name}")
    if data[0] > data[1]:
        whys.append(f"no {axis} was measured in both")
    scales = crossings(one, other, axis, at, (data[0] / reach, data[1] * reach))
    lower = first_is_lower(one, other, axis, at, data)
    # the crossing nearer the data, or the only one; in the resamples that have it, be they few
    out = [beyond(data, s) if math.isfinite(s) else math.inf for s in scales[0]]
    below = out[0] <= out[1]
    chosen = scales[:, 0 if below else 1]
    have = chosen[1:][np.isfinite(chosen[1:])]
    return Crossover(
        first=names[0],
        second=names[1],
        axis=axis,
        held=at,
        data=data,
        reach=float(reach),
        scales=scales,
        lower=lower,
        below=below,
        reason="; ".join(whys),
        crossing=one.sampled(np.concatenate([chosen[:1], have]), positive=True),
        warnings=tuple(warnings),
    )


def crossings(
    one: Additive, other: Additive, axis: Axis, held: Mapping[str, float], ends: tuple[float, float]
) -> FloatArray:
    """Crossings (1 + R, 2) between two scales; the first law lower below, then above."""
    c = one.without(axis, held) - other.without(axis, held)
    (A, a), (B, b) = ([law.theta[:, k] for k in PLACE[axis]] for law in (one, other))
    low, high = (np.full(len(c), math.log(end)) for end in ends)

    def difference(t: FloatArray) -> FloatArray:
        found: FloatArray = c + A * np.exp(-a * t) - B * np.exp(-b * t)
        return found

    with np.errstate(divide="ignore", invalid="ignore"):
        turn = (np.log(A * a) - np.log(B * b)) / (a - b)
    turn = np.clip(np.where(np.isnan(turn), low, turn), low, high)
    found = np.full((len(c), 2), math.nan)
    for left, right in ((low, turn), (turn, high)):
        start, end = np.sign(difference(left)), np.sign(difference(right))
        x, y = left.copy(), right.copy()
        for _ in range(_HALVINGS):
            middle = 0.5 * (x + y)
            same = np.sign(difference(middle)) == start
            x, y = np.where(same, middle, x), np.where(same, y, middle)
        crossed = start * end < 0
        for direction, sign in enumerate((-1.0, 1.0)):
            here = crossed & (start == sign)
            found[here, direction] = np.exp(0.5 * (x + y)[here])
    return found


def first_is_lower(
    one: Additive, other: Additive, axis: Axis, held: Mapping[str, float], at: tuple[float, float]
) -> FloatArray:
    """Whether the first law is lower (1) or not (0) at two scales (1 + R, 2); NaN without one."""
    losses = [[law.loss({**held, axis: scale}) for scale in at] for law in (one, other)]
    less = np.array(losses[0]).T - np.array(losses[1]).T
    return np.where(np.isnan(less), math.nan, (less < 0).astype(np.float64))


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parity(Question):
    """What the second law needs for the loss that the first has at a point.

    Attributes:
        axis: that the second may scale.
        at: N and D of the first.
        loss: of the first there, in the unit of both.
        floor: of the second at unlimited ``axis``.
        factor: scale of the second over that of the first; infinite where its floor is above.
        beyond: how many times outside the second's data the scale lies; 1 within.
    """

    first: str
    second: str
    axis: Axis
    at: Mapping[str, float]
    loss: float
    floor: float
    factor: Sampled
    beyond: float
    reason: str
    warnings: tuple[str, ...]

    @property
    def never(self) -> float:
        """Share of the resamples in which no scale of the second reaches the loss."""
        return self.factor.share(np.isinf)

    @property
    def title(self) -> str:
        """What was asked."""
        where = ", ".join(f"{a} = {count(v)}" for a, v in self.at.items())
        return f"What {self.second} needs for the loss of {self.first} at {where}"

    @property
    def words(self) -> str:
        """The answer in one sentence."""
        if self.reason:
            return ""
        what = PLURAL[self.axis]
        if math.isinf(self.factor.point):
            said = (
                f"no number of {what} takes {self.second} to the loss of {self.first} "
                f"({number(self.loss, 4)}): its floor there is {number(self.floor, 4)}"
            )
        else:
            ends = interval(self.factor.interval)
            said = (
                f"{self.second} needs {number(self.factor.point)} {ends} times the {what} of "
                f"{self.first} for the same loss ({number(self.loss, 4)})"
            )
            if self.beyond > 1:
                said += f", {number(self.beyond)} times outside its data"
        if self.never > 0:
            said += f"; in {self.never:.0%} of the resamples none is enough"
        return said

    @property
    def lines(self) -> tuple[Line, ...]:
        """The factor."""
        name = f"{PLURAL[self.axis]} of {self.second} over {self.first}, same loss"
        return (Line.of(name, self.factor, self.words, self.reason),)


def parity(
    first: Fit,
    second: Fit,
    axis: Axis = "N",
    *,
    at: Mapping[str, float],
    names: tuple[str, str] = ("the first", "the second"),
) -> Parity:
    """Invert the second law at the loss that the first predicts.

    Both losses must be of the same task. The other axis is the same for both.

    Args:
        first: its loss at ``at`` is to be reached.
        second: may be scaled along ``axis``.
        axis: ``N`` or ``D``.
        at: N and D; of marginal laws theirs.
        names: of both.

    Raises:
        ValueError: laws of different axes or another form, or a scale that is missing or not
            positive.
    """
    one, other = together(first, second)
    one.check(axis)
    held = one.held(axis, {k: v for k, v in at.items() if k != axis})
    if axis not in at:
        raise ValueError(f"{axis} of the first is missing")
    own = positive(axis, at[axis])
    loss = one.loss({**held, axis: own})
    factor = one.sampled(other.inverse(axis, loss, held) / own, positive=True, lower=0.0)
    whys = [(names[0], curve_doubt(first)), (names[1], terms_doubt(second, axis))]
    warnings = one.outside({**held, axis: own}, f" of {names[0]}")
    warnings += other.outside(held, f" of {names[1]}")
    if "E" in second.certificate.bounds_hit:
        warnings.append(f"E of {names[1]} is at a bound: whether it gets there hangs on it")
    return Parity(
        first=names[0],
        second=names[1],
        axis=axis,
        loss=float(loss[0]),
        factor=factor,
        at={a: at[a] for a in AXES if a in at},
        floor=float(other.without(axis, held)[0]),
        beyond=beyond(other.ranges[axis], own * factor.point) if factor.point > 0 else 1.0,
        reason="; ".join(f"{name}: {why}" for name, why in whys if why),
        warnings=tuple(warnings),
    )
