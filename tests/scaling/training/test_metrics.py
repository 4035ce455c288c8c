"""Metrics against scikit-learn and by hand; the probe against a known optimum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from scaling.evaluation.probe import Features, fit_probe
from scaling.objectives.labels import binary_loss, prior_logits
from scaling.records.patients import mean_and_se
from tests.scaling.areas import auroc, macro_auroc, macro_auroc_se


def test_auroc_equals_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = rng.random(50) < 0.3
        labels[:2] = [True, False]
        scores = rng.integers(0, 8, 50).astype(float)
        assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_labels_with_one_class_are_left_out_of_the_mean() -> None:
    scores = np.array([[0.1, 0.5], [0.9, 0.5]])
    labels = np.array([[False, True], [True, True]])
    assert macro_auroc(scores, labels) == 1.0
    assert math.isnan(macro_auroc(scores[:, 1:], labels[:, 1:]))


def test_bootstrap_by_patient_is_wider_when_records_repeat() -> None:
    rng = np.random.default_rng(1)
    labels = rng.random((60, 1)) < 0.5
    scores = labels + rng.normal(size=(60, 1))
    alone = macro_auroc_se(scores, labels, np.arange(60))
    fourfold = np.repeat(np.arange(60), 4)
    grouped = macro_auroc_se(np.repeat(scores, 4, 0), np.repeat(labels, 4, 0), fourfold)
    pretending = macro_auroc_se(np.repeat(scores, 4, 0), np.repeat(labels, 4, 0), np.arange(240))
    assert grouped == pytest.approx(alone, rel=0.25)
    assert pretending < 0.75 * grouped


def test_clustered_se_of_single_records_is_the_usual_one() -> None:
    x = np.random.default_rng(2).normal(size=200)
    mean, se = mean_and_se(x, np.arange(200))
    assert mean == x.mean()
    assert se == pytest.approx(x.std(ddof=1) / math.sqrt(200))
    assert math.isnan(mean_and_se(x, np.zeros(200, np.int64))[1])


def test_cross_entropy_by_hand() -> None:
    logits, labels = torch.tensor([[0.0, 100.0]]), torch.tensor([[1.0, 1.0]])
    assert float(binary_loss(logits, labels)) == pytest.approx(math.log(2) / 2)


def test_prior_logits_stay_finite_without_positives() -> None:
    labels = torch.zeros(10, 1)
    assert float(torch.sigmoid(prior_logits(labels))) == pytest.approx(0.5 / 11)


def test_the_probe_reaches_the_optimum_of_logistic_regression() -> None:
    rng = np.random.default_rng(3)
    # Columns of very different scale: standardisation must make that harmless.
    x = rng.normal(size=(1200, 3)) * np.array([1.0, 100.0, 0.01]) + 5.0
    score = (x - 5.0) / np.array([1.0, 100.0, 0.01]) @ np.array([1.0, -2.0, 0.5])
    y = (rng.random(1200) < 1 / (1 + np.exp(-score))).astype(np.float32)[:, None]
    train, validation = (
        Features(x=torch.from_numpy(x[s]).float(), y=torch.from_numpy(y[s]))
        for s in (slice(0, 800), slice(800, 1200))
    )
    layer = fit_probe(train, validation)
    with torch.no_grad():
        ours = float(binary_loss(layer(validation.x), validation.y))
    standard = (x - x[:800].mean(0)) / x[:800].std(0)
    reference = LogisticRegression(C=1e6).fit(standard[:800], y[:800, 0])
    best = log_loss(y[800:, 0], reference.predict_proba(standard[800:])[:, 1])
    assert ours == pytest.approx(best, rel=0.02)


def by_torch(train: Features, validation: Features, seed: int) -> torch.nn.Linear:
    """The same probe by autograd and ``torch.optim.Adam``, on standardised features."""
    layer = torch.nn.Linear(train.x.shape[1], train.y.shape[1])
    torch.nn.init.zeros_(layer.weight)
    layer.bias.data.copy_(prior_logits(train.y))
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(seed)
    best, stale, kept = math.inf, 0, {}
    for _ in range(200):
        for rows in torch.split(torch.randperm(len(train.x), generator=generator), 128):
            value = binary_loss(layer(train.x[rows]), train.y[rows])
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            reached = float(binary_loss(layer(validation.x), validation.y))
        if reached < best:
            best, stale = reached, 0
            kept = {k: v.clone() for k, v in layer.state_dict().items()}
        else:
            stale += 1
        if stale >= 5:
            break
    layer.load_state_dict(kept)
    return layer


def test_the_probe_is_adam_with_early_stopping() -> None:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(300, 5, generator=generator)
    y = (x[:, :2] + torch.randn(300, 2, generator=generator) > 0.5).float()
    x = (x - x[:200].mean(dim=0)) / x[:200].std(dim=0)
    train, validation = (Features(x=x[s], y=y[s]) for s in (slice(0, 200), slice(200, 300)))
    ours, reference = fit_probe(train, validation, 7), by_torch(train, validation, 7)
    assert torch.allclose(ours.weight, reference.weight, atol=1e-5)
    assert torch.allclose(ours.bias, reference.bias, atol=1e-5)
    assert not torch.allclose(ours.weight, fit_probe(train, validation, 8).weight, atol=1e-5)
