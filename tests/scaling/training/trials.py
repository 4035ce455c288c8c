"""Small trials on virtual patients, one for each objective, and where they run."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaling.identity import RESTORATION, TEACHER, CorpusSpec, Job, Parent, Recipe, Training
from scaling.objectives.registry import OBJECTIVES
from scaling.records.names import METHODS
from scaling.trial import run_job
from scaling.workspace import Workspace

BASIC = CorpusSpec(source="virtual/basic", window_s=2.5, records=32, validation=16, test=16)
RECIPE = Recipe(max_steps=9, batch=8, eval_every=3, warmup_steps=2, dropout=0.2, patience=9)
SUPERVISED = Training(
    stage="pretrain",
    corpus=BASIC,
    task="",
    family="resnet",
    size="d2w6",
    paradigm="sl",
    objective="supervised",
    data=24,
    recipe=RECIPE,
)
CODEBOOK = dataclasses.replace(
    SUPERVISED,
    stage="codebook",
    family="vq-hbr",
    size="l1d48k256t128",
    paradigm="ssl",
    objective="codebook",
    recipe=dataclasses.replace(RECIPE, dropout=0.0),
)
TAUGHT = dataclasses.replace(SUPERVISED, size="d2w12", labels_fraction=0.5, labelled_draw=3)
NET = dataclasses.replace(
    SUPERVISED,
    stage="restore",
    family="unet",
    size="c4",
    paradigm="ssl",
    objective="restoration",
    input_leads=("I",),
)
# A student with all that there is: restored leads, boxes, and unlabelled records.
STUDENT = dataclasses.replace(
    TAUGHT,
    stage="distill",
    size="d2w6",
    objective="kd",
    input_leads=("I",),
    options=(("boxes", "record"), ("unlabelled", 1.0)),
    parents=(Parent(TEACHER, TAUGHT.id), Parent(RESTORATION, NET.id)),
)
PARENTS = {"codebook": CODEBOOK, "teacher": TAUGHT, "restoration": NET}
TRAINED = [name for name, info in OBJECTIVES.items() if info.paradigm != "random"]


def of_objective(name: str) -> Training:
    """A small training with that objective."""
    if name == "codebook":
        return CODEBOOK
    if name == "restoration":
        return NET
    if name == "none":
        options = (("boxes", "record"),)
        return dataclasses.replace(
            STUDENT, objective=name, options=options, parents=STUDENT.parents[1:]
        )
    if name in METHODS:
        return dataclasses.replace(STUDENT, objective=name)
    training = dataclasses.replace(SUPERVISED, objective=name, paradigm=OBJECTIVES[name].paradigm)
    if name != "masked":
        return training
    return dataclasses.replace(
        training,
        family="transformer",
        size="l1d8h1t128",
        parents=(Parent("codebook", CODEBOOK.id),),
        options=(("codes", 256),),
    )


@contextlib.contextmanager
def coarse_bayes() -> Iterator[None]:
    """Virtual corpora prepared within get a coarse Bayes loss, 10 s sooner; not what is tested."""
    from scaling.corpora.virtual import bayes_loss as bayes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bayes, "ENTROPY_RECORDS", 160)
        patch.setattr(bayes, "FEWEST", 2)
        patch.setattr(bayes, "MOST", 3)
        yield


def prepare(cache: Path) -> None:
    """Prepare the corpus in ``cache`` and train what is a parent in ``cache / "parents"``."""
    with coarse_bayes():
        place = Workspace(store=cache / "parents", cache=cache)
        for training in PARENTS.values():
            (record,) = run_job(Job(training=training), place)
            assert record["error"] is None, record["error"]


def workspace(store: Path, cache: Path) -> Workspace:
    """A workspace with the weights of all parents, which checkpoints at every evaluation."""
    made = Workspace(store=store, cache=cache, checkpoint_s=0.0)
    shutil.copytree(Workspace(store=cache / "parents", cache=cache).weights, made.weights)
    return made
