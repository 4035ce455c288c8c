"""How far finite data raise the loss, and whether all runs fall on one curve (S1, Appendix B.6).

Under the joint law delta = B D^-beta / L(N, inf) (Eq. S.8), so that runs of every size fall on
one curve of the scaled data D (L(N, inf) / B)^(1 / beta) (Figure S.7 c). The ``overfitting`` law,
delta = c N^p / D^q (Kaplan et al. 2020, arXiv 2001.08361, section 4.2), has the coordinate
D / N^(p / q). What is measured without a law is the train-validation gap.
"""

from __future__ import annotations

import dataclasses
import math
from typing import final

import numpy as np
import pandas as pd

from analysis.fit.certificate import r_squared
from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled
from analysis.laws import FloatArray
from analysis.questions.additive import Additive, beyond, positive
from analysis.questions.answer import Line, Question, terms_doubt
from analysis.studies.rows import GROUP, pooled
from analysis.text import count, number
from scaling.records.names import HELD_OUT, USED

_CELL = (*GROUP, "size", "N", "D")


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Extent(Question):
    """Extent of overfitting at a size and an amount of data.

    Attributes:
        N: backbone parameters.
        D: unique training records.
        delta: (L(N, D) - L(N, inf)) / L(N, inf), 0 or more, with its resamples.
    """

    N: float
    D: float
    delta: Sampled
    reason: str
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Extent of overfitting at N = {count(self.N)}, D = {count(self.D)}"

    @property
    def lines(self) -> tuple[Line, ...]:
        """Delta."""
        share = number(100 * self.delta.point)
        words = f"{share} % of the loss at unlimited data is lost to finite D"
        return (Line.of("delta", self.delta, "" if self.reason else words, self.reason),)


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataNeeded(Question):
    """Data that keep overfitting within a tolerance.

    Attributes:
        N: backbone parameters.
        delta: tolerated, above 0.
        D: unique training records needed, with resamples.
        beyond: how many times outside the measured D it lies; 1 within.
    """

    N: float
    delta: float
    D: Sampled
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
    law = Additive.joint(fit)
    at = {"N": positive("N", N), "D": positive("D", D)}
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = law.term("D", at["D"]) / law.without("D", at)
    return Extent(
        N=at["N"],
        D=at["D"],
        delta=law.sampled(delta, positive=True, lower=0.0),
        reason=terms_doubt(fit, "D"),
        warnings=(*law.outside(at), *fit.warnings),
    )


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
    law, at = Additive.joint(fit), {"N": positive("N", N)}
    tolerated = positive("delta", delta)
    needed = law.sampled(
        law.inverse("D", (1 + tolerated) * law.without("D", at), at), positive=True, lower=0.0
    )
    far = beyond(law.ranges["D"], needed.point) if needed.point > 0 else 1.0
    return DataNeeded(
        N=at["N"],
        delta=tolerated,
        D=needed,
        beyond=far,
        reason=terms_doubt(fit, "D"),
        warnings=(*law.outside(at), *fit.warnings),
    )


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Collapse(Question):
    """Measured overfitting of every run against one coordinate.

    Attributes:
        runs: one row per run: ``trial, N, D, loss, unlimited`` (fitted L(N, inf)), ``delta``
            (loss / unlimited - 1), ``scaled`` (D (L(N, inf) / B)^(1 / beta)), ``curve`` (delta of
            the joint law), ``coordinate`` (D / N^(p / q); NaN without ``law``).
        law: the ``overfitting`` law of the runs above 0; None with a ``law_reason``.
        law_reason: why there is none; "" where there is one.
        r2: share of the variance of log delta that the joint law's one curve describes; NaN
            with a ``reason``.
        scatter: standard deviation of log delta about it.
        reason: why the joint law cannot be used; "" where it can.
    """

    runs: pd.DataFrame
    law: Fit | None
    law_reason: str
    r2: float
    scatter: float
    reason: str
    warnings: tuple[str, ...]

    @property
    def left_out(self) -> pd.DataFrame:
        """Runs at or below the fitted L(N, inf), which have no log delta."""
        return self.runs[~(self.runs["delta"] > 0)]

    @property
    def law_r2(self) -> float:
        """Share of the variance of log delta that the ``overfitting`` law describes."""
        if self.law is None:
            return math.nan
        return _r2(self.law.problem.loss, self.law.residuals["fitted"].to_numpy())

    @property
    def title(self) -> str:
        """What was asked."""
        return "Whether the overfitting of all runs falls on one curve"

    @property
    def lines(self) -> tuple[Line, ...]:
        """The parameters of the ``overfitting`` law."""
        if self.law is None:
            return (Line.none("c, p, q", self.law_reason),)
        return tuple(Line.of_parameters(self.law, self.law.law.names))

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """How well one curve describes the runs."""
        found = {"runs": f"{len(self.runs) - len(self.left_out)} of {len(self.runs)} above 0"}
        if self.law is not None:
            found["R² of log delta, c N^p / D^q"] = number(self.law_r2)
            found["scatter of log delta about it"] = number(self.law.scatter)
        found["R² of log delta, joint law's curve"] = self.reason or number(self.r2)
        found["scatter about it"] = self.reason or number(self.scatter)
        return tuple(found.items())


def collapse(fit: Fit) -> Collapse:
    """Measured overfitting of every run of a joint law, and the law of it.

    Intervals of c, p and q take the fitted L(N, inf) as known, so they are too narrow where E
    or A is uncertain; and runs at or below L(N, inf) are left out, which bends the law upwards.

    Args:
        fit: of ``chinchilla`` or ``tied``.

    Raises:
        ValueError: a marginal law or one of another form.
    """
    law = Additive.joint(fit)
    runs, reason = _runs(fit, law), terms_doubt(fit, "D")
    kept = runs[runs["delta"] > 0]
    own, why = _law(kept, fit) if fit.ok else (None, terms_doubt(fit, "") or "no joint law")
    if own is not None:
        runs["coordinate"] = runs["D"] / runs["N"] ** (own.params["p"] / own.params["q"])
    logs = np.log(kept["delta"].to_numpy() / kept["curve"].to_numpy())
    enough = not reason and len(kept) > 2
    warnings = []
    if left := len(runs) - len(kept):
        warnings.append(
            f"{left} of {len(runs)} runs lie at or below the fitted L(N, inf) and are left out: "
            f"{', '.join(runs.loc[~(runs['delta'] > 0), 'trial'])}"
        )
    few = "" if reason or enough else f"{len(kept)} runs above L(N, inf)"
    return Collapse(
        runs=runs,
        law=own,
        law_reason=why,
        reason=reason or few,
        r2=_r2(kept["delta"].to_numpy(), kept["curve"].to_numpy()) if enough else math.nan,
        scatter=float(np.sqrt(np.mean(logs**2))) if enough else math.nan,
        warnings=(*warnings, *(own.warnings if own is not None else ())),
    )


def _runs(fit: Fit, law: Additive) -> pd.DataFrame:
    """Measured and fitted overfitting of every run."""
    rows = fit.rows[["trial", "N", "D"]].assign(loss=fit.problem.loss)
    E, A, alpha, B, beta = law.theta[0]
    unlimited = E + A * rows["N"].to_numpy(dtype=np.float64) ** -alpha
    data = rows["D"].to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = data * (unlimited / B) ** (1 / beta)
    return rows.assign(
        unlimited=unlimited,
        delta=rows["loss"] / unlimited - 1.0,
        scaled=scaled,
        curve=B * data**-beta / unlimited,
        coordinate=math.nan,
    ).reset_index(drop=True)


def _law(kept: pd.DataFrame, fit: Fit) -> tuple[Fit | None, str]:
    """The ``overfitting`` law, or why there is none."""
    if kept.empty:
        return None, "no run lies above the fitted L(N, inf)"
    columns = kept[["trial", "N", "D", "delta"]]
    found = fit_law(columns, "overfitting", n_boot=fit.options.n_boot, seed=fit.options.seed)
    if not found.ok:
        return None, "; ".join(found.remarks)
    if abs(found.params["q"]) < 1e-6:
        return None, "delta does not change with D"
    return found, ""


def _r2(measured: FloatArray, fitted: FloatArray) -> float:
    return r_squared(np.log(measured), np.log(fitted))


def gap_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The train-validation gap by configuration, N and D.

    Both losses are those of the weights at the best validation step, without dropout or
    augmentation, so the gap is the model's and not the training's. S1 (Appendix B.6) plots it
    against D; its Eq. S.8 puts a law to it.

    Args:
        frame: from ``load``.

    Returns:
        One row per cell, means over seeds and folds: the columns that set a configuration apart,
        ``size, N, D, train, validation`` (in the unit of the objective), ``gap`` (validation less
        train), ``relative`` (gap over train) and ``runs``. Empty where no training loss was
        measured.
    """
    columns = [*_CELL, "train", "validation", "gap", "relative", "runs"]
    frame = frame if "fold" in frame.columns else pooled(frame)
    rows = frame[
        (frame["protocol"] == HELD_OUT)
        & (frame["metric"] == "loss")
        & frame["split"].isin(("train", "validation"))
        & frame["status"].isin(USED)
        & frame["value"].notna()
    ]
    by_run = rows.pivot_table(
        index=["trial", "fold"], columns="split", values="value", aggfunc="mean"
    )
    if not {"train", "validation"} <= set(by_run.columns):
        return pd.DataFrame(columns=columns)
    by_run = by_run.dropna().reset_index()
    cells = by_run.merge(rows.drop_duplicates("trial")[["trial", *_CELL]], on="trial")
    groups = cells.groupby(list(_CELL), dropna=False)
    means = groups[["train", "validation"]].mean().assign(runs=groups.size()).reset_index()
    means["gap"] = means["validation"] - means["train"]
    means["relative"] = means["gap"] / means["train"]
    order = ["stage", "family", "paradigm", "N", "D"]
    return means.sort_values(order, kind="stable")[columns].reset_index(drop=True)
