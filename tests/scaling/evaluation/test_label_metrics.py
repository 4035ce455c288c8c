"""Label metrics against scikit-learn, and what happens to classes that are not there."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from scaling.evaluation.measure import (
    Scored,
    f1_thresholds,
    is_single_label,
    label_metrics,
    label_rows,
)
from scaling.objectives.labels import Categorical
from scaling.records.patients import Resamples

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


def made(n: int = 300, classes: int = 4, seed: int = 0) -> tuple[Scores, Labels]:
    rng = np.random.default_rng(seed)
    labels = rng.random((n, classes)) < np.linspace(0.1, 0.5, classes)
    return labels * 1.2 + rng.normal(size=(n, classes)) - 0.5, labels


def measured(scores: Scores, labels: Labels, thresholds: Scores | None = None) -> dict[str, float]:
    if thresholds is None:
        thresholds = f1_thresholds(scores, labels)
    resamples = Resamples.draw(np.arange(len(scores)))
    single = is_single_label(labels)
    found = label_metrics(scores, labels, thresholds, resamples, single_label=single)
    return {name: estimate.value for name, estimate in found.items()}


def test_macro_metrics_equal_scikit_learn() -> None:
    scores, labels = made()
    thresholds = np.array([0.3, -0.2, 0.0, 0.7])
    found, predicted = measured(scores, labels, thresholds), scores >= thresholds
    assert found["macro_auroc"] == pytest.approx(roc_auc_score(labels, scores))
    macro = {"average": "macro", "zero_division": 0.0}
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, **macro))
    assert found["macro_precision"] == pytest.approx(precision_score(labels, predicted, **macro))
    assert found["macro_recall"] == pytest.approx(recall_score(labels, predicted, **macro))
    assert found["accuracy"] == pytest.approx((predicted == labels).mean())
    assert found["classes_used"] == 4


def test_nothing_predicted_is_a_precision_of_zero() -> None:
    scores, labels = made(classes=1)
    found = measured(scores, labels, np.array([1e9]))
    assert (found["macro_precision"], found["macro_recall"], found["macro_f1"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_class_without_positives_or_negatives_is_left_out(everywhere: bool) -> None:
    scores, labels = made()
    thresholds = f1_thresholds(scores, labels)
    labels[:, 1] = everywhere
    kept = [0, 2, 3]
    found = measured(scores, labels, thresholds)
    without = measured(scores[:, kept], labels[:, kept], thresholds[kept])
    assert found.pop("classes_used") == 3
    assert found.pop("accuracy") == pytest.approx(
        ((scores >= thresholds) == labels).mean()
    )  # of all classes
    assert found == {name: pytest.approx(without[name]) for name in found}


def test_without_any_class_left_macro_metrics_are_nan_and_accuracy_is_not() -> None:
    scores, labels = made(classes=2)
    found = measured(scores, np.zeros_like(labels))
    assert found["classes_used"] == 0
    assert math.isnan(found["macro_auroc"]) and math.isnan(found["macro_f1"])
    assert 0 <= found["accuracy"] <= 1


def best_f1(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    return max(float(f1_score(labels, scores >= t)) for t in np.unique(scores))


@pytest.mark.parametrize("levels", [3, 1000])
def test_thresholds_have_the_best_f1_there_is(levels: int) -> None:
    scores, labels = made(80)
    scores = np.round(scores * levels / 4)  # ties are predicted alike
    thresholds = f1_thresholds(scores, labels)
    for c, threshold in enumerate(thresholds):
        reached = f1_score(labels[:, c], scores[:, c] >= threshold)
        assert reached == pytest.approx(best_f1(scores[:, c], labels[:, c]))


def test_of_equally_good_thresholds_the_highest_is_taken() -> None:
    scores = np.array([[3.0], [2.0], [1.0], [0.0]])
    labels = np.array([[True], [False], [False], [True]])  # 2/3 at 3.0, and again at 0.0
    assert f1_thresholds(scores, labels).tolist() == [3.0]


def test_a_class_without_validation_positives_gets_even_odds() -> None:
    scores, labels = made(classes=2)
    labels[:, 0] = False
    thresholds = f1_thresholds(scores, labels)
    assert thresholds[0] == 0.0
    assert thresholds[1] != 0.0


def test_a_single_label_task_has_the_accuracy_of_its_first_choice() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 200)
    labels = np.eye(3, dtype=bool)[truth]
    logits = labels * 1.0 + rng.normal(size=(200, 3))
    scores = Categorical({}).scores(torch.from_numpy(logits)).numpy()
    assert is_single_label(labels)
    assert measured(scores, labels)["accuracy"] == accuracy_score(truth, logits.argmax(axis=1))
    assert not is_single_label(labels[:, :1])
    labels[0, :2] = True
    assert not is_single_label(labels)


def test_log_odds_are_those_of_the_softmax_and_finite() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [900.0, 0.0, -900.0]])
    found = Categorical({}).scores(logits)
    p = logits[0].double().softmax(dim=0)
    assert found[0].tolist() == pytest.approx((p / (1 - p)).log().tolist())
    assert bool(found.isfinite().all())
    assert found[1].argmax() == 0


def scored(seed: int) -> Scored:
    scores, labels = made(seed=seed)
    return Scored(
        rows_N=np.arange(len(scores)),
        patients_N=np.arange(len(scores)) // 2,
        losses={"loss": torch.from_numpy(scores[:, 0]).float()},
        scores_NC=scores,
        labels_NC=labels,
    )


def test_rows_of_test_use_the_thresholds_of_validation() -> None:
    splits = {"validation": scored(0), "test": scored(1)}
    rows = {(r["split"], r["metric"]): r for r in label_rows(splits, [0, 2])}
    thresholds = f1_thresholds(splits["validation"].scores_NC, splits["validation"].labels_NC)
    test = splits["test"]
    expected = measured(test.scores_NC, test.labels_NC, thresholds)
    for metric, value in expected.items():
        assert rows["test", metric]["value"] == pytest.approx(value)
    assert expected["macro_f1"] < measured(test.scores_NC, test.labels_NC)["macro_f1"]
    core = roc_auc_score(test.labels_NC[:, [0, 2]], test.scores_NC[:, [0, 2]])
    assert rows["test", "macro_auroc_core"]["value"] == pytest.approx(core)


def test_rows_have_intervals_around_their_values_and_counts_have_none() -> None:
    for row in label_rows({"validation": scored(0), "test": scored(1)}):
        assert row["n"] == 300
        if row["metric"] == "classes_used":
            assert row["value_se"] is None
            assert "low" not in row
        else:
            assert row["low"] < row["value"] < row["high"]
            assert row["high"] - row["low"] == pytest.approx(4 * row["value_se"], rel=0.3)
