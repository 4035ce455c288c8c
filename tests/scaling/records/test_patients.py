"""The weighted bootstrap against resampling that really repeats records."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from scaling.records.patients import Estimate, Resamples, divide, macro_auroc, mean_known


def repeated(weights_N: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(weights_N)), weights_N.astype(int))


def test_the_first_column_is_the_sample_itself() -> None:
    weights = Resamples.draw(np.arange(7), count=5).weights_NR
    assert weights.shape == (7, 6)
    assert (weights[:, 0] == 1).all()
    assert (weights[:, 1:].sum(axis=0) == 7).all()


def test_records_of_a_patient_stay_together() -> None:
    patients = np.array([4, 9, 4, 2, 9, 9])
    weights = Resamples.draw(patients, count=20).weights_NR
    for patient in (4, 9):
        rows = weights[patients == patient]
        assert (rows == rows[0]).all()
    # Three patients are drawn three times, however many records they have.
    firsts = weights[[0, 1, 3]]
    assert (firsts[:, 1:].sum(axis=0) == 3).all()


def test_blocks_of_resamples_are_the_resamples() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.normal(size=(30, 2)), rng.random((30, 2)) < 0.4
    whole = Resamples.draw(rng.integers(0, 12, 30), count=9)
    blocks = list(whole.parts(60))
    assert [b.weights_NR.shape[1] for b in blocks] == [2, 2, 2, 2, 2]
    found = np.concatenate([macro_auroc(scores, labels, block) for block in blocks])
    np.testing.assert_array_equal(found, macro_auroc(scores, labels, whole))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_auroc_of_a_resample_is_that_of_the_repeated_records(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, 30).astype(float)  # with many ties
    labels = rng.random(30) < 0.4
    resamples = Resamples.draw(rng.integers(0, 12, 30), seed, count=6)
    found = resamples.auroc(scores, labels)
    for r, weights in enumerate(resamples.weights_NR.T):
        rows = repeated(weights)
        if len(set(labels[rows])) < 2:
            assert math.isnan(found[r])
        else:
            expected = roc_auc_score(labels[rows], scores[rows])
            assert found[r] == pytest.approx(expected, abs=1e-12)


def test_means_and_counts_are_those_of_the_repeated_records() -> None:
    rng = np.random.default_rng(3)
    values, flags = rng.normal(size=40), rng.random((40, 3)) < 0.5
    resamples = Resamples.draw(rng.integers(0, 15, 40), count=8)
    means, sums = resamples.mean(values), resamples.sums(flags)
    for r, weights in enumerate(resamples.weights_NR.T):
        rows = repeated(weights)
        assert means[r] == pytest.approx(values[rows].mean())
        assert sums[r].tolist() == flags[rows].sum(axis=0).tolist()


def test_a_single_patient_has_a_value_and_no_interval() -> None:
    found = Estimate.of(Resamples.draw(np.zeros(5, np.int64)).mean(np.arange(5.0)))
    assert found.value == 2.0
    assert all(math.isnan(x) for x in (found.se, found.low, found.high))


def test_the_interval_of_a_mean_is_the_usual_one() -> None:
    x = np.random.default_rng(4).normal(size=400)
    found = Estimate.of(Resamples.draw(np.arange(400), count=2000).mean(x))
    half = 1.96 * x.std(ddof=1) / 20
    assert found.se == pytest.approx(half / 1.96, rel=0.1)
    assert found.low == pytest.approx(x.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(x.mean() + half, abs=0.15 * half)


def test_resamples_without_a_value_are_left_out_of_the_interval() -> None:
    found = Estimate.of(np.array([0.5, math.nan, 0.4, 0.6]))
    assert found.value == 0.5
    assert found.se == pytest.approx(0.1 * math.sqrt(2))
    assert math.isnan(Estimate.of(np.array([0.5, math.nan, 0.4])).se)


def test_quotients_and_means_of_nothing_are_nan_without_a_warning() -> None:
    assert math.isnan(divide(np.array([1.0]), np.array([0.0]))[0])
    values = np.array([[1.0, math.nan], [2.0, 4.0], [1.0, 1.0]])
    known = np.array([[True, False], [True, True], [False, False]])
    found = mean_known(values, known)
    assert found[:2].tolist() == [1.0, 3.0]
    assert math.isnan(found[2])
