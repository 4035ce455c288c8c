"""From scale to a metric by way of the loss, with one interval.

A law of loss in scale and a law of a metric in loss are fitted to the same runs (Grattafiori et al.
2024, arXiv 2407.21783, section 3.2.1; Bhagia et al. 2024, arXiv 2412.04403). Each has its error,
and they are not independent: a resample of the runs moves both. So every resample goes through both
laws, and the scatter of a new run is that of the measured metric about the chain, not the sum of
two scatters. What is drawn are clusters (``analysis.studies.clusters``), as the law of the loss
alone finds them: copies are one, and so are seeds that share an error of their cell.
"""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.fit.fit import fit_law
from analysis.fit.intervals import t_quantile
from analysis.fit.result import ExtrapolationWarning, Fit
from analysis.fit.sampled import percentile_ends
from analysis.laws import FloatArray, Law, get
from analysis.studies.clusters import run_column
from analysis.studies.fit_rows import Data

_CURVE_ENDS = ("mean_low", "mean_high")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """A metric as a function of scale, through the loss.

    Attributes:
        loss: law of the loss in scale.
        metric: law of the metric in the loss.
        rows: the rows that have both: trial (the cluster), scales, loss, metric.
    """

    loss: Fit
    metric: Fit
    rows: pd.DataFrame

    @property
    def scatter(self) -> float:
        """Standard deviation of a measured metric about the chain, in its unit."""
        at = self.rows[list(self.loss.law.axes)].to_numpy(dtype=np.float64)
        fitted = self._metric(self.metric.theta[None], self._loss(self.loss.theta[None], at))[0]
        error = self.rows[self.metric.law.response].to_numpy(dtype=np.float64) - fitted
        clusters = int(self.rows["trial"].nunique())
        spare = clusters - self.loss.problem.varied - self.metric.problem.varied
        return float(np.sqrt((error**2).mean() * clusters / max(1, spare)))

    def _loss(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Losses (R, m) at scales (m, K) for parameters (R, P)."""
        return self.loss.law.value(theta, x)

    def _metric(self, theta: FloatArray, loss: FloatArray) -> FloatArray:
        """Metrics (R, m) at losses (R, m), row by row."""
        law = self.metric.law
        return np.stack([law.value(t, row[:, None]) for t, row in zip(theta, loss, strict=True)])

    def predict(self, at: Data | None = None, /, **scales: npt.ArrayLike) -> pd.DataFrame:
        """Predict the loss and the metric at scales, with 95 % intervals of the metric.

        Args:
            at: a frame with the axes of the law of the loss among its columns; ``scales`` may add
                others.
            **scales: a scalar or (m,) for every axis of the law of the loss.

        Returns:
            One row per point: the scales, ``loss``, the metric by its name,
            ``mean_low``/``mean_high`` (of the curve) and ``new_low``/``new_high`` (of a new run),
            ``beyond`` (how many times the point lies outside the data of the law that it lies
            farther from) and ``untested`` (by either law), as ``Fit.predict`` has them.
            What either law's own interval holds beyond its resamples, such as the error of the
            law outside the data, is carried to the metric and added in quadrature. Intervals are
            NaN without resamples; those of a share end at 0 and 1.

        Raises:
            ValueError: a scale is missing, not one of the law's, or not positive.

        Warns:
            ExtrapolationWarning: some points are ``untested``: there the interval extrapolates
                the error of a law too.
        """
        if at is not None:
            columns = at.columns if isinstance(at, pd.DataFrame) else at
            scales = {**{a: at[a] for a in self.loss.law.axes if a in columns}, **scales}
        x = self.loss.scales(scales)
        loss = self._loss(self.loss.theta[None], x)[0]
        of_loss, of_metric = self.loss.predicted(x), self.metric.predicted(loss[:, None])
        frame = self._intervals(x, loss, of_loss, of_metric)
        frame["beyond"] = np.fmax(of_loss["beyond"], of_metric["beyond"])
        frame["untested"] = of_loss["untested"] | of_metric["untested"]
        words = [
            fit.untested_words(table)
            for fit, table in ((self.loss, of_loss), (self.metric, of_metric))
            if len(fit.bootstrap.theta) and bool(table["untested"].any())
        ]
        if words:
            warnings.warn("; ".join(words), ExtrapolationWarning, stacklevel=2)
        return frame

    @np.errstate(all="ignore")
    def _intervals(
        self, x: FloatArray, loss: FloatArray, of_loss: pd.DataFrame, of_metric: pd.DataFrame
    ) -> pd.DataFrame:
        """The table of ``predict`` at ``x`` (m, K), from what either law predicts there."""
        value = self._metric(self.metric.theta[None], loss[None])[0]
        frame = pd.DataFrame(x, columns=list(self.loss.law.axes)).assign(loss=loss)
        frame[self.metric.law.response] = value
        frame[["mean_low", "mean_high", "new_low", "new_high"]] = np.nan
        both = np.intersect1d(self.loss.bootstrap.draw, self.metric.bootstrap.draw)
        if not both.size:
            return frame
        theta = [
            fit.bootstrap.theta[np.isin(fit.bootstrap.draw, both)]
            for fit in (self.loss, self.metric)
        ]
        dof = min(self.loss.problem.dof, self.metric.problem.dof)
        ends = percentile_ends(self._metric(theta[1], self._loss(theta[0], x)), value, dof)
        more = self._beyond_resamples(x, loss, value, of_loss, of_metric)
        run = t_quantile(dof) * self.scatter
        limits = (0.0, 1.0) if self.metric.law.proportion else (-np.inf, np.inf)
        for side, sign, end, excess in zip(("low", "high"), (-1, 1), ends, more, strict=True):
            half = np.hypot(np.abs(end - value), excess)
            frame[f"mean_{side}"] = np.clip(value + sign * half, *limits)
            frame[f"new_{side}"] = np.clip(value + sign * np.hypot(half, run), *limits)
        return frame

    def _beyond_resamples(
        self,
        x: FloatArray,
        loss: FloatArray,
        value: FloatArray,
        of_loss: pd.DataFrame,
        of_metric: pd.DataFrame,
    ) -> tuple[FloatArray, FloatArray]:
        """Half widths (m,) below and above of what the laws' intervals hold beyond resamples."""
        below, above = np.zeros((2, len(loss)))
        samples = self._loss(self.loss.bootstrap.theta, x)
        for excess in _excess(self.loss, of_loss, samples, loss):
            # a loss off by its excess moves the metric either way, as the metric's law slopes
            moved = self._metric(self.metric.theta[None], (loss + excess)[None])[0] - value
            below = np.hypot(below, np.maximum(-moved, 0.0))
            above = np.hypot(above, np.maximum(moved, 0.0))
        at = np.repeat(loss[None], len(self.metric.bootstrap.theta), axis=0)
        samples = self._metric(self.metric.bootstrap.theta, at)
        down, up = _excess(self.metric, of_metric, samples, value)
        return np.hypot(below, down), np.hypot(above, up)

    def __str__(self) -> str:
        return f"{self.loss.law.formula}\n{self.metric.law.formula}\n{self.loss}\n{self.metric}"


def _excess(
    fit: Fit, table: pd.DataFrame, samples: FloatArray, value: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How far (m,) below and above the ends of ``predict`` reach beyond those of resamples."""
    scale = fit.problem.scale
    ends = percentile_ends(scale.forward(samples), scale.forward(value), fit.problem.dof)
    reach = []
    for name, end, sign in zip(_CURVE_ENDS, ends, (-1.0, 1.0), strict=True):
        whole = np.abs(table[name].to_numpy(dtype=np.float64) - value)
        part = np.abs(scale.inverse(end) - value)
        room = np.maximum(whole**2 - part**2, 0.0)
        reach.append(sign * np.sqrt(np.where(whole > part * (1 + 1e-9), room, 0.0)))
    return reach[0], reach[1]


def fit_chain(
    data: Data | str | Path,
    loss: str | Law = "chinchilla",
    metric: str | Law = "sigmoid",
    *,
    loss_options: dict[str, Any] | None = None,
    metric_options: dict[str, Any] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> Chain:
    """Fit a law of loss in scale and a law of a metric in loss to the same runs.

    Args:
        data: columns: the axes of the first law, its response, the metric, with ``trial`` where
            runs have several rows. Rows without a metric still tell the loss. Copies count once,
            and so do the seeds of a cell where they miss the law of the loss together.
        loss: law of the loss.
        metric: law of the metric in the loss, such as ``sigmoid`` or ``error_law``.
        loss_options: of ``fit_law`` for the first law, such as ``fixed``.
        metric_options: the same for the second.
        n_boot: resamples of the clusters, shared by both.
        seed: of the resamples.

    Raises:
        ValueError: the metric is no function of the first law's response, a column is missing, no
            row has a metric, or either law cannot be fitted to the rows.
    """
    loss_law, metric_law = (get(law) if isinstance(law, str) else law for law in (loss, metric))
    response, measured = loss_law.response, metric_law.response
    if metric_law.axes != (response,):
        raise ValueError(
            f"{metric_law.name} is a law of {', '.join(metric_law.axes)}, not of the {response} "
            f"that {loss_law.name} gives"
        )
    needed = (*loss_law.axes, response, measured)
    if isinstance(data, (str, Path)):
        raise ValueError(
            f"a chain takes columns, not a file: pd.read_csv('{data}') with columns named "
            f"{', '.join(needed)}"
        )
    frame = pd.DataFrame(dict(data)).reset_index(drop=True)
    if missing := [c for c in needed if c not in frame]:
        raise ValueError(
            f"a chain of {loss_law.name} and {metric_law.name} needs {', '.join(missing)}"
        )
    if frame[measured].isna().all():
        raise ValueError(f"no row has a {measured}")
    frame, remarks = _clustered(frame, loss_law, measured, loss_options or {}, seed)
    known = frame[frame[measured].notna()].reset_index(drop=True)
    pool = list(dict.fromkeys(frame["trial"]))
    shared: dict[str, Any] = {"n_boot": n_boot, "seed": seed, "pool": pool}
    pairs = known[["trial", response, measured]]
    fits = (
        fit_law(frame.drop(columns=measured), loss_law, **shared, **(loss_options or {})),
        fit_law(pairs, metric_law, **shared, **(metric_options or {})),
    )
    _refuse_unfitted(*fits)
    remarks = tuple(dict.fromkeys((*remarks, *fits[0].remarks)))
    return Chain(loss=dataclasses.replace(fits[0], remarks=remarks), metric=fits[1], rows=known)


def _clustered(
    frame: pd.DataFrame, law: Law, metric: str, options: dict[str, Any], seed: int
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows whose ``trial`` is their cluster, and what the law of the loss alone says of the rows.

    A pool leaves trials as given, so that what is one draw of the error must be one trial.
    """
    if "trial" not in frame:
        named = run_column(frame.drop(columns=metric), law)
        trial = [f"row {i}" for i in range(len(frame))]
        frame = frame.assign(trial=trial if named is None else frame[named].astype(str))
    alone = fit_law(frame.drop(columns=metric), law, n_boot=0, seed=seed, **options)
    _refuse_unfitted(alone)
    # every row of a trial lies in one cluster, which takes the name of its first trial
    trials, clusters = alone.rows["trial"].to_numpy(), alone.problem.runs
    first = trials[np.unique(clusters, return_index=True)[1]]
    names = dict(zip(trials, first[clusters], strict=True))
    return frame.assign(trial=[names.get(t, t) for t in frame["trial"]]), alone.remarks


def _refuse_unfitted(*fits: Fit) -> None:
    """Refuse laws that cannot be fitted."""
    for fit in fits:
        if not fit.ok:
            raise ValueError(f"{fit.law.name} cannot be fitted: {'; '.join(fit.remarks)}")
