"""Students: what of their records reaches them, what stays as it was, and what they cost."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from scaling.corpora.format.corpus import Corpus
from scaling.cost import count_macs, count_training
from scaling.data.batches import Batch, open_corpus
from scaling.identity import LEADS, RESTORATION, START, TEACHER, Job, Parent, Training
from scaling.objectives.base import Context, objective_of
from scaling.objectives.distill import base
from scaling.objectives.distill.base import Answers, Distillation, Lesson
from scaling.objectives.distill.kd import KnowledgeDistillation
from scaling.objectives.labels import Classifier, binary_loss
from scaling.objectives.registry import OBJECTIVES
from scaling.records.names import METHODS
from scaling.records.record import validate
from scaling.training import selection, trainer
from scaling.training.selection import UNLABELLED, select, training_rows
from scaling.trial import run_job
from scaling.weights import ParentError, ParentWeights, frozen_models, load_weights, parents_of
from scaling.workspace import Workspace
from tests.scaling.training.trials import BASIC, NET, STUDENT, SUPERVISED, TAUGHT, of_objective

CPU = torch.device("cpu")
NO_BOXES = dataclasses.replace(STUDENT, options=(("unlabelled", 1.0),))
LABELLED = dataclasses.replace(STUDENT, options=(("boxes", "record"),))
MASKED = dataclasses.replace(STUDENT, parents=STUDENT.parents[:1])


@pytest.fixture
def corpus(trials: Workspace) -> Corpus:
    return open_corpus(BASIC, trials)


def run(training: Training, place: Workspace) -> dict[str, Any]:
    record = run_job(Job(training=training), place)[0]
    validate(record)
    assert record["error"] is None, record["error"]["traceback"]
    return record


def error(training: Training, place: Workspace) -> str:
    (record,) = run_job(Job(training=training), place)
    assert record["trial"]["status"] == "failed"
    return str(record["error"]["message"])


def macs(training: Training) -> int:
    return count_training(training, 6).macs


# Labels.


def test_labels_of_unlabelled_records_are_nan_and_the_others_are_there(corpus: Corpus) -> None:
    splits = select(corpus, STUDENT, CPU, unlabelled=True).splits
    labelled, others = splits["train"], splits[UNLABELLED]
    assert (len(labelled), len(others)) == (12, 12)
    assert not labelled.labels.isnan().any()
    assert others.labels.isnan().all()
    both = labelled.batch(torch.arange(5)).with_unlabelled(others.batch(torch.arange(3)))
    assert both.labels_BC.isnan().all(dim=1).tolist() == [False] * 5 + [True] * 3
    assert not splits["validation"].labels.isnan().any()
    assert UNLABELLED not in select(corpus, STUDENT, CPU).splits


def test_labelled_and_unlabelled_records_are_all_there_are(corpus: Corpus) -> None:
    found = select(corpus, STUDENT, CPU, unlabelled=True)
    rows = corpus.subset("", STUDENT.data)
    assert set(found.rows) < set(rows)
    numbers = {
        name: [float(split.batch(torch.tensor([i])).x_BLT[0, 0].sum()) for i in range(12)]
        for name, split in found.splits.items()
    }
    in_corpus = torch.from_numpy(corpus.batch(rows))[:, 0].sum(dim=-1)
    together = sorted(numbers["train"] + numbers[UNLABELLED])
    assert together == pytest.approx(sorted(in_corpus.tolist()), abs=1e-3)
    assert found.patients == len(np.unique(corpus.patients[rows]))


class Leaking(KnowledgeDistillation):
    """Uses the labels of all records, as no method may."""

    def loss(self, outputs: Lesson, batch: Batch) -> Tensor:
        """That of KD, and of labels once more."""
        return super().loss(outputs, batch) + binary_loss(
            outputs.student.logits_BC, outputs.labels_BC
        )


def test_a_method_that_uses_labels_it_may_not_see_diverges_at_once(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(STUDENT, trials)["trial"]["status"] != "diverged"
    leaking = dataclasses.replace(STUDENT, seed=1)
    settings = OBJECTIVES["kd"].settings(STUDENT.options)
    monkeypatch.setattr(trainer, "objective_of", lambda training: Leaking(settings))
    row = run(leaking, trials)["trial"]
    assert (row["status"], row["steps"]) == ("diverged", 1)


@pytest.mark.parametrize(("method", "same"), [("kd", True), ("mvkt", True), ("kd", False)])
def test_labels_of_unlabelled_records_change_no_weight(
    method: str, same: bool, corpus: Corpus, trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of labelled ones do."""
    training = of_objective(method)
    labelled = training_rows(corpus, training)
    others = np.setdiff1d(corpus.subset("", training.data), labelled)
    first = run(training, trials)
    weights = trials.weights_of(training.id).read_bytes()
    real = Corpus.labels

    def changed(self: Corpus, task: str = "") -> NDArray[np.uint8]:
        found = real(self, task).copy()
        rows = others if same else labelled
        found[rows] = 1 - found[rows]
        return found

    # Which records are labelled depends on all labels; that is not what is looked at.
    monkeypatch.setattr(selection, "training_rows", lambda corpus, training: labelled)
    monkeypatch.setattr(Corpus, "labels", changed)
    trials.spooled(training.id).unlink()
    again = run(training, trials)
    assert (again["curve"] == first["curve"]) == same
    assert (trials.weights_of(training.id).read_bytes() == weights) == same


def test_a_draw_changes_who_is_labelled_and_teacher_and_student_share_it(corpus: Corpus) -> None:
    drawn = {
        draw: frozenset(training_rows(corpus, dataclasses.replace(STUDENT, labelled_draw=draw)))
        for draw in (0, 3, 4)
    }
    assert len(set(drawn.values())) == 3
    assert {len(rows) for rows in drawn.values()} == {12}
    assert training_rows(corpus, TAUGHT).tolist() == training_rows(corpus, STUDENT).tolist()
    whole = dataclasses.replace(STUDENT, labels_fraction=1.0)
    assert training_rows(corpus, whole).tolist() == corpus.subset("", 24).tolist()


@pytest.mark.parametrize("fraction", [0.04, 0.1, 0.26, 0.5, 0.99, 1.0])
def test_a_plan_knows_how_many_records_are_labelled(fraction: float, corpus: Corpus) -> None:
    for data in (1, 7, 24):
        training = dataclasses.replace(STUDENT, labels_fraction=fraction, data=data)
        assert training.labelled == len(training_rows(corpus, training))


def test_classes_without_a_labelled_positive_are_named(trials: Workspace, corpus: Corpus) -> None:
    few = dataclasses.replace(STUDENT, labels_fraction=0.1, options=())
    labels = corpus.labels("")[training_rows(corpus, few)]
    absent = [name for name, n in zip(corpus.classes(""), labels.sum(axis=0), strict=True) if not n]
    assert absent
    assert f"no positive training record of {', '.join(absent)}" in run(few, trials)["notes"]


def test_labels_that_the_teacher_alone_has_seen_are_counted(trials: Workspace) -> None:
    assert "notes" not in run(dataclasses.replace(STUDENT, seed=1), trials)
    words = "the teacher has seen the labels of {} records whose labels this training does not use"
    for change, count in (({"labels_fraction": 0.25}, 6), ({"labelled_draw": 4}, None)):
        notes = run(changed(**change), trials)["notes"]
        found = [note for note in notes if note.startswith("the teacher has seen the labels of")]
        assert len(found) == 1
        assert count is None or found == [words.format(count)]


# The second order.


def test_both_orders_are_in_the_checkpoint(trials: Workspace) -> None:
    def report(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(Job(training=STUDENT), trials, report)
    path = trials.checkpoint_of(STUDENT.id)
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        first, second = (file.get_tensor(f"{n}.queue") for n in ("order", "unlabelled"))
        generators = [file.get_tensor(f"{n}.generator") for n in ("order", "unlabelled")]
    assert {"order.generator", "unlabelled.generator", "generator"} <= names
    assert len(first) == len(second) == 48 - 5 * 8  # of four epochs of twelve
    assert not torch.equal(first, second)
    assert not torch.equal(*generators)


# What is frozen, and what is dropped.


@pytest.mark.parametrize("training", [STUDENT, NO_BOXES], ids=["boxes", "plain"])
def test_teacher_and_net_stay_as_they_were(
    training: Training, trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: dict[str, nn.Module] = {}

    def kept(
        parents: Mapping[str, Sequence[ParentWeights]], device: torch.device
    ) -> dict[str, nn.Module]:
        models.update(frozen_models(parents, device))
        return models

    monkeypatch.setattr(trainer, "frozen_models", kept)
    run(training, trials)
    assert set(models) == {TEACHER, RESTORATION}
    for role, parent in ((TEACHER, TAUGHT), (RESTORATION, NET)):
        state, _ = load_weights(trials.weights_of(parent.id))
        now = models[role].state_dict()
        assert any("running_mean" in name for name in now)
        assert all(torch.equal(now[name], value) for name, value in state.items())
        assert not any(module.training for module in models[role].modules())
        assert all(p.grad is None and not p.requires_grad for p in models[role].parameters())


@pytest.mark.parametrize("method", ["mvkt", "liteheart"])
def test_what_is_trained_beside_the_student_is_neither_counted_nor_kept(
    method: str, trials: Workspace
) -> None:
    plain, other = (run(of_objective(name), trials) for name in ("kd", method))
    assert other["params"] == plain["params"]
    for name in ("N", "params_total", "macs", "C", "C_teacher", "N_system", "macs_system"):
        assert other["trial"][name] == plain["trial"][name], name
    states = [load_weights(trials.weights_of(of_objective(n).id))[0] for n in ("kd", method)]
    assert states[0].keys() == states[1].keys()
    context = Context(
        training=of_objective(method),
        outputs=6,
        parents=frozen_models(parents_of(of_objective(method), trials), CPU),
    )
    model = trainer.initial_model(
        objective_of(of_objective(method)),
        context,
        select(open_corpus(BASIC, trials), STUDENT, CPU).splits["train"],
    )
    assert len(list(model.get_submodule("auxiliary").parameters())) > 0


def test_records_of_both_sets_have_places_of_their_own(trials: Workspace) -> None:
    """Of labelled and unlabelled records together, 0 to D - 1: MVKT's bank has one for each."""
    seen: list[Tensor] = []

    class Looking(KnowledgeDistillation):
        def imitation(self, auxiliary, pair, generator):  # type: ignore[no-untyped-def]
            seen.append(pair.records_B)
            return super().imitation(auxiliary, pair, generator)

    with pytest.MonkeyPatch.context() as patch:
        settings = OBJECTIVES["kd"].settings(STUDENT.options)
        patch.setattr(trainer, "objective_of", lambda training: Looking(settings))
        run(STUDENT, trials)
    labelled, others = torch.cat(seen[::2]), torch.cat(seen[1::2])
    assert set(labelled.tolist()) == set(range(12))
    assert set(others.tolist()) == set(range(12, 24))


# What the teacher sees.


@pytest.mark.parametrize("training", [STUDENT, NO_BOXES, MASKED], ids=["boxes", "plain", "masked"])
def test_the_teacher_sees_what_was_recorded(
    training: Training, corpus: Corpus, trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Tensor]] = {"teacher": [], "student": []}
    answers = base.answers

    def looked(model: Classifier, x_BLT: Tensor, r_peaks_BP: Tensor) -> Answers:
        who = "student" if any(p.requires_grad for p in model.parameters()) else "teacher"
        seen[who].append(x_BLT)
        return answers(model, x_BLT, r_peaks_BP)

    monkeypatch.setattr(base, "answers", looked)
    run(training, trials)
    teacher, student = torch.cat(seen["teacher"]), torch.cat(seen["student"])
    hidden = [lead != "I" for lead in LEADS]
    assert bool(teacher[:, hidden].any())
    assert bool(student[:, hidden].any()) == (training is not MASKED)
    rows = corpus.subset("", training.data)
    recorded = torch.from_numpy(corpus.batch(rows))
    if training is NO_BOXES:  # each record once
        assert len(teacher) == 24
        assert sorted(teacher[:, 1].sum(dim=-1).tolist()) == pytest.approx(
            sorted(recorded[:, 1].sum(dim=-1).tolist()), abs=1e-3
        )
        return
    assert len(teacher) == len(student) == 9 * 16
    assert torch.equal(teacher[:, 0], student[:, 0])  # the same boxes, and an observed lead
    assert not torch.equal(teacher[:, 1], student[:, 1])
    values = set(recorded[:, 1].flatten().tolist())
    assert set(teacher[:, 1].flatten().tolist()) <= values


# What it costs.


def test_both_batches_are_computed_and_counted(trials: Workspace) -> None:
    record = run(STUDENT, trials)
    assert record["trial"]["C"] == 6 * macs(STUDENT) * 16 * record["trial"]["steps"]
    for row in record["curve"]:
        assert row["C"] == 6 * macs(STUDENT) * 16 * row["step"]
    alone = run(LABELLED, trials)["trial"]
    assert alone["C"] == 6 * macs(STUDENT) * 8 * alone["steps"]
    assert (record["trial"]["labelled"], record["trial"]["unlabelled"]) == (12, 12)
    assert (alone["labelled"], alone["unlabelled"]) == (12, 0)


def test_the_teacher_costs_a_forward_pass_on_each_record_it_is_shown(trials: Workspace) -> None:
    row = run(STUDENT, trials)["trial"]
    assert row["C_teacher"] == 2 * macs(TAUGHT) * 16 * row["steps"]
    once = run(NO_BOXES, trials)["trial"]
    assert once["C_teacher"] == 2 * macs(TAUGHT) * 24
    labelled = run(dataclasses.replace(STUDENT, options=()), trials)["trial"]
    assert labelled["C_teacher"] == 2 * macs(TAUGHT) * 12
    assert run(of_objective("none"), trials)["trial"]["C_teacher"] == 0


def test_what_is_deployed_is_net_and_student(trials: Workspace) -> None:
    restored, masked = run(STUDENT, trials)["trial"], run(MASKED, trials)["trial"]
    net = frozen_models(parents_of(STUDENT, trials), CPU)[RESTORATION]
    of_net = count_training(NET, 6).total
    assert sum(p.numel() for p in net.parameters()) == of_net
    assert restored["N_system"] == restored["params_total"] + of_net
    assert restored["macs_system"] == restored["macs"] + count_macs(net, (1, 12, 250))
    assert (masked["N_system"], masked["macs_system"]) == (masked["params_total"], masked["macs"])
    assert masked["params_total"] == restored["params_total"] == count_training(STUDENT, 6).total


def test_parents_are_counted_once_each_with_their_own(
    trials: Workspace, trials_cache: Path
) -> None:
    shutil.copytree(Workspace(store=trials_cache / "parents", cache=trials_cache).spool,
                    trials.records)  # fmt: skip
    start = Parent(START, SUPERVISED.id)
    teacher = dataclasses.replace(TAUGHT, stage="finetune", size="d2w6", parents=(start,))
    student = dataclasses.replace(
        STUDENT, parents=(start, Parent(TEACHER, teacher.id), STUDENT.parents[1])
    )
    grandchild = dataclasses.replace(
        SUPERVISED, stage="finetune", parents=(Parent(START, student.id),)
    )
    spent = {t.id: run(t, trials)["trial"] for t in (SUPERVISED, teacher, student, grandchild)}
    net = trials.finished(NET.id)
    assert net is not None
    expected = spent[SUPERVISED.id]["C"] + spent[teacher.id]["C"] + net["trial"]["C"]
    assert spent[SUPERVISED.id]["C_parents"] == 0
    assert spent[student.id]["C_parents"] == expected
    own = spent[student.id]["C"] + spent[student.id]["C_teacher"]
    assert spent[student.id]["C_teacher"] > 0
    assert spent[grandchild.id]["C_parents"] == expected + own
    trials.record(NET.id).unlink()
    again = run(dataclasses.replace(student, seed=1), trials)["trial"]
    assert "C_parents" not in again


# What is refused.


def changed(**changes: Any) -> Training:
    return dataclasses.replace(STUDENT, **changes)


def of_corpus(**changes: Any) -> Training:
    return changed(corpus=dataclasses.replace(BASIC, **changes), parents=STUDENT.parents[:1])


@pytest.mark.parametrize(
    ("student", "words"),
    [
        (changed(task="flags"), "task '' instead of flags"),
        (changed(label_set="dominant-0.5"), "label_set '' instead of dominant-0.5"),
        (of_corpus(source="virtual/code"), "source virtual/basic instead of virtual/code"),
        (of_corpus(seed=1), "seed 0 instead of 1"),
        (of_corpus(fold=2), "fold 0 instead of 2"),
        (of_corpus(window_s=5.0), "window_s 2.5 instead of 5.0"),
        (of_corpus(fs_hz=250), "fs_hz 100 instead of 250"),
        (of_corpus(preprocessing="s1"), "preprocessing none instead of s1"),
        (changed(leads=("I", "II")), "aVF,V1,V2,V3,V4,V5,V6 instead of I,II"),
    ],
)
def test_a_teacher_of_something_else_is_refused(
    student: Training, words: str, trials: Workspace
) -> None:
    with pytest.raises(ParentError, match=f"parent {TAUGHT.id} does not go with .*{words}"):
        parents_of(student, trials, (TEACHER,))


def test_a_teacher_is_a_classifier_of_all_leads(trials: Workspace) -> None:
    contrastive = of_objective("contrastive")
    student = of_objective("none")
    for parent, words in (
        (contrastive, "paradigm ssl instead of sl"),
        (student, "input leads I instead of all"),
    ):
        run(parent, trials)
        taught = changed(parents=(Parent(TEACHER, parent.id), STUDENT.parents[1]))
        assert words in error(taught, trials)


def test_other_classes_than_the_teacher_s_are_named(trials: Workspace) -> None:
    sidecar = trials.weights_of(TAUGHT.id).with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace('"AF"', '"AFL"'))
    assert f"teacher {TAUGHT.id} tells 1dAVb, RBBB, LBBB, SB, AFL, ST apart, and" in error(
        STUDENT, trials
    )


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
def test_a_method_without_its_teacher_is_refused(method: str, trials: Workspace) -> None:
    training = dataclasses.replace(of_objective(method), parents=STUDENT.parents[1:])
    assert f"the method {method} learns from a teacher, and {training.id} has none" in error(
        training, trials
    )


def test_no_unlabelled_record_is_said(trials: Workspace) -> None:
    words = "lower labels_fraction or set its option unlabelled to 0"
    assert words in error(changed(labels_fraction=1.0), trials)
    assert words in error(changed(labels_fraction=0.99), trials)


@pytest.mark.parametrize(
    ("method", "loss", "least"), [("cc", "CC", 2), ("rkd", "RKD", 3), ("pkt", "PKT", 3),
                                  ("dist", "DIST", 3), ("mvkt", "MVKT", 2)]
)  # fmt: skip
def test_one_record_in_a_loss_on_relations_is_said(
    method: str, loss: str, least: int, trials: Workspace
) -> None:
    few = dataclasses.replace(of_objective(method), options=(), labels_fraction=0.04)
    words = f"the {loss} loss compares records with each other: it needs sets of at least {least}"
    found = error(few, trials)
    assert words in found
    assert "raise recipe.batch, or data and labels_fraction" in found


def test_fewer_than_three_classes_are_too_few_for_dist(trials: Workspace) -> None:
    two = {"label_set": "dominant-0.34"}
    teacher = dataclasses.replace(TAUGHT, **two)  # type: ignore[arg-type]
    run(teacher, trials)
    parents = (Parent(TEACHER, teacher.id), STUDENT.parents[1])
    training = dataclasses.replace(of_objective("dist"), parents=parents, **two)  # type: ignore[arg-type]
    words = "the DIST loss correlates over classes: it needs at least 3, and the task has 2"
    assert words in error(training, trials)


def test_a_lead_that_is_not_there_is_named(trials: Workspace) -> None:
    for leads, words in ((("V9",), "no lead V9; the leads are I, II"), (("I", "I"), "named twice")):
        assert words in error(changed(input_leads=leads, parents=STUDENT.parents[:1]), trials)


def test_equal_records_give_numbers(trials: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """All records alike, so that relations say nothing: no loss that is not finite."""
    real: Callable[..., Any] = Corpus.steps

    def alike(self: Corpus, rows: NDArray[np.int64], *words: Any) -> NDArray[np.int16]:
        return np.asarray(real(self, np.zeros_like(rows), *words))

    monkeypatch.setattr(Corpus, "steps", alike)
    for method in ("cc", "rkd", "dist", "pkt", "wkd", "mvkt", "liteheart"):
        assert issubclass(type(objective_of(of_objective(method))), Distillation)
        record = run(dataclasses.replace(of_objective(method), parents=MASKED.parents), trials)
        assert record["trial"]["status"] != "diverged", method
