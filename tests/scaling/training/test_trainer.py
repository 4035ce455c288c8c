"""The torch trainer end to end on a tiny cohort: records, weights, probes, and failures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from scaling.identity import CorpusSpec, Evaluation, Job, Recipe, Training
from scaling.models.families import build
from scaling.records.names import FINISHED
from scaling.records.record import read_record, validate, write_record
from scaling.trial import run_job
from scaling.weights import WeightsError, load_weights, save_weights
from scaling.workspace import Workspace
from tests.scaling.training.trials import coarse_bayes

CODE = CorpusSpec(source="virtual/code", window_s=2.5, records=48, validation=24, test=24)
SHIFTED = dataclasses.replace(CODE, source="virtual/shifted")
TRAINING = Training(
    stage="pretrain",
    corpus=CODE,
    task="",
    family="resnet",
    size="d2w6",
    paradigm="sl",
    objective="supervised",
    data=32,
    recipe=Recipe(max_steps=6, batch=16, eval_every=3, warmup_steps=2),
)


def evaluations(training: Training) -> tuple[Evaluation, ...]:
    return (
        Evaluation(training=training.id, corpus=CODE, task="", protocol="held-out"),
        Evaluation(training=training.id, corpus=SHIFTED, task="", protocol="linear-probe"),
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    store = tmp_path_factory.mktemp("first")
    with coarse_bayes():
        run_job(job(), Workspace(store=store, cache=folder))
    return folder


def job(training: Training = TRAINING) -> Job:
    return Job(training=training, evaluations=evaluations(training))


def run(tmp_path: Path, cache: Path, training: Training = TRAINING) -> list[dict[str, Any]]:
    return run_job(job(training), Workspace(store=tmp_path, cache=cache))


def test_a_job_leaves_complete_records(tmp_path: Path, cache: Path) -> None:
    trained, held_out, probe = run(tmp_path, cache)
    for record in (trained, held_out, probe):
        validate(record)
        assert read_record(tmp_path / "spool" / f"{record['id']}.json")["id"] == record["id"]
    row = trained["trial"]
    assert row["status"] == "budget_limited"
    assert (row["N"], row["D"], row["steps"]) == (1896, 32, 6)
    assert row["patients"] < row["D"]
    assert row["C"] == 6 * row["macs"] * 16 * 6
    assert (row["C_full"], row["macs_full"]) == (row["C"], row["macs"])  # of a ResNet
    assert row["params_total"] == sum(trained["params"].values())
    assert [r["step"] for r in trained["curve"] if r["split"] == "validation"] == [3, 6]
    measured = {(r["protocol"], r["split"], r["metric"]) for r in held_out["values"]}
    assert ("held-out", "test", "loss") in measured
    assert ("best-test", "test", "loss") in measured
    assert {r["task"] for r in probe["values"]} == {"virtual/shifted"}
    assert all(r["value"] is not None for r in held_out["values"] + probe["values"])


def test_the_same_training_gives_the_same_numbers(tmp_path: Path, cache: Path) -> None:
    first = run(tmp_path / "a", cache)
    second = run(tmp_path / "b", cache)
    for one, two in zip(first, second, strict=True):
        assert one.get("curve") == two.get("curve")
        assert one.get("values") == two.get("values")


def test_a_finished_training_only_gets_the_missing_evaluation(tmp_path: Path, cache: Path) -> None:
    workspace = Workspace(store=tmp_path, cache=cache)
    held_out, probe = evaluations(TRAINING)
    first = run_job(Job(training=TRAINING, evaluations=(held_out,)), workspace)
    again = run_job(Job(training=TRAINING, evaluations=(held_out, probe)), workspace)
    assert [r["kind"] for r in first] == ["training", "evaluation"]
    assert [r["id"] for r in again] == [probe.id]


def test_weights_carry_what_is_needed_to_use_them(tmp_path: Path, cache: Path) -> None:
    run(tmp_path, cache)
    path = Workspace(store=tmp_path, cache=cache).weights_of(TRAINING.id)
    state, about = load_weights(path)
    assert about["classes"] == ["1dAVb", "RBBB", "LBBB", "SB", "AF", "ST"]
    assert about["preprocessing"]["leads"][:2] == ["I", "II"]
    backbone = {k.removeprefix("backbone."): v for k, v in state.items() if "backbone" in k}
    build("resnet", "d2w6").load_state_dict(backbone)


def test_lost_weights_make_the_evaluation_fail_and_say_so(tmp_path: Path, cache: Path) -> None:
    workspace = Workspace(store=tmp_path, cache=cache)
    run_job(Job(training=TRAINING), workspace)
    workspace.weights_of(TRAINING.id).unlink()
    (record,) = run_job(Job(training=TRAINING, evaluations=evaluations(TRAINING)[:1]), workspace)
    assert record["status"] == "failed"
    assert "weights are gone" in record["error"]["message"]


def test_a_training_that_raises_leaves_a_failed_record_and_no_evaluations(
    tmp_path: Path, cache: Path
) -> None:
    (record,) = run(tmp_path, cache, dataclasses.replace(TRAINING, data=4096))
    assert record["trial"]["status"] == "failed"
    assert "4,096 records was asked for, but only 48" in record["error"]["message"]


def test_a_diverged_training_keeps_its_curve(tmp_path: Path, cache: Path) -> None:
    wild = dataclasses.replace(
        TRAINING, recipe=dataclasses.replace(TRAINING.recipe, lr=1e30, grad_clip=0.0)
    )
    trained, *rest = run(tmp_path, cache, wild)
    assert trained["trial"]["status"] == "diverged"
    assert trained["trial"]["status"] in FINISHED
    for record in rest:
        validate(record)
        assert record["status"] != "failed"


def test_a_curve_that_ends_in_nan_still_gives_its_best_test_loss(
    tmp_path: Path, cache: Path
) -> None:
    workspace = Workspace(store=tmp_path, cache=cache)
    (trained,) = run_job(Job(training=TRAINING), workspace)
    for row in trained["curve"]:
        row["value"] = row["value"] if row["step"] == 3 else float("nan")
    write_record(workspace.spool, trained)
    (record,) = run_job(Job(training=TRAINING, evaluations=evaluations(TRAINING)[:1]), workspace)
    (best,) = [r for r in record["values"] if r["protocol"] == "best-test"]
    assert best["step"] == 3


def test_a_pickle_is_not_read_as_weights(tmp_path: Path) -> None:
    path = tmp_path / "t0.safetensors"
    torch.save({"w": torch.zeros(2)}, path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(WeightsError, match="not readable as safetensors"):
        load_weights(path)


def test_truncated_weights_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t0.safetensors"
    save_weights(path, {"w": torch.zeros(100)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match=r"t0\.safetensors"):
        load_weights(path)


def test_sidecars_are_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "t0.safetensors"
    save_weights(path, {"w": torch.zeros(2)}, {"training": TRAINING.to_dict(), "step": 3})
    assert json.loads(path.with_suffix(".json").read_text())["step"] == 3


def test_records_of_other_trainings_are_not_touched(tmp_path: Path, cache: Path) -> None:
    workspace = Workspace(store=tmp_path, cache=cache)
    (trained,) = run_job(Job(training=TRAINING), workspace)
    write_record(workspace.records, trained)
    assert run_job(Job(training=TRAINING), workspace) == []
