"""The three approaches side by side: what each says, and which to believe.

The rules, in this order:

* an approach that could not be had is listed with its reason;
* the surface (3) uses every run and knows no grid, so it is believed when its fit converged off
  its bounds and it agrees with the isoFLOP curves, or when these have a known bias;
* isoFLOP curves (2) assume no law of N and D, but a parabola is biased when alpha and beta differ
  and the grid is wide, asymmetric or drifting, or leaves minima unbracketed (Czech et al. 2026,
  arXiv 2603.22339): they are believed without such a warning where the surface cannot be;
* the envelope (1) is tied to the sizes trained: never believed alone;
* a surface and isoFLOP curves that disagree without a known bias leave nothing to believe.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd

from analysis.compute.allocation import CONVERGED, Allocation
from analysis.compute.envelope import Envelope
from analysis.compute.isoflop import IsoFlop
from analysis.compute.optima import AllocationLines
from analysis.compute.rows import AllocationError
from analysis.compute.surface import Exponents
from analysis.fit.sampled import UNKNOWN
from analysis.text import Card, Estimate, Interval, Result, interval, json_object, number

NAMES = {1: "envelope", 2: "isoFLOP curves", 3: "surface"}
NOT_ASKED = "not asked for"
_BIASED_GRIDS = ("asymmetric grid", "drifting grid", "wide grid")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApproachExponents:
    """The exponents of one approach.

    Attributes:
        approach: 1, 2 or 3.
        a: exponent of N*(C); NaN where ``refused`` says why.
        b: exponent of D*(C); NaN where ``refused`` or ``cautions`` say why.
        a_interval: 95 % interval of ``a``.
        b_interval: 95 % interval of ``b``.
        refused: why its exponents are not to be used; empty when they are.
        cautions: what may bias them.
    """

    approach: int
    a: float
    b: float
    a_interval: Interval
    b_interval: Interval
    refused: str
    cautions: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return NAMES[self.approach]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Approaches(Result):
    """Exponents by approach.

    Attributes:
        exponents: of Approaches 1, 2 and 3, in this order.
        believe: number of the approach to believe; None for none.
        why: the reason, in a sentence.
        agree: pairs of usable approaches whose intervals of a overlap.
        disagree: pairs whose intervals do not.
    """

    exponents: tuple[ApproachExponents, ...]
    believe: int | None
    why: str
    agree: tuple[tuple[int, int], ...]
    disagree: tuple[tuple[int, int], ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row per approach: approach, name, a, b, their intervals, believed, refused."""
        return pd.DataFrame([
            {"approach": c.approach, "name": c.name, "a": c.a, "a_low": c.a_interval.low,
             "a_high": c.a_interval.high, "b": c.b, "b_low": c.b_interval.low,
             "b_high": c.b_interval.high, "believed": c.approach == self.believe,
             "refused": c.refused, "cautions": "; ".join(c.cautions)}
            for c in self.exponents
        ])  # fmt: skip

    def card(self) -> Card:
        """What is shown."""
        known = [c for c in self.exponents if not c.refused]
        return Card(
            title=f"Allocation: believe {NAMES[self.believe] if self.believe else 'none yet'}",
            warnings=(self.why,),
            estimates=tuple(
                Estimate(name=f"a ({c.approach})", value=c.a, interval=c.a_interval,
                         meaning=f"{c.name}; b = {number(c.b, 4)} {interval(c.b_interval)}")
                for c in known
            ),
            facts=(
                *((f"{c.name} refused", c.refused) for c in self.exponents if c.refused),
                *((f"{c.name}, caution", text) for c in known for text in c.cautions),
                *((f"{i} and {j}", "agree") for i, j in self.agree),
                *((f"{i} and {j}", "disagree") for i, j in self.disagree),
            ),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None."""
        return json_object(
            approaches=self.table, believe=self.believe, why=self.why,
            agree=self.agree, disagree=self.disagree,
        )  # fmt: skip


def compare_approaches(
    *,
    envelope: Envelope | AllocationError | None = None,
    isoflop: IsoFlop | AllocationError | None = None,
    surface: Allocation | AllocationError | None = None,
) -> Approaches:
    """The exponents by approach and which to believe.

    Args:
        envelope: Approach 1, or the error that refused it; None for not asked for.
        isoflop: Approach 2, likewise.
        surface: Approach 3, likewise; its counted exponents are compared.
    """
    exponents = (_exponents_of(1, envelope), _exponents_of(2, isoflop), _exponents_of(3, surface))
    usable = [c for c in exponents if not c.refused]
    pairs = [(p, q) for i, p in enumerate(usable) for q in usable[i + 1 :]]
    known = [(p, q) for p, q in pairs if not math.isnan(p.a_interval.low + q.a_interval.low)]
    agree = tuple((p.approach, q.approach) for p, q in known if _overlap(p, q))
    disagree = tuple((p.approach, q.approach) for p, q in known if not _overlap(p, q))
    believe, why = _verdict(exponents, disagree)
    if believe == 3 and isinstance(surface, Allocation) and (outside := _optima_outside(surface)):
        why = f"{why}; {outside}"
    return Approaches(exponents=exponents, believe=believe, why=why, agree=agree, disagree=disagree)


def _overlap(p: ApproachExponents, q: ApproachExponents) -> bool:
    return max(p.a_interval.low, q.a_interval.low) <= min(p.a_interval.high, q.a_interval.high)


def _exponents_of(
    approach: int, result: AllocationLines | Allocation | AllocationError | None
) -> ApproachExponents:
    if result is None or isinstance(result, AllocationError):
        return ApproachExponents(
            approach=approach, a=math.nan, b=math.nan, a_interval=UNKNOWN, b_interval=UNKNOWN,
            refused=str(result or NOT_ASKED), cautions=(),
        )  # fmt: skip
    found: AllocationLines | Exponents
    if isinstance(result, Allocation):
        found, cautions = result.counted, result.warnings
        refused = "" if result.status == CONVERGED else f"the fit is {result.status}"
    else:
        found, refused = result, result.reason
        cautions = result.warnings if result.ok else ()
    return ApproachExponents(
        approach=approach, a=found.a, b=found.b, a_interval=found.a_interval,
        b_interval=found.b_interval, refused=refused, cautions=cautions,
    )  # fmt: skip


def _optima_outside(surface: Allocation) -> str:
    """What to say of optima that no measured budget has among the measured sizes."""
    within = surface.table[surface.table["beyond_C"] <= 1.0]
    outside = (within["beyond_N"] > 1.0) | (within["beyond_D"] > 1.0)
    if len(within) and bool(outside.all()):
        return "at every measured budget the optimal N or D lies outside those measured"
    return ""


def _verdict(
    exponents: tuple[ApproachExponents, ...], disagree: tuple[tuple[int, int], ...]
) -> tuple[int | None, str]:
    """Which approach to believe, and why; see the head of the module."""
    one, two, three = exponents
    # of the grid, or of minima that are not bracketed
    bias = [c for c in two.cautions if c.startswith(_BIASED_GRIDS) or "budgets refused" in c]
    if not three.refused:
        if (2, 3) in disagree and not bias:
            return None, (
                "the surface and the isoFLOP curves disagree and neither has a known bias: the "
                "law may be wrong; look at its residuals along the budgets"
            )
        if (2, 3) in disagree:
            return 3, f"the isoFLOP curves disagree, but they are biased ({bias[0]})"
        others = [c.name for c in (one, two) if not c.refused and (c.approach, 3) not in disagree]
        support = f"and agrees with {' and '.join(others)}" if others else "and stands unchecked"
        return 3, f"the surface fit converged {support}"
    if not two.refused:
        state = f"biased ({bias[0]})" if bias else "without a known bias"
        return None if bias else 2, (
            f"the surface is refused ({three.refused}); the isoFLOP curves are {state}"
        )
    return None, (
        "no approach is usable"
        if one.refused
        else "only the envelope is there, which is tied to the sizes trained"
    )
