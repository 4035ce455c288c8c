"""Which methods have which role, found from how they were trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from analysis.compare.methods import Method, Settings
from analysis.compare.roles import (
    BASELINE,
    BEST,
    CEILING,
    KD,
    LITEHEART,
    LITEHEART_I,
    LITEHEART_II,
    TEACHER,
    Block,
    blocks_of,
)

TAUGHT = {"stage": "finetune", "objective": "supervised", "size": "big", "labels_fraction": "0.1"}
NET = {"restoration": "yes", "restoration.size": "c8"}
BOXES = {"options.boxes": "record"}
MORE = BOXES | {"options.unlabelled": "1.0"}
PLAIN: Settings = {}


def method(name: str, settings: Settings, auroc: Any = 0.6) -> Method:
    return Method(name=name, settings=settings, rows=pd.DataFrame({"auroc": [auroc, auroc]}))


def student(
    name: str, objective: str, more: Settings = PLAIN, auroc: Any = 0.6, *,
    teacher: Settings = TAUGHT,
) -> Method:  # fmt: skip
    settings = {
        "stage": "distill", "objective": objective, "family": "convtx", "size": "small",
        "corpus": "ptbxl", "input_leads": "I", "D": "4096", "labels_fraction": "0.1",
    }  # fmt: skip
    if objective != "none":
        settings |= {"teacher": "yes"} | {f"teacher.{k}": v for k, v in teacher.items()}
    return method(name, settings | dict(more), auroc)


def main_grid() -> list[Method]:
    return [
        method("T", TAUGHT),
        method("T5", TAUGHT | {"labels_fraction": "0.05"}),
        student("none", "none"),
        student("kd", "kd"),
        student("dkd", "dkd"),
        student("kd I", "kd", NET | BOXES),
        student("lh II", "liteheart", NET | BOXES),
        student("lh", "liteheart", NET | MORE),
        student("kd m", "kd", NET | MORE, 0.66),
        student("dkd m", "dkd", NET | MORE, 0.67),
        student("none m", "none", NET | BOXES, 0.61),
        student("all", "none", {"labels_fraction": "1"}),
    ]


def names(methods: Sequence[Method]) -> list[str]:
    return [m.name for m in methods]


def roles(block: Block) -> dict[str, str]:
    return {role: m.name for role, m in block.roles.items()}


def test_the_main_grid_has_every_role() -> None:
    (block,) = blocks_of(main_grid())
    assert roles(block) == {
        BASELINE: "none", KD: "kd", LITEHEART_I: "kd I", LITEHEART_II: "lh II", LITEHEART: "lh",
        CEILING: "all", TEACHER: "T", BEST: "dkd m",
    }  # fmt: skip
    assert names(block.published) == ["dkd", "kd", "none"]
    assert names(block.matched) == ["dkd m", "kd m", "none m"]
    assert not block.notes and not block.taught_by
    assert block.settings["input_leads"] == "I" and block.settings["labels_fraction"] == "0.1"


@pytest.mark.parametrize(
    "more",
    [
        {"options.boxes": "batch"}, {"options.box_shape": "0.5"}, {"options.unlabelled": "2.0"},
        {"restoration.size": "c4"}, {"options.boxes": "none"}, {"restoration": "x1"},
    ],
)  # fmt: skip
def test_a_rival_of_other_inputs_is_not_matched(more: dict[str, str]) -> None:
    rival = student("cc m", "cc", NET | MORE | more, 0.9)
    (block,) = blocks_of([*main_grid(), rival])
    assert "cc m" not in names(block.matched) and roles(block)[BEST] == "dkd m"


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels_fraction", "0.05"), ("size", "tiny"), ("input_leads", "II"), ("D", "512"),
     ("corpus", "csn"), ("start.objective", "contrastive")],
)  # fmt: skip
def test_students_of_other_sizes_leads_and_data_are_another_block(key: str, value: str) -> None:
    teacher = TAUGHT | {"labels_fraction": "0.05"} if key == "labels_fraction" else TAUGHT
    others = [
        student("none 2", "none", {key: value}),
        student("kd 2", "kd", {key: value}, teacher=teacher),
    ]
    first, second = blocks_of([*main_grid(), *others])
    assert roles(first)[LITEHEART] == "lh"
    found = {BASELINE: "none 2", KD: "kd 2"}
    if key == "labels_fraction":  # the same students, and a teacher that saw as little
        found |= {CEILING: "all", TEACHER: "T5"}
    else:
        found |= {TEACHER: "T"}
    assert roles(second) == found and not second.matched


def test_each_teacher_has_a_block_and_what_has_none_is_in_all() -> None:
    other = TAUGHT | {"size": "bigger"}
    first, second = blocks_of([*main_grid(), student("kd b", "kd", teacher=other)])
    assert roles(first)[KD] == "kd" and dict(first.taught_by) == {"size": "big"}
    assert roles(second) == {BASELINE: "none", KD: "kd b", CEILING: "all"}
    assert dict(second.taught_by) == {"size": "bigger"}


def test_of_several_the_best_on_validation_has_the_role_which_is_said() -> None:
    tried = student("lh lr 3", "liteheart", NET | MORE | {"recipe.lr": "3"}, 0.8)
    (block,) = blocks_of([*main_grid(), tried])
    assert roles(block)[LITEHEART] == "lh lr 3"
    assert list(block.notes) == ["LiteHeart: lh lr 3, the best of 2 on validation"]


def test_without_validation_no_rival_is_the_best() -> None:
    (block,) = blocks_of([*main_grid(), student("cc m", "cc", NET | MORE, pd.NA)])
    assert BEST not in block.roles and len(block.matched) == 4
    assert any("no best matched rival" in note for note in block.notes)


def test_what_is_no_study_of_students_has_no_block() -> None:
    alone = [student("none", "none"), method("T", TAUGHT)]
    trained = [method(n, {"stage": "pretrain", "objective": n}) for n in ("none", "kd")]
    without = [m for m in main_grid() if m.name != "none"]
    for methods in (alone, trained, without):
        assert blocks_of(methods) == []
