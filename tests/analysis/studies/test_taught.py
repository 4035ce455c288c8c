"""What is known of a student's teacher, and of the student alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.studies.load import load
from analysis.studies.taught import COLUMNS, with_teachers
from tests.analysis.student_stores import study_of_students, write_students

CORPUS = "virtual/ptbxl:superclass"
_TRIAL: dict[str, Any] = {
    "stage": "distill", "status": "done", "corpus": CORPUS, "preprocessing": "none",
    "family": "convtx", "size": "d8n1h1s2", "leads": 12, "input_leads": "I", "label_set": "",
    "D": 4096, "N": 5000, "labels_fraction": 0.1, "labelled_draw": 0, "seed": 0,
    "teacher": "", "restoration": "", "parents": "", "options": "", "recipe": "a",
    "objective": "none",
}  # fmt: skip


def _rows(trial: str, test: float, validation: float = 0.5, **columns: Any) -> list[dict[str, Any]]:
    """A trial with its held-out losses, and a curve that must not be taken for them."""
    one = _TRIAL | {"trial": trial} | columns
    one["parents"] = ";".join(p for p in (one["parents"], one["teacher"], one["restoration"]) if p)
    place = {"task": one["corpus"], "protocol": "held-out", "metric": "loss"}
    return [
        one | place | {"protocol": "curve", "split": "test", "value": 9.0},
        one | place | {"split": "test", "value": test},
        one | place | {"split": "validation", "value": validation},
        one | place | {"split": "test", "metric": "macro_auroc", "value": 0.7},
    ]


def _known(*trials: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By trial, what each column says."""
    frame = with_teachers(pd.DataFrame([row for rows in trials for row in rows]))
    assert len(frame.groupby(["trial", *COLUMNS], dropna=False)) == len(trials)
    each = frame.drop_duplicates("trial").set_index("trial")[[*COLUMNS]]
    return {str(name): {c: float(row[c]) for c in COLUMNS} for name, row in each.iterrows()}


def _empty(known: dict[str, float]) -> bool:
    return all(map(math.isnan, known.values()))


def _teacher(name: str, test: float, **columns: Any) -> list[dict[str, Any]]:
    columns = {"stage": "finetune", "objective": "supervised", "input_leads": "", **columns}
    return _rows(name, test, **columns)


def test_each_student_has_the_losses_of_its_own_teacher_and_of_itself_alone() -> None:
    known = _known(
        _teacher("t0", 0.30, N=250_000),
        _teacher("t1", 0.32, N=80_000, D=1024, labelled_draw=1, seed=1),
        _rows("none0", 0.50),
        _rows("none1", 0.52, labelled_draw=1, seed=1),
        _rows("none-restored", 0.44, restoration="net"),
        _rows("none-boxes", 0.45, options='{"boxes": "record"}'),
        _rows("none-all", 0.40, input_leads=""),
        _rows("kd0", 0.46, objective="kd", teacher="t0"),
        _rows("kd1", 0.47, objective="kd", teacher="t1", labelled_draw=1, seed=1),
        _rows("lite0", 0.43, objective="liteheart", teacher="t0", restoration="net"),
        _rows("large", 0.43, objective="kd", teacher="t0", size="d16n1h2s2"),
        _rows("begun", 0.41, objective="kd", teacher="t0", parents="p0"),
    )
    assert [*known["kd0"].values()] == [0.30, 250_000, 4096, 0.50]
    assert [*known["kd1"].values()] == [0.32, 80_000, 1024, 0.52]
    assert [*known["lite0"].values()] == [0.30, 250_000, 4096, 0.50]
    assert known["none-restored"]["L_alone"] == known["none0"]["L_alone"] == 0.50
    assert known["none-all"]["L_alone"] == 0.40
    # No student of that size, and none that began elsewhere, was trained alone.
    assert math.isnan(known["large"]["L_alone"]) and math.isnan(known["begun"]["L_alone"])
    assert math.isnan(known["none0"]["L_T"])
    assert _empty(known["t0"])


def test_of_several_recipes_alone_the_students_own_counts_else_the_best_on_validation() -> None:
    known = _known(
        _rows("slow", 0.50, validation=0.48, recipe="a"),
        _rows("fast", 0.49, validation=0.47, recipe="b"),
        _rows("kd-a", 0.46, objective="kd", teacher="gone", recipe="a"),
        _rows("kd-c", 0.46, objective="kd", teacher="gone", recipe="c"),
    )
    alone = {trial: each["L_alone"] for trial, each in known.items()}
    assert alone == {"slow": 0.50, "fast": 0.49, "kd-a": 0.50, "kd-c": 0.49}
    assert math.isnan(known["kd-a"]["L_T"])


def test_a_teachers_loss_is_its_cross_entropy_on_the_students_records() -> None:
    focal = _teacher("t0", 0.11, objective="focal")
    focal.append(focal[1] | {"metric": "bce", "value": 0.31})
    focal.append(focal[1] | {"task": "virtual/csn", "value": 0.05})
    known = _known(focal, _rows("kd", 0.46, objective="kd", teacher="t0"))
    assert known["kd"]["L_T"] == 0.31
    failed = [row | {"status": "diverged"} for row in _teacher("t0", 0.11)]
    known = _known(failed, _rows("kd", 0.46, objective="kd", teacher="t0"))
    assert math.isnan(known["kd"]["L_T"])


def test_a_study_as_loaded_has_the_columns(tmp_path: Path) -> None:
    frame = load(write_students(tmp_path, study_of_students()))
    one = frame[frame["trial"] == "kd-d8n1h1s2-1"].iloc[0]
    # Draw 1: its teacher has an AUROC of 0.8, none of that size 0.62, and losses are what remains.
    assert [one[c] for c in COLUMNS] == pytest.approx([0.2, 22000, 1792, 0.38])
    assert frame.loc[frame["teacher"] == "", "N_T"].isna().all()


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_study_without_students_has_empty_columns(stage: str) -> None:
    assert _empty(_known(_teacher("t0", 0.30, stage=stage))["t0"])
