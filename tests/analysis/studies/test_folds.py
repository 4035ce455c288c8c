"""Folds of one corpus, and what sets groups of runs apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import law_rows, load
from analysis.report.tasks import probe_cells, probe_tables
from analysis.studies.groups import groups, titles
from analysis.studies.rows import FoldError, fold_of, matched, pooled, remarks, without_fold
from tests.analysis.synthetic import CORPUS, SHIFTED
from tests.analysis.worlds import HOLDS, TASKS, write_world


def test_a_fold_is_read_from_a_name() -> None:
    assert fold_of("ptbxl:superclass@fold10") == 10
    assert fold_of("ptbxl:superclass") == 0
    assert without_fold("ptbxl:superclass@fold3") == "ptbxl:superclass"


def in_folds(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the smallest size become three folds of one corpus, each a little larger."""
    frame = frame[frame["size"].isin(["d1w8", "d2w8", "d2w16"])].copy()
    for fold, size in enumerate(("d1w8", "d2w8", "d2w16"), 1):
        mine = frame["size"] == size
        for column in ("corpus", "task"):
            own = mine & (frame[column] == CORPUS)
            frame.loc[own, column] = f"{CORPUS}@fold{fold}"
        frame.loc[mine, "D"] = frame.loc[mine, "D"] + fold
    frame["size"], frame["N"] = "d2w8", 5600
    return frame


def test_folds_become_one_corpus_with_one_d(made: Path) -> None:
    frame = in_folds(load(made))
    found = pooled(frame)
    assert set(found["corpus"]) == {CORPUS} and set(found["task"]) == {CORPUS, SHIFTED}
    assert sorted(found["fold"].unique()) == [1, 2, 3] == sorted(found["corpus_fold"].unique())
    assert sorted(found["D"].unique()) == [d + 2 for d in (256, 512, 1024, 2048, 4096)]
    assert set(frame["D"]) != set(found["D"])
    rows = law_rows(frame)
    assert len(rows) == 15
    _, notes = remarks(frame, rows)
    assert "3 folds, each with its own training and test records" in notes
    assert len(list(groups(frame))) == 1


def test_official_splits_are_left_as_they_are(made: Path) -> None:
    frame = load(made)
    found = pooled(frame)
    pd.testing.assert_frame_equal(found[frame.columns], frame)
    assert set(found["fold"]) == {0}


def test_one_model_probed_on_several_folds_is_one_row(made: Path) -> None:
    frame = load(made)
    probes = frame[frame["protocol"] == "linear-probe"]
    copies = [
        probes.assign(task=f"{SHIFTED}@fold{k}", value=probes["value"] + 0.01 * k) for k in (1, 2)
    ]
    both = pd.concat([frame[frame["protocol"] != "linear-probe"], *copies], ignore_index=True)
    rows = law_rows(both, task=SHIFTED, protocol="linear-probe")
    plain = law_rows(frame, task=SHIFTED, protocol="linear-probe").set_index("trial")
    assert len(rows) == 20
    ours = rows.set_index("trial")
    pd.testing.assert_series_equal(ours["value"], plain["value"] + 0.015)
    assert (ours["n"] == 2 * plain["n"]).all()
    assert ours["value_se"].iloc[0] == pytest.approx(0.004 / 2**0.5)


def test_groups_are_pretrainings_of_one_kind(tmp_path: Path) -> None:
    frame = load(write_world(tmp_path / "w", HOLDS))
    codebook = frame["trial"].iloc[0]
    frame.loc[frame["size"] == "s2000", "stage"] = "finetune"
    frame.loc[frame["size"] == "s6000", "paradigm"] = "random"
    found = list(groups(frame))
    kinds = [(k["family"], k["paradigm"]) for k, _ in found]
    assert kinds == sorted(HOLDS) and codebook
    assert all(set(part["size"]) == {"s18000", "s54000", "s150000"} for _, part in found)


def test_numbers_of_labels_and_codebooks_set_groups_apart(tmp_path: Path) -> None:
    frame = load(write_world(tmp_path / "w", {("transformer", "ssl"): HOLDS["transformer", "ssl"]}))
    half = frame["D"] > 1024
    frame.loc[half, "codebook"] = "x1"
    found = list(groups(frame))
    assert [k["codebook"] for k, _ in found] == ["", "x1"]
    assert titles([k for k, _ in found]) == [
        "transformer-SSL on virtual/code", "transformer-SSL on virtual/code (codebook x1)",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="mix several of codebook"):
        law_rows(frame)
    frame["codebook"] = ""
    frame.loc[half, "num_labels"] = 30
    names = titles([k for k, _ in groups(frame)])
    assert names[1] == "transformer-SSL on virtual/code (classes 30)"


def test_a_trial_that_failed_early_stays_in_its_group(tmp_path: Path) -> None:
    frame = load(write_world(tmp_path / "w", {("resnet", "sl"): HOLDS["resnet", "sl"]}))
    lost = frame["trial"] == frame["trial"].iloc[0]
    frame.loc[lost, "num_labels"] = pd.NA
    frame.loc[lost, "status"] = "failed"
    found: list[tuple[dict[str, Any], pd.DataFrame]] = list(groups(frame))
    assert len(found) == 1
    part = found[0][1]
    warnings, _ = remarks(part, law_rows(part))
    assert "1 trial failed and left out" in warnings


def test_a_fold_that_lacks_a_data_size_keeps_the_others_apart() -> None:
    """Ranks would join fold 3's 1,002 to the 500 of the others."""
    pairs = [(1, 498), (1, 1000), (2, 500), (2, 1001), (3, 1002)]
    assert matched(pairs, "cell") == {498: 499, 500: 499, 1000: 1001, 1001: 1001, 1002: 1001}
    assert matched([(1, 185), (2, 192), (3, 180)], "cell") == {180: 185, 185: 185, 192: 185}
    assert matched([(1, 500), (2, 1000)], "cell") == {500: 500, 1000: 1000}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(1, 1000), (1, 1100), (2, 1050)], "D = 1,000 and D = 1,050 of different folds"),
        ([(1, 1000), (2, 1350)], "neither clearly one data size nor clearly two"),
        ([(1, 100), (2, 117), (3, 137), (4, 160), (1, 187)], "a fold has several of the data"),
    ],
)
def test_data_sizes_that_could_belong_to_either_are_refused(
    pairs: list[tuple[int, int]], message: str
) -> None:
    with pytest.raises(FoldError, match=f"cell: .*{message}"):
        matched(pairs, "cell")


def test_a_failed_trial_does_not_move_losses_to_another_cell(made: Path) -> None:
    frame = in_folds(load(made))
    smallest = frame["D"].eq(256 + 3)  # of fold 3
    frame.loc[smallest, "num_labels"] = pd.NA  # it failed before it knew
    rows = law_rows(frame[~smallest])
    assert sorted(rows["D"].value_counts().to_dict().items())[0] == (258, 2)
    assert set(pooled(frame)["D"]) == {d + 2 for d in (256, 512, 1024, 2048, 4096)}


def test_label_sets_are_never_averaged(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "w", {("resnet", "sl"): HOLDS["resnet", "sl"]}, TASKS[:1])
    trials = pd.read_csv(folder / "trials.csv")
    assert set(load(folder)["label_set"]) == {""}  # tables published before there were any
    trials["label_set"] = ["dominant-0.1" if d < 2048 else "tail-0.1" for d in trials["D"]]
    trials["D"] = [d if d < 2048 else d // 16 for d in trials["D"]]
    trials.to_csv(folder / "trials.csv", index=False)
    frame = pooled(load(folder))
    assert [k["label_set"] for k, _ in groups(frame)] == ["dominant-0.1", "tail-0.1"]
    cells = probe_cells(frame)
    assert set(cells["name"]) == {
        "resnet-SL (label set dominant-0.1)", "resnet-SL (label set tail-0.1)",
    }  # fmt: skip
    assert (cells["seeds"] == 1).all() and len(cells) == 2 * 25
    assert any("tail-0.1" in t["title"] for t in probe_tables(cells))
