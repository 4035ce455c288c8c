"""What a fit found and whether to believe it."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.fit.bootstrap import Bootstrap
from analysis.fit.intervals import (
    NORMAL,
    Interval,
    holding,
    standard_errors,
    t_quantile,
)
from analysis.fit.misfit import Misfit, misfit
from analysis.fit.options import Options
from analysis.fit.profile import Profile
from analysis.fit.sampled import parameter_intervals, percentile_ends
from analysis.fit.solve.problem import Problem
from analysis.fit.solve.solver import Solution
from analysis.fit.status import Certificate, Status
from analysis.laws import FloatArray, Law

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.checks.holdout import Holdout
    from analysis.checks.lmfit import SecondOpinion
    from analysis.checks.sensitivity_result import Sensitivity

AT_ONCE = 1000  # points at which all refits are predicted together


class ExtrapolationWarning(UserWarning):
    """A prediction lies so far beyond the data that its interval is an extrapolation as well."""


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
        labels: what figures call the axes and the response, where not as in a study.
        ended: parameter that the fit itself holds at the end of its range; empty for none.
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
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ended: str = ""

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
        from analysis.fit.profile import profile

        floor = self.law.floor
        if not self.ok or floor is None or floor in self.problem.fixed:
            return None
        return profile(self.problem, self.optimum, floor)

    @cached_property
    @np.errstate(all="ignore")
    def bootstrap(self) -> Bootstrap:
        """Refits to ``options.n_boot`` resamples of the runs."""
        from analysis.fit.bootstrap import bootstrap

        if not self.ok or not self.options.n_boot:
            return Bootstrap.none(len(self.law.names))
        valley = np.empty((0, len(self.free))) if self.profile is None else self.profile.free
        return bootstrap(
            self.problem, self.optimum, valley, self.options.n_boot, self.options.seed,
            self.options.fixed_errors,
        )  # fmt: skip

    @cached_property
    def released(self) -> Fit | None:
        """The fit with a held parameter free that no one knows: ``ended``, or the first borrowed.

        Values that come from other fits are not exact. What the data say of one, given the others,
        is how far they contradict each other; intervals hold this fit as well as that with all
        values held. None where the law borrows nothing, not all it borrows is held (a warning then
        says that the error of what is held is left out) or errors of the values are given. An end
        that the fit itself has held is not known at all.
        """
        from analysis.fit.fit import refit

        names = (self.ended,) if self.ended else self.law.borrowed
        held = dict(self.options.fixed)
        known = bool(self.options.fixed_errors) and not self.ended
        if not self.ok or not names or not set(names) <= set(held) or known:
            return None
        del held[names[0]]
        found = refit(self, np.ones(len(self.rows), dtype=bool), fixed=held)
        return found if found.ok else None

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
        """95 % intervals by name; the floor's is the wider of bootstrap and profile.

        Where borrowed parameters are held, those of the others hold both this fit and the one
        with a parameter ``released``.
        """
        found = dict(self.intervals_bootstrap)
        if self.released is not None:
            found = {k: v.union(self.released.intervals_bootstrap[k]) for k, v in found.items()}
        for name, value in self.options.fixed.items():
            if name == self.ended:
                continue
            half = NORMAL * self.options.fixed_errors.get(name, 0.0)
            found[name] = Interval(low=value - half, high=value + half)
        if self.profile is not None:
            own, name = self.profile.interval, self.profile.name
            found[name] = found[name].union(own) if len(self.bootstrap.theta) else own
        for name in self.certificate.flat:  # refits never move along such a direction
            found[name] = Interval(low=math.nan, high=math.nan)
        return {name: ends.holding(self.params[name]) for name, ends in found.items()}

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
    def misfit(self) -> Misfit | None:
        """What intervals outside the data gain: the law's own error, see ``analysis.fit.misfit``.

        None where there are no parameters.
        """
        return misfit(self.problem, self.optimum, self.scatter) if self.ok else None

    @cached_property
    def alternatives(self) -> dict[str, dict[str, float]]:
        """Parameters and objective under other losses, by name."""
        from analysis.fit.certificate import alternatives

        return alternatives(self.problem, self.optimum) if self.ok else {}

    @cached_property
    @np.errstate(all="ignore")  # a law may have no value at such parameters: NaN
    def residuals(self) -> pd.DataFrame:
        """One row per run: scales, response, fitted, log_residual."""
        fitted = self.law.value(self.theta, self.problem.x)
        return self.rows.assign(fitted=fitted, log_residual=np.log(self.problem.loss / fitted))

    @cached_property
    def scatter(self) -> float:
        """Standard deviation of a row of weight 1 about the curve, on the scale of residuals.

        The fit has taken its parameters from the clusters: their mean square counts too little
        by clusters over clusters less parameters.
        """
        if not self.ok:
            return math.nan
        weights = 1.0 if self.problem.weights is None else self.problem.weights
        total = float((weights * self.problem.residual(self.free[None]) ** 2).sum())
        clusters = int(self.problem.runs.max()) + 1
        return math.sqrt(total / len(self.rows) * clusters / max(1, clusters - self.problem.varied))

    @property
    @np.errstate(all="ignore")
    def r2(self) -> float:
        """Share of the variance of the response explained."""
        from analysis.fit.certificate import r_squared

        return r_squared(self.problem.loss, self.residuals["fitted"].to_numpy())

    @property
    @np.errstate(all="ignore")
    def r2_log_excess(self) -> float:
        """The same for log(loss - E), over the runs above E."""
        from analysis.fit.certificate import r_squared_log_excess

        floor = self.params[self.law.floor] if self.law.floor else 0.0
        fitted = self.residuals["fitted"].to_numpy()
        return r_squared_log_excess(self.problem.loss, fitted, floor)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know first."""
        from analysis.fit.certificate import fit_warnings

        return (*self.remarks, *(fit_warnings(self) if self.ok else ()))

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest scale of the data, by axis."""
        x = self.problem.x
        return {
            axis: (float(x[:, k].min()), float(x[:, k].max()))
            for k, axis in enumerate(self.law.axes)
        }

    def predict(
        self,
        at: pd.DataFrame | Mapping[str, npt.ArrayLike] | None = None,
        /,
        **scales: npt.ArrayLike,
    ) -> pd.DataFrame:
        """Predict the response at scales, with 95 % intervals.

        Args:
            at: a frame with the axes of the law among its columns; ``scales`` may add others.
            **scales: a scalar or (m,) for every axis of the law, such as ``N`` (backbone
                parameters) and ``D`` (unique training records).

        Returns:
            One row per point: the scales, ``loss`` (nats; the law's response by its name),
            ``mean_low``/``mean_high`` (interval of the curve), ``new_low``/``new_high`` (interval
            of a new run), ``beyond`` (how many times the point lies outside the data, in compute
            (the product of the axes), on its worst axis or in the reducible loss, whichever is
            most; 1 within) and ``untested`` (farther than any run that a rolling origin predicted).
            Intervals of points outside hold ``misfit`` as well, which grows with distance; those of
            a law with borrowed parameters held also hold the fit with one ``released``. Where the
            formula has no value, such as at an L_id below E_id, all are NaN.

        Raises:
            ValueError: a scale the law needs is missing, one it lacks is given, or one is not
                positive.

        Warns:
            ExtrapolationWarning: some points are ``untested``: there the interval extrapolates
                the error of the law too.
            UserWarning: the formula has no value at some points.
        """
        if at is not None:
            columns = at.columns if isinstance(at, pd.DataFrame) else at
            scales = {**{a: at[a] for a in self.law.axes if a in columns}, **scales}
        x = self.scales(scales)
        found = self.predicted(x)
        if isinstance(at, pd.DataFrame) and len(at) == len(found):
            found.index = at.index  # so that a column of it can be assigned to the frame given
        none, why = self._valueless(x)
        if none.any():
            where = f"{int(none.sum())} of {len(x)} points: " if len(x) > 1 else ""
            warnings.warn(f"{where}{why}", stacklevel=2)
            found.loc[none, "untested"] = False
        if len(self.bootstrap.theta) and bool(found["untested"].any()):
            warnings.warn(untested_words(self, found), ExtrapolationWarning, stacklevel=2)
        return found

    @np.errstate(all="ignore")  # a law may have no value at such parameters: NaN
    def predicted(self, x: FloatArray) -> pd.DataFrame:
        """``predict`` at ``x`` (m, K), without the warnings."""
        none = self._valueless(x)[0]
        response = np.where(none, math.nan, self.law.value(self.theta, x))
        return self._with_released(x, self._table(x, response))

    def _valueless(self, x: FloatArray) -> tuple[npt.NDArray[np.bool_], str]:
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
        found: npt.NDArray[np.bool_] = none | lost
        return found, why

    def _table(self, x: FloatArray, response: FloatArray) -> pd.DataFrame:
        """The table of ``predict`` for ``response`` (m,) at ``x`` (m, K), from this fit alone."""
        frame = pd.DataFrame(x, columns=list(self.law.axes))
        frame[self.law.response] = response
        frame[["mean_low", "mean_high", "new_low", "new_high"]] = math.nan
        if self.misfit is None:
            return frame.assign(beyond=math.nan, untested=False)
        logs = self.misfit.outside(x)
        found = {"beyond": np.exp(logs.max(axis=0)), "untested": self.misfit.untested(logs)}
        if not len(self.bootstrap.theta):
            return frame.assign(**found)
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
        return frame.assign(**found)

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

    def _with_released(self, x: FloatArray, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions whose intervals hold those of the ``released`` fit as well."""
        if self.released is None:
            return frame
        other = self.released._table(x, self.law.value(self.released.theta, x))
        lost = frame[self.law.response].isna()
        for name in ("mean_low", "new_low", "mean_high", "new_high"):
            widest = np.fmin if name.endswith("low") else np.fmax
            frame[name] = pd.Series(widest(frame[name], other[name])).mask(lost)
        return frame

    def scales(self, given: Mapping[str, npt.ArrayLike]) -> FloatArray:
        """Points (m, K) from a scalar or (m,) for every axis.

        Raises:
            ValueError: a scale is missing, not one of the law's, not positive and finite (not
                finite, for a law that takes any sign), or of another shape.
        """
        for axis in [*self.law.axes, *given]:
            if (axis in given) != (axis in self.law.axes):
                verb = "needs" if axis in self.law.axes else "does not take"
                raise ValueError(f"{self.law.name} {verb} {axis}: {self.law.formula}")
        columns = [np.atleast_1d(np.asarray(given[a], dtype=np.float64)) for a in self.law.axes]
        shapes = {column.shape for column in columns if column.shape != (1,)}
        if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
            own = ", ".join(f"{a} {c.shape}" for a, c in zip(self.law.axes, columns, strict=True))
            raise ValueError(
                f"give one number or equally many in a row for every scale, not {own}: a grid of "
                "points is flattened first, such as N=N.ravel()"
            )
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
        from analysis.checks.holdout import hold_out

        return hold_out(self, cell)

    def to_lmfit(self) -> SecondOpinion:
        """The same fit by lmfit, with its report and profiles; see ``analysis.checks.lmfit``.

        Raises:
            ValueError: there are no parameters.
        """
        from analysis.checks.lmfit import to_lmfit

        return to_lmfit(self)

    def sensitivity(
        self,
        *,
        n_convention: Mapping[str, npt.ArrayLike] | None = None,
        weights: npt.ArrayLike | None = None,
    ) -> Sensitivity:
        """Refits under other choices, and what they move; see ``analysis.checks.sensitivity``.

        Args:
            n_convention: other counts of N by name, such as with embeddings (n,).
            weights: other weights (n,), such as inverse variances between seeds.

        Raises:
            ValueError: there are no parameters, or a count or weight is not positive and finite.
        """
        from analysis.checks.sensitivity import sensitivity

        return sensitivity(self, n_convention=n_convention, weights=weights)

    def summary(self) -> str:
        """A few lines of text: warnings, estimates, certificate."""
        from analysis.text.fits import fit_summary

        return fit_summary(self)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None; no params when unidentifiable."""
        from analysis.text.fits import fit_numbers

        return fit_numbers(self)

    def plot(self) -> Figure:
        """Loss against each axis, with the fitted curves and 95 % bands."""
        from analysis.figures.base import curves

        return curves(self)

    def _repr_html_(self) -> str:
        from analysis.text.fits import fit_html

        return fit_html(self)

    def __str__(self) -> str:
        return self.summary()


def untested_words(fit: Fit, predicted: pd.DataFrame) -> str:
    """Which predictions lie beyond what rolling origins can judge, in words."""
    rows = predicted[predicted["untested"].to_numpy(dtype=bool)]
    beyond = rows["beyond"].to_numpy(dtype=np.float64)
    farthest = rows.iloc[int(beyond.argmax())]
    at = ", ".join(f"{axis} = {farthest[axis]:.4g}" for axis in fit.law.axes)
    reach = "no fit to the smaller of these runs could be judged by the larger"
    if fit.misfit is not None and fit.misfit.judged.any():
        axis, product, reducible = (f"{v:.3g}" for v in np.exp(fit.misfit.judged))
        parts = f"{axis} times outside theirs on an axis"
        if len(fit.law.axes) > 1:
            parts += f", {product} times in the product of the axes"
        reach = f"fits to smaller runs were judged up to {parts}, {reducible} times in what is left"
    return (
        f"{at} lies {beyond.max():.3g} times outside the data; {reach}: "
        "the interval there extrapolates the error of the law as well"
    )
