"""Students, their teacher and their net opened: what is kept of them, and what is refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.evaluation.trained import load_trained
from scaling.explain.__main__ import main
from scaling.explain.explain import examples, explain, tsne
from scaling.explain.opened import ExplainError
from scaling.identity import RESTORATION, TEACHER, Job, Parent, Training
from scaling.records.explained import Explained
from scaling.trial import run_job
from scaling.workspace import Workspace
from tests.scaling.training.trials import SUPERVISED

SHORT = dataclasses.replace(SUPERVISED.recipe, max_steps=3, dropout=0.0)
TEACHES = dataclasses.replace(SUPERVISED, recipe=SHORT)
NET = dataclasses.replace(
    TEACHES, stage="restore", family="unet", size="c4", paradigm="ssl", objective="restoration",
    input_leads=("I",),
)  # fmt: skip
ALONE = dataclasses.replace(
    TEACHES, stage="distill", family="convtx", size="d8n1h1s2", objective="none",
    input_leads=("I",),
)  # fmt: skip
TAUGHT = dataclasses.replace(
    ALONE, objective="kd", parents=(Parent(TEACHER, TEACHES.id), Parent(RESTORATION, NET.id))
)
ELSEWHERE = dataclasses.replace(ALONE, family="transformer", size="l1d8h1t128", input_leads=("II",))


@pytest.fixture(scope="module")
def place(trials_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    found = Workspace(store=tmp_path_factory.mktemp("study") / ".runs", cache=trials_cache)
    for training in (TEACHES, NET, ALONE, TAUGHT, ELSEWHERE):
        (record,) = run_job(Job(training=training), found)
        assert record["error"] is None, record["error"]
    return found


@pytest.fixture(scope="module")
def found(place: Workspace) -> Explained:
    return explain(place, [ALONE.id, TAUGHT.id], records=4, points=12)


def model_of(training: Training, place: Workspace) -> torch.nn.Module:
    record = place.finished(training.id)
    assert record is not None
    path = place.weights_of(training.id)
    return load_trained(training, record, path, place, torch.device("cpu")).whole()[2]


def test_the_teacher_comes_first_and_each_is_told_apart(found: Explained) -> None:
    assert found.models.tolist() == [TEACHES.id, ALONE.id, TAUGHT.id]
    assert found.students == (ALONE.id, TAUGHT.id)
    assert found.teacher.tolist() == [True, False, False]
    assert found.restoring.tolist() == [False, False, True]
    assert str(found.restoration) == NET.id
    assert found.input_leads.tolist() == ["I"] and len(found.leads) == 12
    assert (int(found.fs_hz), str(found.unit)) == (100, "mV")


def test_shapes(found: Explained) -> None:
    models, records, classes = 3, 4, len(found.classes)
    assert found.true.shape == found.restored.shape == (records, 12, 250)
    assert found.cam.shape == (models, records, 250) and found.cam.min() >= 0
    assert found.logits.shape == (models, records, classes)
    assert found.tsne.shape == (models, 12, 2) and np.isfinite(found.tsne).all()
    assert [f.shape for f in found.features] == [(12, 6), (12, 8), (12, 8)]
    assert found.labels[np.arange(records), found.explained].all()
    assert len(set(found.record.tolist())) == records
    assert found.point_record.shape == (12,) and found.point_labels.shape == (12, classes)


def test_a_transformer_has_a_map_where_its_heartbeats_are(place: Workspace) -> None:
    found = explain(place, [ELSEWHERE.id], records=2, points=8)
    assert found.cam.shape == (1, 2, 250) and np.isfinite(found.cam).all()
    assert found.input_leads.tolist() == ["II"]


def test_restored_leads_are_those_that_the_student_sees(found: Explained, place: Workspace) -> None:
    first = found.leads.tolist().index("I")
    np.testing.assert_array_equal(found.restored[:, first], found.true[:, first])
    assert not np.allclose(found.restored, found.true)
    net = model_of(NET, place)
    with torch.no_grad():
        made = net(torch.from_numpy(found.true)).numpy()
    np.testing.assert_allclose(found.restored, made, atol=1e-5)


def test_logits_are_those_of_what_is_deployed(found: Explained, place: Workspace) -> None:
    for m, training in enumerate((TEACHES, ALONE, TAUGHT)):
        with torch.no_grad():
            logits = model_of(training, place)(torch.from_numpy(found.true)).numpy()
        np.testing.assert_allclose(found.logits[m], logits, atol=1e-4)


def test_the_file_holds_what_was_found(found: Explained, tmp_path: Path) -> None:
    found.save(tmp_path / "explained.npz")
    again = Explained.read(tmp_path / "explained.npz")
    for field in dataclasses.fields(found):
        ours, theirs = getattr(found, field.name), getattr(again, field.name)
        pairs = zip(ours, theirs, strict=True) if field.name == "features" else [(ours, theirs)]
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_what_cannot_be_shown_together_is_refused(place: Workspace) -> None:
    with pytest.raises(ExplainError, match="have different input leads"):
        explain(place, [ALONE.id, ELSEWHERE.id])
    with pytest.raises(ExplainError, match="restoration, predicts no labels"):
        explain(place, [NET.id])
    with pytest.raises(ExplainError, match="t0: no finished training of that id in"):
        explain(place, ["t0"])
    with pytest.raises(ExplainError, match="t-SNE needs at least 8 test records"):
        explain(place, [ALONE.id], points=4)


def test_the_command_writes_into_the_live_store(
    place: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECG_CACHE", str(place.cache))
    words = [str(place.store.parent), "--records", "1", "--points", "9", "--students"]
    assert main([*words, ALONE.id]) == 0
    found = Explained.read(place.explained)
    assert found.students == (ALONE.id,) and found.asked.tolist() == [1, 9]
    assert found.restored.shape[0] == 0 and not found.teacher.any()
    assert capsys.readouterr().out == f"{place.explained}: written\n"
    assert main([*words, "t0"]) == 2
    assert capsys.readouterr().err.startswith("error: t0: no finished training")


def test_help_comes_without_torch() -> None:
    code = (
        "import sys\nfrom scaling.explain.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*(set(sys.modules) & {'torch', 'numpy', 'pandas', 'sklearn'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--students" in out.stdout and out.stdout.splitlines()[-1] == ""


def test_examples_are_of_the_commonest_classes_and_of_one_class() -> None:
    labels = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1]], bool)
    places, classes = examples(labels, 4)
    # Class 2 has four records, class 1 two and never alone, class 0 one; then class 2 again.
    assert list(zip(places.tolist(), classes.tolist(), strict=True)) == [
        (2, 2), (0, 1), (3, 0), (5, 2),
    ]  # fmt: skip
    places, _ = examples(labels, 99)
    assert sorted(places.tolist()) == [0, 2, 3, 4, 5]
    with pytest.raises(ExplainError, match="no test record has a positive label"):
        examples(labels & False, 2)


def test_tsne_keeps_groups_apart_and_stands_still_for_equal_features() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40, 5)).astype(np.float32)
    features[20:] += 12.0
    found = tsne(features)
    one, other = found[:20], found[20:]
    between = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))
    assert between > 2 * max(one.std(), other.std())
    assert np.isfinite(tsne(features[:, :1])).all(), "one feature"
    np.testing.assert_array_equal(tsne(np.ones((9, 4), np.float32)), np.zeros((9, 2)))
