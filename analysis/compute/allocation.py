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
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.allocation_result import CONVERGED, Allocation
from analysis.compute.approaches import Approaches, compare_approaches
from analysis.compute.cost import ComputeModel, compute_model
from analysis.compute.rows import MEASURE, AllocationError
from analysis.compute.surface import Exponents, Surface, exponents_of
from analysis.runs.read import named_columns
from analysis.studies.fit_rows import Data, is_study
from analysis.studies.rows import law_rows

if TYPE_CHECKING:
    from analysis.fit.result import Fit

__all__ = [
    "Allocation",
    "AllocationError",
    "Approaches",
    "ComputeModel",
    "Exponents",
    "allocate",
    "compare_approaches",
    "compute_model",
]

NEEDED = ("E", "A", "alpha", "B", "beta")


def allocate(
    fit: Fit,
    compute: ComputeModel | Data,
    C: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
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
    refits = np.asarray(fit.bootstrap.theta, dtype=np.float64).reshape(-1, len(fit.law.names))
    drawn = _joint(refits[:, place], compute, seed)
    dof = fit.problem.dof
    plain = ComputeModel.standard()
    unit = np.array([plain.log_k, plain.m, plain.q])
    found = Allocation(
        surface=best, draws=drawn, dof=dof, law=fit.law.name, status=str(fit.status),
        compute=compute, ranges=_ranges(fit, compute), runs=_runs(fit),
        counted=exponents_of(best, drawn, dof),
        standard=exponents_of(
            Surface(theta=theta, cost=unit), Surface(theta=drawn.theta, cost=unit), dof
        ),
        table=pd.DataFrame(), warnings=(), misfit=fit.misfit, labels=fit.labels,
    )  # fmt: skip
    found = dataclasses.replace(found, table=found.optimal(_budgets(found, C)))
    return dataclasses.replace(found, warnings=_warnings(fit, found))


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
    for axis, name, value, interval, advice in (
        ("N", "m", compute.m, compute.m_interval, "measure more sizes"),
        ("D", "q", compute.q, compute.q_interval, steps),
    ):
        if not value > 0 or interval.low <= 0:
            raise AllocationError(
                f"C is not seen to grow with {axis} ({name} = {value:.3g}, 95 % "
                f"[{interval.low:.3g}, {interval.high:.3g}]), so {axis} may cost nothing; {advice}"
            )


def _joint(theta: npt.NDArray[np.float64], compute: ComputeModel, seed: int) -> Surface:
    """Refits of the law (R, 5) paired with refits of the compute model, at random."""
    count = len(theta)
    cost = np.tile([compute.log_k, compute.m, compute.q], (count, 1))
    if len(compute.draws) and count:
        rng = np.random.default_rng(seed)
        cost = compute.draws[rng.permutation(np.arange(count) % len(compute.draws))]
    usable = np.isfinite(theta).all(axis=1) & (theta[:, 1:] > 0).all(axis=1)
    usable &= (cost[:, 1:] > 0).all(axis=1)
    return Surface(theta=theta[usable], cost=cost[usable])


def _runs(fit: Fit) -> pd.DataFrame:
    """N, D and loss of the runs fitted."""
    found = pd.DataFrame(fit.problem.x, columns=list(fit.law.axes))[["N", "D"]]
    return found.assign(loss=fit.problem.loss)


def _ranges(fit: Fit, compute: ComputeModel) -> dict[str, tuple[float, float]]:
    """Measured N and D of the law, and C of the compute model (else of the law's runs)."""
    found = {axis: fit.ranges[axis] for axis in ("N", "D")}
    if "C" in compute.ranges:
        return {**found, "C": compute.ranges["C"]}
    N, D = (fit.problem.x[:, fit.law.axes.index(axis)] for axis in ("N", "D"))
    spent = compute.compute(N, D)
    return {**found, "C": (float(np.min(spent)), float(np.max(spent)))}


def _budgets(found: Allocation, C: npt.ArrayLike | None) -> npt.ArrayLike:
    if C is None:
        low, high = found.ranges["C"]
        return [*(float(c) for c in np.geomspace(low, high, 5)), 10 * high]
    return C


def _warnings(fit: Fit, found: Allocation) -> tuple[str, ...]:
    """What a reader must know first."""
    warnings = []
    if str(fit.status) != CONVERGED:
        warnings.append(f"the fit is {fit.status}: its exponents are not to be relied on")
    if hit := [n for n in fit.certificate.bounds_hit if n in ("alpha", "beta")]:
        warnings.append(f"{', '.join(hit)} on a bound of the fit")
    if not len(found.draws.theta):
        warnings.append("no refits of the fit (n_boot = 0): no intervals")
    for axis in ("N", "D", "C"):
        outside = found.table[found.table[f"beyond_{axis}"] > 1 + 1e-9]
        if len(outside):
            warnings.append(
                f"{axis} of {len(outside)} of {len(found.table)} budgets lies outside those "
                f"measured, by up to {outside[f'beyond_{axis}'].max():.3g} times"
            )
    share = found.counted.share_data_interval
    for end, what in ((share.low <= 0, "D"), (share.high >= 1, "N")):
        if end:
            warnings.append(f"the interval allows no compute at all for {what}")
    return (*found.compute.warnings, *warnings)
