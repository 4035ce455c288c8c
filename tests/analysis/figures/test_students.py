"""Figures of students: what is drawn, and how it is labelled. A warning would be an error."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.compare.students import accuracy_and_cost, choose, class_areas, students_of
from analysis.figures import students as figures
from analysis.figures.base import Picture, png
from analysis.studies.load import load
from tests.analysis.student_stores import CLASSES, LEADS, made_up, study_of_students, write_students

NAMES = {"a": "none", "b": "kd (restored, boxes, unlabelled 1)"}
EXPLAINED = made_up(("a", "b"))


def titles(picture: Picture | None) -> list[str]:
    assert picture is not None
    assert png(picture).startswith(b"\x89PNG")
    return [axes.get_title(loc="left") for axes in picture.axes]


def test_restored_leads_stand_below_each_other_with_their_correlation() -> None:
    picture = figures.restored_picture(EXPLAINED)
    assert picture is not None
    assert titles(picture) == ["test/0: NORM", "test/1: MI"]
    axes = picture.axes[0]
    assert axes.get_xlabel() == "time, s"
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["I (given)", "II", "V1", "V2"]
    # Every lead as recorded, three restored, and the bar of one millivolt.
    assert len(axes.lines) == len(LEADS) + 3 + 1
    assert [text.get_text() for text in axes.texts] == ["1.00"] * 3 + ["1 mV"]
    low, high = axes.get_ylim()
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    assert low < drawn.min() and drawn.max() < high
    legend = [text.get_text() for text in picture.legends[0].get_texts()]
    assert legend == ["recorded", "restored; right: correlation"]


def test_no_picture_of_leads_that_nothing_restores() -> None:
    assert figures.restored_picture(made_up(("a",), restored=False)) is None


def test_a_flat_lead_has_no_correlation() -> None:
    flat = EXPLAINED.true.copy()
    flat[:, 1] = 0.0
    picture = figures.restored_picture(dataclasses.replace(EXPLAINED, true=flat))
    assert picture is not None and picture.axes[0].texts[0].get_text() == "–"


def test_signals_without_a_unit_are_in_standard_deviations() -> None:
    picture = figures.restored_picture(made_up(("a",), unit=""))
    assert picture is not None and picture.axes[0].texts[-1].get_text() == "1 SD"


def test_maps_have_a_row_for_each_model_and_a_column_for_each_record() -> None:
    picture = figures.cam_picture(EXPLAINED, NAMES)
    assert titles(picture)[:2] == ["test/0: NORM\n", "test/1: MI\n"]
    panels = picture.axes[:6]
    rows = [panels[i].get_ylabel().replace("\n", " ") for i in (0, 2, 4)]
    assert rows == ["teacher", "none", "kd (restored, boxes, unlabelled 1)"]
    told = [axes.get_title(loc="right") for axes in panels]
    odds = EXPLAINED.logits[0, 1, 1]
    assert told[1] == f"p(MI) = {1 / (1 + np.exp(-odds)):.2f}"
    assert told[4].startswith("nothing speaks for it; p(NORM)")
    images = [np.asarray(axes.images[0].get_array()) for axes in panels]
    assert [float(image.max()) for image in images] == pytest.approx([1, 1, 1, 1, 0, 1])
    np.testing.assert_allclose(
        images[0][0], EXPLAINED.cam[0, 0] / EXPLAINED.cam[0, 0].max(), rtol=1e-6
    )
    assert picture.axes[-1].get_ylabel() == "Grad-CAM, share of the panel's largest value"


@pytest.mark.parametrize("restored", [True, False])
def test_each_model_is_shown_what_it_is_given(restored: bool) -> None:
    explained = made_up(("a",), restored=restored)
    teacher, student = (figures.cam_picture(explained, NAMES).axes[i] for i in (0, 2))
    second = [np.ptp(np.asarray(axes.lines[1].get_ydata(), dtype=float))
              for axes in (teacher, student)]  # fmt: skip
    assert second[1] == pytest.approx((0.8 if restored else 0.0) * second[0], rel=1e-5)


def test_points_of_one_class_are_told_apart_and_all_are_drawn() -> None:
    picture = figures.tsne_picture(EXPLAINED, NAMES)
    assert [t.replace("\n", " ") for t in titles(picture)] == ["teacher", *NAMES.values()]
    axes = picture.axes[0]
    assert sum(len(np.asarray(line.get_xdata())) for line in axes.lines) == 30
    legend = [text.get_text() for text in picture.legends[0].get_texts()]
    assert legend[0] == "several, none or another" and set(legend[1:]) == set(CLASSES)
    looks = {(str(line.get_color()), str(line.get_marker())) for line in axes.lines}
    assert len(looks) == len({c for c, _ in looks}) == len({m for _, m in looks}) == 4


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("drawn") / "made"
    frame = load(write_students(folder, study_of_students()))
    students = students_of(frame)
    like = choose(students)[-1]
    return class_areas(frame, students, like), accuracy_and_cost(frame, students, like)


def test_areas_are_drawn_by_class_in_the_order_of_the_task(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    picture = figures.class_picture(tables[0], "a setting", CLASSES)
    assert titles(picture) == ["a setting"]
    (axes,) = picture.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["mean of classes", *CLASSES]
    legend = [text.get_text() for text in picture.legends[0].get_texts()]
    assert legend[:2] == ["teacher", "none"] and legend[-1] == "liteheart"
    assert axes.get_xlabel() == "AUROC on test records"


def test_costs_are_in_logarithms_and_points_beside_each_other(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    picture = figures.cost_picture(tables[1], "a setting")
    assert titles(picture) == ["", ""]
    by_macs, by_n = picture.axes
    assert by_macs.get_xscale() == by_n.get_xscale() == "log"
    assert by_macs.get_xlabel() == "MACs a record, restoration and model"
    assert by_n.get_xlabel() == "N, backbone parameters of the model"
    assert by_macs.get_ylabel() == "macro-AUROC on test records"
    (suptitle,) = [text.get_text() for text in picture.texts]
    assert suptitle == "a setting"
    for axes in (by_macs, by_n):
        series = [np.asarray(line.get_xdata(), dtype=float) for line in axes.lines]
        assert len(series) == 5
        assert [len(x) for x in series] == [1, 2, 2, 2, 4]
    first = [float(np.asarray(line.get_xdata())[0]) for line in by_n.lines[1:]]
    assert len(set(first)) == 4 and max(first) < 1.11 * min(first)
    assert float(np.asarray(by_n.lines[0].get_xdata())[0]) == 22000


def test_a_point_without_a_counted_cost_or_interval_is_no_error(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    areas, points = (table.copy() for table in tables)
    points.loc[points["method"] == "none", ["macs_system", "low", "high"]] = np.nan
    areas[["low", "high"]] = np.nan
    assert titles(figures.cost_picture(points, "a setting")) == ["", ""]
    assert titles(figures.class_picture(areas, "a setting")) == ["a setting"]
