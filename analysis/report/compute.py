"""What a study says of compute: frontier, allocation, and the approaches beside each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from analysis.checks.held_out import LawChoice, choose_law
from analysis.compute.allocation import Allocation, allocate
from analysis.compute.approaches import Approaches, compare_approaches
from analysis.compute.cost import ComputeModel, compute_model
from analysis.compute.envelope import Envelope, at_budgets, envelope
from analysis.compute.isoflop import IsoFlop, isoflop
from analysis.compute.rows import AllocationError
from analysis.figures.base import Picture
from analysis.fit.fit import fit_law
from analysis.fit.result import Fit

BUDGETS = 8
REFITS = 200  # of envelopes and isoFLOP curves, which are checks of the surface
LAWS = ("chinchilla", "kaplan", "tied")
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Compute of one group of runs; ``reasons`` say why what is None could not be had."""

    model: ComputeModel | None  # what training costs, counted
    allocation: Allocation | None  # from the joint law (Approach 3)
    approaches: Approaches  # the exponents of all three, and which to believe
    frontier: Fit | None  # the law of the lowest loss at each compute
    envelope: Envelope | None  # what it is fitted to, the lower envelope of the training curves
    choice: LawChoice | None  # laws compared by what they predict
    reasons: dict[str, str]

    @property
    def usable(self) -> bool:
        """Whether the exponents of the surface may be shown: the law behind it converged."""
        return not self.approaches.exponents[2].refused

    def pictures(self) -> dict[str, Picture]:
        """Figures by name, of what there is."""
        found = {}
        if self.envelope is not None:
            found["envelope"] = self.envelope.plot()
        if self.allocation is not None and self.usable:
            found["allocation"] = self.allocation.plot()
        if sum(not c.refused for c in self.approaches.exponents) > 1:
            found["approaches"] = self.approaches.plot()
        return found

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values."""
        choice = self.choice and {"chosen": self.choice.chosen, "reason": self.choice.reason}
        return {
            "compute": self.model and self.model.to_dict(),
            "allocation": self.allocation and self.allocation.to_dict(),
            "approaches": self.approaches.to_dict(),
            "frontier": self.frontier and self.frontier.to_dict(),
            "choice": choice,
            "reasons": self.reasons,
        }


def _attempt(reasons: dict[str, str], name: str, make: Callable[[], T]) -> T | None:
    """What ``make`` gives, or the reason why it cannot."""
    try:
        return make()
    except ValueError as error:  # the page goes on and says why
        reasons[name] = str(error)
        return None


def compute_of(part: pd.DataFrame, rows: pd.DataFrame, joint: Fit, n_boot: int) -> Compute:
    """Everything of compute that the runs of one group can say.

    Args:
        part: all loss rows of the group, with the evaluations along training.
        rows: law rows, one per run.
        joint: the joint law of them.
        n_boot: refits of the compute model and the frontier.
    """
    reasons: dict[str, str] = {}
    runs = rows[["family", "N", "D", "C", "macs"]]
    model = _attempt(reasons, "compute", lambda: compute_model(runs, n_boot=n_boot))
    allocation = None
    if model is not None:
        allocation = _attempt(reasons, "allocation", lambda: allocate(joint, model))
    else:
        reasons["allocation"] = reasons["compute"]
    refits = min(n_boot, REFITS)
    lower = _attempt(reasons, "envelope", lambda: envelope(_curves(part), n_boot=refits))
    across = _attempt(reasons, "isoflop", lambda: _isoflop(_curves(part), refits))
    frontier = None
    if lower is not None:
        frontier = _attempt(reasons, "frontier", lambda: _frontier(lower, n_boot))
    choice = _attempt(reasons, "choice", lambda: _choice(joint))
    approaches = compare_approaches(
        envelope=lower or AllocationError(reasons["envelope"]),
        isoflop=across or AllocationError(reasons["isoflop"]),
        surface=allocation or AllocationError(reasons["allocation"]),
    )
    return Compute(
        model=model,
        allocation=allocation,
        approaches=approaches,
        frontier=frontier,
        envelope=lower,
        choice=choice,
        reasons=reasons,
    )


def _choice(joint: Fit) -> LawChoice:
    """Which law predicts larger runs best."""
    delta = joint.certificate.delta
    return choose_law(joint.rows, LAWS, variants=("plain", "regularised"), n_boot=0, delta=delta)


def _curves(part: pd.DataFrame) -> pd.DataFrame:
    """Validation loss along training: N, D, C, loss, trial.

    Raises:
        AllocationError: there is none.
    """
    rows = part[(part["protocol"] == "curve") & (part["split"] == "validation")]
    rows = rows[(rows["metric"] == "loss") & rows["value"].notna() & (rows["C"] > 0)]
    if rows.empty:
        raise AllocationError(
            "no losses along training are here (large studies are published without them)"
        )
    return rows.rename(columns={"value": "loss"})[["N", "D", "C", "loss", "trial"]]


def _isoflop(curves: pd.DataFrame, n_boot: int) -> IsoFlop:
    """IsoFLOP curves cut out of training curves at budgets that several sizes reach."""
    ends = curves.groupby("trial")["C"].agg(["min", "max"])
    low, high = float(ends["min"].max()), float(ends["max"].max())
    if not low < high:
        raise AllocationError("the runs share no range of compute")
    return isoflop(at_budgets(curves, np.geomspace(low, high, BUDGETS)), n_boot=n_boot)


def _frontier(lower: Envelope, n_boot: int) -> Fit:
    """The frontier law of the points on the envelope."""
    points = lower.frontier[lower.frontier["lowest"]]
    return fit_law(points[["trial", "C", "loss"]], "frontier", n_boot=n_boot)
