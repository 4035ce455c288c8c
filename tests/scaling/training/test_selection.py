"""Which records and classes a training sees, and what a trial says and leaves about them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

from scaling import cost
from scaling.compatible import LOSE_SOME
from scaling.corpora.format.corpus import Corpus
from scaling.cost import bf16_note
from scaling.data.batches import open_corpus
from scaling.identity import LEADS, Evaluation, Job, Recipe, Training
from scaling.training.selection import select, training_classes, training_rows
from scaling.trial import run_job
from scaling.weights import load_weights
from scaling.workspace import Workspace
from tests.scaling.training.trials import BASIC, SUPERVISED, of_objective

CPU = torch.device("cpu")


@pytest.fixture
def corpus(trials: Workspace) -> Corpus:
    return open_corpus(BASIC, trials)


def run(training: Training, place: Workspace, *evaluations: Evaluation) -> dict[str, Any]:
    record = run_job(Job(training=training, evaluations=evaluations), place)[0]
    assert record["error"] is None, record["error"]
    return record


def test_only_labelled_records_are_trained_on(corpus: Corpus) -> None:
    rows = training_rows(corpus, SUPERVISED)
    some = training_rows(corpus, dataclasses.replace(SUPERVISED, labels_fraction=0.5))
    assert len(rows) == 24
    assert len(some) == 12
    assert set(some) <= set(rows)
    fewer = training_rows(corpus, dataclasses.replace(SUPERVISED, labels_fraction=0.25))
    assert fewer.tolist() == some[:6].tolist()


@pytest.mark.parametrize("objective", ["contrastive", "untrained"])
def test_labels_do_not_matter_where_none_is_used(corpus: Corpus, objective: str) -> None:
    training = dataclasses.replace(of_objective(objective), labels_fraction=0.1)
    assert len(training_rows(corpus, training)) == 24


def test_a_label_set_leaves_its_classes_and_says_which_are_its_core(
    corpus: Corpus, trials: Workspace
) -> None:
    training = dataclasses.replace(SUPERVISED, label_set="dominant-0.5")
    classes, core = training_classes(corpus, training)
    labels = corpus.labels("")[corpus.rows("train", "")]
    assert core == (corpus.classes("")[int(labels.sum(axis=0).argmax())],)
    assert len(classes) == 3
    split = select(corpus, training, CPU).splits["train"]
    places = [corpus.classes("").index(name) for name in classes]
    rows = training_rows(corpus, training)
    assert np.array_equal(split.labels.numpy(), corpus.labels("")[rows][:, places])
    record = run(training, trials)
    assert record["trial"]["num_labels"] == 3
    state, about = load_weights(trials.weights_of(training.id))
    assert (about["classes"], about["core"]) == (list(classes), list(core))
    assert len(state["head.bias"]) == 3


def test_the_pool_counts_where_it_chooses_the_classes() -> None:
    larger = dataclasses.replace(SUPERVISED, corpus=dataclasses.replace(BASIC, records=64))
    assert larger.id == SUPERVISED.id
    one, other = (dataclasses.replace(t, label_set="tail-0.3") for t in (SUPERVISED, larger))
    assert one.id != other.id


def test_fewer_leads_are_taken_by_name(corpus: Corpus, trials: Workspace) -> None:
    training = dataclasses.replace(SUPERVISED, leads=("V1", "II"))
    split = select(corpus, training, CPU).splits["train"]
    whole = select(corpus, SUPERVISED, CPU).splits["train"]
    rows = torch.arange(4)
    places = [LEADS.index("V1"), LEADS.index("II")]
    assert torch.equal(split.batch(rows).x_BLT, whole.batch(rows).x_BLT[:, places])
    assert run(training, trials)["trial"]["leads"] == 2


def test_a_class_without_positives_is_said(trials: Workspace) -> None:
    corpus = open_corpus(BASIC, trials)
    lone = dataclasses.replace(SUPERVISED, data=1)
    absent = [
        name
        for name, label in zip(
            corpus.classes(""), corpus.labels("")[training_rows(corpus, lone)[0]], strict=True
        )
        if not label
    ]
    record = run(dataclasses.replace(lone, recipe=SUPERVISED.recipe), trials)
    assert record["notes"] == [f"no positive training record of {', '.join(absent)}"]


def test_a_run_with_nothing_to_say_has_no_notes(trials: Workspace) -> None:
    assert "notes" not in run(of_objective("contrastive"), trials)


def test_random_weights_are_those_of_the_seed(trials: Workspace) -> None:
    training = dataclasses.replace(of_objective("untrained"), recipe=Recipe())
    record = run(training, trials)
    row = record["trial"]
    assert (row["status"], row["steps"], row["C"]) == ("done", 0, 0)
    assert record["curve"] == []
    state, about = load_weights(trials.weights_of(training.id))
    assert about["step"] == 0
    run(dataclasses.replace(training, seed=1), trials)
    other, _ = load_weights(trials.weights_of(dataclasses.replace(training, seed=1).id))
    assert not torch.equal(state["backbone.conv1.weight"], other["backbone.conv1.weight"])
    frozen = dataclasses.replace(SUPERVISED.recipe, lr=1e-12, max_steps=1, eval_every=1)
    supervised = dataclasses.replace(SUPERVISED, recipe=frozen)
    run(supervised, trials)
    start, _ = load_weights(trials.weights_of(supervised.id))
    assert torch.allclose(state["backbone.conv1.weight"], start["backbone.conv1.weight"], atol=1e-6)


def test_weights_of_every_evaluated_step_are_kept_for_a_trajectory(trials: Workspace) -> None:
    evaluation = Evaluation(
        training=SUPERVISED.id,
        corpus=BASIC,
        task="",
        protocol="linear-probe",
        checkpoint="trajectory",
    )
    record = run(SUPERVISED, trials, evaluation)
    kept = trials.trajectory(SUPERVISED.id)
    assert list(kept) == [3, 6, 9]
    assert [load_weights(path)[1]["step"] for path in kept.values()] == [3, 6, 9]
    best, about = load_weights(trials.weights_of(SUPERVISED.id))
    at_best, _ = load_weights(kept[about["step"]])
    assert all(torch.equal(best[name], at_best[name]) for name in best)
    validation = [r for r in record["curve"] if r["split"] == "validation"]
    assert about["step"] == min(validation, key=lambda row: row["value"])["step"]


def test_no_trajectory_is_kept_unless_something_needs_it(trials: Workspace) -> None:
    run(SUPERVISED, trials)
    assert trials.trajectory(SUPERVISED.id) == {}


@pytest.mark.parametrize("objective", ["supervised", "contrastive", "masked", "codebook"])
def test_recomputed_activations_change_no_number(objective: str, trials: Workspace) -> None:
    plain = of_objective(objective)
    recipe = dataclasses.replace(plain.recipe, activation_checkpointing=True)
    again = dataclasses.replace(plain, recipe=recipe)
    assert again.id != plain.id
    assert run(again, trials)["curve"] == run(plain, trials)["curve"]


def test_bf16_without_the_hardware_is_said(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(SUPERVISED.recipe, precision="bf16")
    training = dataclasses.replace(SUPERVISED, recipe=recipe)
    monkeypatch.setattr(cost, "cpu_has_bf16", lambda: False)
    note = bf16_note(CPU)
    assert note.startswith("cpu x1 has no bf16 arithmetic: bf16 is emulated, and with AVX")
    assert note.endswith("set precision: float32 in the recipe")
    assert note in run(training, trials)["notes"]
    monkeypatch.setattr(cost, "cpu_has_bf16", lambda: True)
    assert bf16_note(CPU) == ""


@pytest.mark.parametrize(
    ("onednn", "found", "times"),
    [
        (False, {"avx2": True}, "3 to 11"),
        (False, {"avx2": True, "avx_ne_convert": True}, "3 to 11"),
        (True, {"avx512_bw": True, "avx512_bf16": False}, "1 to 3"),  # oneDNN says yes all the same
        (True, {"avx512_bw": True, "avx512_bf16": True}, None),
        (True, {"amx_bf16": True}, None),
        (True, {"neon": True, "bf16": True}, None),
        (False, {"neon": True, "bf16": True}, "3 to 11"),  # there, but not used
    ],
)
def test_bf16_is_looked_for_in_the_processor(
    onednn: bool, found: dict[str, bool], times: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_onednn_takes_bf16", lambda: onednn)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: found)
    if times is None:
        assert bf16_note(CPU) == ""
    else:
        assert f"took {times} times as long as in float32" in bf16_note(CPU)


def test_a_build_without_onednn_has_no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its operators are absent there, not false."""
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    monkeypatch.setattr("torch.ops.mkldnn", object())
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"neon": True, "bf16": True})
    assert bf16_note(CPU).startswith("cpu x")


def test_notes_survive_in_the_record(trials: Workspace) -> None:
    run(dataclasses.replace(SUPERVISED, data=1), trials)
    (path,) = trials.spool.glob("t*.json")
    assert json.loads(path.read_text())["notes"]


@pytest.mark.parametrize("objective", ["masked", "codebook", "supervised"])
def test_heartbeats_that_do_not_fit_are_in_the_record(
    objective: str, trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "scaling.training.selection.slots_of",
        lambda family, size: None if family == "resnet" else 11,
    )
    notes = run(of_objective(objective), trials).get("notes", [])
    found = [note for note in notes if LOSE_SOME in note]
    if objective == "supervised":
        assert not found
        return
    (note,) = found
    assert note.startswith("virtual/basic, training: 24 of 24 records (100.0%) have more than 11 ")
    assert "V6 in 24" in note
