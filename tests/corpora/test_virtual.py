"""Virtual patients: determinism, Einthoven, labels that the waves bear out, and the Bayes loss."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import find_peaks

from scaling.corpora.virtual import bayes
from scaling.corpora.virtual.cohorts import (
    CODE,
    COHORTS,
    SHIFTED,
    SPLITS,
    Cohort,
    make_records,
    patient_of,
)
from scaling.corpora.virtual.patient import make_visit, probabilities
from scaling.identity import LEADS

LEAD = {name: i for i, name in enumerate(LEADS)}


@pytest.fixture(scope="module")
def records() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return make_records("virtual/code", 0, "train", 0, 400, 100, 1000)


@pytest.mark.parametrize("cohort", COHORTS)
def test_a_record_depends_only_on_its_index(cohort: str) -> None:
    signals, labels, patients = make_records(cohort, 3, "test", 0, 12, 100, 500)
    for i in (0, 5, 11):
        one = make_records(cohort, 3, "test", i, i + 1, 100, 500)
        assert np.array_equal(one[0][0], signals[i])
        assert np.array_equal(one[1][0], labels[i])
        assert one[2][0] == patients[i]


def test_seed_split_and_cohort_make_other_patients() -> None:
    base = make_records("virtual/code", 0, "train", 0, 2, 100, 500)[0]
    for other in (("virtual/code", 1, "train"), ("virtual/code", 0, "test"),
                  ("virtual/shifted", 0, "train")):  # fmt: skip
        assert not np.allclose(base, make_records(*other, 0, 2, 100, 500)[0])


def test_splits_share_no_patient_and_patients_have_several_records() -> None:
    patients = {s: set(make_records("virtual/code", 0, s, 0, 40, 100, 100)[2]) for s in SPLITS}
    assert not patients["train"] & patients["test"]
    assert not patients["train"] & patients["validation"]
    visits = np.bincount([patient_of(i)[0] for i in range(1600)])
    assert visits.min() == 1
    assert visits.max() == 4
    assert visits.mean() == 2.0


def test_einthoven_and_goldberger_hold(records: tuple[np.ndarray, ...]) -> None:
    x = records[0].astype(np.float64)
    lead = {name: x[:, i] for name, i in LEAD.items()}
    assert np.abs(lead["I"] + lead["III"] - lead["II"]).max() < 1e-6
    assert np.abs(lead["aVR"] + lead["aVL"] + lead["aVF"]).max() < 1e-6
    assert np.abs(lead["aVF"] - (lead["II"] + lead["III"]) / 2).max() < 1e-6


def test_amplitudes_are_those_of_an_ecg(records: tuple[np.ndarray, ...]) -> None:
    reach = np.abs(records[0]).max(axis=(1, 2))
    assert 1.0 < np.median(reach) < 4.0  # millivolts
    assert reach.max() < 12.0


def beats(record: np.ndarray) -> np.ndarray:
    """R peaks by a detector that knows nothing of the generator: slope energy, all leads."""
    energy = (np.diff(record, axis=1) ** 2).sum(axis=0)
    energy = np.convolve(energy, np.ones(8) / 8, mode="same")
    peaks, _ = find_peaks(energy, height=0.25 * np.quantile(energy, 0.995), distance=30)
    return np.asarray(peaks)


def test_rate_labels_agree_with_a_detector(records: tuple[np.ndarray, ...]) -> None:
    signals, labels, _ = records
    rates = np.array([6000 / np.diff(beats(x)).mean() for x in signals])
    slow, fast = labels[:, CODE.classes.index("SB")] == 1, labels[:, CODE.classes.index("ST")] == 1
    # Labels carry 2 % flips and some disagreement of readers at the thresholds.
    assert np.median(rates[slow]) < 55
    assert np.median(rates[fast]) > 100
    assert np.mean(rates[slow] < 60) > 0.8
    assert np.mean(rates[fast] > 95) > 0.8


def test_fibrillation_is_irregular(records: tuple[np.ndarray, ...]) -> None:
    signals, labels, _ = records
    spread = np.array([np.diff(p).std() / np.diff(p).mean() for p in map(beats, signals)])
    fibrillates = labels[:, CODE.classes.index("AF")] == 1
    assert np.median(spread[fibrillates]) > 0.1
    assert np.median(spread[~fibrillates]) < 0.05


def test_bundle_branch_blocks_look_like_themselves(records: tuple[np.ndarray, ...]) -> None:
    signals, labels, _ = records

    def around_r(name: str, lead: str) -> np.ndarray:
        chosen = signals[labels[:, CODE.classes.index(name)] == 1]
        cut = [x[LEAD[lead], p - 10 : p + 20] for x in chosen for p in beats(x)[1:-1]]
        middle: np.ndarray = np.median(np.array(cut), axis=0)
        return middle

    # Late forces: to the right (up in V1) in RBBB, to the left (up in I) in LBBB.
    assert around_r("RBBB", "V1")[12:18].max() > 0.15
    assert around_r("LBBB", "V1")[5:18].max() < 0.15
    assert around_r("LBBB", "I")[10:18].max() > 0.2


@pytest.mark.parametrize("cohort", [CODE, SHIFTED], ids=lambda c: c.name)
def test_labels_follow_the_stated_probabilities(cohort: Cohort) -> None:
    labels = make_records(cohort.name, 0, "train", 0, 1500, 100, 500)[1]
    p = np.array(
        [probabilities(cohort, make_visit(cohort, 0, "train", i, 5.0)[0].findings)
         for i in range(1500)]
    )  # fmt: skip
    z = (labels.sum(axis=0) - p.sum(axis=0)) / np.sqrt((p * (1 - p)).sum(axis=0))
    assert np.abs(z).max() < 3.5
    assert p.min() >= cohort.flip - 1e-12
    prevalence = labels.mean(axis=0)
    assert prevalence.min() > 0.03
    assert prevalence.max() < 0.4


@pytest.fixture(scope="module")
def quick_bayes() -> dict[str, dict[str, object]]:
    patch = pytest.MonkeyPatch()
    patch.setattr(bayes, "ENTROPY_RECORDS", 1600)
    patch.setattr(bayes, "POSTERIOR_RECORDS", 40)
    found = {c.name: c.bayes_loss(100, 500, 0, 800) for c in (CODE, SHIFTED)}
    patch.undo()
    return found


@pytest.mark.parametrize("cohort", [CODE, SHIFTED], ids=lambda c: c.name)
def test_bayes_loss_lies_between_its_bound_and_the_prior(
    cohort: Cohort, quick_bayes: dict[str, dict[str, object]]
) -> None:
    found = quick_bayes[cohort.name]
    value, bound = found["value"], found["lower_bound"]
    assert isinstance(value, float)
    assert isinstance(bound, float)
    m = make_records(cohort.name, 0, "train", 0, 400, 100, 500)[1].mean(axis=0)
    assert bound <= value < bayes.entropy(m).mean()
    # Flips alone give this much; the rest is disagreement at the thresholds.
    assert bound > bayes.entropy(np.array(cohort.flip))
    test = found["test"]
    assert isinstance(test, dict)
    assert test["value"] == pytest.approx(value, abs=0.02)


def test_no_model_beats_the_bayes_loss_by_knowing_the_findings() -> None:
    # The loss of the true probabilities on sampled labels is the entropy, by definition.
    cohort, n = CODE, 2000
    p = np.array(
        [probabilities(cohort, make_visit(cohort, 0, "bayes", i, 5.0)[0].findings)
         for i in range(n)]
    )  # fmt: skip
    y = np.random.default_rng(0).random(p.shape) < p
    sampled = -np.log(np.where(y, p, 1 - p))
    expected = bayes.entropy(p).mean()
    assert sampled.mean() == pytest.approx(expected, abs=4 * sampled.mean(1).std() / np.sqrt(n))


def test_noise_costs_more_where_the_signal_says_less() -> None:
    # Ten times the noise must hide more of the findings, never less.
    import dataclasses

    noisy = dataclasses.replace(CODE, device=dataclasses.replace(CODE.device, muscle_mv=0.2))
    quiet_cost = [bayes._lost_to_noise(CODE, 0, i, 100, 500).mean() for i in range(25)]
    noisy_cost = [bayes._lost_to_noise(noisy, 0, i, 100, 500).mean() for i in range(25)]
    assert min(quiet_cost) >= 0
    assert np.mean(noisy_cost) > 3 * np.mean(quiet_cost)
