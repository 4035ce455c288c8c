"""Laws: refits, one fit, loading, importing, and the whole analysis of S1, against plain tools.

``python -m benchmarks.bench_laws`` takes about five minutes on one core, half of them the real
study (``--no-study`` leaves it out). Seconds are of the processor, which other programs change
less than those of the clock; a ratio is our seconds over theirs, measured in the same run. What is
slow in SciPy is run once, in part, and scaled up, as the lines say.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from analysis import fit_law, load
from analysis.fit.bootstrap import resamples
from analysis.fit.result import Fit
from analysis.laws import FloatArray, Law, get, plain_law
from analysis.report.findings import study_findings

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import laws_scipy
from laws_table import Timer, child_s, heading, median_s, note, said

from tests.analysis.synthetic import Plan, publish, write_study

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "laws"
THETA = np.array([0.25, 1.2, 0.35, 2.0, 0.4])
REFITS, EVERY = 4000, 10
CONFIGURATIONS, TASKS, N_BOOT, EVERY_S1 = 4, 12, 1000, 100


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--study", type=Path, default=ROOT / "results" / "ecg-scaling-virtual")
    parse.add_argument("--no-study", action="store_true", help="leave the real study out")
    options = parse.parse_args()
    heading()
    passed = [*epochs_refits(), one_fit(), *own_law(), *loading(), *importing(), synthetic_study()]
    if not options.no_study:
        passed += real_study(options.study)
    passed += extrapolating()
    return 0 if all(passed) else 1


# --- Epoch's bootstrap -----------------------------------------------------------------------


def epochs_refits() -> Iterator[bool]:
    """Epoch's resamples, drawn as they drew them; every tenth by SciPy, from the optimum."""
    if not SHARED.is_dir():
        print("skipped: Epoch's refits need ../shared/laws")
        return
    table = pd.read_csv(SHARED / "epoch_chinchilla.csv").query("split_all == 'fit'")
    fit = fit_law(table[["N", "D", "loss"]], delta=1e-3, n_boot=0)
    problem, count = fit.problem, len(table)
    random = np.random.RandomState(42)
    drawn = np.array([random.choice(count, count, replace=True) for _ in range(REFITS)])
    weights = np.array([np.bincount(d, minlength=count) for d in drawn]).astype(float)
    start = np.repeat(fit.free[None], REFITS, axis=0)
    ours = problem.solve(start, weights=weights)
    our_s = median_s(lambda: problem.solve(start, weights=weights))
    for tolerance in (laws_scipy.OWN, laws_scipy.CONVERGED):
        timer = Timer()
        theirs = np.array([
            laws_scipy.refit(problem, fit.free, rows=d, bounded=False, tolerance=tolerance)
            for d in drawn[::EVERY]
        ])  # fmt: skip
        their_s, against = EVERY * timer.s(), f"SciPy to {tolerance:g}, every {EVERY}th x {EVERY}"
        yield said(f"Epoch's {REFITS:,} refits", our_s, against, their_s, seconds=4)
        compare_refits(fit, ours.free[::EVERY], theirs, weights[::EVERY])
    wanted = json.loads((SHARED / "epoch_chinchilla.json").read_text())["fast_bar"]["se"]
    spread = zip(fit.law.names, spread_of(fit, ours.free), strict=True)
    gap = max(abs(se / wanted[name] - 1) for name, se in spread)
    note(
        f"our standard errors over all {REFITS:,} differ from those published by {gap:.1e} at most"
    )


def spread_of(fit: Fit, free: FloatArray) -> FloatArray:
    """Standard errors (P,) of refits (R, P)."""
    found: FloatArray = fit.law.to_natural(free, fit.problem.centre).std(axis=0)
    return found


def compare_refits(fit: Fit, ours: FloatArray, theirs: FloatArray, weights: FloatArray) -> None:
    """Standard errors and objectives on the resamples that both refitted."""
    gap = np.abs(spread_of(fit, ours) / spread_of(fit, theirs) - 1).max()
    mine, other = (laws_scipy.objective(fit.problem, f, weights) for f in (ours, theirs))
    worse, better = ((a > b * (1 + 1e-9)).mean() for a, b in ((other, mine), (mine, other)))
    note(
        f"on {len(ours)} shared resamples standard errors differ by {gap:.1e} at most; "
        f"worse by over 1e-9: SciPy in {worse:.2%} (at most {(other / mine - 1).max():.1e}), "
        f"ours in {better:.2%}"
    )


# --- one fit, loading, importing -------------------------------------------------------------


def one_fit() -> bool:
    """A joint fit from 32 starts against least squares from one."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(np.log([1e3, 200]), np.log([1e6, 1e5]), (10_000, 2)))
    loss = get("chinchilla").value(THETA, x) * np.exp(0.01 * rng.standard_normal(len(x)))
    data = {"N": x[:, 0], "D": x[:, 1], "loss": loss}

    def curve(at: FloatArray, e: float, a: float, p: float, b: float, q: float) -> Any:
        return np.log(e + a * at[0] ** -p + b * at[1] ** -q)

    def simple() -> Any:
        return curve_fit(curve, x.T, np.log(loss), p0=(loss.min() / 2, 1.0, 0.3, 1.0, 0.3))[0]

    ours, theirs = fit_law(data, n_boot=0), simple()
    our_s, their_s = (median_s(call, 15) for call in (lambda: fit_law(data, n_boot=0), simple))
    name = "joint fit of 10,000 records, no bootstrap"
    passed = said(name, our_s, "scipy curve_fit, one start", their_s, seconds=0.1)
    residuals = ours.problem.residual(ours.free[None]), curve(x.T, *theirs) - np.log(loss)
    rms = [float(np.sqrt(np.mean(r**2))) for r in residuals]
    starts = ours.certificate.starts
    note(f"medians of 15; {starts} starts; rms of log residuals {rms[0]:.6f}, theirs {rms[1]:.6f}")
    return passed


def own_law() -> Iterator[bool]:
    """Chinchilla's formula written as a law of one's own, against the built-in law."""
    if not SHARED.is_dir():
        print("skipped: the own law needs ../shared/laws")
        return
    table = pd.read_csv(SHARED / "epoch_chinchilla.csv").query("split_all == 'fit'")
    sizes = dict.fromkeys("EAB", (0.0, math.inf)) | dict.fromkeys(("alpha", "beta"), (0.01, 4.0))
    own = plain_law(
        "own", lambda x, E, A, B, alpha, beta: E + A / x["N"] ** alpha + B / x["D"] ** beta,
        formula="L(N, D) = E + A / N^alpha + B / D^beta", source="Hoffmann et al. 2022",
        axes=("N", "D"), floor="E", parameters=sizes,
    )  # fmt: skip

    def seconds(law: str | Law, n_boot: int, times: int) -> float:
        return median_s(lambda: fit_law(table, law, delta=1e-3, n_boot=n_boot).bootstrap, times)

    for n_boot, repeats in ((0, 9), (N_BOOT, 3)):
        ours, theirs = (seconds(law, n_boot, repeats) for law in (own, "chinchilla"))
        name = f"an own law, {n_boot:,} refits"
        yield said(name, ours, "the built-in law", theirs, ratio=1.5)
    both = [fit_law(table, law, delta=1e-3, n_boot=0) for law in (own, "chinchilla")]
    gap = both[0].certificate.objective / both[1].certificate.objective - 1
    note(f"Chinchilla's formula on Epoch's rows; objectives differ by {abs(gap):.1e}")


def loading() -> Iterator[bool]:
    """Published tables against pandas; the live store they came from has no counterpart."""
    sizes = {f"d{i}w8": 1_800 * 3**i for i in range(5)}
    plan = Plan(sizes=sizes, data=tuple(range(256, 6144, 256)), seeds=tuple(range(29)))
    with tempfile.TemporaryDirectory() as name:
        folder = write_study(Path(name) / "study", plan)
        records = len(list((folder / ".runs" / "records").iterdir()))
        live_s = median_s(lambda: load(folder))
        publish(folder)
        files = [folder / "trials.csv", folder / "evaluations.csv"]
        rows = [len(pd.read_csv(file)) for file in files]
        their_s = median_s(lambda: [pd.read_csv(file) for file in files])
        our_s = median_s(lambda: load(folder))
    yield said(f"load {records:,} records, published", our_s, "pandas.read_csv", their_s, seconds=1)
    note(f"{rows[0]:,} trials, {rows[1]:,} values")
    yield said(f"load {records:,} records, live store (JSON)", live_s)


def importing() -> Iterator[bool]:
    """Fresh processes by turns, medians of five."""
    words = ["import analysis", "import pandas", "from analysis import fit_law, load"]
    for word in words:
        child_s(word, ROOT)
    times = [[child_s(word, ROOT) for word in words] for _ in range(5)]
    own, theirs, used = (statistics.median(column) for column in zip(*times, strict=True))
    yield said(words[0], own, words[1], theirs, ratio=1.2)
    yield said(words[2], used, words[1], theirs)
    note("medians of five fresh processes each, by turns, the interpreter's start included")


# --- the analysis of S1 ----------------------------------------------------------------------


def synthetic_study() -> bool:
    """Laws of every configuration on every task, with intervals, warnings and misfit."""
    rng, our_s, their_s = np.random.default_rng(0), 0.0, 0.0
    for seed in np.repeat(np.arange(CONFIGURATIONS), TASKS).tolist():
        data = made_grid(rng, THETA * np.exp(0.2 * rng.standard_normal(5)))
        timer = Timer()
        fit = fit_law(data, n_boot=N_BOOT, seed=seed, pool=data["trial"].tolist())
        assert fit.ok and fit.intervals and fit.warnings is not None
        assert fit.misfit is not None and fit.misfit.typical > 0
        our_s += timer.s()
        target = resamples(fit.problem, fit.free[None], N_BOOT, seed).target
        assert target is not None
        timer = Timer()
        for row in target[::EVERY_S1]:
            laws_scipy.refit(fit.problem, fit.free, target=row)
        their_s += EVERY_S1 * timer.s()
    name = f"S1, synthetic: {CONFIGURATIONS} x {TASKS} laws, once"
    passed = said(name, our_s, f"SciPy, every {EVERY_S1}th refit x {EVERY_S1}", their_s, seconds=60)
    note(f"ours: fit, {N_BOOT:,} refits from 2 starts each, intervals, warnings, misfit")
    note("SciPy: the same resamples from the optimum alone, nothing else")
    return passed


def made_grid(rng: np.random.Generator, theta: FloatArray) -> pd.DataFrame:
    """5 sizes x 6 data sizes with 1 % noise."""
    n, d = np.meshgrid(np.geomspace(1_800, 500_000, 5), 256.0 * 2 ** np.arange(6))
    x = np.column_stack([n.ravel(), d.ravel()])
    loss = get("chinchilla").value(theta, x) * np.exp(0.01 * rng.standard_normal(len(x)))
    trials = [f"t{i:02d}" for i in range(len(x))]
    return pd.DataFrame({"trial": trials, "N": x[:, 0], "D": x[:, 1], "loss": loss})


def real_study(folder: Path) -> Iterator[bool]:
    """From the tables to the claims and all numbers of the page; nothing is written."""
    if not folder.is_dir():
        print(f"skipped: {folder} is not here")
        return
    timer = Timer()
    found = study_findings(folder, n_boot=N_BOOT)
    claims_s = timer.s()
    found.to_dict()
    our_s = timer.s()
    laws = sum(1 + len(c.tasks) for c in found.configurations)
    yield said(f"S1, {folder.name}: {laws} laws, once", our_s, seconds=60)
    note(f"to the {len(found.claims)} claims {claims_s:.1f} s, loading and loss-to-loss included;")
    note("the rest is to_dict: errors, intervals, misfit, warnings, other losses of every law")


# --- extrapolating ---------------------------------------------------------------------------


def extrapolating() -> Iterator[bool]:
    """Fit and rolling origin of nine public tasks; SciPy from as many starts."""
    if not SHARED.is_dir():
        print("skipped: extrapolations need ../shared/laws")
        return
    table = pd.read_csv(SHARED / "nd_extrapolation.csv").query("split == 'fit'")
    parts = [part[["N", "D", "loss"]] for _, part in table.groupby("task")]
    fits = [fit_law(part, n_boot=0) for part in parts]
    our_s = median_s(lambda: [fit_law(part, n_boot=0).misfit for part in parts])
    timer = Timer()
    found = [laws_scipy.best_of_starts(fit.problem) for fit in fits]
    for fit in fits:
        laws_scipy.rolling(fit.problem)
    name = f"{len(parts)} extrapolations: fit, rolling origin"
    yield said(name, our_s, "SciPy, same starts and windows", timer.s())
    excess = [f.certificate.objective / o - 1 for f, o in zip(fits, found, strict=True)]
    note(f"objectives of the fits: ours {min(excess):+.1e} to {max(excess):+.1e} from SciPy's best")


if __name__ == "__main__":
    sys.exit(main())
