"""Comparisons of models on the same patients, and what they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import compare_models
from analysis.compare.__main__ import main
from analysis.compare.comparison import Scores, scores
from analysis.compare.evaluations import Predictions, read_split
from analysis.compare.study import as_text
from scaling.records.patients import Estimate, Resamples, macro_auroc
from scaling.records.tables import ResultsError
from tests.analysis.compared import PER_FOLD, TASK, made, run


def predictions(quality: float = 1.0) -> Predictions:
    parts = [made(quality, fold, 0) for fold in (1, 2)]
    merged = {k: np.concatenate([p[k] for p in parts]) for k in ("record", "patient")}
    return Predictions(
        record=merged["record"], patient=merged["patient"],
        fold=np.repeat(np.array([1, 2]), PER_FOLD),
        labels=np.concatenate([p["labels"] for p in parts]) > 0,
        logits=np.concatenate([p["logits"] for p in parts]).astype(float), classes=("NORM", "MI"),
    )  # fmt: skip


def test_resamples_are_of_patients_and_shared_between_models() -> None:
    found = predictions()
    same = scores(found, 50, 3).less(scores(found, 50, 3))
    np.testing.assert_array_equal(same.pooled, 0.0)
    estimate = Estimate.of(scores(found, 200, 3).pooled)
    assert estimate.low < estimate.value < estimate.high


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_intervals_over_seeds_hold_what_other_seeds_would_give(seeds: int) -> None:
    """Of few normal values the interval holds their mean as often as it says."""
    rng = np.random.default_rng(seeds)
    held = []
    for values in rng.normal(0.85, 0.01, (300, seeds)):
        runs = [Scores(pooled=np.full(501, v), by_fold=np.full(501, v)) for v in values]
        found = Scores.over_seeds(runs, rng)
        assert found.pooled[0] == pytest.approx(values.mean())
        estimate = Estimate.of(found.by_fold)
        held.append(estimate.low <= 0.85 <= estimate.high)
    assert 0.90 <= np.mean(held) <= 0.985


def test_patients_and_seeds_are_drawn_apart_and_one_seed_draws_none() -> None:
    rng = np.random.default_rng(0)
    patients = rng.normal(0.0, 0.01, 2001)  # shared by all seeds, as patients are
    runs = [Scores(pooled=v + patients, by_fold=v + patients) for v in rng.normal(0.85, 0.01, 20)]
    assert Scores.over_seeds(runs[:1], rng).pooled == pytest.approx(runs[0].pooled)
    spread = float(np.std(Scores.over_seeds(runs, rng).pooled[1:]))
    of_seeds = float(np.std([r.by_fold[0] for r in runs], ddof=1)) / np.sqrt(20)
    assert spread == pytest.approx(np.hypot(np.std(patients), of_seeds), rel=0.1)


def test_folds_are_averaged_or_put_together() -> None:
    found = predictions()
    once = Resamples(np.ones((120, 1), np.float32))
    parts = [found.fold == f for f in (1, 2)]
    folds = [macro_auroc(found.logits[f], found.labels[f], once.of(f))[0] for f in parts]
    score = scores(found, 5, 0)
    assert score.by_fold[0] == pytest.approx(np.mean(folds))
    assert score.pooled[0] == pytest.approx(macro_auroc(found.logits, found.labels, once)[0])
    shifted = found.logits + 100 * (found.fold == 2)[:, None]
    moved = Predictions(
        record=found.record, patient=found.patient, fold=found.fold, labels=found.labels,
        logits=shifted, classes=found.classes,
    )  # fmt: skip
    assert scores(moved, 5, 0).by_fold[0] == pytest.approx(np.mean(folds))
    assert scores(moved, 5, 0).pooled[0] < score.pooled[0]


def test_trained_features_are_compared_with_the_mean_of_twins(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pair,) = run(study, capsys)["pairs"]
    assert pair["configuration"]["paradigm"] == "ssl" and pair["configuration"]["D"] == 122
    assert (pair["records"], pair["patients"], pair["seeds"]) == (150, 75, 1)
    twins = list(pair["twins"].values())
    assert len(twins) == 2 and list(pair["runs"].values()) == [pair["pooled"]["value"]]
    difference = pair["pooled"]["value"] - np.mean(twins)
    assert pair["difference"]["value"] == pytest.approx(difference)
    # Over patients alone it would exclude 0; two twins 0.1 apart say little of a third.
    assert pair["difference"]["low"] < 0 < difference < pair["difference"]["high"]
    assert pair["pooled"]["low"] - max(twins) > 0


def test_the_best_is_chosen_in_each_fold_on_validation(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(study, capsys, "--protocol", "held-out")
    (best,) = found["chosen"]
    assert [f["size"] for f in best["folds"]] == ["s2", "s1", "s2"]
    assert best["considered"] == 2 and "validation split" in best["rule"]
    assert best["records"] == 150 and best["pooled"]["low"] < best["pooled"]["value"]
    assert not found["pairs"]


def test_text_and_file(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "compare.json"
    assert main([str(study), "--bootstrap", "20", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "resnet-SL on ptbxl:superclass (held-out)" in text
    assert "150 records of 75 patients, each tested once" in text
    assert "one seed: the intervals say nothing of what another one would give" in text
    assert "less 2 twins" in text
    assert json.loads(out.read_text())["study"] == "cv"


def spoil(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(path) as file:
        arrays = {k: file[k] for k in file.files}
    change(arrays)
    np.savez(path, **arrays)


def rename(arrays: dict[str, np.ndarray]) -> None:
    arrays["record"][-1] = "r09999"


def repeat(arrays: dict[str, np.ndarray]) -> None:
    arrays["record"] = np.array([f"r{r + 10:05d}" for r in range(60, 120)])


def blur(arrays: dict[str, np.ndarray]) -> None:
    arrays["logits"][-1] = np.nan


def cut(arrays: dict[str, np.ndarray]) -> None:
    arrays["labels"] = arrays["labels"][:-1]


def flip(arrays: dict[str, np.ndarray]) -> None:
    arrays["labels"][-1] = 1 - arrays["labels"][-1]


def meet(arrays: dict[str, np.ndarray]) -> None:
    arrays["patient"][-1] = 1029


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("e1f2", rename, "not tested on the same records: 1 only in"),
        ("e0f2", repeat, "record r00080 is tested twice"),
        ("e0f2", blur, "e0f2.npz: logits of test records are not all finite"),
        ("e0f2", cut, r"e0f2.npz: labels has shape \(59, 2\), not \(60, 2\)"),
        ("e1f2", flip, "labels of record r00179 differ"),
        ("e0f2", meet, "patient 1029 is tested in two folds"),
        ("e0f2", lambda a: a.pop("logits"), "e0f2.npz: no array logits"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(
    study: Path, capsys: pytest.CaptureFixture[str], name: str, change: Any, message: str
) -> None:
    spoil(study / f".runs/predictions/{name}.npz", change)
    assert main([str(study), "--bootstrap", "5", "--protocol", "linear-probe"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(error)


def test_missing_files_and_folds_are_named(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = study / ".runs/predictions/e0f2.npz"
    path.write_bytes(b"no archive")
    assert main([str(study), "--bootstrap", "5"]) == 2
    assert "e0f2.npz: cannot be read" in capsys.readouterr().err
    path.unlink()
    assert main([str(study), "--bootstrap", "5"]) == 2
    assert "e0f2.npz: no such file" in capsys.readouterr().err
    table = study / ".runs/evaluations.parquet"
    values = pd.read_parquet(table)
    values[values["evaluation"] != "e0f2"].to_parquet(table)
    found = run(study, capsys)
    assert [c["kind"]["paradigm"] for c in found["chosen"]] == ["sl"] and not found["pairs"]
    assert len(found["notes"]) == 2 and all(
        n.startswith("left out: resnet") and n.endswith("of fold 2: run the study to its end")
        for n in found["notes"]
    )
    assert main([str(study), "--bootstrap", "5", "--protocol", "linear-probe"]) == 2
    assert "no result of fold 2: run the study to its end" in capsys.readouterr().err
    assert main([str(study), "--task", "elsewhere"]) == 2
    assert "no predictions of elsewhere" in capsys.readouterr().err


def test_a_model_that_saw_the_fold_is_refused(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = study / ".runs/trials.parquet"
    trials = pd.read_parquet(table)
    trials.loc[trials["trial"] == "t0f2", "corpus"] = TASK  # the official split
    trials.to_parquet(table)
    assert main([str(study), "--bootstrap", "5"]) == 2
    assert "tested on fold 2 of it (evaluation e0f2): it may have seen" in capsys.readouterr().err


ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def published(study: Path) -> Path:
    """The study as a clone has it: a published comparison, tables, no live store."""
    assert main([str(study), "--bootstrap", "50", "--out", str(study / "comparison.json")]) == 0
    for name in ("trials", "evaluations"):
        pd.read_parquet(study / f".runs/{name}.parquet").to_csv(study / f"{name}.csv", index=False)
    (study / ".runs/study.json").rename(study / "study.json")
    shutil.rmtree(study / ".runs")
    return study


def test_without_predictions_what_was_published_is_read(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = as_text(json.loads((published / "comparison.json").read_text())).splitlines()
    assert main([str(published)]) == 0
    text = capsys.readouterr().out.splitlines()
    assert text[1] == (
        f"as published in {published / 'comparison.json'}; the predictions behind it are not"
    )
    assert [text[0], *text[2:]] == live
    found = compare_models(published, task=TASK, protocol="linear-probe")
    assert [c["kind"]["paradigm"] for c in found["chosen"]] == ["ssl"] and len(found["pairs"]) == 1
    assert found["published"] == str(published / "comparison.json")
    assert compare_models(str(published), resamples=50, seed=0)["resamples"] == 50


def test_a_live_comparison_says_that_it_is_none_published(study: Path) -> None:
    (study / "comparison.json").write_text("{}")  # older than the predictions
    assert compare_models(study, resamples=5)["published"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bootstrap", "51"), "published with resamples 50, not 51: other resamples need"),
        (("--seed", "3"), "published with seed 0, not 3"),
        (("--task", "elsewhere"), "no comparison of elsewhere"),
    ],
)
def test_what_was_not_published_is_refused(
    published: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert main([str(published), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {published / 'comparison.json'}: ") and message in error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "not a comparison of schema 1"),
        ({"study": "another"}, "compares 'another', but study.json is 'cv'"),
        ({"pairs": [{}]}, r"broken \(KeyError"),
        ({"chosen": None}, r"broken \(TypeError"),
    ],
)
def test_a_broken_published_comparison_names_its_file(
    published: Path, changes: dict[str, Any], message: str
) -> None:
    path = published / "comparison.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ResultsError, match=f"comparison.json: .*{message}"):
        compare_models(published)
    path.write_text("{")
    with pytest.raises(ResultsError, match=r"comparison.json: cannot be read"):
        compare_models(published)
    path.write_text('{"schema": 1, "study": "cv"}')
    with pytest.raises(ResultsError, match=r"comparison.json: no key resamples, seed, chosen"):
        compare_models(published)
    path.unlink()
    with pytest.raises(ResultsError, match=r"no predictions: run the study with"):
        compare_models(published)


@pytest.mark.parametrize(
    ("study", "line"),
    [
        ("ptbxl-cv", "resnet-SL on ptbxl:superclass (held-out): 0.9030 [0.8935, 0.9119]"),
        ("ptbxl-frozen", "less 6 twins (0.8264, 0.8456, 0.8057, 0.8323, 0.8160, 0.8194): +0.0214"),
    ],
)
def test_the_comparison_of_the_readme_is_read_from_a_clone(
    study: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ROOT / "results" / study
    clone = shutil.copytree(kept, tmp_path / "clone", ignore=shutil.ignore_patterns(".runs"))
    assert main([str(clone)]) == 0
    text = capsys.readouterr().out
    assert line in text
    assert (
        text.splitlines()[2:]
        == [line for line in _shown(kept / "README.md") if not line.startswith("as published")][1:]
    )


def test_a_reader_that_has_enough_is_no_error(published: Path) -> None:
    """As in ``python -m analysis.compare FOLDER | head -1``."""
    command = [sys.executable, "-m", "analysis.compare", str(published), "--json"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert run.stdout is not None and run.stderr is not None
    run.stdout.close()
    assert run.stderr.read() == b"" and run.wait() == 0
    run.stderr.close()


def _shown(readme: Path) -> list[str]:
    """What the README of a study shows of its comparison."""
    return readme.read_text().partition("```text\n")[2].partition("\n```")[0].splitlines()


def test_pickles_are_never_read(tmp_path: Path) -> None:
    arrays: dict[str, Any] = made(1.0, 1, 0)
    arrays["record"] = arrays["record"].astype(object)
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(ResultsError, match=r"e.npz: cannot be read \(Object arrays"):
        read_split(tmp_path / "e.npz", 1)
