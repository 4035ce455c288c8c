"""Fit a law to runs.

Besides the law itself, three choices follow the literature: log-loss residuals under Huber's
loss (Hoffmann et al. 2022), *summed*, minimised to convergence from many starts (Besiroglu et
al. 2024), and resampling by runs. Huber's delta of 1e-3 suits curves with less noise than
that; trained models of this size scatter by 1 % and more, where it would be least absolute
deviations. So delta defaults to two robust standard deviations of the residuals, at least
1e-3: 99 % efficient for normal noise (Huber 1981). On 600 simulated grids of 4 x 5 runs with
1-2 % noise the nominal 95 % intervals then cover the truth 94-98 % of the time. The fits under
least squares and under 1e-3 are reported beside it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.certificate import (
    alternatives,
    certify,
    fit_warnings,
    r_squared,
    r_squared_log_excess,
    status_of,
)
from analysis.checked import Data, at_largest, checked_rows
from analysis.laws import Law, get
from analysis.resampling import Bootstrap, bootstrap, profile
from analysis.result import Certificate, Fit, Status
from analysis.solver import Solution
from analysis.uncertainty import (
    DELTA_SMALLEST,
    Interval,
    Problem,
    extrapolation_factor,
    parameter_intervals,
    robust_delta,
)


def fit_law(
    data: Data,
    law: str = "chinchilla",
    *,
    task: str | None = None,
    protocol: str = "held-out",
    loss: Literal["huber", "least_squares"] = "huber",
    delta: float | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    pool: Sequence[str] | None = None,
) -> Fit:
    """Fit ``law`` to runs and say whether to believe it.

    Args:
        data: the frame of ``load`` (its law rows are used, see ``law_rows``), or columns ``N``,
            ``D`` and ``loss`` (nats), with ``trial`` where runs have several rows.
        law: a registered law. A marginal law uses the runs at the largest value of the axis it
            lacks.
        task: task of the law rows; None for the one trained on.
        protocol: of the law rows: ``held-out`` for the trained head, ``linear-probe`` for
            another task.
        loss: of log-loss residuals, summed.
        delta: Huber's delta in log loss; None chooses it from the residuals.
        n_boot: bootstrap refits; 0 for none.
        seed: of the bootstrap.
        pool: trials that resamples are drawn for, these among them; laws that are given the
            same pool share their resamples, trial by trial. None for these trials alone.

    Returns:
        A fit; one that is not possible has the status ``unidentifiable`` and NaN parameters.

    Raises:
        ValueError: no rows, a missing column, rows of several families or recipes of training
            mixed, a loss or scale that is not positive and finite, an unknown law, a trial that
            is not in the pool.
    """
    if loss not in ("huber", "least_squares"):
        raise ValueError(f"loss {loss!r} is neither 'huber' nor 'least_squares'")
    if delta is not None and not delta > 0:
        raise ValueError(f"delta must be positive, not {delta}")
    chosen = get(law)
    frame, warnings, notes = checked_rows(data, chosen, task, protocol)
    frame, at = at_largest(frame, chosen, notes)
    rows = _Rows(
        frame=frame,
        at=at,
        options={
            "loss": loss, "delta": delta, "n_boot": n_boot, "seed": seed,
            "pool": None if pool is None else tuple(pool),
        },
        warnings=tuple(warnings),
        notes=tuple(notes),
    )  # fmt: skip
    return _fit(rows, chosen)


def refit(fit: Fit, keep: npt.NDArray[np.bool_]) -> Fit:
    """The same fit to the rows of ``fit.residuals`` that ``keep`` (n,) marks."""
    columns = [c for c in fit.residuals.columns if c not in ("fitted", "log_residual")]
    frame = fit.residuals.loc[keep, columns].reset_index(drop=True)
    return _fit(_Rows(frame=frame, at=fit.at, options=fit.options), fit.law)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Checked rows and what is known about them before the fit."""

    frame: pd.DataFrame
    at: dict[str, float]
    options: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _fit(rows: _Rows, law: Law) -> Fit:
    """Fit checked rows: columns ``trial``, the axes, ``loss``."""
    x = rows.frame[list(law.axes)].to_numpy(dtype=np.float64)
    runs, names = pd.factorize(rows.frame["trial"])
    loss = rows.frame["loss"].to_numpy(dtype=np.float64)
    least = rows.options["loss"] == "least_squares"
    delta = math.inf if least else rows.options["delta"] or DELTA_SMALLEST
    problem = Problem(
        law=law, x=x, loss=loss, runs=np.asarray(runs, dtype=np.intp), delta=delta,
        pool=_places(rows.options["pool"], names),
    )  # fmt: skip
    problems = law.problems(x)
    if not problems and int(runs.max()) < len(law.parameters):
        problems = [f"{int(runs.max()) + 1} runs for {len(law.parameters)} parameters"]
    if problems:
        return _unidentifiable(rows, problem, problems)
    starts = law.to_free(law.guess(x, loss), problem.centre)
    if not least and rows.options["delta"] is None:
        problem = _with_delta(problem, problem.solve(starts).best())
    return _describe(rows, problem, problem.solve(starts))


def _places(
    pool: Sequence[str] | None, names: pd.Index[str]
) -> tuple[npt.NDArray[np.intp], int] | None:
    """Where each run stands in the pool, and how many it holds."""
    if pool is None:
        return None
    index = pd.Index(pool).get_indexer(names)
    if (index < 0).any():
        raise ValueError(f"trial {names[index < 0][0]} is not in the pool of resamples")
    return np.asarray(index, dtype=np.intp), len(pool)


def _with_delta(problem: Problem, best: Solution) -> Problem:
    """Delta from the residuals of a nearly-least-absolute-deviations fit."""
    log_f = problem.law.log_value(best.free, problem.x, problem.centre)[0][0]
    delta = robust_delta(np.log(problem.loss) - log_f, len(problem.law.parameters))
    return dataclasses.replace(problem, delta=delta)


def _unidentifiable(rows: _Rows, problem: Problem, problems: list[str]) -> Fit:
    law, nan = problem.law, math.nan
    unknown = {name: Interval(low=nan, high=nan) for name in law.names}
    return Fit(
        law=law,
        status=Status.UNIDENTIFIABLE,
        params=dict.fromkeys(law.names, nan),
        intervals=unknown,
        intervals_bootstrap=unknown,
        profile=None,
        bootstrap=Bootstrap(
            kind="none", theta=np.empty((0, len(law.names))), draw=np.empty(0, dtype=np.intp)
        ),
        certificate=Certificate(
            objective=nan,
            delta=problem.delta,
            starts=0,
            agreed=nan,
            gradient=nan,
            condition=nan,
            bounds_hit=(),
        ),
        r2=nan,
        r2_log_excess=nan,
        scatter=nan,
        extrapolation_factor=nan,
        residuals=rows.frame.assign(fitted=nan, log_residual=nan),
        problem=problem,
        at=rows.at,
        alternatives={},
        warnings=(*rows.warnings, *problems),
        notes=rows.notes,
        options=rows.options,
    )


def _describe(rows: _Rows, problem: Problem, solution: Solution) -> Fit:
    law, best = problem.law, solution.best()
    theta = law.to_natural(best.free, problem.centre)[0]
    certificate = certify(problem, solution, best)
    along = profile(problem, best, "E")
    ends = [
        int(np.abs(along.value - v).argmin()) for v in (along.interval.low, along.interval.high)
    ]
    boot = bootstrap(problem, best, along.free[ends], rows.options["n_boot"], rows.options["seed"])
    from_boot = parameter_intervals(law, theta, boot.theta, problem.dof)
    floor = from_boot["E"].union(along.interval) if len(boot.theta) else along.interval
    intervals = from_boot | {"E": floor}
    fitted = law.value(theta, problem.x)
    residual = np.log(problem.loss / fitted)
    return Fit(
        law=law,
        status=status_of(certificate),
        params=dict(zip(law.names, (float(v) for v in theta), strict=True)),
        intervals=intervals,
        intervals_bootstrap=from_boot,
        profile=along,
        bootstrap=boot,
        certificate=certificate,
        r2=r_squared(problem.loss, fitted),
        r2_log_excess=r_squared_log_excess(problem.loss, fitted, float(theta[0])),
        scatter=math.sqrt(float((residual**2).sum()) / max(1, len(residual) - len(theta))),
        extrapolation_factor=extrapolation_factor(problem),
        residuals=rows.frame.assign(fitted=fitted, log_residual=residual),
        problem=problem,
        at=rows.at,
        alternatives=alternatives(problem, best),
        warnings=(*rows.warnings, *fit_warnings(problem, theta, certificate, intervals, boot)),
        notes=rows.notes,
        options=rows.options,
    )
