"""Ids hash what can change a result, and nothing else."""

from __future__ import annotations

import dataclasses
import json

import pytest

from scaling.identity import CorpusSpec, Evaluation, Job, Parent, Recipe, Training
from scaling.numerics import NUMERICS, versions

TRAINING = Training(
    stage="pretrain",
    corpus=CorpusSpec(source="virtual/code", records=512, validation=64, test=64),
    task="",
    family="resnet",
    size="d2w6",
    paradigm="sl",
    objective="supervised",
    data=256,
    recipe=Recipe(),
    numerics=(("models.resnet", 1), ("training", 1)),
)


def test_the_id_is_stable_across_versions_of_this_code() -> None:
    # If this fails, every finished record of every user would be run again.
    assert TRAINING.id == "t6a414e53ad3d283c"


@pytest.mark.parametrize(
    "change",
    [
        {"size": "d2w12"},
        {"data": 128},
        {"seed": 1},
        {"task": "superclass"},
        {"parents": (Parent("start", "t0"),)},
        {"labels_fraction": 0.5},
        {"leads": ("I",)},
        {"recipe": Recipe(lr=1e-4)},
        {"numerics": versions("training")},
        {"corpus": dataclasses.replace(TRAINING.corpus, validation=128)},
        {"corpus": dataclasses.replace(TRAINING.corpus, window_s=5)},
        {"corpus": dataclasses.replace(TRAINING.corpus, fingerprint="f0")},
        {"corpus": dataclasses.replace(TRAINING.corpus, preprocessing="s1")},
    ],
)
def test_what_changes_the_weights_changes_the_id(change: dict[str, object]) -> None:
    assert dataclasses.replace(TRAINING, **change).id != TRAINING.id  # type: ignore[arg-type]


def with_parents(objective: str, *parents: tuple[str, str]) -> Training:
    roles = tuple(Parent(*parent) for parent in parents)
    return dataclasses.replace(TRAINING, objective=objective, parents=roles)


def test_roles_that_are_older_than_ids_with_roles_are_not_in_them() -> None:
    """An id holds the ids of parents in order; a role only where there was none like it before."""
    start, codebook = ("start", "t0"), ("codebook", "t1")
    assert with_parents("supervised", start).id == "ta8c293d4bb69fb4e"
    assert with_parents("masked", codebook, start).id == "t097acaa6dd445439"
    assert with_parents("supervised", ("teacher", "t0")).id not in {
        with_parents("supervised", (role, "t0")).id for role in ("start", "codebook", "restoration")
    }


@pytest.mark.parametrize(
    ("objective", "parents"),
    [
        ("supervised", [("start", "t0")]),
        ("masked", [("codebook", "t0")]),
        ("masked", [("codebook", "t0"), ("start", "t1")]),
        ("contrastive", [("start", "t0")]),
    ],
)
def test_a_configuration_of_before_roles_is_read(
    objective: str, parents: list[tuple[str, str]]
) -> None:
    training = with_parents(objective, *parents)
    value = training.to_dict()
    assert value["parents"] == [name for _, name in parents]
    assert Training.from_dict(value) == training
    del value["roles"]
    assert Training.from_dict(value) == training
    assert Training.from_dict(value).id == training.id


def test_a_grown_training_pool_keeps_the_id_but_is_another_corpus() -> None:
    grown = dataclasses.replace(TRAINING.corpus, records=4096)
    assert dataclasses.replace(TRAINING, corpus=grown).id == TRAINING.id
    assert grown.key != TRAINING.corpus.key


def test_more_test_records_keep_the_training_but_not_its_evaluations() -> None:
    grown = dataclasses.replace(TRAINING.corpus, test=128)
    assert dataclasses.replace(TRAINING, corpus=grown).id == TRAINING.id
    one = Evaluation(training=TRAINING.id, corpus=grown, task="", protocol="held-out")
    assert one.id != dataclasses.replace(one, corpus=TRAINING.corpus).id


def test_whole_numbers_and_floats_are_the_same_value() -> None:
    assert Recipe(lr=1) == Recipe(lr=1.0)
    assert json.dumps(dataclasses.asdict(Recipe(lr=1))) == json.dumps(
        dataclasses.asdict(Recipe(lr=1.0))
    )
    whole, exact = (CorpusSpec(source="ptbxl", window_s=w) for w in (5, 5.0))
    assert whole.key == exact.key


def test_newer_code_prepares_its_own_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TRAINING.corpus.key
    monkeypatch.setitem(NUMERICS, "corpora.virtual", NUMERICS["corpora.virtual"] + 1)
    assert TRAINING.corpus.key != before


def test_the_pool_of_a_probe_changes_the_evaluation() -> None:
    spec = TRAINING.corpus
    one = Evaluation(training=TRAINING.id, corpus=spec, task="", protocol="linear-probe")
    two = dataclasses.replace(one, corpus=dataclasses.replace(spec, records=64))
    assert one.id != two.id
    assert dataclasses.replace(one, protocol="held-out").id != one.id


def test_jobs_survive_json() -> None:
    evaluation = Evaluation(
        training=TRAINING.id, corpus=TRAINING.corpus, task="", protocol="held-out"
    )
    job = Job(training=TRAINING, evaluations=(evaluation,))
    again = Job.from_dict(json.loads(json.dumps(job.to_dict())))
    assert again == job
    assert again.training.id == TRAINING.id


def test_modules_without_a_row_are_at_version_1() -> None:
    """So a new source or family changes nobody's id."""
    assert versions("models.unheard_of") == (("models.unheard_of", 1),)
    assert all(version >= 1 for version in NUMERICS.values())
