"""What a fit found and whether to believe it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import FloatArray, Law
from analysis.options import Options
from analysis.problem import Problem
from analysis.profiles import Profile
from analysis.resampling import Bootstrap
from analysis.solver import Solution
from analysis.status import Certificate, Status
from analysis.uncertainty import (
    Interval,
    parameter_intervals,
    standard_errors,
    t_quantile,
    widened,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.holdout import Holdout
    from analysis.second_opinion import SecondOpinion
    from analysis.sensitivity_result import Sensitivity


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """A law fitted to runs.

    What is costly (bootstrap, profile, refits without the largest scales) is computed when it is
    first asked for, from the seed in ``options``, and kept.

    Attributes:
        law: the law.
        status: whether the optimum can be used.
        params: natural parameters by name, unrounded; NaN when there are none.
        free: the optimum in free parameters (P,).
        certificate: evidence of the optimum.
        rows: one row per run: ``trial``, scales, response.
        problem: law and data, for refits.
        at: values the other axes are held at, for a marginal law.
        remarks: warnings from the data, before those of the fit.
        notes: what was used and left out.
        options: arguments that repeat this fit.
    """

    law: Law
    status: Status
    params: dict[str, float]
    free: FloatArray
    certificate: Certificate
    rows: pd.DataFrame
    problem: Problem
    at: dict[str, float]
    remarks: tuple[str, ...]
    notes: tuple[str, ...]
    options: Options

    @property
    def theta(self) -> FloatArray:
        """Natural parameters in the law's order, shape (P,)."""
        return np.array([self.params[name] for name in self.law.names])

    @property
    def ok(self) -> bool:
        """Whether there are parameters to predict with."""
        return all(math.isfinite(v) for v in self.params.values())

    @cached_property
    def profile(self) -> Profile | None:
        """Profile of the floor; None where the law has none that is fitted."""
        from analysis.profiles import profile

        floor = self.law.floor
        if not self.ok or floor is None or floor in self.problem.fixed:
            return None
        return profile(self.problem, self.optimum, floor)

    @cached_property
    @np.errstate(all="ignore")
    def bootstrap(self) -> Bootstrap:
        """Refits to ``options.n_boot`` resamples of the runs."""
        from analysis.resampling import bootstrap

        if not self.ok or not self.options.n_boot:
            return Bootstrap.none(len(self.law.names))
        valley = np.empty((0, len(self.free))) if self.profile is None else self.profile.free
        return bootstrap(self.problem, self.optimum, valley, self.options.n_boot, self.options.seed)

    @property
    def optimum(self) -> Solution:
        """The optimum as a solution of one problem."""
        return Solution(
            free=self.free[None],
            objective=np.array([self.certificate.objective]),
            gradient=np.array([self.certificate.gradient]),
            converged=np.array([True]),
        )

    @cached_property
    @np.errstate(all="ignore")
    def intervals_bootstrap(self) -> dict[str, Interval]:
        """95 % bootstrap intervals by name."""
        return parameter_intervals(self.law, self.theta, self.bootstrap.theta, self.problem.dof)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals by name; the floor's is the wider of bootstrap and profile."""
        found = dict(self.intervals_bootstrap)
        for name, value in self.options.fixed.items():
            found[name] = Interval(low=value, high=value)
        if self.profile is not None:
            own, name = self.profile.interval, self.profile.name
            found[name] = found[name].union(own) if len(self.bootstrap.theta) else own
        return found

    @cached_property
    @np.errstate(all="ignore")
    def errors(self) -> dict[str, float]:
        """Standard errors by name, by the delta method (Huber 1981, section 7.6)."""
        if not self.ok:
            return dict.fromkeys(self.law.names, math.nan)
        found = standard_errors(self.problem, self.free)
        return dict(zip(self.law.names, (float(v) for v in found), strict=True))

    @cached_property
    @np.errstate(all="ignore")
    def misfit(self) -> float:
        """Half width that intervals outside the data gain in quadrature, in residuals' units.

        It is how far larger runs lay from what fits to smaller ones predicted, see
        ``analysis.rolling``: the law's own error, which no resampling shows.
        """
        from analysis.rolling import misfit

        return misfit(self.problem, self.scatter) if self.ok else math.nan

    @cached_property
    def alternatives(self) -> dict[str, dict[str, float]]:
        """Parameters and objective under other losses, by name."""
        from analysis.certificate import alternatives

        return alternatives(self.problem, self.optimum) if self.ok else {}

    @cached_property
    @np.errstate(all="ignore")  # a law may have no value at such parameters: NaN
    def residuals(self) -> pd.DataFrame:
        """One row per run: scales, response, fitted, log_residual."""
        fitted = self.law.value(self.theta, self.problem.x)
        return self.rows.assign(fitted=fitted, log_residual=np.log(self.problem.loss / fitted))

    @cached_property
    def scatter(self) -> float:
        """Standard deviation of a run of weight 1 about the curve, on the scale of residuals."""
        if not self.ok:
            return math.nan
        weights = 1.0 if self.problem.weights is None else self.problem.weights
        total = float((weights * self.problem.residual(self.free[None]) ** 2).sum())
        return math.sqrt(total / max(1, len(self.rows) - self.problem.varied))

    @property
    @np.errstate(all="ignore")
    def r2(self) -> float:
        """Share of the variance of the response explained."""
        from analysis.certificate import r_squared

        return r_squared(self.problem.loss, self.residuals["fitted"].to_numpy())

    @property
    @np.errstate(all="ignore")
    def r2_log_excess(self) -> float:
        """The same for log(loss - E), over the runs above E."""
        from analysis.certificate import r_squared_log_excess

        floor = self.params[self.law.floor] if self.law.floor else 0.0
        fitted = self.residuals["fitted"].to_numpy()
        return r_squared_log_excess(self.problem.loss, fitted, floor)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know first."""
        from analysis.certificate import fit_warnings

        return (*self.remarks, *(fit_warnings(self) if self.ok else ()))

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest scale of the data, by axis."""
        x = self.problem.x
        return {
            axis: (float(x[:, k].min()), float(x[:, k].max()))
            for k, axis in enumerate(self.law.axes)
        }

    @np.errstate(all="ignore")  # a law may have no value at such parameters: NaN
    def predict(self, **scales: npt.ArrayLike) -> pd.DataFrame:
        """Predict the response at scales, with 95 % intervals.

        Args:
            **scales: a scalar or (m,) for every axis of the law, such as ``N`` (backbone
                parameters) and ``D`` (unique training records).

        Returns:
            One row per point: the scales, ``loss`` (nats; the law's response by its name),
            ``mean_low``/``mean_high`` (interval of the curve), ``new_low``/``new_high`` (interval
            of a new run), ``beyond`` (how many times the point lies outside the data on its worst
            axis; 1 within). Intervals of points outside the data hold ``misfit`` as well.

        Raises:
            ValueError: a scale the law needs is missing, one it lacks is given, or one is not
                positive.
        """
        x = self.scales(scales)
        frame = pd.DataFrame(x, columns=list(self.law.axes))
        loss = self.law.value(self.theta, x)
        beyond = np.ones(len(x))
        for k, (low, high) in enumerate(self.ranges.values()):
            beyond = np.maximum(beyond, np.maximum(x[:, k] / high, low / x[:, k]))
        frame[self.law.response] = loss
        if not len(self.bootstrap.theta):
            frame[["mean_low", "mean_high", "new_low", "new_high"]] = math.nan
            return frame.assign(beyond=beyond)
        scale, dof = self.problem.scale, self.problem.dof
        at = scale.forward(loss)
        samples = scale.forward(self.law.value(self.bootstrap.theta, x))
        below, over = widened(samples, at, dof)
        outside = beyond > 1 + 1e-9
        own = np.where(outside, self.misfit if outside.any() else 0.0, 0.0)
        down, up = np.hypot(at - below, own), np.hypot(over - at, own)
        run = t_quantile(dof) * self.scatter
        frame["mean_low"], frame["mean_high"] = scale.inverse(at - down), scale.inverse(at + up)
        frame["new_low"] = scale.inverse(at - np.hypot(down, run))
        frame["new_high"] = scale.inverse(at + np.hypot(up, run))
        return frame.assign(beyond=beyond)

    def scales(self, given: Mapping[str, npt.ArrayLike]) -> FloatArray:
        """Points (m, K) from a scalar or (m,) for every axis.

        Raises:
            ValueError: a scale is missing, not one of the law's, or not positive and finite (not
                finite, for a law that takes any sign).
        """
        for axis in [*self.law.axes, *given]:
            if (axis in given) != (axis in self.law.axes):
                verb = "needs" if axis in self.law.axes else "does not take"
                raise ValueError(f"{self.law.name} {verb} {axis}: {self.law.formula}")
        columns = [np.atleast_1d(np.asarray(given[a], dtype=np.float64)) for a in self.law.axes]
        x = np.stack(np.broadcast_arrays(*columns), axis=-1)
        if self.law.signed_axes and not np.isfinite(x).all():
            raise ValueError(f"{', '.join(self.law.axes)} must be finite")
        if not (self.law.signed_axes or (np.isfinite(x).all() and (x > 0).all())):
            raise ValueError(f"{', '.join(self.law.axes)} must be positive and finite")
        return x

    def holdout(self, **cell: float) -> Holdout:
        """Refit without the runs at ``cell`` and predict it.

        Args:
            **cell: the scales, such as ``N=24_000, D=4096``.

        Raises:
            ValueError: no run is there, or no other run is.
        """
        from analysis.holdout import hold_out

        return hold_out(self, cell)

    def to_lmfit(self) -> SecondOpinion:
        """The same fit by lmfit, with its report and profiles; see ``analysis.second_opinion``.

        Raises:
            ValueError: there are no parameters.
        """
        from analysis.second_opinion import to_lmfit

        return to_lmfit(self)

    def sensitivity(
        self,
        *,
        n_convention: Mapping[str, npt.ArrayLike] | None = None,
        weights: npt.ArrayLike | None = None,
    ) -> Sensitivity:
        """Refits under other choices, and which parameters they move; ``analysis.sensitivity``.

        Args:
            n_convention: other counts of N by name, such as with embeddings (n,).
            weights: other weights (n,), such as inverse variances between seeds.

        Raises:
            ValueError: there are no parameters, or a count or weight is not positive and finite.
        """
        from analysis.sensitivity import sensitivity

        return sensitivity(self, n_convention=n_convention, weights=weights)

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
