"""What a method is, what it is called, and what chance made different in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import load
from analysis.compare.evaluations import evaluations_on_test
from analysis.compare.methods import Method, method_names, methods_of, units_of
from tests.analysis.method_stores import Trial, write_store


def named(*each: dict[str, str]) -> list[str]:
    return method_names(each, [f"t{i}" for i in range(len(each))])


@pytest.mark.parametrize(
    ("each", "names"),
    [
        ([{"objective": "kd"}, {"objective": "none"}], ["kd", "none"]),
        (
            [{"objective": "kd"},
             {"objective": "kd", "restoration": "yes", "options.boxes": "record"}],
            ["kd", "kd (restored, boxes)"],
        ),
        (
            [{"objective": "kd", "options.boxes": "record"},
             {"objective": "kd", "options.boxes": "batch"},
             {"objective": "kd", "options.boxes": "none"}, {"objective": "kd"}],
            ["kd (boxes record)", "kd (boxes batch)", "kd (boxes none)", "kd"],
        ),
        (  # what does not vary is not said, nor what only others vary in
            [{"objective": "kd", "size": "s1", "options.tau": "2.0"},
             {"objective": "kd", "size": "s2", "options.tau": "2.0"},
             {"objective": "none", "size": "s1", "options.boxes": "1"}],
            ["kd (s1)", "kd (s2)", "none"],
        ),
        (
            [{"objective": "kd", "options.tau": "2.0", "options.boxes": "1"},
             {"objective": "kd", "options.tau": "0.5", "options.boxes": "0"},
             {"objective": "kd", "options.boxes": "1"}],
            ["kd (boxes, tau 2)", "kd (no boxes, tau 0.5)", "kd (boxes)"],
        ),
        (
            [{"objective": "kd", "labels_fraction": "0.025", "input_leads": '["I"]', "D": "512"},
             {"objective": "kd", "labels_fraction": "0.1", "input_leads": "II;V1;V5", "D": "1024"},
             {"objective": "kd", "labels_fraction": "0.1", "D": "1024", "start": "yes"}],
            ["kd (lead I, 2.5 % labels, D 512)", "kd (leads II, V1, V5, 10 % labels, D 1024)",
             "kd (10 % labels, D 1024, pretrained)"],
        ),
        (  # how parents and recipes differ is said only where names would be alike
            [{"objective": "kd", "teacher": "yes", "teacher.size": "d8", "teacher.D": "64"},
             {"objective": "kd", "teacher": "yes", "teacher.size": "d9", "teacher.D": "99"},
             {"objective": "kd", "recipe.lr": "0.010"}],
            ["kd (taught, teacher D 64)", "kd (taught, teacher D 99)", "kd"],
        ),
        (
            [{"objective": "kd", "recipe.lr": "0.010"}, {"objective": "kd", "recipe.lr": "0.003"}],
            ["kd (lr 0.01)", "kd (lr 0.003)"],
        ),
        (
            [{"objective": "kd", "teacher": "yes", "teacher.start": "x1"},
             {"objective": "kd", "teacher": "yes", "teacher.start": "x2"}],
            ["kd (teacher start x1)", "kd (teacher start x2)"],
        ),
        (  # no word for it: by a trial
            [{"objective": "kd", "codebook": "yes"}, {"objective": "kd"}], ["kd (t0)", "kd (t1)"],
        ),
    ],
)  # fmt: skip
def test_names_say_what_tells_methods_apart(each: list[dict[str, str]], names: list[str]) -> None:
    assert named(*each) == names


def methods(folder: Path, trials: list[Trial], **columns: dict[str, Any]) -> dict[str, Method]:
    """Of a store; ``columns`` are by trial, and empty for the others."""
    frame = load(write_store(folder, trials))
    for name, values in columns.items():
        frame[name] = pd.array([values.get(str(t), "") for t in frame["trial"]], dtype="string")
    return {m.name: m for m in methods_of(frame, evaluations_on_test(frame))}


def test_trials_that_differ_in_fold_seed_and_draw_are_one_method(tmp_path: Path) -> None:
    """Folds differ a little in D too."""
    trials = [
        Trial(name=f"f{f}s{s}", fold=f, seed=s, columns={"D": 119 + f})
        for f in (1, 2)
        for s in (0, 1)
    ]
    tau = {"options": '{"tau": 2.0}'}
    trials += [Trial(name=f"tau{f}", fold=f, columns=tau | {"D": 119 + f}) for f in (1, 2)]
    found = methods(tmp_path, trials)
    assert {name: len(m.rows) for name, m in found.items()} == {"kd": 4, "kd (tau 2)": 2}
    assert found["kd (tau 2)"].settings["options.tau"] == "2.0"
    units = units_of(found["kd"].rows)
    assert list(units) == ["seed 0", "seed 1"]
    assert [sorted(part["fold"]) for (part,) in units.values()] == [[1, 2], [1, 2]]


def test_draws_are_the_units_where_there_are_several(tmp_path: Path) -> None:
    trials = [Trial(name=f"d{d}s{s}", seed=s, objective="kd") for d in (0, 1, 2) for s in (0, 1)]
    found = methods(tmp_path, trials, labelled_draw={f"t{t.name}": t.name[1] for t in trials})
    (method,) = found.values()
    units = units_of(method.rows)
    assert {unit: len(runs) for unit, runs in units.items()} == {f"draw {d}": 2 for d in range(3)}
    assert all(len(part) == 1 for runs in units.values() for part in runs)


def test_parents_count_by_how_they_were_trained(tmp_path: Path) -> None:
    """Each fold has a teacher of its own; which it is does not make a method."""
    trials, teacher, parents = [], {}, {}
    for fold in (1, 2):
        for size in ("d2w6", "d2w24"):
            name = f"{size}f{fold}"
            trials.append(Trial(name=name, fold=fold, objective="supervised", kept=False,
                                columns={"size": size, "stage": "finetune"}))  # fmt: skip
            for objective in ("kd", "none"):
                own = f"{objective}of{name}"
                trials.append(Trial(name=own, fold=fold, objective=objective))
                parents[f"t{own}"] = teacher[f"t{own}"] = f"t{name}"
    found = methods(tmp_path, trials, teacher=teacher, parents=parents)
    assert set(found) == {
        f"{objective} ({role}{size})" for size in ("d2w6", "d2w24")
        for objective, role in (("kd", "teacher "), ("none", "teacher "), ("supervised", ""))
    }  # fmt: skip
    assert found["kd (teacher d2w6)"].settings["teacher.stage"] == "finetune"


def test_children_of_parents_of_several_seeds_are_told_apart(tmp_path: Path) -> None:
    trials = [Trial(name=f"p{s}", seed=s, objective="contrastive") for s in (0, 1)]
    trials += [Trial(name=f"c{s}", columns={"stage": "finetune"}) for s in (0, 1)]
    parents = {f"tc{s}": f"tp{s}" for s in (0, 1)}
    found = methods(tmp_path, trials, parents=parents)
    assert set(found) == {"contrastive", "kd"}
    assert found["kd"].settings["start.objective"] == "contrastive"
    assert list(units_of(found["kd"].rows)) == ["seed 0 from 0", "seed 0 from 1"]


def test_a_parent_that_is_not_in_the_study_counts_by_its_id(tmp_path: Path) -> None:
    trials = [Trial(name=f"{n}") for n in "ab"]
    found = methods(tmp_path, trials, parents={"ta": "xe1", "tb": "xe2"})
    assert set(found) == {"kd (start xe1)", "kd (start xe2)"}
