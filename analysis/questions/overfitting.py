"""How far finite data raise the loss above that of unlimited data (S1, Appendix B.6, Eq. S.8)."""

from __future__ import annotations

import dataclasses
import math
from typing import final

import numpy as np

from analysis.fit.result import Fit
from analysis.questions.answer import Line, Question, beyond
from analysis.questions.collapsing import Collapse, collapse
from analysis.questions.evidence.additive import Additive, doubt, positive
from analysis.questions.evidence.quantity import Quantity
from analysis.text.numbers import count, number

__all__ = ["Collapse", "DataNeeded", "Extent", "collapse", "data_needed", "extent"]


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Extent(Question):
    """Extent of overfitting at a size and an amount of data.

    Attributes:
        N: backbone parameters.
        D: unique training records.
        delta: (L(N, D) - L(N, inf)) / L(N, inf), 0 or more, with its resamples.
        reason: why there is none; "" where there is one.
        warnings: what a reader must know first.
    """

    N: float
    D: float
    delta: Quantity
    reason: str
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Extent of overfitting at N = {count(self.N)}, D = {count(self.D)}"

    @property
    def lines(self) -> tuple[Line, ...]:
        """Delta."""
        words = "" if self.reason else (
            f"{number(100 * self.delta.point)} % of the loss at unlimited data is lost to finite D"
        )  # fmt: skip
        return (Line.of("delta", self.delta, words, self.reason),)


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataNeeded(Question):
    """Data that keep overfitting within a tolerance.

    Attributes:
        N: backbone parameters.
        delta: tolerated, above 0.
        D: unique training records needed, with resamples.
        beyond: how many times outside the measured D it lies; 1 within.
        reason: why there is none; "" where there is one.
        warnings: what a reader must know first.
    """

    N: float
    delta: float
    D: Quantity
    beyond: float
    reason: str
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Data that keep overfitting at {number(self.delta)} for N = {count(self.N)}"

    @property
    def lines(self) -> tuple[Line, ...]:
        """D."""
        words = ""
        if not self.reason:
            words = f"{count(self.D.point)} records"
            if self.beyond > 1 + 1e-9:
                words += f", {number(self.beyond)} times outside the data: extrapolated"
        return (Line.of("D", self.D, words, self.reason),)


def extent(fit: Fit, N: float, D: float) -> Extent:
    """Extent of overfitting of a joint law.

    S1's Eq. S.8, (L(N, D) - L(N, inf)) / L(N, inf), is B D^-beta / (E + A N^-alpha) for the joint
    law (Eq. 1).

    Args:
        fit: of ``chinchilla`` or ``tied``.
        N: backbone parameters.
        D: unique training records.

    Raises:
        ValueError: a marginal law or one of another form, or a scale that is not positive.
    """
    law = _joint(fit)
    at = {"N": positive("N", N), "D": positive("D", D)}
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = law.term("D", at["D"]) / law.without("D", at)
    return Extent(
        N=at["N"], D=at["D"], delta=law.quantity(delta, positive=True, lower=0.0),
        reason=doubt(fit, "D"), warnings=(*_outside(law, at), *fit.warnings),
    )  # fmt: skip


def data_needed(fit: Fit, N: float, delta: float) -> DataNeeded:
    """Records at which overfitting falls to a tolerance.

    Inverts ``extent``: D = (B / (delta (E + A N^-alpha)))^(1 / beta). S1 (Appendix B.6) takes a
    tolerance of 0.1.

    Args:
        fit: of ``chinchilla`` or ``tied``.
        N: backbone parameters.
        delta: tolerated extent, above 0.

    Raises:
        ValueError: a marginal law or one of another form, or an N or delta that is not positive.
    """
    law, at = _joint(fit), {"N": positive("N", N)}
    tolerated = positive("delta", delta)
    needed = law.quantity(
        law.inverse("D", (1 + tolerated) * law.without("D", at), at), positive=True, lower=0.0
    )
    far = beyond(law.ranges["D"], needed.point) if needed.point > 0 else 1.0
    return DataNeeded(
        N=at["N"], delta=tolerated, D=needed, beyond=far, reason=doubt(fit, "D"),
        warnings=(*_outside(law, at), *fit.warnings),
    )  # fmt: skip


def _joint(fit: Fit) -> Additive:
    """The law, refused where it lacks an axis."""
    law = Additive.of(fit)
    if law.axes != ("N", "D"):
        raise ValueError(f"{fit.law.name} is not a joint law of N and D, such as chinchilla")
    return law


def _outside(law: Additive, at: dict[str, float]) -> list[str]:
    return [
        f"{a} = {count(v)} lies {number(out)} times outside the data"
        for a, v in at.items()
        if math.isfinite(v) and (out := beyond(law.ranges[a], v)) > 1 + 1e-9
    ]
