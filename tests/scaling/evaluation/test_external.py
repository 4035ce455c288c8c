"""A trained head on another corpus: whose thresholds, which classes, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from scaling.data.batches import open_corpus
from scaling.identity import CorpusSpec, Evaluation, Job, Training
from scaling.provenance import protocol_name
from scaling.trial import run_job
from scaling.workspace import Workspace
from tests.scaling.evaluation.pieces import OTHER, evaluate, held_out, measured, value
from tests.scaling.training.trials import BASIC, STUDENT, SUPERVISED, coarse_bayes, of_objective

CSN = CorpusSpec(source="virtual/csn", window_s=2.5, records=4, validation=4, test=96)
# As the model names the classes that both have, and as CSN does, whose AF is flutter.
SHARED = {"1dAVb": "1AVB", "RBBB": "RBBB", "LBBB": "LBBB", "AF": "AFIB", "ST": "ST"}

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module", autouse=True)
def elsewhere(trials_cache: Path) -> None:
    with coarse_bayes():
        open_corpus(CSN, Workspace(store=trials_cache / "none", cache=trials_cache))


def external(training: Training = SUPERVISED, **changes: Any) -> Evaluation:
    one = Evaluation(training=training.id, corpus=CSN, task="", protocol="external")
    return dataclasses.replace(one, **changes)


def kept(place: Workspace, evaluation: Evaluation) -> Arrays:
    with np.load(place.predictions_of(evaluation.id), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_metrics_are_of_the_other_test_records_at_thresholds_of_its_own_validation(
    place: Workspace,
) -> None:
    asked, own = external(predictions=True, metrics="multilabel"), held_out(predictions=True)
    record, own_record = evaluate(place, asked, own)
    arrays, own_arrays = kept(place, asked), kept(place, own)
    test, names = arrays["split"] == 1, arrays["classes"].tolist()
    assert names == list(record["thresholds"]) == list(SHARED)

    # Its own validation records, as held out, on the shared classes alone.
    columns = [own_arrays["classes"].tolist().index(name) for name in names]
    before = own_arrays["split"] == 0
    for name in ("record", "row", "patient"):
        assert arrays[name][~test].tolist() == own_arrays[name][before].tolist()
    for name in ("logits", "labels"):
        expected = own_arrays[name][before][:, columns]
        assert arrays[name][~test] == pytest.approx(expected, abs=1e-5)
    own_thresholds = own_record["thresholds"]
    assert record["thresholds"] == pytest.approx({n: own_thresholds[n] for n in names}, abs=1e-5)

    # The other corpus's test records, by what it calls these classes.
    other = open_corpus(CSN, place)
    rows = other.rows("test", "")
    assert arrays["row"][test].tolist() == rows.tolist()
    assert arrays["record"][test].tolist() == [other.record_ids[row] for row in rows]
    places = [other.classes("").index(SHARED[name]) for name in names]
    labels, logits = arrays["labels"][test] > 0, arrays["logits"][test].astype(float)
    assert (labels == (other.labels("")[rows][:, places] > 0)).all()
    flutter = other.labels("")[rows, other.classes("").index("AF")]
    assert (labels[:, names.index("AF")] != (flutter > 0)).any()

    def found(metric: str) -> Any:
        return value(record, split="test", metric=metric)

    cuts = np.array([record["thresholds"][name] for name in names])
    both = [c for c in range(len(names)) if 0 < labels[:, c].sum() < len(labels)]
    assert len(both) > 2
    areas = [roc_auc_score(labels[:, c], logits[:, c]) for c in both]
    f1 = [f1_score(labels[:, c], logits[:, c] >= cuts[c]) for c in both]
    assert found("macro_auroc") == pytest.approx(np.mean(areas))
    assert found("macro_f1") == pytest.approx(np.mean(f1))
    assert found("classes_used") == len(both)
    assert found(f"auroc:{names[both[0]]}") == pytest.approx(areas[0])
    p = 1 / (1 + np.exp(-logits))
    loss = -np.where(labels, np.log(p), np.log(1 - p)).mean()
    assert found("loss") == pytest.approx(loss, rel=1e-5)


def test_rows_are_of_the_protocol_and_finite(place: Workspace) -> None:
    (record,) = evaluate(place, external())
    assert {(p, s) for p, s, _ in measured(record)} == {
        ("external", "validation"), ("external", "test"),
    }  # fmt: skip
    counts = {(row["split"], row["n"]) for row in record["values"]}
    assert counts == {("validation", BASIC.validation), ("test", CSN.test)}
    assert {row["task"] for row in record["values"]} == {"virtual/csn"}
    assert all(np.isfinite(row["value"]) for row in record["values"])
    assert not (place.store / "predictions").exists()


def test_a_student_is_measured_as_it_is_used(place: Workspace) -> None:
    """With the leads hidden that it is not given, and restored."""
    asked, own = external(STUDENT, predictions=True), held_out(STUDENT, predictions=True)
    (trained, *_) = run_job(Job(training=STUDENT, evaluations=(asked, own)), place)
    assert trained["error"] is None, trained["error"]
    arrays, own_arrays = kept(place, asked), kept(place, own)
    columns = [own_arrays["classes"].tolist().index(name) for name in SHARED]
    expected = own_arrays["logits"][own_arrays["split"] == 0][:, columns]
    assert arrays["logits"][arrays["split"] == 0] == pytest.approx(expected, abs=1e-5)
    assert len(arrays["split"]) == BASIC.validation + CSN.test  # type: ignore[operator]


def test_the_loss_is_cross_entropy_whatever_was_minimised(place: Workspace) -> None:
    focal = of_objective("focal")
    asked = external(focal, predictions=True)
    _, record = run_job(Job(training=focal, evaluations=(asked,)), place)
    arrays = kept(place, asked)
    for at, split in enumerate(("validation", "test")):
        here = arrays["split"] == at
        p = 1 / (1 + np.exp(-arrays["logits"][here].astype(float)))
        expected = -np.where(arrays["labels"][here] > 0, np.log(p), np.log(1 - p)).mean()
        assert value(record, split=split, metric="loss") == pytest.approx(expected, rel=1e-5)


def test_what_cannot_be_measured_fails_alone(place: Workspace) -> None:
    bad = [
        external(corpus=BASIC),
        external(corpus=OTHER, task="flags"),
        external(corpus=dataclasses.replace(CSN, fs_hz=250, preprocessing="s1")),
        external(labels_fraction=0.5),
        external(checkpoint="trajectory"),
    ]
    *failed, good = evaluate(place, *bad, external())
    for record, words in zip(
        failed,
        (
            "virtual/basic is no other corpus for its model",
            "virtual/echonext:flags has no column in equal_codes.csv",
            "fs_hz 250 instead of 100",
            "external measures the trained head at the best step with all labels",
            "external measures the trained head",
        ),
        strict=True,
    ):
        assert record["status"] == "failed"
        assert words in record["error"]["message"]
    assert good["status"] == "budget_limited"


def test_a_model_without_labels_has_nothing_to_say(place: Workspace) -> None:
    one = of_objective("contrastive")
    _, record = run_job(Job(training=one, evaluations=(external(one),)), place)
    assert record["error"]["message"].endswith("objective contrastive predicts no labels")


def test_its_id_is_of_the_test_records_alone() -> None:
    one = external()
    assert protocol_name(one) == "external"

    def of(**changes: Any) -> str:
        return dataclasses.replace(one, corpus=dataclasses.replace(CSN, **changes)).id

    assert of(records=64) == of(validation=64) == one.id
    assert of(test=64) != one.id
    assert len({one.id, external(protocol="held-out").id, external(metrics="multilabel").id}) == 3
