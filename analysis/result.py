"""What a fit found and whether to believe it."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import FloatArray, Law
from analysis.resampling import Bootstrap, Profile
from analysis.uncertainty import Interval, Problem, t_quantile, widened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Status(enum.StrEnum):
    """Whether the optimum can be used."""

    CONVERGED = "converged"
    AT_BOUND = "at bound"
    NOT_CONVERGED = "not converged"
    UNIDENTIFIABLE = "unidentifiable"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Evidence that the optimum is one.

    Attributes:
        objective: sum of Huber terms at the optimum.
        delta: Huber's delta, in log loss; infinite for least squares.
        starts: starting points tried.
        agreed: share of them that reached the same objective (relative 1e-6).
        gradient: largest cosine between the residuals and a free column of the Jacobian.
        condition: condition number of the scaled Jacobian in the free parameters.
        bounds_hit: parameters on a bound.
    """

    objective: float
    delta: float
    starts: int
    agreed: float
    gradient: float
    condition: float
    bounds_hit: tuple[str, ...]


def _of_mean(row: pd.Series[Any], runs: int) -> Interval:
    """Prediction interval of the mean log loss of ``runs`` new runs, from a row of ``predict``.

    In logs the interval of one run is that of the curve and a run's scatter in quadrature;
    the scatter of a mean is smaller by the root of ``runs``.
    """
    centre = math.log(row["loss"])
    ends = []
    for end, sign in (("low", -1.0), ("high", 1.0)):
        curve, one = (math.log(row[f"{kind}_{end}"]) - centre for kind in ("mean", "new"))
        scatter = max(one * one - curve * curve, 0.0) / runs
        ends.append(math.exp(centre + sign * math.sqrt(curve * curve + scatter)))
    return Interval(low=ends[0], high=ends[1])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """A cell predicted by a fit that never saw it.

    Attributes:
        cell: scales of the cell left out.
        losses: losses of its runs, in nats.
        predicted: loss predicted by the fit to the other cells.
        interval: 95 % prediction interval of the mean of as many new runs there.
        covered: whether the mean of the runs lies within; None where no fit was possible.
        relative_error: predicted over measured (mean of the runs), less 1.
        status: of the fit to the other cells.
    """

    cell: dict[str, float]
    losses: tuple[float, ...]
    predicted: float
    interval: Interval
    covered: bool | None
    relative_error: float
    status: Status


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A law fitted to runs.

    Attributes:
        law: the law.
        status: whether the optimum can be used.
        params: natural parameters by name, unrounded; NaN when unidentifiable.
        intervals: 95 % intervals by name; E's is the wider of bootstrap and profile.
        intervals_bootstrap: 95 % bootstrap intervals by name.
        profile: profile of E, or None when unidentifiable.
        bootstrap: refits to resampled runs.
        certificate: evidence of the optimum.
        r2: share of the variance of the loss explained.
        r2_log_excess: the same for log(loss - E), over the runs above E.
        scatter: standard deviation of a run about the curve, in log loss.
        extrapolation_factor: widening of intervals outside the range of the data.
        residuals: one row per run: scales, loss, fitted, log_residual.
        problem: law and data, for refits.
        at: values the other axes are held at, for a marginal law.
        alternatives: parameters and objective under other losses, by name.
        warnings: what a reader must know first.
        notes: what was used and left out.
        options: arguments that repeat this fit.
    """

    law: Law
    status: Status
    params: dict[str, float]
    intervals: dict[str, Interval]
    intervals_bootstrap: dict[str, Interval]
    profile: Profile | None
    bootstrap: Bootstrap
    certificate: Certificate
    r2: float
    r2_log_excess: float
    scatter: float
    extrapolation_factor: float
    residuals: pd.DataFrame
    problem: Problem
    at: dict[str, float]
    alternatives: dict[str, dict[str, float]]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    options: Mapping[str, Any]

    @property
    def theta(self) -> FloatArray:
        """Natural parameters in the law's order, shape (P,)."""
        return np.array([self.params[name] for name in self.law.names])

    @property
    def ok(self) -> bool:
        """Whether there are parameters to predict with."""
        return self.status is not Status.UNIDENTIFIABLE

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest scale of the data, by axis."""
        x = self.problem.x
        return {
            axis: (float(x[:, k].min()), float(x[:, k].max()))
            for k, axis in enumerate(self.law.axes)
        }

    def predict(
        self, N: npt.ArrayLike | None = None, D: npt.ArrayLike | None = None
    ) -> pd.DataFrame:
        """Predict the loss at scales, with 95 % intervals.

        Args:
            N: backbone parameters, scalar or (m,); only where the law has N.
            D: unique training records, scalar or (m,); only where the law has D.

        Returns:
            One row per point: the scales, ``loss`` (nats), ``mean_low``/``mean_high`` (interval
            of the curve), ``new_low``/``new_high`` (interval of a new run), ``beyond`` (how many
            times the point lies outside the data on its worst axis; 1 within). Intervals of
            points outside the data are widened by ``extrapolation_factor``.

        Raises:
            ValueError: a scale the law needs is missing, one it lacks is given, or one is not
                positive.
        """
        x = self._scales({"N": N, "D": D})
        frame = pd.DataFrame(x, columns=list(self.law.axes))
        loss = self.law.value(self.theta, x)
        beyond = np.ones(len(x))
        for k, (low, high) in enumerate(self.ranges.values()):
            beyond = np.maximum(beyond, np.maximum(x[:, k] / high, low / x[:, k]))
        frame["loss"] = loss
        if not len(self.bootstrap.theta):
            frame[["mean_low", "mean_high", "new_low", "new_high"]] = math.nan
            return frame.assign(beyond=beyond)
        log_loss, dof = np.log(loss), self.problem.dof
        samples = np.log(self.law.value(self.bootstrap.theta, x))
        below, over = widened(samples, log_loss, dof)
        factor = np.where(beyond > 1 + 1e-9, self.extrapolation_factor, 1.0)
        run = t_quantile(dof) * self.scatter
        frame["mean_low"] = np.exp(log_loss - factor * (log_loss - below))
        frame["mean_high"] = np.exp(log_loss + factor * (over - log_loss))
        frame["new_low"] = np.exp(log_loss - factor * np.hypot(log_loss - below, run))
        frame["new_high"] = np.exp(log_loss + factor * np.hypot(over - log_loss, run))
        return frame.assign(beyond=beyond)

    def _scales(self, given: Mapping[str, npt.ArrayLike | None]) -> FloatArray:
        for axis, value in given.items():
            if (value is None) == (axis in self.law.axes):
                verb = "needs" if value is None else "does not take"
                raise ValueError(f"{self.law.name} {verb} {axis}: {self.law.formula}")
        columns = [np.atleast_1d(np.asarray(given[a], dtype=np.float64)) for a in self.law.axes]
        x = np.stack(np.broadcast_arrays(*columns), axis=-1)
        if not (np.isfinite(x).all() and (x > 0).all()):
            raise ValueError(f"{', '.join(self.law.axes)} must be positive and finite")
        return x

    def holdout(self, **cell: float) -> Holdout:
        """Refit without the runs at ``cell`` and predict it.

        Args:
            **cell: the scales, such as ``N=24_000, D=4096``.

        Raises:
            ValueError: no run is there, or no other run is.
        """
        from analysis.fit import refit

        x = self._scales({"N": cell.get("N"), "D": cell.get("D")})
        inside = np.isclose(self.problem.x, x[0], rtol=1e-9).all(axis=1)
        if not inside.any() or inside.all():
            raise ValueError(f"{'no' if not inside.any() else 'every'} run is at {cell}")
        rest = refit(self, keep=~inside)
        row = rest.predict(**cell).iloc[0]
        losses = tuple(float(v) for v in self.problem.loss[inside])
        mean = math.exp(float(np.log(losses).mean()))
        known = rest.ok and bool(np.isfinite(row[["mean_low", "new_low"]].to_numpy(float)).all())
        interval = _of_mean(row, len(losses)) if known else Interval(low=math.nan, high=math.nan)
        return Holdout(
            cell={axis: float(cell[axis]) for axis in self.law.axes},
            losses=losses,
            predicted=float(row["loss"]),
            interval=interval,
            covered=interval.covers(mean) if known else None,
            relative_error=float(row["loss"]) / mean - 1,
            status=rest.status,
        )

    def summary(self) -> str:
        """A few lines of text: warnings, estimates, certificate."""
        from analysis.tables import fit_summary

        return fit_summary(self)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None; no params when unidentifiable."""
        from analysis.tables import fit_numbers

        return fit_numbers(self)

    def plot(self) -> Figure:
        """Loss against each axis, with the fitted curves and 95 % bands."""
        from analysis.figures import curves

        return curves(self)

    def _repr_html_(self) -> str:
        from analysis.tables import fit_html

        return fit_html(self)

    def __str__(self) -> str:
        return self.summary()


def leave_out_largest(fit: Fit) -> Holdout:
    """Leave out the cell with the largest N and D and predict it from the others.

    It is the cell of the largest D among the runs of the largest N.

    Raises:
        ValueError: the fit has one cell only.
    """
    x = fit.problem.x
    order = np.lexsort(x.T[::-1])
    return fit.holdout(**dict(zip(fit.law.axes, (float(v) for v in x[order[-1]]), strict=True)))
