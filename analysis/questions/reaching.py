"""How many times more of an axis one law needs to reach the loss of another."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import final

import numpy as np

from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled
from analysis.questions.additive import AXES, PLURAL, Additive, Axis, positive, together
from analysis.questions.answer import Line, Question, beyond
from analysis.questions.trust import curve_doubt, terms_doubt
from analysis.text import count, interval, number


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parity(Question):
    """What the second law needs for the loss that the first has at a point.

    Attributes:
        first: name of the first.
        second: name of the second.
        axis: that the second may scale.
        at: N and D of the first.
        loss: of the first there, in the unit of both.
        floor: of the second at unlimited ``axis``.
        factor: scale of the second over that of the first; infinite where its floor is above.
        beyond: how many times outside the second's data the scale lies; 1 within.
        reason: why there is none; "" where there is one.
        warnings: what a reader must know first.
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
    one, other = together(Additive.of(first), Additive.of(second))
    if one.axes != other.axes:
        raise ValueError(f"laws of {', '.join(one.axes)} and of {', '.join(other.axes)}")
    one.check(axis)
    held = one.held(axis, {k: v for k, v in at.items() if k != axis})
    if axis not in at:
        raise ValueError(f"{axis} of the first is missing")
    own = positive(axis, at[axis])
    loss = one.loss({**held, axis: own})
    factor = one.sampled(other.inverse(axis, loss, held) / own, positive=True, lower=0.0)
    whys = [(names[0], curve_doubt(first)), (names[1], terms_doubt(second, axis))]
    warnings = []
    for name, law in zip(names, (one, other), strict=True):
        scales = {**held, axis: own} if law is one else held
        warnings += [
            f"{a} = {count(v)} lies {number(out)} times outside the data of {name}"
            for a, v in scales.items()
            if (out := beyond(law.ranges[a], v)) > 1 + 1e-9
        ]
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
