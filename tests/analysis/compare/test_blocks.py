"""Studies of students: every block said in tables, by name, and as it was published."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.compare.__main__ import main
from analysis.compare.method_study import compare_methods
from analysis.compare.method_text import methods_as_markdown, methods_as_text
from scaling.records.layout import METHODS_COMPARED
from scaling.records.multilabel import METRICS
from scaling.records.tables import ResultsError
from tests.analysis.method_stores import TASK, Trial, students, write_store

NONE, CEILING, KD = "none (10 % labels)", "none (100 % labels)", "kd"
SHOWN = ["macro_auroc", "macro_f1", "ranking_loss"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("students"), students())


@pytest.fixture(scope="module")
def numbers(folder: Path) -> dict[str, Any]:
    return compare_methods(folder, metrics=SHOWN, resamples=200)


def test_a_block_says_order_shares_and_rivals(numbers: dict[str, Any]) -> None:
    (one,) = numbers["comparisons"]
    (block,) = one["blocks"]
    roles = block["roles"]
    assert (roles["baseline"], roles["ceiling"], roles["teacher"]) == (NONE, CEILING, "supervised")
    assert roles["best_matched"].startswith("dkd (restored, boxes")  # not kd, best on test
    forms = [roles[r] for r in ("liteheart", "liteheart_i", "kd", "baseline")]
    steps = [(d["method"], d["against"]) for d in block["order"]]
    assert steps == list(itertools.pairwise(forms))
    values = {m["name"]: {k: v["value"] for k, v in m["values"].items()} for m in one["methods"]}
    shares = {(s["method"], s["to"]): s["values"] for s in block["shares"]}
    assert {to for _, to in shares} == {"ceiling", "teacher"} and len(shares) == 10
    for (method, to), by_metric in shares.items():
        for metric, found in by_metric.items():
            base, top = values[NONE][metric], values[roles[to]][metric]
            expected = (values[method][metric] - base) / (top - base)
            assert found["value"] == pytest.approx(expected)
            assert found["gap"]["value"] == pytest.approx(top - base)
            assert not found["bounded"] or found["low"] <= found["value"] <= found["high"]
    assert shares[roles["liteheart"], "teacher"]["macro_auroc"]["bounded"]
    assert {d["against"] for d in block["rivals"]} == set(block["matched"])
    for d in block["rivals"]:
        for v in d["values"].values():
            assert v["half_width"] == pytest.approx((v["high"] - v["low"]) / 2)
    validation = {name.split()[0]: v for name, v in block["validation"].items()}
    assert validation == {"kd": 0.68, "dkd": 0.69, "none": 0.66}
    assert not one["roles"] and not one["differences"] and not one["shares"]
    json.dumps(numbers, allow_nan=False)


def test_the_tables_of_a_block(numbers: dict[str, Any]) -> None:
    text = methods_as_text(numbers)
    for line in (
        f"{TASK}, 10 % labels, resnet d2w6, lead I, D 120",
        "Order as published, LiteHeart > LiteHeart-I > KD > none: is",
        "best matched on validation: dkd (restored, boxes, unlabelled 1)",
        "    LiteHeart less LiteHeart-I  +0.",
        "  Share closed of the gap from none.",
        "± is half the 95 % interval. Better or worse: it leaves out zero; equal: it lies within "
        "±0.01 of zero; else open.",
    ):
        assert line in text
    assert "macro_auroc (higher is better)" not in text
    assert "macro_auroc (higher is better)" in methods_as_text(numbers, every=True)
    first = next(line for line in text.splitlines() if line.lstrip().startswith("teacher  "))
    assert first.count("[") == 3
    page = methods_as_markdown(numbers)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    columns = [row.count(" | ") for row in rows]
    assert columns == [3] * 10 + [2] * 5 + [4] * 7 + [2] * 5
    names = [row.split(" | ")[0] for row in rows[2:10]]
    assert names == [
        f"| {n}" for n in ("teacher", "ceiling", "none", "KD", "LiteHeart-I", "LiteHeart-II",
                           "LiteHeart", "best matched (DKD)")
    ]  # fmt: skip


def test_a_block_of_what_there_is(tmp_path: Path) -> None:
    """No ceiling and no predictions of teachers: the order and the values alone."""
    trials = [t for t in students((0,)) if t.name.startswith(("a10", "b10", "c10"))]
    folder = write_store(tmp_path, trials)
    numbers = compare_methods(folder, metrics=["macro_auroc"], resamples=20)
    ((block,),) = (one["blocks"] for one in numbers["comparisons"])
    assert block["roles"] == {"baseline": "none", "kd": "kd"} and not block["shares"]
    text = methods_as_text(numbers)
    assert "no teacher with predictions; no ceiling with predictions" in text
    assert "KD less none" in text and "Share closed" not in text and "LiteHeart" not in text


def test_named_methods_give_shares_of_all(folder: Path) -> None:
    """Of the names that are not given, those of the block that the given one is in."""
    by_name: dict[str, Any] = {"metrics": ["macro_auroc"], "resamples": 100}
    whole = compare_methods(folder, baseline=NONE, ceiling=CEILING, teacher="supervised", **by_name)
    (one,) = whole["comparisons"]
    others = len(one["methods"]) - 2
    assert [s["to"] for s in one["shares"]] == ["ceiling"] * others + ["teacher"] * others
    assert not one["blocks"]
    for role, name in (("ceiling", CEILING), ("teacher", "supervised"), ("baseline", NONE)):
        again = compare_methods(folder, **(by_name | {role: name}))["comparisons"][0]
        assert again["roles"] == one["roles"] and again["shares"] == one["shares"]
    text = methods_as_text(whole)
    assert f"less {NONE}, share to {CEILING}, share to supervised" in text
    (line,) = [w for w in text.splitlines() if w.startswith("    dkd  ")]
    assert line.count(" % [") == 2


def test_a_gap_needs_a_baseline(tmp_path: Path) -> None:
    trials = [Trial(name=n, objective=n) for n in ("kd", "none", "big")]
    trials.append(Trial(name="lost", objective="lost", kept=False))
    folder = write_store(tmp_path, trials)
    with pytest.raises(ResultsError, match="a gap to big starts at a baseline, and which is not"):
        compare_methods(folder, teacher="big", resamples=5)
    with pytest.raises(ResultsError, match="lost: it kept no predictions: run the study with"):
        compare_methods(folder, baseline="none", teacher="lost", resamples=5)
    words: dict[str, Any] = {
        "baseline": "none",
        "ceiling": "big",
        "metrics": ["map"],
        "resamples": 50,
    }
    (one,) = compare_methods(folder, **words)["comparisons"]
    assert [s["method"] for s in one["shares"]] == ["kd"]


@pytest.fixture
def published(folder: Path, tmp_path: Path) -> Path:
    """As a clone has it: the comparison and tables, no live store."""
    copy = tmp_path / "made"
    shutil.copytree(folder, copy)
    words = [str(copy), "--methods", "--bootstrap", "20", "--out", str(copy / METHODS_COMPARED)]
    assert main(words) == 0
    shutil.copy(copy / ".runs/study.json", copy / "study.json")
    for name in ("trials", "evaluations"):
        pd.read_parquet(copy / f".runs/{name}.parquet").to_csv(copy / f"{name}.csv", index=False)
    shutil.rmtree(copy / ".runs")
    return copy


def test_without_predictions_what_was_published_is_read(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = methods_as_text(json.loads((published / METHODS_COMPARED).read_text())).splitlines()
    figure = published / "figures" / "methods.png"
    assert main([str(published), "--methods", "--figure", str(figure)]) == 0
    first, said, *rest = capsys.readouterr().out.splitlines()
    assert [first, *rest] == live
    assert said.startswith(f"as published in {published / METHODS_COMPARED}; the predictions")
    assert figure.read_bytes().startswith(b"\x89PNG")
    found = compare_methods(published, metrics=["map"], resamples=20, margin=0.01)
    assert found["metrics"] == ["map"] and found["published"]
    assert compare_methods(published)["metrics"] == list(METRICS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bootstrap", "21"), "published with resamples 20, not 21: other resamples need"),
        (("--margin", "0.1"), "published with margin 0.01, not 0.1: another margin needs"),
        (("--baseline", KD), "published without naming 'kd', which takes the predictions"),
        (("--task", "csn"), "no comparison of csn"),
    ],
)
def test_what_was_not_published_is_refused(
    published: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert main([str(published), "--methods", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {published / METHODS_COMPARED}: ") and message in error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 9}, "not a comparison of schema 1"),
        ({"study": "other"}, "compares 'other', but study.json is 'made'"),
        ({"comparisons": [{"task": TASK, "protocol": "held-out"}]}, "broken (KeyError("),
        ({"comparisons": [3]}, "broken (TypeError("),
    ],
)
def test_a_broken_published_comparison_names_its_file(
    published: Path, changes: dict[str, Any], message: str
) -> None:
    path = published / METHODS_COMPARED
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ResultsError) as error:
        compare_methods(published)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)


def test_the_flags_of_methods_need_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words in (["--ceiling", "x"], ["--teacher", "x"], ["--all"], ["--markdown"],
                  ["--figure", "x.png"]):  # fmt: skip
        with pytest.raises(SystemExit):
            main([str(tmp_path), *words])
        assert f"{words[0]} needs --methods" in capsys.readouterr().err
