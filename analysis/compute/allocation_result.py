"""What a fitted surface says about the allocation of compute."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.cost import ComputeModel
from analysis.compute.surface import Exponents, Surface
from analysis.fit.intervals import holding
from analysis.fit.misfit import Misfit
from analysis.fit.sampled import percentile_ends
from analysis.laws import FloatArray
from analysis.text.card import Card, Estimate, Shown, jsonable
from analysis.text.fits import interval, number

if TYPE_CHECKING:
    from analysis.figures.base import Picture

CONVERGED = "converged"
_CONTOUR_POINTS = 200
_AXES = ("N", "D", "C")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Allocation(Shown):
    """Compute-optimal allocation from a fitted surface (Approach 3; S1, Appendix B.4).

    Attributes:
        law: name of the law.
        status: of its fit.
        compute: what training costs.
        counted: exponents under ``compute``, the headline.
        standard: exponents under C = k N D.
        table: optima at the budgets asked for; see ``optimal``.
        ranges: smallest and largest N, D and C measured.
        runs: N, D and loss of the runs fitted.
        surface: the law and cost.
        draws: refits of both, paired.
        dof: degrees of freedom of the fit.
        warnings: what a reader must know first.
        misfit: the law's own error beyond its data.
        labels: what figures call N and D, where not as in a study.
    """

    law: str
    status: str
    compute: ComputeModel
    counted: Exponents
    standard: Exponents
    table: pd.DataFrame
    ranges: Mapping[str, tuple[float, float]]
    runs: pd.DataFrame
    surface: Surface
    draws: Surface
    dof: int
    warnings: tuple[str, ...]
    misfit: Misfit | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def a(self) -> float:
        """Exponent of N*(C) at counted compute."""
        return self.counted.a

    @property
    def b(self) -> float:
        """Exponent of D*(C) at counted compute."""
        return self.counted.b

    @property
    def meaning(self) -> str:
        """Which of the two sets of exponents holds for whom, and why; "" where they are one."""
        if self.status != CONVERGED:
            return f"neither set of exponents is to be relied on: the fit is {self.status}"
        m, q = number(self.compute.m), number(self.compute.q)
        theirs = (
            "those under C = k N D hold where every record is passed over equally often and a pass "
            "costs in proportion to N, as Hoffmann et al. 2022 and S1 take it, and serve to "
            "compare with theirs"
        )
        if self.compute.convention == "counted":
            return (
                f"the counted exponents hold for training that stops as these runs did, whose C "
                f"grew as N^{m} D^{q}: plan such training with them; {theirs}"
            )
        if self.compute.convention == "fixed epochs":
            return (
                f"the exponents hold where every record is passed over equally often and a pass "
                f"costs N^{m}, as these sizes do; {theirs}"
            )
        return ""

    def optimal(self, C: npt.ArrayLike) -> pd.DataFrame:
        """Compute-optimal N, D and loss.

        Args:
            C: compute, FLOPs, scalar or (m,).

        Returns:
            One row per C: ``C``, ``N``, ``N_low``, ``N_high``, ``D``, ``D_low``, ``D_high``,
            ``loss`` (nats), ``loss_low``, ``loss_high`` (95 % intervals of the law's and the
            compute model's refits together, and beyond the data of the law's own error, see
            ``analysis.fit.misfit``; of the curve, not of a new run), ``beyond_N``,
            ``beyond_D``, ``beyond_C`` (how many times outside the measured range, 1 within) and
            ``beyond``, the largest of them; ``untested``, see ``Fit.predict``.

        Raises:
            ValueError: a C that is not positive and finite.
        """
        budgets = np.atleast_1d(np.asarray(C, dtype=np.float64))
        if not (np.isfinite(budgets).all() and (budgets > 0).all()):
            raise ValueError("C must be positive and finite")
        log_c = np.log(budgets)
        frame = pd.DataFrame({"C": budgets})
        point, drawn = self.surface.optimum(log_c), self.draws.optimum(log_c)
        logs = (True, True, False)
        for name, value, sample, in_logs in zip(
            ("N", "D", "loss"), point, drawn, logs, strict=True
        ):
            ends = percentile_ends(sample, value, self.dof)
            own, low, high = (np.exp(v) if in_logs else v for v in (value, *ends))
            frame[name] = own
            frame[f"{name}_low"], frame[f"{name}_high"] = holding(own, low, high)
        untested = self._widen(frame)
        for axis in _AXES:
            least, most = self.ranges[axis]
            ratio = np.maximum(frame[axis] / most, least / frame[axis])
            frame[f"beyond_{axis}"] = np.maximum(ratio, 1.0)
        beyond = frame[[f"beyond_{a}" for a in _AXES]].max(axis=1)
        return frame.assign(beyond=beyond, untested=untested)

    def _widen(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Add the law's own error, where it is known, to the loss's intervals in quadrature.

        Returns:
            Which rows are untested (m,).
        """
        if self.misfit is None:
            return np.zeros(len(frame), dtype=np.bool_)
        x = frame[["N", "D"]].to_numpy(dtype=np.float64)
        far = self.misfit.outside(x)
        scale = self.misfit.problem.scale
        at, low, high = (
            scale.forward(frame[c].to_numpy(dtype=np.float64))
            for c in ("loss", "loss_low", "loss_high")
        )
        down, up = self.misfit.widths(x, far)
        ends = (
            scale.inverse(at - np.hypot(at - low, down)),
            scale.inverse(at + np.hypot(high - at, up)),
        )
        loss = frame["loss"].to_numpy(dtype=np.float64)
        frame["loss_low"], frame["loss_high"] = holding(loss, *ends)
        return self.misfit.untested(far)

    def contours(
        self, levels: Sequence[float], plane: Literal["NC", "ND"] = "NC", margin: float = 3.0
    ) -> pd.DataFrame:
        """Lines of equal loss (S1, Figure 5 b-e).

        Args:
            levels: losses, nats, above the law's E.
            plane: which axes bound the lines, ``margin`` times beyond what was measured: N and C,
                or N and D.
            margin: at least 1.

        Returns:
            Rows ``level``, ``N``, ``D``, ``C`` by level and N. A level whose line misses the
            plane has no rows.

        Raises:
            ValueError: a level at or below E, which no N and D reach.
        """
        floor = float(self.surface.theta[0])
        if low := [v for v in levels if not v > floor]:
            raise ValueError(f"no N and D reach a loss of {low[0]:.4g}: E is {floor:.4g}")
        least, most = self.ranges["N"]
        log_n = np.log(np.geomspace(least / margin, most * margin, _CONTOUR_POINTS))
        found = [self._contour(level, log_n, plane, margin) for level in levels]
        return pd.concat(found, ignore_index=True)

    def _contour(self, level: float, log_n: FloatArray, plane: str, margin: float) -> pd.DataFrame:
        log_d = self.surface.log_d(level, log_n)
        line = pd.DataFrame({"level": level, "N": np.exp(log_n), "D": np.exp(log_d)})
        line["C"] = np.exp(self.surface.log_c(log_n, log_d))
        least, most = self.ranges[plane[1]]
        return line[line[plane[1]].between(least / margin, most * margin)]

    def card(self) -> Card:
        """What is shown."""
        c, s = self.counted, self.standard
        return Card(
            title=f"Approach 3: the law {self.law} at C = k N^m D^q ({self.compute.convention}, "
            f"m = {number(self.compute.m)}, q = {number(self.compute.q)})",
            warnings=self.warnings,
            estimates=(
                Estimate(name="a", value=c.a, interval=c.a_interval, meaning="N* ~ C^a"),
                Estimate(name="b", value=c.b, interval=c.b_interval, meaning="D* ~ C^b"),
                Estimate(name="gamma", value=c.gamma, interval=c.gamma_interval,
                         meaning="excess loss ~ C^-gamma"),
                Estimate(name="q b", value=c.share_data, interval=c.share_data_interval,
                         meaning="share of marginal compute for data"),
            ),
            facts=(
                ("fit", self.status),
                ("a at C = k N D", f"{number(s.a, 4)} {interval(s.a_interval)}"),
                ("b at C = k N D", f"{number(s.b, 4)} {interval(s.b_interval)}"),
                *([("which holds", self.meaning)] if self.meaning else []),
            ),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None."""
        found: dict[str, Any] = jsonable({
            "approach": 3, "law": self.law, "status": self.status,
            "counted": _fields(self.counted),
            "standard": _fields(self.standard),
            "compute": self.compute.to_dict(), "ranges": self.ranges, "table": self.table,
            "meaning": self.meaning, "warnings": self.warnings,
        })  # fmt: skip
        return found

    def plot(self) -> Picture:
        """Lines of equal loss and compute with the optimum, and N* and D* with 95 % bands."""
        from analysis.figures.allocation import allocation_picture

        return allocation_picture(self)


def _fields(value: Exponents) -> dict[str, object]:
    """Its fields; ``dataclasses.asdict`` would take the intervals apart."""
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
