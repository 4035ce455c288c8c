"""Students: which are shown, what they are called, what they reach at what cost."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.compare.students import (
    accuracy_and_cost,
    choose,
    class_areas,
    names_of,
    setting_words,
    students_of,
)
from analysis.studies.load import load
from scaling.records.tables import ResultsError
from tests.analysis.student_stores import CLASSES, Trial, study_of_students, write_students

LIKE = "kd (restored, boxes, unlabelled 1)"


def frame_of(folder: Path, trials: list[Trial]) -> pd.DataFrame:
    return load(write_students(folder, trials))


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return frame_of(tmp_path_factory.mktemp("students") / "made", study_of_students())


def test_one_of_each_method_of_one_draw_size_teacher_and_net_is_shown(frame: pd.DataFrame) -> None:
    shown = choose(students_of(frame))
    assert [s.trial for s in shown] == [
        "none-d16n1h2s2-0", "kd-like-d16n1h2s2-0", "lite-d16n1h2s2-0",
    ]  # fmt: skip
    assert {s.parent("teacher") for s in shown} == {"", "teach0"}
    assert {s.parent("restoration") for s in shown} == {"", "net"}


def test_a_cell_without_liteheart_comes_after_one_with_it(tmp_path: Path) -> None:
    trials = [
        t for t in study_of_students()
        if t.objective != "liteheart" or (t.size == "d8n1h1s2" and t.draw == 1)
    ]  # fmt: skip
    shown = choose(students_of(frame_of(tmp_path / "made", trials)))
    assert [s.trial for s in shown] == [
        "none-d8n1h1s2-1", "kd-like-d8n1h1s2-1", "lite-d8n1h1s2-1",
    ]  # fmt: skip


def test_other_methods_take_the_place_of_what_is_lacking(tmp_path: Path) -> None:
    names = ("none", "rkd", "pkt", "mvkt")
    trials = [Trial(name="teach0", objective="supervised", stage="pretrain")]
    trials += [Trial(name=n, objective=n, teacher="teach0" * (n != "none")) for n in names]
    shown = choose(students_of(frame_of(tmp_path / "made", trials)))
    assert [s.objective for s in shown] == ["none", "rkd", "pkt"]


def test_of_several_recipes_the_best_on_validation_is_shown_and_drawn(tmp_path: Path) -> None:
    fast = Trial(name="fast", recipe='{"lr": 0.1}', auroc=0.9, validation=0.5)
    slow = Trial(name="slow", recipe='{"lr": 0.001}', auroc=0.7, validation=0.6)
    frame = frame_of(tmp_path / "made", [fast, slow])
    students = students_of(frame)
    (shown,) = choose(students)
    assert shown.trial == "slow"
    points = accuracy_and_cost(frame, students, shown)
    assert points["value"].tolist() == [0.7] and points["trainings"].tolist() == [1]


def test_a_student_without_a_value_on_validation_is_one(frame: pd.DataFrame) -> None:
    lacking = (frame["trial"] == "lite-d8n1h1s2-0") & (frame["split"] == "validation")
    found = {s.trial: s.validation for s in students_of(frame[~lacking])}
    assert math.isnan(found["lite-d8n1h1s2-0"]) and found["lite-d8n1h1s2-1"] == 0.6


def test_students_are_chosen_by_id(frame: pd.DataFrame) -> None:
    students = students_of(frame)
    shown = choose(students, ["kd-d8n1h1s2-1", "none-d8n1h1s2-1", "kd-d8n1h1s2-1"])
    assert [s.trial for s in shown] == ["kd-d8n1h1s2-1", "none-d8n1h1s2-1"]
    with pytest.raises(ResultsError, match="kd-d8n1h1s2-9 is no finished student; did you mean"):
        choose(students, ["kd-d8n1h1s2-9"])


def test_a_study_without_students_is_refused(tmp_path: Path) -> None:
    trial = Trial(name="a", stage="pretrain", objective="supervised")
    with pytest.raises(ResultsError, match=r"no finished students: .* distill, only of pretrain"):
        students_of(frame_of(tmp_path / "made", [trial]))


def test_names_are_those_of_the_tables(frame: pd.DataFrame) -> None:
    students = students_of(frame)
    names = names_of(students, choose(students))
    assert list(names.values()) == ["none", LIKE, "liteheart"]
    both = choose(students, ["lite-d8n1h1s2-0", "lite-d16n1h2s2-0"])
    assert len(set(names_of(students, both).values())) == 2


def test_a_setting_in_words(frame: pd.DataFrame) -> None:
    (first, *_) = choose(students_of(frame))
    assert setting_words(first) == "virtual/ptbxl:superclass, lead I, D 1,792, 25 % labels"
    given = {**first.settings, "input_leads": "I+II", "label_set": "tail-0.1"}
    assert setting_words(dataclasses.replace(first, settings=given)) == (
        "virtual/ptbxl:superclass, leads I, II, D 1,792, 25 % labels, tail-0.1"
    )


def test_areas_are_means_over_draws_of_one_size_and_net(frame: pd.DataFrame) -> None:
    students = students_of(frame)
    areas = class_areas(frame, students, choose(students)[-1])
    assert list(dict.fromkeys(areas["method"])) == ["none", "kd", LIKE, "liteheart", "teacher"]
    assert set(areas["class"]) == {"", *CLASSES}
    assert (areas["trainings"] == 2).all()
    found = areas.set_index(["method", "class"])["value"]
    assert found["none", ""] == pytest.approx(0.61)
    assert found["none", "MI"] == pytest.approx(0.62)
    assert found["liteheart", "NORM"] == pytest.approx(0.66), "not of the larger net"
    assert found["teacher", "CD"] == pytest.approx(0.82)
    assert (areas["high"] - areas["low"]).to_numpy() == pytest.approx(0.04)


def test_no_areas_where_classes_were_not_measured(tmp_path: Path, frame: pd.DataFrame) -> None:
    kept = frame[~frame["metric"].str.startswith("auroc:")]
    students = students_of(kept)
    assert class_areas(kept, students, students[0]).empty


def test_points_have_the_cost_of_what_is_deployed(frame: pd.DataFrame) -> None:
    students = students_of(frame)
    points = accuracy_and_cost(frame, students, choose(students)[-1])
    lite = points[points["method"] == "liteheart"].set_index("size")
    assert list(lite.index) == [
        "c4 + d8n1h1s2",
        "c8 + d8n1h1s2",
        "c4 + d16n1h2s2",
        "c8 + d16n1h2s2",
    ]
    assert lite.loc["c4 + d16n1h2s2", "macs_system"] == 100 * 17000 + 2e6
    assert lite.loc["c4 + d16n1h2s2", "N_system"] == 40000
    assert lite.loc["c4 + d16n1h2s2", "N"] == 17000
    alone = points[points["method"] == "none"]
    assert alone["macs_system"].tolist() == [5e5, 1.7e6]
    (teacher,) = points[points["method"] == "teacher"].to_dict("records")
    assert (teacher["N"], teacher["value"], teacher["trainings"]) == (22000, pytest.approx(0.8), 2)


def test_students_of_other_teachers_and_settings_stay_out(tmp_path: Path) -> None:
    trials = study_of_students()
    weak = Trial(name="weak", objective="supervised", stage="pretrain", size="d2w6", N=900)
    trials += [
        weak,
        Trial(name="kd-weak", objective="kd", teacher="weak", auroc=0.1),
        Trial(name="all-labels", columns={"labels_fraction": 1.0}, auroc=0.1),
        Trial(name="all-leads", columns={"input_leads": ""}, auroc=0.1),
    ]
    frame = frame_of(tmp_path / "made", trials)
    students = students_of(frame)
    like = choose(students, ["lite-d8n1h1s2-0"])[0]
    assert accuracy_and_cost(frame, students, like)["value"].min() > 0.5
    assert class_areas(frame, students, like)["value"].min() > 0.5
