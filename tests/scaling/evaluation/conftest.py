"""A second small corpus with several tasks, and a training whose steps were all kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scaling.data.batches import open_corpus
from scaling.identity import Evaluation, Job
from scaling.trial import run_job
from scaling.workspace import Workspace
from tests.scaling.evaluation.pieces import OTHER
from tests.scaling.training.trials import BASIC, SUPERVISED, coarse_bayes, workspace


@pytest.fixture(scope="session")
def trained_store(trials_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with ``SUPERVISED`` trained and every evaluated step kept."""
    place = workspace(tmp_path_factory.mktemp("trained") / "store", trials_cache)
    with coarse_bayes():
        open_corpus(OTHER, place)
    along = Evaluation(
        training=SUPERVISED.id,
        corpus=BASIC,
        task="",
        protocol="linear-probe",
        checkpoint="trajectory",
    )
    (record, _) = run_job(Job(training=SUPERVISED, evaluations=(along,)), place)
    assert record["error"] is None, record["error"]
    return place.store


@pytest.fixture
def place(tmp_path: Path, trials_cache: Path, trained_store: Path) -> Workspace:
    """A store of this test's own with that training in it, and no evaluation."""
    store = tmp_path / "store"
    shutil.copytree(trained_store, store)
    for path in (store / "spool").glob("e*.json"):
        path.unlink()
    return Workspace(store=store, cache=trials_cache)
