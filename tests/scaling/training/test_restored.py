"""Restored signals: made once, whole or absent; and what is measured is what was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scaling.corpora.format.corpus import Corpus
from scaling.data.batches import evaluated, open_corpus, predict, split_of
from scaling.evaluation.trained import Trained, load_trained
from scaling.identity import LEADS, RESTORATION, Job, Parent, Training
from scaling.models.restorer import Restorer
from scaling.models.system import System
from scaling.training import restored
from scaling.training.restored import restored_signals
from scaling.training.selection import select
from scaling.trial import run_job
from scaling.weights import frozen_models, parents_of
from scaling.workspace import Workspace
from tests.scaling.training.trials import BASIC, NET, STUDENT, SUPERVISED, of_objective

CPU = torch.device("cpu")
HIDDEN = torch.tensor([lead != "I" for lead in LEADS])
MASKED = dataclasses.replace(of_objective("none"), parents=(), options=())


@pytest.fixture
def corpus(trials: Workspace) -> Corpus:
    return open_corpus(BASIC, trials)


@pytest.fixture
def net(trials: Workspace) -> nn.Module:
    return frozen_models(parents_of(STUDENT, trials, (RESTORATION,)), CPU)[RESTORATION]


@pytest.fixture
def apart(trials: Workspace, tmp_path: Path, trials_cache: Path) -> Workspace:
    """The same with a cache in which nothing is restored."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "corpora").symlink_to(trials_cache / "corpora")
    return dataclasses.replace(trials, cache=cache)


def run(training: Training, place: Workspace) -> dict[str, Any]:
    record = run_job(Job(training=training), place)[0]
    assert record["error"] is None, record["error"]["traceback"]
    return record


def measured(training: Training, place: Workspace) -> Trained:
    record = place.finished(training.id)
    assert record is not None
    return load_trained(training, record, place.weights_of(training.id), place, CPU)


def test_two_trials_share_what_the_net_made_once(
    apart: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    real = restored._make

    def counted(corpus: Corpus, training: Training, net: nn.Module, path: Path) -> None:
        made.append(path)
        real(corpus, training, net, path)

    monkeypatch.setattr(restored, "_make", counted)
    run(STUDENT, apart)
    run(dataclasses.replace(STUDENT, objective="mvkt", seed=1), apart)
    run(MASKED, apart)  # needs none
    assert [path.parent for path in made] == [apart.cache / "restored"]
    assert list((apart.cache / "restored").glob("*.npy")) == made
    assert not list((apart.cache / "restored").glob("*.part"))
    other = Parent(RESTORATION, dataclasses.replace(NET, seed=1).id)
    run(dataclasses.replace(NET, seed=1), apart)
    run(dataclasses.replace(STUDENT, parents=(STUDENT.parents[0], other)), apart)
    assert len({path.name for path in made}) == 2


def test_a_record_is_what_the_net_makes_of_it_in_steps_of_the_corpus(
    corpus: Corpus, net: nn.Module, apart: Workspace
) -> None:
    found = restored_signals(corpus, STUDENT, NET.id, net, apart.cache)
    assert isinstance(found, np.memmap)
    assert (found.shape, found.dtype) == ((len(corpus), 12, 250), np.int16)
    rows = np.array([3, 60, 0])
    x_BLT = torch.from_numpy(corpus.batch(rows))
    with torch.no_grad():
        exact_BLT = net(x_BLT, torch.full((3, 1), -1, dtype=torch.int16))
    error_BLT = torch.from_numpy(found[rows].astype(np.float32)) * corpus.lsb - exact_BLT
    assert error_BLT.abs().max() <= 0.5001 * corpus.lsb
    assert np.array_equal(found[rows][:, 0], corpus.steps(rows)[:, 0])  # observed: as it was
    assert not np.array_equal(found[rows][:, 1], corpus.steps(rows)[:, 1])


@pytest.mark.parametrize("left", [b"", b"half of an array"])
def test_they_are_whole_or_absent_after_a_kill(
    left: bytes,
    corpus: Corpus,
    net: nn.Module,
    apart: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = restored_signals(corpus, STUDENT, NET.id, net, tmp_path / "whole")
    monkeypatch.setattr(restored, "CHUNK", 24)
    calls = iter(range(9))

    def killed(*words: Any) -> Tensor:
        if next(calls) == 1:  # the second of three chunks
            raise KeyboardInterrupt
        return evaluated(*words)

    monkeypatch.setattr(restored, "evaluated", killed)
    folder = apart.cache / "restored"
    with pytest.raises(KeyboardInterrupt):
        restored_signals(corpus, STUDENT, NET.id, net, apart.cache)
    assert not list(folder.glob("*.npy"))
    for part in folder.glob("*.part"):
        part.write_bytes(left or part.read_bytes())
    again = restored_signals(corpus, STUDENT, NET.id, net, apart.cache)
    assert np.array_equal(again, whole)
    assert not list(folder.glob("*.part"))


def test_streamed_signals_give_the_same_numbers(
    corpus: Corpus, net: nn.Module, trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = restored_signals(corpus, STUDENT, NET.id, net, trials.cache)
    plain = select(corpus, STUDENT, CPU, unlabelled=True, restored=signals)
    monkeypatch.setattr("scaling.data.device.free_bytes", lambda device: 1000)
    streamed = select(corpus, STUDENT, CPU, unlabelled=True, restored=signals)
    assert any("do not fit on cpu" in note for note in streamed.notes)
    rows = torch.tensor([5, 0, 11])
    for name, split in plain.splits.items():
        one, other = (split.batch(rows), streamed.splits[name].batch(rows))
        assert len(streamed.splits[name].signals) == 0
        for field in ("x_BLT", "recorded_BLT", "r_peaks_BP", "rows_B"):
            assert torch.equal(getattr(one, field), getattr(other, field)), (name, field)
        torch.testing.assert_close(one.labels_BC, other.labels_BC, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("training", [STUDENT, MASKED], ids=["restored", "masked"])
def test_what_is_measured_is_what_was_trained_on(training: Training, trials: Workspace) -> None:
    """Leads as recorded go in, all of them; the rounding of 16 bits is all that differs."""
    run(training, trials)
    trained = measured(training, trials)
    _, _, system = trained.whole()
    assert isinstance(system, System)
    assert isinstance(system.restorer, Restorer) == (training is STUDENT)
    corpus = open_corpus(BASIC, trials)
    signals = None
    if system.restorer is not None:
        signals = restored_signals(corpus, training, NET.id, system.restorer, trials.cache)
    in_training = select(corpus, training, CPU, restored=signals).splits["validation"]
    rows = corpus.rows("validation", "")
    recorded = split_of(corpus, rows, "", CPU)
    student = system.student
    one, other = predict(student, in_training), predict(system, recorded)
    torch.testing.assert_close(one, other, rtol=0.0, atol=0.02)
    if training is MASKED:
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-5)
    assert not torch.allclose(predict(student, recorded), other, atol=0.02)


@pytest.mark.parametrize("training", [STUDENT, MASKED], ids=["restored", "masked"])
def test_hidden_leads_change_nothing_that_is_measured_or_probed(
    training: Training, trials: Workspace
) -> None:
    run(training, trials)
    trained = measured(training, trials)
    corpus = open_corpus(BASIC, trials)
    x_BLT = torch.from_numpy(corpus.batch(corpus.rows("test", "")[:4]))
    peaks_BP = torch.full((4, 1), -1, dtype=torch.int16)
    _, _, system = trained.whole()
    for model in (system, trained.backbone()):
        assert isinstance(model, System)
        plain = model(x_BLT, peaks_BP)
        for wrong in (float("nan"), 5.0):
            other_BLT = torch.where(HIDDEN[:, None], wrong, x_BLT)
            assert torch.equal(model(other_BLT, peaks_BP), plain)
        assert not torch.equal(model(torch.where(HIDDEN[:, None], x_BLT, 0.0), peaks_BP), plain)


def test_a_student_of_all_leads_is_no_system(trials: Workspace) -> None:
    whole = dataclasses.replace(MASKED, input_leads=())
    run(whole, trials)
    _, _, model = measured(whole, trials).whole()
    assert not isinstance(model, System)


@pytest.mark.parametrize(
    ("training", "same"),
    [(MASKED, True), (of_objective("none"), True), (STUDENT, False)],
    ids=["masked", "restored", "taught"],
)
def test_hidden_leads_change_no_weight_of_a_student_but_by_its_teacher(
    training: Training, same: bool, trials: Workspace, apart: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first = run(training, trials)
    weights = trials.weights_of(training.id).read_bytes()
    real = Corpus.steps

    def without(self: Corpus, rows: NDArray[np.int64], *words: Any) -> NDArray[np.int16]:
        found = real(self, rows, *words)
        found[:, HIDDEN.numpy()] = found[:, HIDDEN.numpy()][..., ::-1] // 2
        return found

    monkeypatch.setattr(Corpus, "steps", without)
    elsewhere = dataclasses.replace(apart, store=apart.store.parent / "other")
    elsewhere.weights.parent.mkdir()
    elsewhere.weights.symlink_to(trials.weights)
    again = run(training, elsewhere)
    assert (again["curve"] == first["curve"]) == same
    assert (elsewhere.weights_of(training.id).read_bytes() == weights) == same


def test_a_net_of_other_leads_or_another_stage_is_refused(trials: Workspace) -> None:
    for training, words in (
        (dataclasses.replace(STUDENT, input_leads=("V2",)), "input_leads I instead of V2"),
        (dataclasses.replace(STUDENT, input_leads=()), "input_leads I instead of all"),
        (
            dataclasses.replace(STUDENT, parents=(Parent(RESTORATION, SUPERVISED.id),)),
            "stage pretrain instead of restore; input_leads all instead of I",
        ),
    ):
        if "pretrain" in words:
            run(SUPERVISED, trials)
        (record,) = run_job(Job(training=training), trials)
        assert words in record["error"]["message"]
