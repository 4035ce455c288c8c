"""Methods of a study compared: what is said, of what, and what is refused by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, coverage_error, f1_score, fbeta_score

from analysis.compare import method_study
from analysis.compare.__main__ import main
from analysis.compare.method_study import compare_methods
from analysis.studies.load import study as load_study
from scaling.records.multilabel import METRICS, f_beta_thresholds
from scaling.records.tables import ResultsError
from tests.analysis.method_stores import CLASSES, TASK, Trial, predicted, write_store

FOLDS, SEEDS = (1, 2), (0, 1, 2)
QUALITY = {"liteheart": 2.4, "kd": 1.4, "none": 1.35}
TRIALS = [
    Trial(name=f"{objective}f{fold}s{seed}", objective=objective, quality=quality, fold=fold,
          seed=seed)
    for objective, quality in QUALITY.items() for fold in FOLDS for seed in SEEDS
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_store(tmp_path, [*TRIALS, Trial(name="t", objective="teacher", kept=False)])


def test_values_are_of_all_folds_at_thresholds_of_their_own_validation(folder: Path) -> None:
    numbers = compare_methods(folder, resamples=20)
    (one,) = numbers["comparisons"]
    assert (one["task"], one["protocol"], one["folds"]) == (TASK, "held-out", [1, 2])
    assert (one["records"], one["patients"], one["classes"]) == (160, 80, list(CLASSES))
    method = {m["name"]: m for m in one["methods"]}["kd"]
    assert method["settings"]["size"] == "d2w6" and "recipe.lr" in method["settings"]
    for seed in SEEDS:
        y, s, f1, f2 = [], [], [], []
        for arrays in (predicted(t) for t in TRIALS if t.objective == "kd" and t.seed == seed):
            test, logits = arrays["split"] == 1, arrays["logits"].astype(float)
            cuts = [f_beta_thresholds(logits[~test], arrays["labels"][~test] > 0, beta)
                    for beta in (1.0, 2.0)]  # fmt: skip
            y.append(arrays["labels"][test])
            s.append(logits[test])
            f1.append(logits[test] >= cuts[0])
            f2.append(logits[test] >= cuts[1])
        labels, scores = np.concatenate(y), np.concatenate(s)
        found = method["by_unit"][f"seed {seed}"]
        assert set(found) == set(METRICS)
        expected = {
            "map": average_precision_score(labels, scores),
            "coverage": coverage_error(labels, scores),
            "macro_f1": f1_score(labels, np.concatenate(f1), average="macro"),
            "macro_f2": fbeta_score(labels, np.concatenate(f2), beta=2.0, average="macro"),
            "macro_f1_s2": f1_score(labels, np.concatenate(f2), average="macro"),
        }
        assert {m: found[m] for m in expected} == pytest.approx(expected, abs=1e-12)
    mean = np.mean([method["by_unit"][f"seed {s}"]["map"] for s in SEEDS])
    assert method["values"]["map"]["value"] == pytest.approx(mean)


def test_differences_from_the_baseline_and_between_any_two(folder: Path) -> None:
    numbers = compare_methods(
        folder, baseline="none", pairs=[("kd", "liteheart")], metrics=["map", "coverage"],
        margin=0.2, resamples=300,
    )  # fmt: skip
    (one,) = numbers["comparisons"]
    found = {(d["method"], d["against"]): d["values"] for d in one["differences"]}
    assert list(found) == [("kd", "none"), ("liteheart", "none"), ("kd", "liteheart")]
    assert {m: v["verdict"] for m, v in found["liteheart", "none"].items()} == {
        "map": "better", "coverage": "better",
    }  # fmt: skip
    assert found["kd", "liteheart"]["map"]["verdict"] == "worse"
    assert found["kd", "none"]["map"]["verdict"] == "equal"
    best = found["liteheart", "none"]
    assert best["coverage"]["high"] < 0 < best["map"]["low"]
    assert found["kd", "none"]["coverage"]["margin"] == pytest.approx(0.2 * 3)
    values = {m["name"]: m["values"]["map"] for m in one["methods"]}
    paired = found["liteheart", "none"]["map"]
    assert paired["value"] == pytest.approx(values["liteheart"]["value"] - values["none"]["value"])
    assert numbers["notes"] == ["left out: teacher: it kept no predictions"]
    json.dumps(numbers, allow_nan=False)
    again = compare_methods(folder, baseline="none", metrics=["map"], resamples=300)
    assert again["comparisons"][0]["differences"][1]["values"]["map"]["low"] == paired["low"]


def test_draws_of_labelled_records_are_the_units(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_draws(path: Path) -> Any:
        study = load_study(path)
        draw = study.frame["seed"].where(study.frame["objective"] != "none", 0)
        return dataclasses.replace(study, frame=study.frame.assign(labelled_draw=draw))

    monkeypatch.setattr(method_study, "load_study", with_draws)
    numbers = compare_methods(folder, baseline="kd", metrics=["macro_auroc"], resamples=50)
    (one,) = numbers["comparisons"]
    units = {m["name"]: list(m["by_unit"]) for m in one["methods"]}
    assert units["kd"] == units["liteheart"] == ["draw 0", "draw 1", "draw 2"]
    assert units["none"] == ["seed 0", "seed 1", "seed 2"]
    assert any("not all methods have the same draws" in note for note in numbers["notes"])


def test_a_task_without_folds_and_one_seed_says_so(tmp_path: Path) -> None:
    trials = [Trial(name=n, objective=n, task="cpsc2018") for n in ("kd", "none")]
    numbers = compare_methods(write_store(tmp_path, trials), baseline="kd", resamples=20)
    (one,) = numbers["comparisons"]
    assert one["folds"] == [0] and one["records"] == 80
    assert numbers["notes"] == [
        "cpsc2018 (held-out): one draw or seed of kd, none: the intervals say nothing of what "
        "another one would give"
    ]


def test_a_baseline_that_is_not_on_a_task_is_said(tmp_path: Path) -> None:
    trials = [Trial(name=n, objective=n, task="cpsc2018") for n in ("kd", "none")]
    trials += [Trial(name=f"{n}2", objective=n, task="csn") for n in ("kd", "liteheart")]
    folder = write_store(tmp_path, trials)
    numbers = compare_methods(folder, baseline="none", metrics=["map"], resamples=20)
    first, second = numbers["comparisons"]
    assert [d["method"] for d in first["differences"]] == ["kd"] and not second["differences"]
    assert "csn (held-out): none has no predictions there to compare with" in numbers["notes"]
    only = compare_methods(folder, task="csn", metrics=["map"], resamples=20)
    assert [c["task"] for c in only["comparisons"]] == ["csn"]


def drop(folder: Path, name: str) -> None:
    table = folder / ".runs/evaluations.parquet"
    values = pd.read_parquet(table)
    values[values["evaluation"] != name].to_parquet(table)


def rename(folder: Path, name: str) -> None:
    path = folder / f".runs/predictions/{name}.npz"
    with np.load(path) as file:
        arrays = {k: file[k] for k in file.files}
    arrays["record"][-1] = "r99999"
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop, "kd, seed 1: no result of fold 2: run the study to its end"),
        (rename, "and kd, seed 1 were not tested on the same records: 1 only in"),
        (lambda f, n: (f / f".runs/predictions/{n}.npz").unlink(), "ekdf2s1.npz: no such file"),
    ],
)
def test_what_is_missing_or_differs_is_refused_by_name(
    folder: Path, spoil: Any, message: str
) -> None:
    spoil(folder, "ekdf2s1")
    with pytest.raises(ResultsError) as error:
        compare_methods(folder, metrics=["coverage"], resamples=5)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"baseline": "litehart"}, "no method 'litehart'; did you mean 'liteheart'?"),
        ({"pairs": [("kd", "nothing")]}, "no method 'nothing'; known here: kd, liteheart, none"),
        ({"metrics": ["macro_auc"]}, "no metric 'macro_auc'; did you mean 'macro_auroc'?"),
        ({"task": "csn"}, "no predictions of csn; there are ptbxl:superclass/held-out"),
    ],
)
def test_names_that_there_are_not_are_refused(
    folder: Path, words: dict[str, Any], message: str
) -> None:
    with pytest.raises(ResultsError) as error:
        compare_methods(folder, **words)
    assert message in str(error.value)


def test_without_predictions_it_says_how_to_keep_them(tmp_path: Path) -> None:
    folder = write_store(tmp_path, [Trial(name="a", kept=False)])
    with pytest.raises(ResultsError, match="no predictions: run the study with `predictions: true"):
        compare_methods(folder)


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "methods.json"
    words = [str(folder), "--methods", "--bootstrap", "50", "--out", str(out)]
    more = ["--baseline", "none", "--pair", "liteheart", "kd", "--metrics", "ranking_loss", "map"]
    assert main([*words, *more]) == 0
    text = capsys.readouterr().out
    assert "ptbxl:superclass (held-out): 160 records of 80 patients, each tested once" in text
    assert "ranking_loss (lower is better), less none" in text
    (line,) = [w for w in text.splitlines() if w.startswith("    liteheart  0.")][1:]
    assert line.endswith(" better") and line.count("[") == 2
    assert "    liteheart less kd: +0." in text
    numbers = json.loads(out.read_text())
    assert numbers["metrics"] == ["ranking_loss", "map"]
    assert numbers["comparisons"][0]["roles"] == {"baseline": "none"}
    assert main(words) == 0
    assert "no differences: name a method as the baseline" in capsys.readouterr().out
    assert main([*words, "--baseline", "nobody"]) == 2
    assert capsys.readouterr().err.startswith("error: no method 'nobody'")
    with pytest.raises(SystemExit):
        main([str(folder), "--baseline", "none"])
    assert "--baseline needs --methods" in capsys.readouterr().err
