"""Multi-label metrics against scikit-learn, on records as they are and on repeated ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    coverage_error,
    f1_score,
    fbeta_score,
    label_ranking_loss,
    roc_auc_score,
)

from scaling.records.multilabel import (
    METRICS,
    FThresholds,
    coverages,
    f_beta_thresholds,
    multilabel_metrics,
    ranking_losses,
)
from scaling.records.patients import Resamples, macro_auroc

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]
CLASSES = ("NORM", "1AVB: 2nd, high", "auroc:x", "ST/T @fold1")


def made(n: int = 60, classes: int = 4, seed: int = 0, levels: int = 4) -> tuple[Scores, Labels]:
    """Scores of few levels, so with many ties; among the records one of no class and one of all."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n, classes)) < np.linspace(0.2, 0.6, classes)
    labels[0], labels[1] = False, True
    scores = np.round(levels / 4 * (labels + rng.normal(size=(n, classes)))) / 3
    return scores, labels


def by_scikit_learn(scores: Scores, labels: Labels, cuts: FThresholds) -> dict[str, float]:
    """The same, of the classes that have both; records are all of them."""
    both = [c for c in range(labels.shape[1]) if 0 < labels[:, c].sum() < len(labels)]
    y, s = labels[:, both], scores[:, both]

    def f(name: str, beta: float) -> float:
        called = scores >= getattr(cuts, name)
        rows = called[:, both]
        return float(fbeta_score(y, rows, beta=beta, average="macro", zero_division=0.0))

    return {
        "ranking_loss": float(label_ranking_loss(labels, scores)),
        "coverage": float(coverage_error(labels, scores)),
        "map": float(average_precision_score(y, s, average="macro")),
        "macro_auroc": float(roc_auc_score(y, s, average="macro")),
        "macro_f1": f("f1", 1.0), "macro_f2": f("f2", 2.0), "macro_f1_s2": f("f2", 1.0),
    }  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 5, 1000]))
def test_all_equal_scikit_learn_with_ties(seed: int, levels: int) -> None:
    scores, labels = made(seed=seed, levels=levels)
    cuts = FThresholds.choose(*made(seed=seed + 1, levels=levels))
    once = Resamples(np.ones((len(scores), 1), np.float32))
    found = multilabel_metrics(scores, labels, cuts, once, classes=CLASSES)
    assert list(found) == [*METRICS, *(f"auroc:{name}" for name in CLASSES)]
    for name, expected in by_scikit_learn(scores, labels, cuts).items():
        assert found[name][0] == pytest.approx(expected, abs=1e-12), name
    for c, name in enumerate(CLASSES):
        expected = roc_auc_score(labels[:, c], scores[:, c])
        assert found[f"auroc:{name}"][0] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_a_resample_is_the_repeated_records(seed: int) -> None:
    scores, labels = made(n=24, seed=seed)
    cuts = FThresholds.choose(scores, labels)
    resamples = Resamples.draw(np.arange(24) // 2, seed, count=5)
    found = multilabel_metrics(scores, labels, cuts, resamples)
    for r, weights in enumerate(resamples.weights_NR.T):
        rows = np.repeat(np.arange(24), weights.astype(int))
        for name, expected in by_scikit_learn(scores[rows], labels[rows], cuts).items():
            assert found[name][r] == pytest.approx(expected, abs=1e-12), (name, r)


def test_blocks_of_resamples_and_single_metrics_are_the_same_numbers() -> None:
    scores, labels = made(n=80)
    cuts = FThresholds.choose(scores, labels)
    resamples = Resamples.draw(np.arange(80) // 3, count=30)
    whole = multilabel_metrics(scores, labels, cuts, resamples, classes=CLASSES)
    blocks = [
        multilabel_metrics(scores, labels, cuts, part, classes=CLASSES)
        for part in resamples.parts(800)
    ]
    assert len(blocks) == 4
    for name, values in whole.items():
        np.testing.assert_allclose(np.concatenate([b[name] for b in blocks]), values, rtol=1e-12)
    for name in METRICS:
        (alone,) = multilabel_metrics(scores, labels, cuts, resamples, [name]).items()
        assert alone[0] == name
        np.testing.assert_array_equal(alone[1], whole[name])
    np.testing.assert_array_equal(whole["macro_auroc"], macro_auroc(scores, labels, resamples))


def test_pairs_and_ranks_of_records_written_out() -> None:
    labels = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 0]]) > 0
    scores = np.array([
        [4.0, 3.0, 2.0, 1.0],  # of four pairs one is lost: the third class to the second
        [4.0, 3.0, 2.0, 1.0],  # nothing to find
        [4.0, 3.0, 2.0, 1.0],  # nothing to lose
        [1.0, 1.0, 0.0, 0.0],  # a tie is a pair lost
        [-1.0, -2.0, -3.0, -4.0],
    ])  # fmt: skip
    assert ranking_losses(scores, labels).tolist() == [0.25, 0.0, 0.0, 1 / 3, 2 / 3]
    assert coverages(scores, labels).tolist() == [3.0, 0.0, 4.0, 2.0, 3.0]


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_class_without_positives_or_negatives_is_in_no_mean_over_classes(
    everywhere: bool,
) -> None:
    scores, labels = made()
    labels[:, 2] = everywhere
    cuts = FThresholds.choose(*made(seed=1))
    once, kept = Resamples(np.ones((60, 1), np.float32)), [0, 1, 3]
    found = multilabel_metrics(scores, labels, cuts, once, classes=CLASSES)
    assert "auroc:auroc:x" not in found and "auroc:ST/T @fold1" in found
    fewer = FThresholds(f1=cuts.f1[kept], f2=cuts.f2[kept])
    without = multilabel_metrics(scores[:, kept], labels[:, kept], fewer, once)
    for name in ("map", "macro_auroc", "macro_f1", "macro_f2", "macro_f1_s2"):
        assert found[name][0] == pytest.approx(without[name][0], abs=1e-12)
    assert found["coverage"][0] == pytest.approx(coverage_error(labels, scores), abs=1e-12)


def test_without_any_class_left_means_over_classes_are_nan() -> None:
    scores, labels = made()
    none = np.zeros_like(labels)
    cuts, once = FThresholds.choose(scores, labels), Resamples(np.ones((60, 1), np.float32))
    found = multilabel_metrics(scores, none, cuts, once, classes=CLASSES)
    assert list(found) == list(METRICS)
    assert found["ranking_loss"][0] == found["coverage"][0] == 0.0
    assert all(math.isnan(found[name][0]) for name in ("map", "macro_auroc", "macro_f2"))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_thresholds_have_the_best_f_there_is(beta: float) -> None:
    scores, labels = made()
    for c, threshold in enumerate(f_beta_thresholds(scores, labels, beta)):
        y, s = labels[:, c], scores[:, c]
        reached = fbeta_score(y, s >= threshold, beta=beta)
        best = [float(fbeta_score(y, s >= t, beta=beta)) for t in np.unique(s)]
        assert reached == pytest.approx(max(best), abs=1e-12)
        assert threshold == max(t for t, f in zip(np.unique(s), best, strict=True) if f >= reached)


def test_f2_is_content_with_lower_thresholds_which_cost_f1() -> None:
    scores, labels = made(n=400, levels=1000)
    cuts = FThresholds.choose(scores, labels)
    assert (cuts.f2 <= cuts.f1).all() and (cuts.f2 < cuts.f1).any()
    once = Resamples(np.ones((400, 1), np.float32))
    found = multilabel_metrics(scores, labels, cuts, once)
    expected = f1_score(labels, scores >= cuts.f2, average="macro")
    assert found["macro_f1_s2"][0] == pytest.approx(expected, abs=1e-12)
    assert found["macro_f1_s2"] < found["macro_f1"]


def test_records_may_have_thresholds_of_their_own() -> None:
    """Those of the fold that each was tested in."""
    scores, labels = made()
    two = [FThresholds.choose(*made(seed=seed)) for seed in (3, 4)]
    fold = np.arange(60) % 2
    cuts = FThresholds(
        f1=np.stack([two[0].f1, two[1].f1])[fold], f2=np.stack([two[0].f2, two[1].f2])[fold]
    )
    called = np.where(fold[:, None] == 0, scores >= two[0].f2, scores >= two[1].f2)
    once = Resamples(np.ones((60, 1), np.float32))
    found = multilabel_metrics(scores, labels, cuts, once, ["macro_f2"])
    expected = fbeta_score(labels, called, beta=2.0, average="macro")
    assert found["macro_f2"][0] == pytest.approx(expected, abs=1e-12)


def test_a_metric_that_there_is_not_is_named() -> None:
    scores, labels = made()
    cuts, once = FThresholds.choose(scores, labels), Resamples(np.ones((60, 1), np.float32))
    with pytest.raises(KeyError, match="no metric 'auc'; there are ranking_loss, coverage"):
        multilabel_metrics(scores, labels, cuts, once, ["map", "auc"])
