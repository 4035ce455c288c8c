"""Students in a plan: which teacher and restoration net each has, and what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaling.cost import records_per_step
from scaling.identity import RESTORATION, START, TEACHER, Training
from scaling.records.names import HELD_OUT
from sweeps.plan.cost import GUESSED_FLOPS_PER_S, Speeds
from sweeps.plan.plan import Plan, describe_training
from sweeps.plan.text import short_text
from sweeps.store import Known
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.plan.test_parents import folded
from tests.sweeps.study import ids_of, plan_of

STUDENTS = """\
  - distill:
      families: {resnet: [d2w6]}
      input_leads: I
      methods: [none, kd, {name: liteheart, beta: [0, 0.03]}]
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
FOLDS = """\
study: folds
corpus: {source: ptbxl, fold: [3, 7]}
stages:
  - pretrain:
      corpus: {source: virtual/basic, records: 64, validation: 16, test: 16}
      families: {resnet: [d2w12]}
      data: [64]
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
        ("liteheart", (("unlabelled", 1.0),)),  # beta 0.03 is the default
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


@pytest.mark.parametrize("boxes", [False, True])
def test_a_plan_counts_what_teachers_compute(boxes: bool, write_grid: WriteGrid) -> None:
    """Each record once, or those of every step where boxes make others of them each time."""
    mixed = "settings: {unlabelled: 1.0, boxes: record}"
    plan = plan_of(
        write_grid(GRID.replace("settings: {unlabelled: 1.0}", mixed) if boxes else GRID)
    )
    macs = {p.job.training.id: p.counts.macs for p in plan.trials}
    for planned in plan.trials:
        training = planned.job.training
        teachers = training.parents_of_role(TEACHER)
        if not teachers:
            assert planned.teacher_flops == 0
            continue
        shown = 400 * 16 if boxes else training.data
        assert planned.teacher_flops == 2 * macs[teachers[0]] * shown
        assert planned.flops == 6 * planned.counts.macs * 16 * 400
    spent = sum(p.teacher_flops for p in plan.trials)
    assert f" FLOPs and {spent:.2e} of teachers, " in short_text(plan, 1)


def test_a_step_is_timed_with_its_teacher(write_grid: WriteGrid, tmp_path: Path) -> None:
    text = GRID.replace("{resnet: [d2w12]}", "{resnet: [d2w12, d2w24]}")
    plan = plan_of(write_grid(text))
    by_id = {p.job.training.id: p.job.training for p in plan.trials}
    taught = [t for t in by_id.values() if t.objective == "kd"]
    size = {t.id: by_id[t.parents_of_role(TEACHER)[0]].size for t in taught}
    records = [
        {"config": t.to_dict(), "trial": {"steps": 100, "duration_s": None}} for t in by_id.values()
    ]
    for training in taught:
        took = {"steps": 100, "duration_s": 1.0 if size[training.id] == "d2w12" else 3.0}
        records.append({"config": training.to_dict(), "trial": took})
    Speeds(tmp_path).learn(records, save=True)
    again = Speeds(tmp_path)
    assert {again.step_s(t) for t in taught} == {None}  # the sizes of teachers are not known yet
    again.know(by_id.values())
    for training in taught:
        assert again.step_s(training) == (0.01 if size[training.id] == "d2w12" else 0.03)
    small = next(t for t in taught if size[t.id] == "d2w12")
    guesses = [Speeds(tmp_path / "new").expected_s(small, 10**6, n) for n in (0, 10**12)]
    assert guesses[1] - guesses[0] == pytest.approx(10**12 / GUESSED_FLOPS_PER_S["float32"])


def test_trials_can_be_told_apart_in_messages(write_grid: WriteGrid) -> None:
    students = of_stage(plan_of(write_grid(GRID)), "distill")
    told = {describe_training(t) for t in students if t.objective == "kd"}
    assert len(told) == 8
    assert "distill resnet/d2w6 kd I D=64 labels=0.25 seed=0" in told


def test_the_grid_they_are_made_in_is_right(write_grid: WriteGrid) -> None:
    assert len(plan_of(write_grid(GRID)).trials) == 1 + 2 + 8 + 32


def test_teachers_follow_folds(write_grid: WriteGrid, shared: Path) -> None:
    plan = folded(write_grid(FOLDS), shared)
    found = of_stage(plan, "distill")
    assert [t.corpus.fold for t in found] == [3, 7]
    for student in found:
        assert parent_of(plan, student, TEACHER).corpus.fold == student.corpus.fold


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
