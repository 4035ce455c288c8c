"""Folds of one corpus, and what sets groups of runs apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import law_rows, load
from analysis.folds import fold_of, pooled, without_fold
from analysis.selection import groups, titles
from tests.analysis.synthetic import CORPUS, SHIFTED
from tests.analysis.worlds import HOLDS, write_world


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
    assert "3 folds, each with its own training and test records" in rows.attrs["notes"]
    assert len(list(groups(frame))) == 1


def test_official_splits_are_left_as_they_are(made: Path) -> None:
    frame = load(made)
    found = pooled(frame)
    pd.testing.assert_frame_equal(found[frame.columns], frame)
    assert set(found["fold"]) == {0}
    assert found.attrs["study"] == "made-up"


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
    assert "1 trial failed and left out" in law_rows(found[0][1]).attrs["warnings"]
