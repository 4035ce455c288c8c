"""What answers and verdicts rest on: determined laws, equal settings, compute that grows with D."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.fit.sampled import UNKNOWN
from analysis.questions.allocation import data_share_of_compute
from analysis.questions.answer import Line, left_out, tasks_doubt
from analysis.questions.claims import Claim, Verdict
from analysis.questions.configurations import compute_exponents
from analysis.report.findings import Findings, markdown, study_findings
from analysis.studies.groups import chosen_groups
from analysis.studies.rows import pooled
from tests.analysis.worlds import DATA, HOLDS, SIZES, TASKS, Truth, write_world

KIND = ("resnet", "sl")


def rewrite(folder: Path, name: str, change: Callable[[pd.DataFrame], None]) -> Path:
    table = pd.read_csv(folder / f"{name}.csv", keep_default_na=False)
    change(table)
    table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def about(found: Findings, words: str) -> Claim:
    return next(c for c in found.claims if words in c.claim)


@pytest.mark.parametrize("seed", range(2))
def test_no_verdict_comes_out_of_noise(tmp_path: Path, seed: int) -> None:
    """Joint laws fit noise somehow, and kappa comes out small: that is no diminishing return."""
    folder = write_world(tmp_path / "w", {KIND: HOLDS[KIND]}, TASKS[:2])
    rng = np.random.default_rng(seed)

    def flat(values: pd.DataFrame) -> None:
        probes = values["protocol"] == "linear-probe"
        values.loc[probes, "value"] = 0.4 * np.exp(0.01 * rng.standard_normal(int(probes.sum())))

    found = study_findings(rewrite(folder, "evaluations", flat), n_boot=10)
    for words in ("diminishing returns", "spends more on data"):
        assert about(found, words).verdict is Verdict.UNKNOWN
        assert about(found, words).why_unknown == "laws determine it on 0 of 2 tasks only"
    assert "mean kappa over tasks (0 tasks; left out: " in markdown(found)


def test_a_law_that_explains_little_or_lacks_a_term_gives_no_verdict(tmp_path: Path) -> None:
    flat = Truth(home=(0.3, 1e-12, 0.5, 0.5, 0.3), away=HOLDS[KIND].away)
    folder = write_world(tmp_path / "w", {KIND: flat}, TASKS[:1], noise=0.0005)
    found = study_findings(folder, n_boot=20)
    assert "at a bound" in about(found, "data rather than size").why_unknown
    noisy = write_world(tmp_path / "n", {KIND: HOLDS[KIND]}, TASKS[:1], noise=0.6)
    why = about(study_findings(noisy, n_boot=20), "data rather than size").why_unknown
    assert "below 0.7" in why or "at a bound" in why


def test_a_mean_needs_half_of_the_tasks() -> None:
    assert tasks_doubt(2, 4) == "" and tasks_doubt(1, 1) == ""
    assert tasks_doubt(1, 4) == "laws determine it on 1 of 4 tasks only"
    assert tasks_doubt(0, 0) == "no shared task"
    assert left_out(["R² 0.2 below 0.7", "there: R² 0.4 below 0.7", "E at a bound"]) == (
        "; left out: 2 (R² too low), 1 (E at a bound)"
    )


@pytest.fixture
def two(tmp_path: Path) -> Path:
    world = {k: HOLDS[k] for k in (("resnet", "sl"), ("transformer", "sl"))}
    return write_world(tmp_path / "w", world, TASKS[:1])


@pytest.mark.parametrize(
    ("column", "value"),
    [("corpus", "ptbxl:superclass"), ("preprocessing", "band"), ("leads", 1),
     ("labels_fraction", 0.1), ("label_set", "tail-0.1"), ("objective", "focal")],
)  # fmt: skip
def test_configurations_of_different_settings_are_not_compared(
    two: Path, column: str, value: str | float
) -> None:
    def change(trials: pd.DataFrame) -> None:
        trials[column] = [value if f == "transformer" else trials.get(column, pd.Series(""))[0]
                          for f in trials["family"]]  # fmt: skip

    rewrite(two, "trials", change)
    if column == "corpus":
        rows = pd.read_csv(two / "evaluations.csv")
        theirs = set(pd.read_csv(two / "trials.csv").query("family == 'transformer'")["trial"])
        home = rows["trial"].isin(theirs) & rows["protocol"].eq("held-out")
        rows.loc[home, "task"] = value
        rows.to_csv(two / "evaluations.csv", index=False)
    found = study_findings(two, n_boot=5)
    assert len(found.configurations) == 2
    assert not [c for c in found.claims if c.finding in ("ii", "iv")]
    assert any("compared with no other configuration" in n for n in found.notes)


def test_the_group_that_others_share_is_taken_and_the_rest_named(two: Path) -> None:
    """The largest group is of another corpus than the rest: a comparison would be of corpora."""
    frame = pooled(load(two))
    resnet = frame[frame["family"] == "resnet"]
    more = [resnet.assign(corpus="ptbxl:form", trial=i + resnet["trial"].str[1:]) for i in "uv"]
    chosen, notes = chosen_groups(pd.concat([frame, *more]))
    assert [(g.kind[0], g.key["corpus"], g.comparable) for g in chosen] == [
        ("resnet", "virtual/code", True), ("transformer", "virtual/code", True),
    ]  # fmt: skip
    assert notes == ["resnet-SL on ptbxl:form: 50 trials left out, resnet-SL on virtual/code "
                     "is used"]  # fmt: skip


def test_compute_that_does_not_grow_with_data_gives_no_frontier(two: Path) -> None:
    found = study_findings(two, n_boot=5)
    compute = found.configurations[0].compute
    assert compute.macs == pytest.approx(0.9, abs=1e-6)
    assert compute.data == pytest.approx(1.0, abs=0.01) and not compute.doubt

    def same_steps(trials: pd.DataFrame) -> None:
        trials["C"] = 6.0 * trials["macs"] * 64 * 300

    found = study_findings(rewrite(two, "trials", same_steps), n_boot=20)
    claim = about(found, "resnet-SL spends more on data")
    assert claim.verdict is Verdict.UNKNOWN and np.isfinite(claim.estimate)
    assert "C does not grow with D at fixed N" in claim.why_unknown
    assert "S1's formula, not a measured frontier" in markdown(found)


def test_compute_of_one_data_size_or_few_sizes_is_unknown() -> None:
    trials = pd.DataFrame({
        "N": [1e3, 1e4], "D": [100, 100], "macs": [1e5, 1e6], "C_total": [1e9, 1e10],
        "status": "done",
    })  # fmt: skip
    found = compute_exponents(trials)
    assert np.isnan(found.macs) and np.isnan(found.data)
    assert found.doubt == "no size was trained on several D"


def test_the_best_share_of_compute_is_a_minimum(two: Path) -> None:
    """Along N^m D = C the law's minimum moves as D ~ C^(alpha / (alpha + m beta))."""
    task = study_findings(two, n_boot=0).configurations[0].tasks[0]
    m, theta, law = 0.9, task.fit.theta, task.fit.law
    n = np.geomspace(1e1, 1e9, 400_001)
    best = []
    for c in (1e9, 1e12):
        d = c / n**m
        best.append(d[law.value(theta, np.stack([n, d], axis=1)).argmin()])
    measured = np.log(best[1] / best[0]) / np.log(1e12 / 1e9)
    assert data_share_of_compute(task.fit, m).point == pytest.approx(measured, abs=1e-3)
    assert data_share_of_compute(task.fit).point < data_share_of_compute(task.fit, m).point


def test_tasks_and_trials_that_are_lost_are_named(two: Path) -> None:
    trials = pd.read_csv(two / "trials.csv")
    largest = trials[(trials["family"] == "resnet") & (trials["N"] == SIZES[-1])]
    lost = set(largest[largest["D"] == DATA[-1]]["trial"])

    def drop(values: pd.DataFrame) -> None:
        gone = values["trial"].isin(lost) & (values["protocol"] == "linear-probe")
        values.loc[gone, "value"] = np.nan

    def fail(table: pd.DataFrame) -> None:
        table.loc[table["trial"] == largest["trial"].iloc[0], "status"] = "failed"

    rewrite(two, "evaluations", drop)
    found = study_findings(rewrite(two, "trials", fail), n_boot=5)
    assert "resnet-SL on virtual/code: 1 run lacks a probe of virtual/cpsc2018" in found.notes
    page = markdown(found)
    assert "| resnet-SL on virtual/code | 24 done, 1 failed | 1 trial failed and left out" in page


def test_a_line_is_never_silently_empty() -> None:
    with pytest.raises(AssertionError, match="NaN without a reason"):
        Line(name="x", value=math.nan, interval=UNKNOWN)
