"""Students in a plan: which teacher and restoration net each has, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.cost import records_per_step
from scaling.identity import RESTORATION, START, TEACHER, Training
from scaling.records.names import HELD_OUT
from sweeps.errors import ConfigurationError
from sweeps.plan.needs import fewest_different
from sweeps.plan.parents import sees_no_more
from sweeps.plan.plan import Plan, describe_training
from sweeps.store import Known
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.plan.test_parents import folded
from tests.sweeps.study import ids_of, plan_of

STUDENTS = """\
  - distill:
      families: {resnet: [d2w6]}
      input_leads: I
      methods: [none, kd, {name: liteheart, beta: [0, 0.1]}]
      settings: {unlabelled: 1.0}
      data: [64, 128]
      labels: [0.25, 0.5]
      draws: [0, 1]
      teacher: {}
      restoration: {}
      recipe: {batch: 8}
"""
TEACHERS = """\
  - finetune:
      parents: {}
      data: [64, 128]
      labels: [0.25, 0.5]
      draws: [0, 1]
      recipe: {batch: 8}
"""
GRID = f"""\
study: taught
corpus: {{source: virtual/basic, records: 256, validation: 16, test: 16, window_s: 5}}
stages:
  - pretrain:
      corpus: {{source: virtual/code, records: 256, validation: 16, test: 16}}
      families: {{resnet: [d2w12]}}
      data: [64]
  - restore:
      families: {{unet: [c4]}}
      input_leads: [I, II+V2]
      data: [128]
{TEACHERS}{STUDENTS}"""
CEILING = """\
  - distill:
      families: {resnet: [d2w6]}
      input_leads: I
      methods: none
      data: [128]
      draws: [0, 1]
"""


def of_stage(plan: Plan, stage: str) -> list[Training]:
    return [p.job.training for p in plan.trials if p.job.training.stage == stage]


def parent_of(plan: Plan, training: Training, role: str) -> Training:
    (name,) = training.parents_of_role(role)
    (found,) = (p.job.training for p in plan.trials if p.job.training.id == name)
    return found


def labels(training: Training) -> tuple[float, int, int, int]:
    return (training.labels_fraction, training.labelled_draw, training.seed, training.data)


def test_a_teacher_has_the_labels_draw_seed_and_data_of_its_student(write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(GRID))
    students = of_stage(plan, "distill")
    taught = [t for t in students if t.objective != "none"]
    assert len(taught) == 3 * 8  # kd, and liteheart with and without its discriminator
    for student in taught:
        teacher = parent_of(plan, student, TEACHER)
        assert (teacher.stage, labels(teacher)) == ("finetune", labels(student))
    assert {(t.seed, t.labelled_draw) for t in students} == {(0, 0), (1, 1)}


def test_each_method_takes_those_settings_that_it_has(write_grid: WriteGrid) -> None:
    students = of_stage(plan_of(write_grid(GRID)), "distill")
    assert {(t.objective, t.options) for t in students} == {
        ("none", ()),
        ("kd", (("unlabelled", 1.0),)),
        ("liteheart", (("unlabelled", 1.0),)),  # beta 0.1 is the default
        ("liteheart", (("beta", 0.0), ("unlabelled", 1.0))),
    }
    assert {records_per_step(t) for t in students if t.objective == "none"} == {8}
    assert {records_per_step(t) for t in students if t.objective == "kd"} == {16}


@pytest.mark.parametrize("sizes", ["[d2w12]", "[d2w12, d2w24, d3w24]"])
def test_none_takes_no_teacher_and_appears_once(sizes: str, write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(GRID.replace("{resnet: [d2w12]}", f"{{resnet: {sizes}}}")))
    students = of_stage(plan, "distill")
    alone = [t for t in students if t.objective == "none"]
    assert len(alone) == 8
    assert all([p.role for p in t.parents] == [RESTORATION] for t in alone)
    assert len({labels(t) for t in alone}) == 8
    count = sizes.count("w")
    assert len([t for t in students if t.objective == "kd"]) == count * 8
    if count > 1:
        assert not any("more than once" in warning for warning in plan.warnings)


def test_restoration_nets_are_those_of_the_leads(write_grid: WriteGrid) -> None:
    text = GRID.replace("input_leads: I\n", "input_leads: [I, V2+II]\n")
    plan = plan_of(write_grid(text))
    students = of_stage(plan, "distill")
    assert {t.input_leads for t in students} == {("I",), ("II", "V2")}
    for student in students:
        assert parent_of(plan, student, RESTORATION).input_leads == student.input_leads


def test_without_parents_leads_are_zero_and_all_labels_are_a_ceiling(write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(GRID + CEILING))
    ceiling = [t for t in of_stage(plan, "distill") if t.labels_fraction == 1.0]
    assert [(t.parents, t.seed, t.labelled_draw) for t in ceiling] == [((), 0, 0), ((), 1, 1)]
    alone = plan_of(write_grid(GRID[: GRID.index("  - pretrain")] + CEILING))
    assert {t.id for t in ceiling} == {t.id for t in of_stage(alone, "distill")}


def test_students_may_begin_as_what_was_pretrained(write_grid: WriteGrid) -> None:
    text = GRID.replace("families: {resnet: [d2w6]}", "parents: {}").replace("methods: [none, kd",
                        "methods: [kd")  # fmt: skip
    for student in of_stage(plan_of(write_grid(text)), "distill"):
        assert [p.role for p in student.parents] == [START, TEACHER, RESTORATION]
        assert student.size == "d2w12"


def test_an_oracle_may_have_seen_all_labels(write_grid: WriteGrid) -> None:
    text = GRID.replace(TEACHERS, TEACHERS.replace("[0.25, 0.5]", "[1.0]"))
    plan = plan_of(write_grid(text.replace("teacher: {}", "teacher: {data: 128, oracle: true}")))
    for student in of_stage(plan, "distill"):
        if student.objective != "none":
            teacher = parent_of(plan, student, TEACHER)
            assert (teacher.labels_fraction, teacher.data) == (1.0, 128)
            assert teacher.seed == student.seed


def test_all_labels_of_fewer_records_are_no_more(write_grid: WriteGrid) -> None:
    text = GRID.replace(TEACHERS, TEACHERS.replace("[64, 128]", "64"))
    text = text.replace("[0.25, 0.5]", "1.0").replace("{unlabelled: 1.0}", "{}")
    plan = plan_of(write_grid(text))
    found = [t for t in of_stage(plan, "distill") if t.objective == "kd"]
    assert {(t.data, parent_of(plan, t, TEACHER).data) for t in found} == {(64, 64), (128, 64)}


def test_the_best_teacher_is_chosen_among_those_of_a_student(write_grid: WriteGrid) -> None:
    """Of each draw, share and number of records; the largest stand in until they are known."""
    text = GRID.replace("{resnet: [d2w12]}", "{resnet: [d2w12, d2w24]}")
    grid = write_grid(text.replace("teacher: {}", "teacher: {best: loss}"))
    waiting = plan_of(grid)
    assert [stage.waiting for stage in waiting.stages] == [False, False, False, True]
    known: dict[str, Known] = {}
    for planned in waiting.trials:
        training = planned.job.training
        known[training.id] = Known(status="done", record={})
        # By its loss, the small one is the better teacher of draw 1 alone.
        better = (training.size == "d2w12") == (training.labelled_draw == 1)
        for evaluation in planned.job.evaluations:
            loss = {"loss": 0.1 if better else 0.2}
            known[evaluation.id] = Known(status="done", record={}, validation=loss)
    done = plan_of(grid, known)
    students = [t for t in of_stage(done, "distill") if t.objective == "kd"]
    assert len(students) == 8
    for student in students:
        teacher = parent_of(done, student, TEACHER)
        assert labels(teacher) == labels(student)
        assert teacher.size == ("d2w12" if student.labelled_draw == 1 else "d2w24")


def test_stages_before_keep_their_ids(write_grid: WriteGrid) -> None:
    whole = ids_of(plan_of(write_grid(GRID)))
    before = ids_of(plan_of(write_grid(GRID.replace(STUDENTS, ""))))
    restore = GRID[GRID.index("  - restore") : GRID.index("  - finetune")]
    neither = ids_of(plan_of(write_grid(GRID.replace(STUDENTS, "").replace(restore, ""))))
    assert neither < before < whole


def test_students_are_measured_like_what_is_finetuned(write_grid: WriteGrid) -> None:
    more = "      metrics: multilabel\n      predictions: true\n      tasks: [virtual/shifted]\n"
    plan = plan_of(write_grid(GRID + more))
    for planned in plan.stages[-1].trials:
        own, probe = planned.job.evaluations
        assert (own.protocol, own.metrics, own.predictions) == (HELD_OUT, "multilabel", True)
        assert (probe.corpus.source, probe.metrics) == ("virtual/shifted", "multilabel")


def test_trials_can_be_told_apart_in_messages(write_grid: WriteGrid) -> None:
    students = of_stage(plan_of(write_grid(GRID)), "distill")
    told = {describe_training(t) for t in students if t.objective == "kd"}
    assert len(told) == 8
    assert "distill resnet/d2w6 kd I D=64 labels=0.25 seed=0" in told


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


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taught_is_said_at_its_line(name: str, write_grid: WriteGrid) -> None:
    text, at, words = REFUSED[name]
    lines = refused(write_grid(text))
    found = [line for line in lines if words in line]
    assert found, lines
    assert found[0].startswith(f"{write_grid(text)}:{place(text, at)}: "), found[0]


def test_the_grid_they_are_made_in_is_right(write_grid: WriteGrid) -> None:
    assert len(plan_of(write_grid(GRID)).trials) == 1 + 2 + 8 + 32


def test_teachers_follow_folds(write_grid: WriteGrid, shared: Path) -> None:
    text = """\
study: folds
corpus: {source: ptbxl, fold: [3, 7]}
stages:
  - finetune:
      parents: {}
      data: [64]
  - distill:
      families: {resnet: [d2w6]}
      input_leads: I
      methods: kd
      data: [64]
      teacher: {}
"""
    first = "  - pretrain: {corpus: {source: virtual/basic, records: 64, validation: 16, test: 16}"
    first += ", families: {resnet: [d2w12]}, data: [64]}\n"
    text = text.replace("  - finetune", f"{first}  - finetune", 1)
    plan = folded(write_grid(text), shared)
    found = of_stage(plan, "distill")
    assert [t.corpus.fold for t in found] == [3, 7]
    for student in found:
        assert parent_of(plan, student, TEACHER).corpus.fold == student.corpus.fold
    other = "  - distill:\n      corpus: {source: ptbxl, fold: 4}\n"
    grid = write_grid(text.replace("  - distill:\n", other))
    (line,) = refused(grid, lambda path: folded(path, shared))
    assert line.startswith(f"{grid}:14:16: stages.2.distill.teacher: no teacher can be tested on ")
    assert "ptbxl:superclass@fold4: each has trained on records of its test split" in line


def test_warnings_count_the_records_that_are_shown(write_grid: WriteGrid) -> None:
    """Labelled and unlabelled ones apart; neither is an epoch of D."""
    small = STUDENTS.replace("batch: 8", "batch: 20, max_steps: 4, warmup_steps: 1, eval_every: 2")
    text = GRID.replace(STUDENTS, small.replace("draws: [0, 1]", "draws: 0"))
    warnings = plan_of(write_grid(text)).warnings
    assert "batch 20 is larger than the data (16 labelled records) of some trials" in warnings
    assert not any("max_steps x batch is less than one pass" in line for line in warnings)
    (line,) = (line for line in warnings if "unlabelled" in line)
    assert line.startswith("max_steps x batch x unlabelled is less than one pass over the unlabell")
    assert "records of D = 128:" in line  # 80 are shown, of 32 to 48 or 64 to 96


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
