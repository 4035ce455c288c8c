"""What a plan refuses of students: each at the line of the grid that is to be changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.identity import Training
from sweeps.errors import ConfigurationError
from sweeps.plan.needs import fewest_different
from sweeps.plan.parents import sees_no_more
from sweeps.plan.plan import Plan
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.plan.test_distill import FOLDS, GRID, STUDENTS, TEACHERS
from tests.sweeps.plan.test_parents import folded
from tests.sweeps.study import plan_of


def teachers(old: str, new: str) -> str:
    assert old in TEACHERS
    return GRID.replace(TEACHERS, TEACHERS.replace(old, new))


def students(old: str, new: str) -> str:
    assert old in STUDENTS
    return GRID.replace(STUDENTS, STUDENTS.replace(old, new))


# What the grid says, its last place of some words with a bar before the place, and the message.
REFUSED: dict[str, tuple[str, str, str]] = {
    "more labels": (
        teachers("[0.25, 0.5]", "[0.5]"),
        "teacher: |{}",
        "no teacher has seen the labels of 0.25 of 64 records (draw 0) and no others: they have "
        "those of 0.5 of 128 records (draw 0), 0.5 of 128 records (draw 1), 0.5 of 64 records",
    ),
    "another draw": (teachers("[0, 1]", "[2, 3]"), "teacher: |{}", "by teacher: {oracle: true}"),
    "fewer records": (teachers("[64, 128]", "[64]"), "teacher: |{}", "Give both stages the same"),
    "more records": (
        GRID.replace(TEACHERS, TEACHERS.replace("[0.25, 0.5]", "1").replace("[64, 128]", "128"))
        .replace("[0.25, 0.5]", "1").replace("{unlabelled: 1.0}", "{}"),
        "teacher: |{}",
        "1 of 64 records and no others: they have those of 1 of 128 records",
    ),
    "a label set": (
        teachers("labels:", "label_sets: dominant-0.5\n      labels:"),
        "teacher: |{}",
        "0.25 of 128 records (draw 0) of dominant-0.5",
    ),
    "its own parent saw more": (
        GRID.replace("{source: virtual/code,", "{source: virtual/basic,"),
        "teacher: |{}",
        "each teacher starts from a model that has seen labels of virtual/basic which its student",
    ),
    "no labels": (
        GRID.replace("[d2w12]}", "[d2w12]}\n      paradigms: [ssl]").replace(
            "teacher: {}", "teacher: {stage: pretrain}"),
        "teacher: |{stage",
        "no model trained by contrastive can teach: students imitate one logit for each label",
    ),
    "another corpus": (
        students("teacher: {}", "teacher: {stage: pretrain, oracle: true}"),
        "teacher: |{stage",
        "on virtual/basic imitate a model that was trained with source virtual/code instead of "
        "virtual/basic: give both the same labels and signals",
    ),
    "another task": (
        GRID.replace("virtual/basic", "virtual/ptbxl").replace(
            "  - finetune:\n", "  - finetune:\n      corpus: {source: virtual/ptbxl, task: all}\n"),
        "teacher: |{}",
        "imitate a model that was trained with task all instead of superclass",
    ),
    "other preprocessing": (
        students("teacher: {}", "corpus: {source: virtual/shifted, preprocessing: s1}\n      "
                 "teacher: {oracle: true}"),
        "corpus: |{source: virtual/shifted",
        "imitate a model that was trained with source virtual/basic instead of virtual/shifted; "
        "preprocessing none instead of s1",
    ),
    "other leads restored": (
        students("input_leads: I", "input_leads: V5"),
        "restoration: |{}",
        "no restoration net is given V5; they are given I, II+V2: train one for it in the restore",
    ),
    "no such net": (
        students("restoration: {}", "restoration: {input_leads: V5}"),
        "restoration: |{",
        "no trial of the restore stage",
    ),
    "a small batch": (
        students("batch: 8", "batch: [8, 2]").replace("kd,", "rkd,"),
        "batch: [8, |2]",
        "the objective 'rkd' compares the records of a batch: it needs at least 3, not 2",
    ),
    "halves of one record": (
        GRID.replace("[d2w12]}", "[d2w12]}\n      paradigms: ssl\n      recipe: {batch: 1}"),
        "batch: |1}",
        "the objective 'contrastive' compares the records of a batch: it needs at least 2, not 1",
    ),
    "a batch of a cell": (
        GRID.replace("families: {resnet: [d2w12]}\n      data: [64]", "paradigms: ssl\n      "
                     "cells: [{family: resnet, size: d2w12, data: 64, recipe: {batch: 1}}]"),
        "batch: |1}",
        "'contrastive' compares the records of a batch",
    ),
    "a batch that may hold copies": (
        students("batch: 8", "batch: 8, by_size: {d2w6: {batch: 3}}").replace("kd,", "rkd,"),
        "batch: |3}",
        "needs 3 different records in a step, and where an epoch ends 3 may be 2; use 5 or more",
    ),
    "few labelled records": (
        GRID.replace("[64, 128]", "[8]").replace("kd,", "rkd,"),
        "data: [|8]",
        "'rkd' needs 3 different records in a step, and only 2 of 8 are labelled; give more data",
    ),
    "few unlabelled records": (
        GRID.replace("[64, 128]", "[16]").replace("[0.25, 0.5]", "[0.9]").replace("kd,", "rkd,"),
        "labels: [|0.9]",
        "only 2 are unlabelled; give fewer labels",
    ),
    "no unlabelled record": (
        GRID.replace("[64, 128]", "[16]").replace("[0.25, 0.5]", "[0.99]"),
        "labels: [|0.99]",
        "'kd' uses unlabelled records, and 16 of 16 are labelled; give fewer labels",
    ),
    "a few unlabelled ones of a step": (
        students("unlabelled: 1.0", "unlabelled: [1.0, 0.3]").replace("kd,", "rkd,"),
        "unlabelled: |[",
        "'rkd' needs 3 different records in a step, and of unlabelled ones it has 2; let it have 5",
    ),
    "unlabelled copies in a step": (
        students("unlabelled: 1.0", "unlabelled: [1.0, 0.5]").replace("kd,", "rkd,").replace(
            "[64, 128]", "[60]"),
        "unlabelled: |[",
        "and of unlabelled ones where an epoch ends 4 may be 2; let it have 5 or more",
    ),
    "few classes": (
        GRID.replace("source: virtual/basic", "source: virtual/echonext, task: shd").replace(
            "[none, kd", "[none, dist"),
        "methods: [none, |dist",
        "the objective 'dist' compares classes: it needs at least 3, and the task has 1; take",
    ),
    "few leads": (
        GRID.replace("test: 16, window_s: 5", "test: 16, fs_hz: 500, preprocessing: laq"),
        "preprocessing: |laq",
        "preprocessing 'laq' keeps I, and models are made for 12 leads: there is no II, III, aVR",
    ),
}  # fmt: skip


def refused(grid: Path, plan: Callable[[Path], Plan] = plan_of) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        plan(grid)
    return str(caught.value).splitlines()


def place(text: str, at: str) -> str:
    """Line and column of the bar in ``at``, at the last place in ``text`` of the words around."""
    before, after = at.split("|")
    lines = text[: text.rindex(before + after) + len(before)].splitlines()
    return f"{len(lines)}:{len(lines[-1]) + 1}"


def check_refused(text: str, at: str, words: str, write_grid: WriteGrid) -> None:
    """A plan says ``words`` of a grid, at the place that ``at`` means (``place``)."""
    lines = refused(write_grid(text))
    found = [line for line in lines if words in line]
    assert found, lines
    assert found[0].startswith(f"{write_grid(text)}:{place(text, at)}: "), found[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taught_is_said_at_its_line(name: str, write_grid: WriteGrid) -> None:
    check_refused(*REFUSED[name], write_grid)


def test_a_teacher_of_another_fold_is_refused(write_grid: WriteGrid, shared: Path) -> None:
    other = "  - distill:\n      corpus: {source: ptbxl, fold: 4}\n"
    text = FOLDS.replace("  - distill:\n", other)
    grid = write_grid(text)
    (line,) = refused(grid, lambda path: folded(path, shared))
    at = place(text, "teacher: |{}")
    assert line.startswith(f"{grid}:{at}: stages.2.distill.teacher: no teacher can be tested on ")
    assert "ptbxl:superclass@fold4: each has trained on records of its test split" in line


@pytest.mark.parametrize(("size", "records"), [(3, 7), (8, 12), (5, 4), (7, 4), (6, 3), (4, 12)])
def test_fewest_different_records_of_a_batch(size: int, records: int) -> None:
    """No batch of an order has fewer, and some arrangement of epochs has as few."""
    # In the worst case the next epoch begins with what the batch began with.
    worst = records
    for start in range(0, size * records, size):
        first = min((-start) % records or records, size)
        rest = size - first
        different = first if rest <= first else min(records, max(first, rest))
        worst = min(worst, different)
    assert fewest_different(size, records) <= worst
    if size <= records:
        assert fewest_different(size, records) == worst


@pytest.mark.parametrize(
    ("other", "student", "nested"),
    [
        ((64, 0.5, 1), (64, 0.5, 1), True),
        ((64, 0.25, 1), (64, 0.5, 1), True),
        ((64, 0.5, 1), (64, 0.25, 1), False),
        ((64, 0.5, 1), (64, 0.5, 0), False),
        ((32, 0.5, 1), (64, 0.5, 1), False),
        ((32, 0.5, 1), (64, 1.0, 0), True),
        ((64, 1.0, 0), (32, 1.0, 0), False),
    ],
)
def test_labels_that_are_nested(
    other: tuple[int, float, int], student: tuple[int, float, int], nested: bool
) -> None:
    pair = [
        Training.from_dict(
            {
                "stage": "finetune",
                "corpus": {"source": "virtual/basic"},
                "task": "",
                "family": "resnet",
                "size": "d2w6",
                "paradigm": "sl",
                "objective": "supervised",
                "data": data,
                "recipe": {},
                "leads": [],
                "parents": [],
                "numerics": [],
                "labels_fraction": fraction,
                "labelled_draw": draw,
            }
        )
        for data, fraction, draw in (other, student)
    ]
    assert sees_no_more(*pair) == nested
