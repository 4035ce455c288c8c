"""Evaluations that ask for multi-label metrics, and those that do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import coverage_error, fbeta_score, label_ranking_loss, roc_auc_score

from scaling.data.batches import open_corpus
from scaling.evaluation.multilabel import BESIDE
from scaling.identity import Evaluation, Job
from scaling.records.multilabel import f_beta_thresholds
from scaling.trial import run_job
from scaling.workspace import Workspace
from tests.scaling.evaluation.pieces import evaluate, held_out, measured, probe, value
from tests.scaling.training.trials import of_objective


def kept(place: Workspace, evaluation: Evaluation) -> dict[str, np.ndarray]:
    with np.load(place.predictions_of(evaluation.id), allow_pickle=False) as file:
        return dict(file)


def test_rows_join_those_there_are_and_change_none(place: Workspace) -> None:
    for plain in (held_out(), probe()):
        asked = dataclasses.replace(plain, metrics="multilabel")
        assert asked.id != plain.id
        without, record = evaluate(place, plain, asked)
        more = {row[1:] for row in measured(record) - measured(without)}
        of_classes = {row for row in more if row[1].startswith("auroc:")}
        assert more - of_classes == {(s, m) for s in ("validation", "test") for m in BESIDE}
        names = {f"auroc:{name}" for name in open_corpus(asked.corpus, place).classes(asked.task)}
        assert {metric for _, metric in of_classes} <= names
        same = [row for row in record["values"] if row["metric"] in
                {r["metric"] for r in without["values"]}]  # fmt: skip
        assert [r["value"] for r in same] == pytest.approx(
            [r["value"] for r in without["values"]], rel=1e-5
        )


def test_values_are_those_of_the_predictions_kept(place: Workspace) -> None:
    """Thresholds of F2 are those of validation; a class that lacks a kind of record has no row."""
    asked = probe(metrics="multilabel", predictions=True)
    (record,) = evaluate(place, asked)
    arrays = kept(place, asked)
    logits, labels = arrays["logits"].astype(float), arrays["labels"] > 0
    first, test = arrays["split"] == 0, arrays["split"] == 1
    cuts, y, s = f_beta_thresholds(logits[first], labels[first], 2.0), labels[test], logits[test]
    both = [c for c in range(y.shape[1]) if 0 < y[:, c].sum() < len(y)]
    assert len(both) < y.shape[1]
    expected = {
        "ranking_loss": label_ranking_loss(y, s),
        "coverage": coverage_error(y, s),
        "macro_f2": fbeta_score(y[:, both], (s >= cuts)[:, both], beta=2.0, average="macro",
                                zero_division=0.0),
        **{f"auroc:{arrays['classes'][c]}": roc_auc_score(y[:, c], s[:, c]) for c in both},
    }  # fmt: skip
    for metric, number in expected.items():
        assert value(record, split="test", metric=metric) == pytest.approx(number, rel=1e-5)
    there = {m for _, split, m in measured(record) if split == "test" and m.startswith("auroc:")}
    assert there == {f"auroc:{arrays['classes'][c]}" for c in both}


def test_what_cannot_be_measured_so_is_refused(place: Workspace) -> None:
    contrastive = of_objective("contrastive")
    run_job(Job(training=contrastive), place)
    asked = held_out(contrastive, metrics="multilabel")
    (record,) = evaluate(place, asked, training=contrastive)
    assert "no labels are predicted, which 'multilabel' measures" in record["error"]["message"]
    (record,) = evaluate(place, probe(metrics="poetry"))
    assert "unknown metrics 'poetry'" in record["error"]["message"]
