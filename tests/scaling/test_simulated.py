"""The simulated trainer: its law is known, its noise repeatable, its records valid."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from scaling.corpora.catalogue import SOURCES
from scaling.identity import CorpusSpec, Evaluation, Job, Recipe, Training
from scaling.records.record import validate, write_record
from scaling.simulated import (
    FEW_SHOT,
    GUESSING,
    SHIFTED,
    TRUTH,
    expected_loss,
    expected_shifted_loss,
    noise,
    selected,
)
from scaling.trial import run_job
from scaling.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=tmp_path / "store", cache=tmp_path / "cache")


def training(source: str = "simulated/chinchilla", seed: int = 0, steps: int = 40) -> Training:
    return Training(
        stage="pretrain",
        corpus=CorpusSpec(source=source, records=4096, validation=64, test=128),
        task="",
        family="simulated",
        size="n4000",
        paradigm="sl",
        objective="supervised",
        data=512,
        recipe=Recipe(max_steps=steps, batch=64, warmup_steps=1, eval_every=4),
        seed=seed,
    )


def evaluation(of: Training, source: str, protocol: str) -> Evaluation:
    corpus = CorpusSpec(source=source, records=64, validation=64, test=128)
    return Evaluation(training=of.id, corpus=corpus, task="", protocol=protocol)


def run(one: Training, workspace: Workspace, *evaluations: Evaluation) -> list[dict[str, Any]]:
    records = run_job(Job(training=one, evaluations=evaluations), workspace)
    for record in records:
        validate(record)
    return records


def chosen(source: str, wanted: bool) -> Training:
    """A training that fails or diverges, or one that does not."""
    return next(t for t in (training(source, seed) for seed in range(99)) if selected(t) == wanted)


def value(record: dict[str, Any], **wanted: str) -> float:
    rows = [r for r in record["values"] if all(r[k] == v for k, v in wanted.items())]
    assert len(rows) == 1
    return float(rows[0]["value"])


def test_losses_follow_the_law(workspace: Workspace) -> None:
    one = training()
    held_out = evaluation(one, one.corpus.source, "held-out")
    probe = evaluation(one, "simulated/shifted", "linear-probe")
    trained, inside, outside = run(one, workspace, held_out, probe)
    loss = value(inside, metric="loss", split="test", protocol="held-out")
    assert loss == pytest.approx(expected_loss(4000, 512), rel=5 * TRUTH["sigma"])
    shifted = value(outside, metric="loss", split="test", protocol="linear-probe")
    assert shifted == pytest.approx(expected_shifted_loss(4000, 512), rel=5 * TRUTH["sigma"])
    assert value(inside, protocol="best-test") <= loss
    curve = [row["value"] for row in trained["curve"]]
    assert curve == sorted(curve, reverse=True)
    assert curve[0] < GUESSING
    assert curve[-1] == pytest.approx(expected_loss(4000, 512), rel=0.02)
    assert trained["trial"]["C"] == 6 * trained["trial"]["macs"] * 64 * 40


def test_the_law_falls_to_its_floor() -> None:
    assert expected_loss(1e30, 1e30) == pytest.approx(TRUTH["E"])
    assert expected_shifted_loss(1e30, 1e30) == pytest.approx(SHIFTED["E"])
    assert SOURCES["simulated/chinchilla"].bayes_loss == TRUTH["E"]
    assert SOURCES["simulated/shifted"].bayes_loss == SHIFTED["E"]
    assert expected_loss(2000, 512) > expected_loss(4000, 512) > expected_loss(4000, 1024)


def test_noise_is_lognormal_and_depends_on_the_words_alone() -> None:
    logs = [math.log(noise("trial", str(i))) for i in range(2000)]
    assert statistics.fmean(logs) == pytest.approx(0, abs=0.001)
    assert statistics.stdev(logs) == pytest.approx(TRUTH["sigma"], rel=0.05)
    assert noise("a", "b") == noise("a", "b") != noise("a", "c")


def test_the_same_trial_gives_the_same_numbers(tmp_path: Path) -> None:
    spaces = [Workspace(store=tmp_path / name, cache=tmp_path) for name in "ab"]
    first, second = (run(training(), space)[0] for space in spaces)
    assert first["curve"] == second["curve"]


def test_flaky_trials_fail_once(workspace: Workspace) -> None:
    bad, good = chosen("simulated/flaky", True), chosen("simulated/flaky", False)
    (failed,) = run(bad, workspace, evaluation(bad, bad.corpus.source, "held-out"))
    assert failed["trial"]["status"] == "failed"
    assert "simulated failure" in failed["error"]["traceback"]
    assert run(good, workspace)[0]["trial"]["status"] == "done"
    write_record(workspace.records, failed)  # as the driver does
    (workspace.spool / f"{bad.id}.json").unlink()
    assert run(bad, workspace)[0]["trial"]["status"] == "done"


def test_diverging_trials_keep_their_curve(workspace: Workspace) -> None:
    one = chosen("simulated/diverging", True)
    trained, measured = run(one, workspace, evaluation(one, one.corpus.source, "held-out"))
    assert (trained["trial"]["status"], measured["status"]) == ("diverged", "diverged")
    assert measured["values"] == []
    assert math.isnan(trained["curve"][-1]["value"])
    assert len(trained["curve"]) > 1


def test_slow_trials_take_their_time(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("scaling.simulated.time.monotonic", lambda: now[0])
    monkeypatch.setattr("scaling.simulated.time.sleep", lambda s: now.__setitem__(0, now[0] + s))
    shares: list[float] = []
    run_job(Job(training=training("simulated/slow", steps=200)), workspace, shares.append)
    assert now[0] == pytest.approx(2.0)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_what_is_finished_is_not_run_again(workspace: Workspace) -> None:
    one = training()
    first = run(one, workspace, evaluation(one, one.corpus.source, "held-out"))
    assert len(first) == 2
    assert run(one, workspace, evaluation(one, one.corpus.source, "held-out")) == []
    (new,) = run(one, workspace, evaluation(one, "simulated/shifted", "linear-probe"))
    assert new["kind"] == "evaluation"


def test_few_labels_and_trajectories_are_simulated_too(workspace: Workspace) -> None:
    one = training()
    whole = evaluation(one, "simulated/shifted", "linear-probe")
    few = dataclasses.replace(whole, labels_fraction=0.1)
    along = dataclasses.replace(whole, checkpoint="trajectory")
    trained, *records = run(one, workspace, whole, few, along)
    full, tenth = (value(r, metric="loss", split="test") for r in records[:2])
    assert tenth == pytest.approx(full * 0.1**-FEW_SHOT)
    assert {r["protocol"] for r in records[1]["values"]} == {"linear-probe@0.1"}
    steps = [r for r in records[2]["values"] if (r["split"], r["metric"]) == ("test", "loss")]
    assert [r["step"] for r in steps] == [r["step"] for r in trained["curve"]]
    assert [r["C"] for r in steps] == [r["C"] for r in trained["curve"]]
    assert steps[-1]["value"] == full
    assert steps[0]["value"] > full
