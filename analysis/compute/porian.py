"""Porian et al. 2024's reading of isoFLOP curves (arXiv 2406.19146, section 3 and appendix).

The loss of each budget is interpolated through its runs (Akima, log loss in log N) and N* is the
median of the minima of 1,000 curves whose losses carry the noise from seed to seed. A line
through the medians in logs, weighted by the inverse variance of the minima, gives N* = k C^a.
Unlike a parabola it assumes no shape, and unlike the best run it is not tied to the sizes
trained; but its intervals hold the seeds' noise only, which must be known.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.compute.isoflop import IsoFlop, budget_rows, isoflop_of
from analysis.compute.optima import BudgetOptima, Optimum, not_bracketed
from analysis.fit.sampled import percentile_ends
from analysis.laws import FloatArray
from analysis.studies.fit_rows import Data
from analysis.text import holding

GRID = 25  # points of the curve per interval between runs
SMALLEST_SD = 0.33  # of log N*, in intervals between runs: a minimum is not known better
LEAST_RUNS = 3
NOISE = (0.005, 0.1)  # standard deviation of the loss at losses up to 3 and from 6 nats
NOISE_AT = (3.0, 6.0)


def porian(
    data: Data,
    *,
    by: str = "C",
    noise: float | tuple[float, float] = NOISE,
    noise_at: tuple[float, float] = NOISE_AT,
    n_boot: int = 1000,
    seed: int = 0,
    tolerance: float = 0.02,
) -> IsoFlop:
    """Compute-optimal N and D from isoFLOP curves interpolated through the runs.

    Args:
        data: one row per run: N, loss (nats), the compute, and D where known. Of several runs
            of one N and budget the best counts.
        by: the column of the compute, FLOPs.
        noise: standard deviation of the loss from seed to seed, nats: one number, or those at
            the two losses of ``noise_at``, between which it is a line in logs. The default is
            that of Porian et al. for language models; other losses have other noise.
        noise_at: losses, nats.
        n_boot: noisy curves, at least 100.
        seed: of the noise.
        tolerance: neighbouring C that differ by less are one budget.

    Returns:
        As ``isoflop``; the lines are weighted, and ``N_line.interval_runs`` is Porian et al.'s
        interval (percentiles of noisy curves), of which ``a_interval`` holds the wider with the
        scatter about the line.

    Raises:
        AllocationError: C does not vary, or not at fixed N.
        ValueError: see ``isoflop``; or a noise that is not positive, or too few noisy curves.
    """
    low, high = (noise, noise) if isinstance(noise, (int, float)) else noise
    if not (low > 0 and high > 0 and 0 < noise_at[0] < noise_at[1]):
        raise ValueError("noise must be positive, at two increasing losses")
    if n_boot < 100:
        raise ValueError(f"{n_boot} noisy curves, at least 100 are needed")
    rows = budget_rows(data, by, tolerance)
    rng = np.random.default_rng(seed)
    optima = []
    for C in np.unique(rows["C"].to_numpy()):
        runs = rows[rows["C"] == C]
        best = runs.loc[runs.groupby("N")["loss"].idxmin()]
        loss = best["loss"].to_numpy()
        sd = np.exp(np.interp(np.log(loss), np.log(noise_at), np.log((low, high))))
        noisy = loss[:, None] + sd[:, None] * rng.standard_normal((len(loss), n_boot))
        log_noisy = np.log(np.maximum(noisy, 1e-3 * loss[:, None]))
        by_axis = {
            axis: akima_optimum(best[axis].to_numpy(), loss, log_noisy, axis)
            for axis in ("N", "D")
            if axis in best
        }
        optima.append(BudgetOptima(C=float(C), runs=len(runs), N=by_axis["N"], D=by_axis.get("D")))
    return isoflop_of("Akima curves with noise", rows, optima, {}, interpolated=True)


def akima_optimum(
    x: FloatArray, loss: FloatArray, log_noisy: FloatArray, axis: str
) -> Optimum | str:
    """The median minimum of noisy Akima curves of log loss in log x.

    Args:
        x: N or D of the runs (n,), all different.
        loss: their losses (n,), nats.
        log_noisy: logs of the losses with noise (n, R).
        axis: its name.

    Returns:
        The optimum (its curvature is NaN: Akima curves are cubic by pieces), or why there is
        none: too few runs, a minimum at an end, or half of the noisy curves without one inside.
    """
    from scipy.interpolate import Akima1DInterpolator

    if len(x) < LEAST_RUNS:
        return f"{len(x)} distinct {axis}, at least {LEAST_RUNS} are needed for a curve"
    order = np.argsort(x)
    log_x = np.log(x[order])
    if not (np.diff(log_x) > 0).all():
        return f"several runs share one {axis}"
    grid = np.linspace(log_x[0], log_x[-1], GRID * (len(x) - 1))
    curve = Akima1DInterpolator(log_x, np.log(loss[order]))(grid)
    lowest = int(curve.argmin())
    ends = (float(x.min()), float(x.max()))
    if lowest in (0, len(grid) - 1):
        return not_bracketed(ends[0] if lowest == 0 else ends[1], ends, axis)
    at = Akima1DInterpolator(log_x, log_noisy[order])(grid).argmin(axis=0)
    inside = (at > 0) & (at < len(grid) - 1)
    if 2 * inside.sum() < len(at):
        side = "smaller" if (at == 0).sum() > (at == len(grid) - 1).sum() else "larger"
        return (
            f"only {inside.mean():.0%} of the noisy curves have their minimum between the runs: "
            f"add runs of {side} {axis}"
        )
    minima = grid[at[inside]]
    middle = float(np.median(minima))
    floor = SMALLEST_SD * GRID * float(grid[1] - grid[0])
    sd = max(float(minima.std()), floor) / inside.mean()
    draws = np.where(inside, grid[at], np.nan)
    below, above = percentile_ends(minima, np.asarray(middle), len(at))
    optimum = math.exp(middle)
    low, high = holding(np.asarray(optimum), np.exp(below), np.exp(above))
    half = (grid[-1] - grid[0]) / 2
    return Optimum(
        x=optimum, low=float(low), high=float(high),
        loss=float(np.exp(np.interp(middle, grid, curve))), curvature=math.nan,
        off_centre=float((middle - grid[0] - half) / half), width=ends[1] / ends[0],
        weight=float(sd**-2), draws=draws, dof=len(at),
        curve=np.stack([np.exp(grid), np.exp(curve)]),
    )  # fmt: skip
