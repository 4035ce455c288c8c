"""One pass over all evaluations of a training: what is shared, and what fails alone."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scaling.corpora.format.corpus import Corpus
from scaling.data.batches import open_corpus, predict, split_of
from scaling.evaluation import evaluator
from scaling.evaluation.evaluator import evaluate_all
from scaling.evaluation.probe import Features, FeatureStore, fit_probe, measure_probe
from scaling.evaluation.trained import load_trained
from scaling.identity import Evaluation, Job, Training
from scaling.models.families import build
from scaling.objectives.labels import binary_loss
from scaling.provenance import protocol_name
from scaling.trial import run_job
from scaling.weights import WeightsError, load_weights
from scaling.workspace import Workspace
from tests.scaling.evaluation.pieces import OTHER, evaluate, held_out, measured, probe, value
from tests.scaling.training.trials import BASIC, SUPERVISED, of_objective

LABEL_METRICS = {
    "loss", "macro_auroc", "macro_f1", "accuracy", "macro_precision", "macro_recall",
    "classes_used",
}  # fmt: skip


def test_held_out_has_every_metric_and_the_training_loss(place: Workspace) -> None:
    (record,) = evaluate(place, held_out())
    found = measured(record)
    for split in ("validation", "test"):
        assert {m for p, s, m in found if (p, s) == ("held-out", split)} == LABEL_METRICS
    assert {m for p, s, m in found if (p, s) == ("held-out", "train")} == {"loss"}
    assert ("best-test", "test", "loss") in found
    assert {row["n"] for row in record["values"] if row["split"] == "train"} == {24}


def test_the_training_loss_is_of_the_records_trained_on(place: Workspace) -> None:
    (record,) = evaluate(place, held_out())
    corpus = open_corpus(BASIC, place)
    split = split_of(corpus, corpus.subset("", SUPERVISED.data), "", torch.device("cpu"))
    from scaling.models.families import build
    from scaling.objectives.labels import Classifier

    model = Classifier(build("resnet", "d2w6"), 6)
    model.load_state_dict(load_weights(place.weights_of(SUPERVISED.id))[0])
    expected = float(binary_loss(predict(model, split), split.labels))
    assert value(record, split="train", metric="loss") == pytest.approx(expected, rel=1e-5)


def test_a_probe_is_the_one_of_its_features(place: Workspace) -> None:
    (record,) = evaluate(place, probe())
    corpus = open_corpus(OTHER, place)
    backbone = build("resnet", "d2w6")
    state = load_weights(place.weights_of(SUPERVISED.id))[0]
    backbone.load_state_dict(
        {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    )
    parts = {}
    for name in ("train", "validation", "test"):
        split = split_of(corpus, corpus.rows(name, "flags"), "flags", torch.device("cpu"))
        parts[name] = Features(x=predict(backbone, split), y=split.labels)
    layer = fit_probe(parts["train"], parts["validation"], SUPERVISED.seed)
    expected = float(binary_loss(layer(parts["test"].x), parts["test"].y))
    assert value(record, split="test", metric="loss") == pytest.approx(expected, rel=1e-4)


def test_a_class_without_positives_is_not_among_those_used(place: Workspace) -> None:
    (record,) = evaluate(place, probe())
    corpus = open_corpus(OTHER, place)
    for split in ("train", "test"):
        positives = corpus.labels("flags")[corpus.rows(split, "flags")].sum(axis=0)
        assert (positives == 0).any()
        assert value(record, split=split, metric="classes_used") == (positives > 0).sum()
    assert 0 <= value(record, split="test", metric="macro_auroc") <= 1


def test_features_of_a_corpus_are_extracted_once_for_all_its_tasks(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    extracted: list[tuple[str, int]] = []
    original = FeatureStore._extract

    def counted(self: FeatureStore, corpus: Corpus, rows: NDArray[np.int64]) -> torch.Tensor:
        extracted.append((corpus.spec.source, len(rows)))
        return original(self, corpus, rows)

    monkeypatch.setattr(FeatureStore, "_extract", counted)
    tasks = (probe("flags"), probe("shd"), probe("flags", labels_fraction=0.5))
    alone = [evaluate(place, one)[0] for one in tasks]
    extracted.clear()
    together = evaluate(place, *tasks, probe("", corpus=BASIC))
    sizes = (16, 16, 32)
    assert sorted(extracted) == [
        *(("virtual/basic", n) for n in sizes),
        *(("virtual/echonext", n) for n in sizes),
    ]
    for one, other in zip(alone, together, strict=False):
        for row, same in zip(one["values"], other["values"], strict=True):
            assert row["value"] == pytest.approx(same["value"], rel=1e-4, nan_ok=True)


def test_few_labels_are_a_protocol_of_their_own(place: Workspace) -> None:
    few = probe(labels_fraction=0.25)
    (record,) = evaluate(place, few)
    assert {row["protocol"] for row in record["values"]} == {"linear-probe@0.25"}
    (row,) = [r for r in record["values"] if r["split"] == "train"]
    assert (row["metric"], row["n"]) == ("classes_used", 8)
    assert row["value"] < 11
    whole, _ = evaluate(place, probe(), few)
    assert value(record, split="test", metric="loss") != value(whole, split="test", metric="loss")


def test_one_record_is_enough_to_fit_a_probe(place: Workspace) -> None:
    (record,) = evaluate(place, probe(labels_fraction=0.01))
    assert {r["n"] for r in record["values"] if r["split"] == "train"} == {1}
    assert np.isfinite(value(record, split="test", metric="loss"))


def test_what_goes_wrong_fails_alone(place: Workspace) -> None:
    bad = [
        probe("nonsense"),
        probe(protocol="poetry"),
        held_out(labels_fraction=0.5),
        probe(labels_fraction=2.0),
        probe(corpus=dataclasses.replace(OTHER, fs_hz=250, preprocessing="s1")),
    ]
    *failed, good, own = evaluate(place, *bad, probe(), held_out())
    messages = [record["error"]["message"] for record in failed]
    assert [record["status"] for record in failed] == ["failed"] * len(bad)
    for message, word in zip(
        messages,
        ("no task 'nonsense'", "unknown protocol 'poetry'", "only linear-probe", "in (0, 1]", ""),
        strict=True,
    ):
        assert word in message
    assert "fs_hz 250 instead of 100; preprocessing s1 instead of none" in messages[-1]
    assert good["status"] == own["status"] == "budget_limited"


def test_a_task_that_fails_half_way_leaves_the_others_of_its_corpus(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flaky(one: object, *rest: object) -> object:
        if getattr(one, "evaluation").task == "shd":  # noqa: B009 - any probe will do
            raise RuntimeError("out of luck")
        return measure_probe(one, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluator, "measure_probe", flaky)
    failed, good = evaluate(place, probe("shd"), probe("flags"))
    assert failed["error"]["message"] == "out of luck"
    assert good["values"]


def test_a_full_disk_is_not_the_evaluations_fault(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(evaluator, "save_predictions", full)
    with pytest.raises(OSError, match="No space left"):
        evaluate(place, probe(predictions=True))


def test_records_come_one_by_one(place: Workspace) -> None:
    records = evaluate_all((probe(), held_out()), SUPERVISED, place)
    assert next(records)["config"]["protocol"] == "held-out"
    assert next(records)["config"]["protocol"] == "linear-probe"


def test_a_trajectory_has_rows_at_every_kept_step(place: Workspace) -> None:
    along, best = evaluate(place, probe(checkpoint="trajectory"), probe())
    assert {row["protocol"] for row in along["values"]} == {"linear-probe-trajectory"}
    steps = {row["step"]: row["C"] for row in along["values"]}
    assert list(steps) == [3, 6, 9]
    macs = json.loads((place.spool / f"{SUPERVISED.id}.json").read_text())["trial"]["macs"]
    assert steps == {step: 6 * macs * 8 * step for step in steps}
    (at,) = {row["step"] for row in best["values"]}
    rows = [{k: r[k] for k in ("split", "metric", "value")} for r in best["values"]]
    assert rows == [
        {k: r[k] for k in ("split", "metric", "value")} for r in along["values"] if r["step"] == at
    ]


def test_steps_that_were_not_kept_say_what_to_do(place: Workspace) -> None:
    for path in place.trajectory(SUPERVISED.id).values():
        path.unlink()
    failed, good = evaluate(place, probe(checkpoint="trajectory"), probe())
    assert "delete the training's record to train it again" in failed["error"]["message"]
    assert good["values"]


def test_a_trajectory_with_a_gap_names_the_step(place: Workspace) -> None:
    place.trajectory(SUPERVISED.id)[6].unlink()
    failed, good = evaluate(place, probe(checkpoint="trajectory"), probe())
    assert "the weights of its steps 6 were not kept" in failed["error"]["message"]
    assert good["values"]


def test_weights_of_another_architecture_are_named(place: Workspace) -> None:
    other = dataclasses.replace(SUPERVISED, size="d2w12")
    run_job(Job(training=other), place)
    for suffix in (".safetensors", ".json"):
        wrong, right = (place.weights_of(t.id).with_suffix(suffix) for t in (SUPERVISED, other))
        shutil.copy(right, wrong)
    with pytest.raises(WeightsError, match="size d2w12 instead of d2w6"):
        evaluate(place, held_out())


def test_weights_that_do_not_fit_their_sidecar_are_named(place: Workspace) -> None:
    other = dataclasses.replace(SUPERVISED, size="d2w12")
    run_job(Job(training=other), place)
    shutil.copy(place.weights_of(other.id), place.weights_of(SUPERVISED.id))
    for record in evaluate(place, held_out()):
        assert "these are not weights of resnet d2w6" in record["error"]["message"]


def test_a_window_the_family_cannot_read_is_refused_by_name(place: Workspace) -> None:
    short = dataclasses.replace(OTHER, window_s=0.01)
    (record,) = evaluate(place, probe(corpus=short))
    message = record["error"]["message"]
    assert message.startswith(f"{SUPERVISED.id} cannot be measured on virtual/echonext:flags")


def test_another_window_is_read_where_the_family_can(place: Workspace) -> None:
    path = place.weights_of(SUPERVISED.id)
    trained = load_trained(SUPERVISED, {}, path, place, torch.device("cpu"))
    trained.check_reads(dataclasses.replace(BASIC, window_s=3.0), "")
    assert trained.backbone()(torch.zeros(2, 12, 300)).shape == (2, 6)


def test_a_diverged_training_without_weights_has_no_values(place: Workspace) -> None:
    path = place.spool / f"{SUPERVISED.id}.json"
    record = json.loads(path.read_text())
    record["trial"]["status"] = "diverged"
    path.write_text(json.dumps(record))
    place.weights_of(SUPERVISED.id).unlink()
    for found in evaluate(place, held_out(), probe()):
        assert (found["status"], found["values"]) == ("diverged", [])


def kept(place: Workspace, evaluation: Evaluation) -> dict[str, NDArray[np.generic]]:
    path = place.store / "predictions" / f"{evaluation.id}.npz"
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("make", [held_out, probe])
def test_predictions_are_those_that_were_measured(place: Workspace, make: type) -> None:
    from sklearn.metrics import roc_auc_score

    evaluation = make(predictions=True)
    (record,) = evaluate(place, evaluation)
    arrays = kept(place, evaluation)
    corpus = open_corpus(evaluation.corpus, place)
    assert arrays["split"].tolist() == [0] * 16 + [1] * 16
    assert arrays["record"].tolist() == [corpus.record_ids[int(r)] for r in arrays["row"]]
    assert arrays["patient"].tolist() == corpus.patients[arrays["row"]].tolist()
    assert tuple(arrays["classes"]) == corpus.classes(evaluation.task)
    assert (arrays["labels"] == corpus.labels(evaluation.task)[arrays["row"]]).all()
    assert arrays["logits"].dtype == np.float32
    test = arrays["split"] == 1
    labels, logits = arrays["labels"][test], arrays["logits"][test]
    both = [c for c in range(labels.shape[1]) if len(set(labels[:, c])) == 2]
    area = np.mean([roc_auc_score(labels[:, c], logits[:, c]) for c in both])
    assert value(record, split="test", metric="macro_auroc") == pytest.approx(area)
    assert value(record, split="test", metric="classes_used") == len(both)


def test_a_held_out_record_has_the_thresholds_of_its_classes(place: Workspace) -> None:
    evaluation = held_out(predictions=True)
    record, task = evaluate(place, evaluation, probe())
    thresholds = record["thresholds"]
    assert tuple(thresholds) == open_corpus(BASIC, place).classes("")
    arrays = kept(place, evaluation)
    test = arrays["split"] == 1
    labels = arrays["labels"][test].astype(bool)
    predicted = arrays["logits"][test] >= np.array(list(thresholds.values()), np.float64)
    f1 = [
        2 * (p & y).sum() / (p.sum() + y.sum())
        for p, y in zip(predicted.T, labels.T, strict=True)
        if 0 < y.sum() < len(y)
    ]
    assert value(record, protocol="held-out", split="test", metric="macro_f1") == pytest.approx(
        np.mean(f1)
    )
    assert "thresholds" not in task


def test_no_predictions_are_written_unless_asked_for(place: Workspace) -> None:
    evaluate(place, held_out(), probe())
    assert not (place.store / "predictions").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "linear-probe"),
        ({"labels_fraction": 0.01}, "linear-probe@0.01"),
        ({"checkpoint": "trajectory"}, "linear-probe-trajectory"),
        ({"checkpoint": "trajectory", "labels_fraction": 0.1}, "linear-probe@0.1-trajectory"),
        ({"protocol": "held-out"}, "held-out"),
    ],
)
def test_protocols_are_named(changes: dict[str, Any], expected: str) -> None:
    assert protocol_name(probe(**changes)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "poetry"},
        {"checkpoint": "worst"},
        {"protocol": "held-out", "checkpoint": "trajectory"},
        {"checkpoint": "trajectory", "predictions": True},
    ],
)
def test_combinations_that_mean_nothing_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^e[0-9a-f]{16}: "):
        protocol_name(probe(**changes))


def test_a_random_twin_is_probed_like_any_other(place: Workspace) -> None:
    twin: Training = of_objective("untrained")
    (trained, record) = run_job(Job(training=twin, evaluations=(probe(training=twin),)), place)
    assert trained["trial"]["status"] == record["status"] == "done"
    assert {(row["step"], row["C"]) for row in record["values"]} == {(0, 0)}
    assert np.isfinite(value(record, split="test", metric="loss"))


def test_half_written_predictions_are_not_left(
    place: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*words: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    evaluation = probe(predictions=True)
    monkeypatch.setattr("os.fsync", broken)
    (record,) = evaluate(place, evaluation)
    assert record["error"]["type"] == "OSError"
    assert list((place.store / "predictions").iterdir()) == []
