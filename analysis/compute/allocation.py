"""Approach 3: compute-optimal N and D from a fitted surface (S1, Eq. S.3-S.7).

L = E + A / N^alpha + B / D^beta is smallest under k N^m D^q = C where
alpha A N^-alpha / m = beta B D^-beta / q, the marginal returns per share of compute. With
G = alpha A q / (beta B m) and s = m beta + q alpha

    N*(C) = G^(q/s) (C/k)^(beta/s),   D*(C) = G^(-m/s) (C/k)^(alpha/s),

and the excess loss falls as C^(-alpha beta / s). m = q = 1 is Hoffmann et al. 2022 and S1's
Eq. S.7; with S1's epochs ~ N^p D^r they are m + p and 1 + r. Counted compute is the headline.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.cost import ComputeModel, compute_model
from analysis.compute.rows import MEASURE, AllocationError, positive_budgets, times_outside
from analysis.compute.surface import Exponents, Surface, exponents_of
from analysis.fit.result import Fit
from analysis.fit.rolling import Misfit
from analysis.fit.sampled import percentile_ends
from analysis.laws import FloatArray
from analysis.runs.read import named_columns
from analysis.studies.fit_rows import Data, is_study
from analysis.studies.rows import law_rows
from analysis.text import Card, Estimate, Result, holding, interval, json_object, number

CONVERGED = "converged"
NEEDED = ("E", "A", "alpha", "B", "beta")
_CONTOUR_POINTS = 200
_AXES = ("N", "D", "C")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Allocation(Result):
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
            ``analysis.fit.rolling``; of the curve, not of a new run), ``beyond_N``,
            ``beyond_D``, ``beyond_C`` (how many times outside the measured range, 1 within) and
            ``beyond``, the largest of them; ``untested``, see ``Fit.predict``.

        Raises:
            ValueError: a C that is not positive and finite.
        """
        budgets = positive_budgets(C)
        log_c = np.log(budgets)
        frame = pd.DataFrame({"C": budgets})
        point, drawn = self.surface.optimum(log_c), self.draws.optimum(log_c)
        for name, value, sample in zip(("N", "D", "loss"), point, drawn, strict=True):
            ends = percentile_ends(sample, value, self.dof)
            optimum, low, high = (v if name == "loss" else np.exp(v) for v in (value, *ends))
            frame[name] = optimum
            frame[f"{name}_low"], frame[f"{name}_high"] = holding(optimum, low, high)
        untested = self._widen(frame)
        for axis in _AXES:
            frame[f"beyond_{axis}"] = times_outside(frame[axis], self.ranges[axis])
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
        lines = [self._contour(level, log_n, plane, margin) for level in levels]
        return pd.concat(lines, ignore_index=True)

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
        exponents = {
            # fields one by one, as ``dataclasses.asdict`` would take the intervals apart
            name: {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            for name, value in (("counted", self.counted), ("standard", self.standard))
        }
        return json_object(
            approach=3, law=self.law, status=self.status, **exponents,
            compute=self.compute.to_dict(), ranges=self.ranges, table=self.table,
            meaning=self.meaning, warnings=self.warnings,
        )  # fmt: skip


def allocate(
    fit: Fit, compute: ComputeModel | Data, C: npt.ArrayLike | None = None, *, seed: int = 0
) -> Allocation:
    """Compute-optimal allocation from a fitted law.

    Args:
        fit: of a law with E, A, alpha, B and beta, such as ``chinchilla``.
        compute: what training costs; see ``compute_model`` and ``ComputeModel.standard``. Or
            runs with N, D and C, which a compute model is fitted to.
        C: compute of the table, FLOPs, scalar or (m,); None for five budgets over the measured
            ones and one ten times the largest.
        seed: of the pairing of the law's refits with the compute model's.

    Returns:
        Optima with intervals, exponents under both conventions, contours and warnings.

    Raises:
        AllocationError: runs without C, a law without those parameters, a fit without
            parameters, exponents or amplitudes that are not positive, C that does not vary at
            fixed N, or that does not grow with N and with D.
        ValueError: a C that is not positive and finite.
    """
    if not hasattr(fit, "law"):
        raise AllocationError(f"allocate takes a fit, fit_law(data), not {type(fit).__name__}")
    compute = _cost(compute)
    _refuse(fit, compute)
    theta = np.array([fit.params[name] for name in NEEDED])
    best = Surface(theta=theta, cost=np.array([compute.log_k, compute.m, compute.q]))
    place = [fit.law.names.index(name) for name in NEEDED]
    refits = fit.bootstrap.theta.reshape(-1, len(fit.law.names))
    drawn = _joint(refits[:, place], compute, seed)
    dof = fit.problem.dof
    scales = pd.DataFrame(fit.problem.x, columns=list(fit.law.axes))
    standard = ComputeModel.standard()
    unit = np.array([standard.log_k, standard.m, standard.q])
    allocation = Allocation(
        surface=best, draws=drawn, dof=dof, law=fit.law.name, status=str(fit.status),
        compute=compute, ranges=_ranges(fit, compute),
        runs=scales[["N", "D"]].assign(loss=fit.problem.loss),
        counted=exponents_of(best, drawn, dof),
        standard=exponents_of(
            Surface(theta=theta, cost=unit), Surface(theta=drawn.theta, cost=unit), dof
        ),
        table=pd.DataFrame(), warnings=(), misfit=fit.misfit, labels=fit.labels,
    )  # fmt: skip
    if C is None:
        low, high = allocation.ranges["C"]
        C = [*(float(c) for c in np.geomspace(low, high, 5)), 10 * high]
    allocation = dataclasses.replace(allocation, table=allocation.optimal(C))
    return dataclasses.replace(allocation, warnings=_warnings(fit, allocation))


def _cost(compute: ComputeModel | Data) -> ComputeModel:
    """The compute model given, or one fitted to runs."""
    if isinstance(compute, ComputeModel):
        return compute
    if is_study(compute):
        return compute_model(law_rows(compute))
    if isinstance(compute, (pd.DataFrame, Mapping)):
        rows = named_columns(compute, ("N", "D", "C"))
        if not (missing := [c for c in ("N", "D", "C") if c not in rows]):
            return compute_model(rows)
        given = f"runs without {', '.join(missing)}"
    else:
        given = type(compute).__name__
    raise AllocationError(
        f"allocate needs what training costs, not {given}: compute_model(rows) of rows with N, D "
        "and C (FLOPs), or ComputeModel.standard() for C = 6 N D"
    )


def _refuse(fit: Fit, compute: ComputeModel) -> None:
    """Raise where no allocation follows."""
    missing = [n for n in NEEDED if n not in fit.law.names]
    missing += [axis for axis in ("N", "D") if axis not in fit.law.axes]
    if missing or len(fit.law.axes) > 2:
        what = f"has no {', '.join(missing)}" if missing else f"is one of {', '.join(fit.law.axes)}"
        raise AllocationError(
            f"the law {fit.law.name} {what}: an allocation needs a joint law of N and D, such as "
            "chinchilla"
        )
    values = {n: fit.params[n] for n in NEEDED[1:]}
    if not fit.ok or not all(math.isfinite(v) for v in values.values()):
        raise AllocationError(f"the fit has no parameters ({fit.status})")
    if bad := [n for n, v in values.items() if not v > 0]:
        raise AllocationError(
            f"{', '.join(bad)} is not positive: all compute would go to one of N and D"
        )
    if not compute.varies:
        raise AllocationError(
            f"C does not vary at fixed N (log C spreads by {compute.at_fixed_N:.2g}), so what "
            f"records cost is not known: {MEASURE}"
        )
    steps = "runs of one number of steps are such: train to convergence, or fix the epochs"
    for axis, name, value, ends, advice in (
        ("N", "m", compute.m, compute.m_interval, "measure more sizes"),
        ("D", "q", compute.q, compute.q_interval, steps),
    ):
        if not value > 0 or ends.low <= 0:
            raise AllocationError(
                f"C is not seen to grow with {axis} ({name} = {value:.3g}, 95 % "
                f"[{ends.low:.3g}, {ends.high:.3g}]), so {axis} may cost nothing; {advice}"
            )


def _joint(theta: FloatArray, compute: ComputeModel, seed: int) -> Surface:
    """Refits of the law (R, 5) paired with refits of the compute model, at random."""
    count = len(theta)
    cost = np.tile([compute.log_k, compute.m, compute.q], (count, 1))
    if len(compute.draws) and count:
        rng = np.random.default_rng(seed)
        cost = compute.draws[rng.permutation(np.arange(count) % len(compute.draws))]
    usable = np.isfinite(theta).all(axis=1) & (theta[:, 1:] > 0).all(axis=1)
    usable &= (cost[:, 1:] > 0).all(axis=1)
    return Surface(theta=theta[usable], cost=cost[usable])


def _ranges(fit: Fit, compute: ComputeModel) -> dict[str, tuple[float, float]]:
    """Measured N and D of the law, and C of the compute model (else of the law's runs)."""
    ranges = {axis: fit.ranges[axis] for axis in ("N", "D")}
    if "C" in compute.ranges:
        return {**ranges, "C": compute.ranges["C"]}
    N, D = (fit.problem.x[:, fit.law.axes.index(axis)] for axis in ("N", "D"))
    spent = compute.compute(N, D)
    return {**ranges, "C": (float(np.min(spent)), float(np.max(spent)))}


def _warnings(fit: Fit, allocation: Allocation) -> tuple[str, ...]:
    """What a reader must know first."""
    warnings = []
    if str(fit.status) != CONVERGED:
        warnings.append(f"the fit is {fit.status}: its exponents are not to be relied on")
    if hit := [n for n in fit.certificate.bounds_hit if n in ("alpha", "beta")]:
        warnings.append(f"{', '.join(hit)} on a bound of the fit")
    if not len(allocation.draws.theta):
        warnings.append("no refits of the fit (n_boot = 0): no intervals")
    for axis in ("N", "D", "C"):
        table = allocation.table
        outside = table[table[f"beyond_{axis}"] > 1 + 1e-9]
        if len(outside):
            warnings.append(
                f"{axis} of {len(outside)} of {len(table)} budgets lies outside those "
                f"measured, by up to {outside[f'beyond_{axis}'].max():.3g} times"
            )
    share = allocation.counted.share_data_interval
    for end, what in ((share.low <= 0, "D"), (share.high >= 1, "N")):
        if end:
            warnings.append(f"the interval allows no compute at all for {what}")
    return (*allocation.compute.warnings, *warnings)
