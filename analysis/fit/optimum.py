"""The optimum of a law on data: its parameters, their uncertainty, and what they predict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.fit.bootstrap import Bootstrap, bootstrap
from analysis.fit.certificate import (
    Certificate,
    Status,
    alternatives,
    r_squared,
    r_squared_log_excess,
)
from analysis.fit.intervals import Profile, profile, standard_errors, t_quantile
from analysis.fit.options import FitOptions
from analysis.fit.problem import Problem
from analysis.fit.rolling import Misfit, misfit
from analysis.fit.sampled import parameter_intervals, percentile_ends
from analysis.fit.solver import Solution
from analysis.laws import BoolArray, FloatArray, Law
from analysis.text import Interval, holding

AT_ONCE = 1000  # points at which all refits are predicted together


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimum:
    """The parameters of a law that fit data best.

    What is costly (bootstrap, profile, refits without the largest scales) is computed when it is
    first asked for, from the seed in ``options``, and kept.

    Attributes:
        problem: law and data, for refits.
        options: arguments that repeat this fit.
        params: natural parameters by name, unrounded; NaN when there are none.
        free: the optimum in free parameters (P,).
        remarks: what a reader must know of the data and the search.
        notes: what was used, left out, or vanished.
    """

    law: Law
    problem: Problem
    options: FitOptions
    status: Status
    params: dict[str, float]
    free: FloatArray
    certificate: Certificate
    remarks: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def theta(self) -> FloatArray:
        """Natural parameters in the law's order, shape (P,)."""
        return np.array([self.params[name] for name in self.law.names])

    @property
    def ok(self) -> bool:
        """Whether there are parameters to predict with."""
        return all(math.isfinite(v) for v in self.params.values())

    @property
    def solution(self) -> Solution:
        """The optimum as a solution of one problem."""
        return Solution(
            free=self.free[None],
            objective=np.array([self.certificate.objective]),
            gradient=np.array([self.certificate.gradient]),
            converged=np.array([True]),
        )

    @cached_property
    def profile(self) -> Profile | None:
        """Profile of the floor; None where the law has none that is fitted."""
        floor = self.law.floor
        if not self.ok or floor is None or floor in self.problem.fixed:
            return None
        return profile(self.problem, self.solution, floor)

    @cached_property
    @np.errstate(all="ignore")
    def bootstrap(self) -> Bootstrap:
        """Refits to ``options.n_boot`` resamples of the runs."""
        if not self.ok or not self.options.n_boot:
            return Bootstrap.none(len(self.law.names))
        valley = np.empty((0, len(self.free))) if self.profile is None else self.profile.free
        n_boot, seed, held = self.options.n_boot, self.options.seed, self.options.fixed_errors
        return bootstrap(self.problem, self.solution, valley, n_boot, seed, held)

    @cached_property
    @np.errstate(all="ignore")
    def intervals_bootstrap(self) -> dict[str, Interval]:
        """95 % bootstrap intervals by name."""
        return parameter_intervals(self.law, self.theta, self.bootstrap.theta, self.problem.dof)

    @cached_property
    @np.errstate(all="ignore")
    def errors(self) -> dict[str, float]:
        """Standard errors by name, by the delta method (Huber 1981, section 7.6)."""
        if not self.ok:
            return dict.fromkeys(self.law.names, math.nan)
        own = standard_errors(self.problem, self.free)
        return dict(zip(self.law.names, own.tolist(), strict=True))

    @cached_property
    @np.errstate(all="ignore")
    def misfit(self) -> Misfit | None:
        """What intervals outside the data gain: the law's own error, see ``analysis.fit.rolling``.

        None where there are no parameters.
        """
        return misfit(self.problem, self.solution, self.scatter) if self.ok else None

    @cached_property
    def alternatives(self) -> dict[str, dict[str, float]]:
        """Parameters and objective under other losses, by name."""
        return alternatives(self.problem, self.solution) if self.ok else {}

    @cached_property
    @np.errstate(all="ignore")  # a law may have no value at such parameters: NaN
    def fitted(self) -> FloatArray:
        """The response of the law at the data (n,)."""
        return self.law.value(self.theta, self.problem.x)

    @cached_property
    def scatter(self) -> float:
        """Standard deviation of a row of weight 1 about the curve, on the scale of residuals.

        The fit has taken its parameters from the clusters: their mean square counts too little
        by clusters over clusters less parameters.
        """
        if not self.ok:
            return math.nan
        problem = self.problem
        total = float((problem.point_weights * problem.residual(self.free[None]) ** 2).sum())
        clusters = int(problem.runs.max()) + 1
        freed = max(1, clusters - problem.varied)
        return math.sqrt(total / len(problem.loss) * clusters / freed)

    @property
    @np.errstate(all="ignore")
    def r2(self) -> float:
        """Share of the variance of the response explained."""
        return r_squared(self.problem.loss, self.fitted)

    @property
    @np.errstate(all="ignore")
    def r2_log_excess(self) -> float:
        """The same for log(loss - E), over the runs above E."""
        floor = self.params[self.law.floor] if self.law.floor else 0.0
        return r_squared_log_excess(self.problem.loss, self.fitted, floor)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest scale of the data, by axis."""
        x = self.problem.x
        return {
            axis: (float(x[:, k].min()), float(x[:, k].max()))
            for k, axis in enumerate(self.law.axes)
        }

    def scales(self, given: Mapping[str, npt.ArrayLike]) -> FloatArray:
        """Points (m, K) from a scalar or (m,) for every axis.

        Raises:
            ValueError: a scale is missing, not one of the law's, not positive and finite (not
                finite, for a law that takes any sign), or of another shape.
        """
        law = self.law
        check_axes(law, given)
        columns = [np.atleast_1d(np.asarray(given[a], dtype=np.float64)) for a in law.axes]
        shapes = {column.shape for column in columns if column.shape != (1,)}
        if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
            own = ", ".join(f"{a} {c.shape}" for a, c in zip(law.axes, columns, strict=True))
            raise ValueError(
                f"give one number or equally many in a row for every scale, not {own}: a grid of "
                "points is flattened first, such as N=N.ravel()"
            )
        x = np.stack(np.broadcast_arrays(*columns), axis=-1)
        if law.signed_axes and not np.isfinite(x).all():
            raise ValueError(f"{', '.join(law.axes)} must be finite")
        if not (law.signed_axes or (np.isfinite(x).all() and (x > 0).all())):
            raise ValueError(f"{', '.join(law.axes)} must be positive and finite")
        return x

    def valueless(self, x: FloatArray) -> tuple[BoolArray, str]:
        """Points (m,) at which the formula has no value on the scale of residuals, and why."""
        none, why = self.law.valueless(self.theta, x)
        if not self.ok:
            return none, why
        with np.errstate(all="ignore"):
            value = self.problem.scale.forward(self.law.value(self.theta, x))
        lost = ~np.isfinite(value)
        if (lost & ~none).any():
            kind = self.problem.scale.name.replace("_", " ")
            sign = "" if kind == "linear" else "positive "
            also = f"{self.law.name} has no {sign}finite value, which {kind} residuals need"
            why = f"{why}; {also}" if why else also
        return none | lost, why

    def table(self, x: FloatArray, response: FloatArray) -> pd.DataFrame:
        """The columns of ``Fit.predict`` for ``response`` (m,) at ``x`` (m, K), from this alone."""
        frame = pd.DataFrame(x, columns=list(self.law.axes))
        frame[self.law.response] = response
        frame[["mean_low", "mean_high", "new_low", "new_high"]] = math.nan
        if self.misfit is None:
            return frame.assign(beyond=math.nan, untested=False)
        logs = self.misfit.outside(x)
        reach = {"beyond": np.exp(logs.max(axis=0)), "untested": self.misfit.untested(logs)}
        if not len(self.bootstrap.theta):
            return frame.assign(**reach)
        scale = self.problem.scale
        at = scale.forward(response)
        below, over = self._spread(x, at)
        lower, upper = self.misfit.widths(x, logs)
        down, up = np.hypot(at - below, lower), np.hypot(over - at, upper)
        run = t_quantile(self.problem.dof) * self.scatter
        wider = np.hypot(down, run), np.hypot(up, run)
        for kind, (low, high) in {"mean": (down, up), "new": wider}.items():
            ends = scale.inverse(at - low), scale.inverse(at + high)
            if self.law.proportion:  # no share lies below 0 or above 1
                ends = np.clip(ends[0], 0.0, 1.0), np.clip(ends[1], 0.0, 1.0)
            frame[f"{kind}_low"], frame[f"{kind}_high"] = holding(response, *ends)
        return frame.assign(**reach)

    def _spread(self, x: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Ends (m,) of the interval of refits about ``at`` (m,), on the scale of residuals.

        A few points at a time: all refits at many points would fill the memory.
        """
        ends = np.empty((2, len(x)))
        for first in range(0, len(x), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            refits = self.problem.scale.forward(self.law.value(self.bootstrap.theta, x[part]))
            ends[:, part] = percentile_ends(refits, at[part], self.problem.dof)
        return ends[0], ends[1]

    def untested_words(self, predicted: pd.DataFrame) -> str:
        """Which rows of a prediction lie beyond what rolling origins can judge, in words."""
        rows = predicted[predicted["untested"].to_numpy(dtype=bool)]
        beyond = rows["beyond"].to_numpy(dtype=np.float64)
        farthest = rows.iloc[int(beyond.argmax())]
        at = ", ".join(f"{axis} = {farthest[axis]:.4g}" for axis in self.law.axes)
        reach = "no fit to the smaller of these runs could be judged by the larger"
        if self.misfit is not None and self.misfit.judged.any():
            axis, product, reducible = (f"{v:.3g}" for v in np.exp(self.misfit.judged))
            parts = f"{axis} times outside theirs on an axis"
            if len(self.law.axes) > 1:
                parts += f", {product} times in the product of the axes"
            reach = (
                f"fits to smaller runs were judged up to {parts}, {reducible} times in what is left"
            )
        return (
            f"{at} lies {beyond.max():.3g} times outside the data; {reach}: "
            "the interval there extrapolates the error of the law as well"
        )


def check_axes(law: Law, given: Collection[str]) -> None:
    """Refuse scales ``given`` that are not the axes of ``law``.

    Raises:
        ValueError: naming the one that is missing or not taken.
    """
    for axis in [*law.axes, *given]:
        if (axis in given) != (axis in law.axes):
            verb = "needs" if axis in law.axes else "does not take"
            raise ValueError(f"{law.name} {verb} {axis}: {law.formula}")
