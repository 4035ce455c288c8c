"""Differences of methods: known ones are found, and intervals hold what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from analysis.compare.comparison import ResampleOptions
from analysis.compare.evaluations import Predictions
from analysis.compare.paired import (
    Measured,
    Run,
    Runs,
    difference,
    margin_of,
    measure_methods,
    verdict,
)
from scaling.records.multilabel import METRICS, FThresholds
from scaling.records.patients import Estimate
from scaling.records.tables import ResultsError

RECORDS, CLASSES, HARD, DRAW_SD = 120, 3, 1.0, 0.2
AUROC = ["macro_auroc"]


def made(rng: np.random.Generator, *, classes: int = CLASSES, per_patient: int = 2) -> Predictions:
    """Records without scores; the difficulty of each stands in for its logits."""
    rows = np.arange(RECORDS)
    return Predictions(
        record=np.array([f"r{r:04d}" for r in rows]), patient=rows // per_patient,
        fold=np.zeros(RECORDS, np.int64), labels=rng.random((RECORDS, classes)) < 0.4,
        logits=HARD * rng.standard_normal((RECORDS, classes)),
        classes=tuple(f"c{c}" for c in range(classes)),
    )  # fmt: skip


def run(records: Predictions, quality: float, rng: np.random.Generator) -> Run:
    noise = rng.standard_normal(records.logits.shape)
    logits = quality * records.labels + records.logits + noise
    cut = np.full(logits.shape, quality / 2)
    return Run(
        predictions=Predictions(
            record=records.record, patient=records.patient, fold=records.fold,
            labels=records.labels, logits=logits, classes=records.classes,
        ),
        thresholds=FThresholds(f1=cut, f2=cut - 0.5),
    )  # fmt: skip


def method(
    name: str, records: Predictions, qualities: list[float], rng: np.random.Generator,
    unit: str = "draw",
) -> Runs:  # fmt: skip
    units = {f"{unit} {i}": [run(records, q, rng)] for i, q in enumerate(qualities)}
    return Runs(name=name, units=units)


def measured(methods: list[Runs], metrics: list[str], resamples: int = 200) -> dict[str, Measured]:
    return measure_methods(methods, metrics, ResampleOptions(resamples=resamples))


def true_auroc(quality: float) -> float:
    """Of positives shifted so far; qualities of draws scatter, records are more or less hard."""
    return float(norm.cdf(quality / math.sqrt(2 * (1 + HARD**2) + DRAW_SD**2)))


@pytest.mark.parametrize("draws", [1, 4])
def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says(draws: int) -> None:
    """Over patients, and over draws where they scatter."""
    rng = np.random.default_rng(draws)
    truth = true_auroc(1.6) - true_auroc(1.0)
    spread = DRAW_SD if draws > 1 else 0.0
    held, found = [], []
    for _ in range(150):
        records = made(rng, per_patient=1)
        pair = [
            method(name, records, (q + spread * rng.standard_normal(draws)).tolist(), rng)
            for name, q in (("a", 1.6), ("b", 1.0))
        ]
        both = measured(pair, AUROC)
        estimate = difference(both["a"], both["b"], "macro_auroc").estimate
        held.append(estimate.low <= truth <= estimate.high)
        found.append(estimate.value)
    assert 0.90 <= np.mean(held) <= 0.99
    assert np.mean(found) == pytest.approx(truth, abs=0.01)


def test_every_metric_says_which_is_better() -> None:
    rng = np.random.default_rng(0)
    records = made(rng)
    both = measured([method(n, records, [q], rng) for n, q in (("a", 3.0), ("b", 0.3))], [*METRICS])
    for metric in METRICS:
        ours, theirs = (difference(both[x], both[y], metric) for x, y in ("ab", "ba"))
        assert (ours.verdict, theirs.verdict) == ("better", "worse"), metric
        assert ours.estimate.value == -theirs.estimate.value
        assert (ours.estimate.value > 0) == METRICS[metric]


def test_draws_that_methods_share_cancel_in_their_difference() -> None:
    """And do not in either, or where the methods have draws of other names."""
    rng = np.random.default_rng(1)
    records = made(rng)
    qualities = [0.4, 1.0, 1.6, 2.2]
    a, b = (method(n, records, qualities, rng) for n in "ab")
    apart = Runs(name="c", units={f"other {i}": runs for i, runs in enumerate(b.units.values())})
    found = measured([a, b, apart], AUROC, 1000)
    assert found["b"].of("macro_auroc")[0] == pytest.approx(found["c"].of("macro_auroc")[0])
    alone = Estimate.of(found["a"].of("macro_auroc")).se
    shared, other = (difference(found["a"], found[n], "macro_auroc").estimate.se for n in "bc")
    assert shared < 0.5 * alone
    assert other > 1.2 * alone
    each = [float(found["a"].units[f"draw {i}"]["macro_auroc"][0]) for i in range(4)]
    assert found["a"].of("macro_auroc")[0] == pytest.approx(np.mean(each))
    assert each == sorted(each)


def test_records_of_a_patient_are_drawn_together() -> None:
    """The same predictions, each record four times: of one patient it says no more than once."""
    rng = np.random.default_rng(2)
    records = made(rng)
    copies = np.repeat(np.arange(RECORDS // 4), 4)

    def copied(one: Run, patients: np.ndarray) -> Runs:
        p = one.predictions
        predictions = Predictions(
            record=p.record, patient=patients, fold=p.fold, labels=p.labels[copies],
            logits=p.logits[copies], classes=p.classes,
        )  # fmt: skip
        return Runs(name="a", units={"seed 0": [Run(predictions=predictions,
                                                    thresholds=one.thresholds)]})  # fmt: skip

    one = run(records, 1.0, rng)
    together, apart = (
        Estimate.of(measured([copied(one, p)], ["map"], 600)["a"].of("map")).se
        for p in (copies, np.arange(RECORDS))
    )
    assert together == pytest.approx(2 * apart, rel=0.25)


@pytest.mark.parametrize(
    ("low", "high", "more", "less"),
    [
        (0.001, 0.004, "better", "worse"),
        (-0.03, -0.02, "worse", "better"),
        (-0.004, 0.01, "equal", "equal"),
        (-0.004, 0.011, "open", "open"),
        (-0.011, 0.004, "open", "open"),
        (0.0, 0.02, "open", "open"),
        (math.nan, math.nan, "open", "open"),
    ],
)
def test_verdicts(low: float, high: float, more: str, less: str) -> None:
    estimate = Estimate(value=(low + high) / 2, se=0.01, low=low, high=high)
    assert verdict(estimate, True, 0.01) == more
    assert verdict(estimate, False, 0.01) == less


def test_the_margin_of_coverage_is_a_share_of_the_classes() -> None:
    assert margin_of("coverage", 0.01, 19) == pytest.approx(0.19)
    assert margin_of("map", 0.01, 19) == 0.01


def test_methods_on_other_records_are_refused_by_name() -> None:
    rng = np.random.default_rng(3)
    records, more = made(rng), made(rng)
    more.record[5] = "r9999"
    pair = [method("kd", records, [1.0], rng), method("none", more, [1.0, 1.0], rng)]
    with pytest.raises(ResultsError, match=r"kd and none, draw 0 were not tested on the same rec"):
        measured(pair, AUROC, 5)
