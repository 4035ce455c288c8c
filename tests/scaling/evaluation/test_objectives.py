"""Every objective has a held-out loss, and those on labels have metrics; stages as well."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from scaling.data import batches as data
from scaling.data.batches import Split
from scaling.evaluation import held_out as measuring
from scaling.evaluation.trained import load_trained
from scaling.identity import Evaluation, Job, Parent, Training
from scaling.records.names import METHODS
from scaling.training import selection
from scaling.trial import run_job
from scaling.workspace import Workspace
from tests.scaling.evaluation.pieces import OTHER, Record, held_out, measured, probe, value
from tests.scaling.training.trials import CODEBOOK, SUPERVISED, TRAINED, of_objective

ON_LABELS = ("supervised", "focal", "categorical", *METHODS)


def one_label_each(*words: Any, **named: Any) -> Split:
    split = data.split_of(*words, **named)
    n, classes = split.labels.shape
    split.labels = torch.nn.functional.one_hot(torch.arange(n) % classes, classes).float()
    return split


def run(place: Workspace, training: Training, *more: Evaluation) -> list[Record]:
    """Evaluation records of a trial, the held-out one first."""
    own = held_out(training, corpus=training.corpus, task=training.task)
    trained, *records = run_job(Job(training=training, evaluations=(own, *more)), place)
    assert trained["error"] is None, trained["error"]["traceback"]
    return records


@pytest.mark.parametrize("name", TRAINED)
def test_every_objective_has_its_loss_on_three_splits(
    name: str, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "categorical":
        for module in (selection, measuring):
            monkeypatch.setattr(module, "split_of", one_label_each)
    training = dataclasses.replace(of_objective(name), seed=1)
    (record,) = run(place, training)
    found = measured(record)
    assert {s for p, s, m in found if (p, m) == ("held-out", "loss")} == {
        "train",
        "validation",
        "test",
    }
    assert ("best-test", "test", "loss") in found
    trained = place.finished(training.id)
    assert trained is not None
    curve = trained["curve"]
    (step,) = {row["step"] for row in record["values"] if row["protocol"] == "held-out"}
    (expected,) = [r["value"] for r in curve if (r["step"], r["split"]) == (step, "validation")]
    # The test split of the curve is all of these 16 records, so both must agree as well.
    assert value(record, split="validation", metric="loss") == pytest.approx(expected, rel=1e-5)
    metrics = {m for p, s, m in found if s == "test"}
    assert ("macro_auroc" in metrics) == (name in ON_LABELS)
    assert ("bce" in metrics) == (name == "focal")
    assert ("perplexity" in metrics) == (name == "codebook")


def test_plain_cross_entropy_stands_beside_a_focal_loss(place: Workspace) -> None:
    (record,) = run(place, of_objective("focal"))
    for split in ("train", "validation", "test"):
        plain = value(record, split=split, metric="bce")
        assert plain > value(record, split=split, metric="loss", protocol="held-out")


def test_a_codebook_says_how_well_it_codes(place: Workspace) -> None:
    (record,) = run(place, dataclasses.replace(CODEBOOK, seed=1))
    assert 1 <= value(record, metric="perplexity") <= 256
    assert 0 < value(record, metric="codes_used") <= 1
    assert value(record, metric="mse") > 0
    assert value(record, metric="mse_kmeans") > 0


@pytest.mark.parametrize("name", ["supervised", "focal"])
def test_core_classes_of_a_label_set_are_measured_apart(name: str, place: Workspace) -> None:
    training = dataclasses.replace(of_objective(name), label_set="dominant-0.5")
    asked = held_out(training, predictions=True)
    trained, record = run_job(Job(training=training, evaluations=(asked,)), place)
    assert trained["trial"]["num_labels"] == 3
    kept = load_trained(
        training, trained, place.weights_of(training.id), place, torch.device("cpu")
    )
    assert (len(kept.classes), len(kept.core)) == (3, 1)
    assert value(record, split="test", metric="classes_used") <= 3
    core = value(record, split="test", metric="loss_core")
    assert core != value(record, split="test", metric="loss", protocol="held-out")
    assert 0 <= value(record, split="test", metric="macro_auroc_core") <= 1
    assert ("held-out", "train", "loss_core") in measured(record)


def test_without_a_label_set_nothing_is_measured_apart(place: Workspace) -> None:
    (record,) = run(place, dataclasses.replace(SUPERVISED, seed=2))
    assert not {m for _, _, m in measured(record) if m.endswith("_core")}


def test_a_finetuned_model_is_measured_like_any_supervised_one(place: Workspace) -> None:
    finetuned = dataclasses.replace(
        SUPERVISED,
        stage="finetune",
        corpus=OTHER,
        task="flags",
        parents=(Parent("start", SUPERVISED.id),),
    )
    own, probed = run(place, finetuned, probe(training=finetuned))
    assert {row["task"] for row in own["values"]} == {"virtual/echonext:flags"}
    assert ("held-out", "test", "macro_f1") in measured(own)
    assert ("held-out", "train", "loss") in measured(own)
    assert ("linear-probe", "test", "macro_f1") in measured(probed)


def test_few_trained_labels_are_the_training_records_measured(place: Workspace) -> None:
    training = dataclasses.replace(SUPERVISED, labels_fraction=0.5)
    (record,) = run(place, training)
    (row,) = [r for r in record["values"] if r["split"] == "train"]
    assert row["n"] == 12


def test_another_task_has_no_training_records_to_measure(place: Workspace) -> None:
    training = dataclasses.replace(of_objective("contrastive"), corpus=OTHER, task="flags")
    (same,) = run(place, training)
    other = held_out(training, corpus=OTHER, task="shd")
    (record,) = run_job(Job(training=training, evaluations=(other,)), place)
    assert {s for p, s, _ in measured(same) if p == "held-out"} == {"train", "validation", "test"}
    assert {s for p, s, _ in measured(record) if p == "held-out"} == {"validation", "test"}


def test_predictions_of_what_predicts_no_labels_are_refused(place: Workspace) -> None:
    contrastive = of_objective("contrastive")
    asked = held_out(contrastive, predictions=True)
    _, record = run_job(Job(training=contrastive, evaluations=(asked,)), place)
    assert "objective contrastive predicts no labels" in record["error"]["message"]


def test_a_lost_codebook_is_named_by_what_needs_it(place: Workspace) -> None:
    masked = of_objective("masked")
    run_job(Job(training=masked), place)
    place.weights_of(CODEBOOK.id).unlink()
    own, probed = run_job(
        Job(training=masked, evaluations=(held_out(masked), probe(training=masked))), place
    )
    assert f"parent {CODEBOOK.id}" in own["error"]["message"]
    assert probed["error"] is None  # features need no codebook
