"""What training costs: C = k N^m D^q, from the runs (S1, Appendix B.4).

Counted compute is C = 6 x MACs x batch x steps. With MACs ~ N^m and epochs ~ N^p D^r it is
k N^(m+p) D^(1+r); S1 takes the epochs to be constant (p = r = 0), and Hoffmann et al. 2022 also
m = 1. MACs of real ladders grow more slowly than N, so m = 1 moves an allocation exponent.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.rows import (
    MEASURE,
    AllocationError,
    distinct,
    positive_columns,
    spread_at_fixed_size,
)
from analysis.fit.loglog import LogFit
from analysis.fit.sampled import Sampled
from analysis.laws import FloatArray
from analysis.studies.fit_rows import Data
from analysis.text import Card, Estimate, Interval, Result, json_object, number

Convention = Literal["counted", "fixed epochs", "C = k N D"]
_COLLINEAR = 0.05  # log D that lies closer than this to a line in log N is a function of N


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComputeModel(Result):
    """C = k N^m D^q.

    Attributes:
        convention: ``counted`` (fitted to C), ``fixed epochs`` (S1: m from the MACs, q = 1 taken,
            not measured) or ``C = k N D`` (Hoffmann et al. 2022).
        log_k: natural logarithm of k, C in FLOPs.
        m: exponent of N.
        q: exponent of D.
        m_interval: 95 % interval of ``m``.
        q_interval: 95 % interval of ``q``.
        draws: log_k, m and q of refits (R, 3); none where they are taken.
        r2: share of the variance of log C (or log MACs) explained; NaN where taken.
        scatter: standard deviation of log C (or log MACs) about the model; NaN where taken.
        varies: whether C varies at fixed N; True where q is taken.
        at_fixed_N: how far log C spreads at fixed N; NaN where taken.
        macs: m of the MACs alone, or None.
        epochs: p and r of epochs ~ N^p D^r (0 where taken), or None where MACs are not known.
        ranges: smallest and largest N, D and C of the runs; empty where taken.
    """

    convention: Convention
    log_k: float
    m: float
    q: float
    m_interval: Interval
    q_interval: Interval
    draws: FloatArray
    r2: float
    scatter: float
    varies: bool
    at_fixed_N: float
    macs: float | None
    epochs: tuple[float, float] | None
    ranges: dict[str, tuple[float, float]]
    warnings: tuple[str, ...]

    @classmethod
    def standard(cls, k: float = 6.0) -> ComputeModel:
        """C = k N D, exact (Hoffmann et al. 2022: k = 6 FLOPs per parameter and token)."""
        one = Interval(low=1.0, high=1.0)
        return cls(
            convention="C = k N D", log_k=math.log(k), m=1.0, q=1.0, m_interval=one,
            q_interval=one, draws=np.empty((0, 3)), r2=math.nan, scatter=math.nan, varies=True,
            at_fixed_N=math.nan, macs=None, epochs=None, ranges={}, warnings=(),
        )  # fmt: skip

    def compute(self, N: npt.ArrayLike, D: npt.ArrayLike) -> FloatArray:
        """C (FLOPs) of training N on D, of their common shape."""
        size, records = (np.asarray(v, dtype=np.float64) for v in (N, D))
        spent: FloatArray = np.exp(self.log_k + self.m * np.log(size) + self.q * np.log(records))
        return spent

    def card(self) -> Card:
        """What is shown."""
        facts = [("k", number(math.exp(self.log_k), 4)), ("R²", number(self.r2, 4))]
        if self.macs is not None:
            facts.append(("MACs ~ N^m, m", number(self.macs, 4)))
        if self.epochs is not None:
            facts.append(("epochs ~ N^p D^r, p and r", " and ".join(map(number, self.epochs))))
        facts.append(("C varies at fixed N", "yes" if self.varies else "no"))
        return Card(
            title=f"C = k N^m D^q, {self.convention}",
            warnings=self.warnings,
            estimates=(
                Estimate(name="m", value=self.m, interval=self.m_interval, meaning="of N"),
                Estimate(name="q", value=self.q, interval=self.q_interval, meaning="of D"),
            ),
            facts=tuple(facts),
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "draws"]
        return json_object(**{name: getattr(self, name) for name in names})


def compute_model(
    rows: Data,
    *,
    convention: Literal["counted", "fixed epochs"] = "counted",
    n_boot: int = 1000,
    seed: int = 0,
) -> ComputeModel:
    """Least squares of log C on log N and log D, of the runs of one family.

    Args:
        rows: one row per run: N, D, C (FLOPs), and ``macs`` (of one record) where known, which
            ``fixed epochs`` needs. Where ``family`` is there it must be one.
        convention: ``counted`` fits C as it was spent, early stops and all; ``fixed epochs``
            is S1's: MACs ~ N^m, and C proportional to D.
        n_boot: resamples; the residual of a size (what MACs depart from a power law) and those
            of its runs (when training stopped) are drawn apart.
        seed: of the resamples.

    Returns:
        The model. It is also given where C does not vary at fixed N (``varies`` is False), which
        ``allocate`` refuses.

    Raises:
        AllocationError: several families, one N only, or a D that is a function of N.
        ValueError: no rows, a missing column, or a value that is not positive and finite.
    """
    names = ("N", "D", "macs") if convention == "fixed epochs" else ("N", "D", "C")
    frame = positive_columns(
        rows, names, optional=tuple({"C", "macs"} - set(names)), kept=("family",)
    )
    families = sorted(map(str, frame["family"].unique())) if "family" in frame else []
    if len(families) > 1:
        raise AllocationError(
            f"rows mix families ({', '.join(families)}), which cost differently: choose one"
        )
    if distinct(frame["N"]) < 2:
        raise AllocationError("one N only: train at least two sizes")
    if convention == "counted":
        return _counted(frame, n_boot, seed)
    return _fixed_epochs(frame, n_boot, seed)


def _counted(frame: pd.DataFrame, n_boot: int, seed: int) -> ComputeModel:
    log_n, log_d, log_c = (np.log(frame[c].to_numpy()) for c in ("N", "D", "C"))
    # log D about its line in log N: where nothing is left, N and D explain C equally well
    apart = log_d - np.polyval(np.polyfit(log_n - log_n.mean(), log_d, 1), log_n - log_n.mean())
    if float(apart.std()) < _COLLINEAR:
        raise AllocationError(
            "D is a function of N, so the cost of each cannot be told apart: train one size on "
            "several numbers of records"
        )
    fit = LogFit.of(np.stack([log_n, log_d], axis=1), log_c, n_boot, seed)
    spread, varies = spread_at_fixed_size(*(frame[c].to_numpy() for c in ("N", "C", "D")))
    warnings = []
    if not varies:
        warnings.append(f"C does not vary at fixed N (log C spreads by {spread:.2g}): {MEASURE}")
    sizes = distinct(frame["N"])
    if sizes < 3:
        warnings.append(f"{sizes} sizes: whether C is a power law of N is not tested")
    macs, epochs = None, None
    if "macs" in frame:
        by_size = np.log(frame.groupby("N", as_index=False)["macs"].mean())
        macs = float(np.polyfit(by_size["N"], by_size["macs"], 1)[0])
        epochs = (fit.slope[0] - macs, fit.slope[1] - 1)
    return ComputeModel(
        convention="counted", log_k=fit.log_k, m=fit.slope[0], q=fit.slope[1],
        m_interval=_interval(fit, 0, sizes - 2),
        q_interval=_interval(fit, 1, len(frame) - sizes - 1),
        draws=fit.draws, r2=fit.r2, scatter=fit.scatter, varies=varies, at_fixed_N=spread,
        macs=macs, epochs=epochs, ranges=_ranges(frame), warnings=tuple(warnings),
    )  # fmt: skip


def _fixed_epochs(frame: pd.DataFrame, n_boot: int, seed: int) -> ComputeModel:
    """MACs ~ N^m over the distinct sizes, C = 6 x MACs x D x epochs with the median epochs."""
    by_size = np.log(frame.groupby("N", as_index=False)["macs"].mean())
    fit = LogFit.of(by_size[["N"]].to_numpy(), by_size["macs"].to_numpy(), n_boot, seed)
    warnings = ["q = 1 is taken (S1's fixed epochs), not measured"]
    epochs = 1.0
    if "C" in frame:
        epochs = float(np.median(frame["C"] / (6 * frame["macs"] * frame["D"])))
    else:
        warnings.append("no column C: one epoch is taken, so C is up to a factor")
    if (sizes := len(by_size)) < 3:
        warnings.append(f"{sizes} sizes: whether MACs are a power law of N is not tested")
    shift = math.log(6 * epochs)
    draws = np.column_stack([fit.draws[:, 0] + shift, fit.draws[:, 1], np.ones(len(fit.draws))])
    return ComputeModel(
        convention="fixed epochs", log_k=fit.log_k + shift, m=fit.slope[0], q=1.0,
        m_interval=_interval(fit, 0, sizes - 2),
        q_interval=Interval(low=1.0, high=1.0), draws=draws, r2=fit.r2, scatter=fit.scatter,
        varies=True, at_fixed_N=math.nan, macs=fit.slope[0], epochs=(0.0, 0.0),
        ranges=_ranges(frame), warnings=tuple(warnings),
    )  # fmt: skip


def _interval(fit: LogFit, slope: int, dof: int) -> Interval:
    """95 % interval of a slope, from its refits."""
    samples = fit.draws[:, 1 + slope]
    return Sampled(point=fit.slope[slope], samples=samples, dof=max(1, dof)).interval


def _ranges(frame: pd.DataFrame) -> dict[str, tuple[float, float]]:
    return {
        c: (float(frame[c].min()), float(frame[c].max())) for c in ("N", "D", "C") if c in frame
    }
