"""The report of a study with several configurations, codebooks and fine-tuned models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load, study
from analysis.report.content import Content, study_content
from analysis.report.page import write_figures, write_report
from analysis.report.tasks import mean_interval, other_tables
from analysis.studies.rows import pooled
from tests.analysis.report.test_report import Page
from tests.analysis.worlds import HOLDS, TASKS, write_world


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    folder = write_world(tmp_path_factory.mktemp("w") / "w", HOLDS)
    corpora = {"virtual/code": {"bayes_loss": {
        "value": 0.12, "se": 0.001, "lower_bound": 0.1, "method": "made"}}}  # fmt: skip
    (folder / "corpora.json").write_text(json.dumps(corpora))
    trials = pd.read_csv(folder / "trials.csv")
    first = trials["trial"].iloc[0]
    tuned = trials["size"].eq("s2000") & trials["family"].eq("transformer")
    trials.loc[tuned, "stage"] = "finetune"
    trials["parents"] = trials["parents"].astype("string")
    trials.loc[tuned & trials["D"].eq(512), "parents"] = first
    trials.to_csv(folder / "trials.csv", index=False)
    return study_content(folder, n_boot=20)


def test_each_configuration_has_a_law_and_only_bce_a_bayes_loss(content: Content) -> None:
    titles = {g.title: g for g in content.groups}
    assert set(titles) == {f"{f}-{p.upper()} on virtual/code" for f, p in HOLDS}
    for g in content.groups:
        assert g.joint is not None and g.joint.ok and g.joint.r2 > 0.9
        assert (g.bayes is not None) == (g.key["objective"] == "supervised")


def test_the_page_has_tables_and_not_dozens_of_figures(content: Content, tmp_path: Path) -> None:
    write_report(content, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert not Page(page).open
    drawn = sum(len(g.compute.pictures()) for g in content.groups if g.compute)
    drawn += sum(bool(g.others) for g in content.groups)
    assert page.count("<svg") == 3 * len(content.groups) + drawn + 1  # and the fine-tuned models
    assert drawn <= 4 * len(content.groups)
    for words in (
        "contrastive loss", "cross-entropy of masked codes", "Other trainings",
        "macro-AUROC, linear-probe: largest N", *TASKS,
    ):  # fmt: skip
        assert words in page
    assert not [p for p in write_figures(content, tmp_path / "f") if "probe" in p.name]
    assert len(json.loads(content.to_json())["groups"]) == 4


def test_models_without_a_law_are_tabled_by_what_they_began_with(content: Content) -> None:
    tables = {t["title"]: t for t in content.others}
    assert set(tables) == {"finetune, supervised", "finetune, masked"}
    table = tables["finetune, supervised"]
    origins = [row[table["head"].index("from")] for row in table["rows"]]
    assert origins.count("scratch") == 4 and origins.count("SL, D 512") == 1
    assert len(table["rows"][0]) == len(table["head"])
    assert table["rows"][0][-1] == pytest.approx(1.0, abs=1.0)


def test_a_study_of_pretrainings_has_no_other_tables(tmp_path: Path) -> None:
    world = {("resnet", "sl"): HOLDS["resnet", "sl"]}
    assert other_tables(pooled(load(write_world(tmp_path / "w", world, ())))) == []


def test_folds_are_averaged_with_their_scatter() -> None:
    rows = pd.DataFrame({"value": [0.8, 0.82, 0.9, 0.92], "value_se": 0.5, "fold": [1, 1, 2, 2]})
    mean, low, high = mean_interval(rows)
    assert mean == pytest.approx(0.86)
    student = 12.7062  # two folds leave one degree of freedom
    assert (high - low) / 2 == pytest.approx(student * np.std([0.81, 0.91], ddof=1) / 2**0.5)
    shared = rows.assign(task_fold=0)  # models of two folds on the patients of one split
    mean, low, high = mean_interval(shared)
    assert (high - low) / 2 == pytest.approx(1.959964 * (0.25 + rows["value"].var() / 4) ** 0.5)


def test_intervals_of_values_are_read_where_there_are_any(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "w", {("resnet", "sl"): HOLDS["resnet", "sl"]}, ())
    assert load(folder)[["low", "high"]].isna().all().all()
    values = pd.read_csv(folder / "evaluations.csv")
    values.assign(low=values["value"] - 0.01, high=values["value"] + 0.01).to_csv(
        folder / "evaluations.csv", index=False
    )
    frame = load(folder)
    np.testing.assert_allclose(frame["high"] - frame["low"], 0.02)


def test_stages_of_one_name_are_counted_together(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "w", {("resnet", "sl"): HOLDS["resnet", "sl"]}, ())
    planned = json.loads((folder / "study.json").read_text())
    (stage,) = planned["stages"]
    planned["stages"] = [{**stage, "trials": part} for part in (stage["trials"][:10],
                                                              stage["trials"][10:])]  # fmt: skip
    (folder / "study.json").write_text(json.dumps(planned))
    assert study(folder).plan == {"pretrain": 25}


def test_a_codebook_is_told_from_other_parents(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "w", {("transformer", "ssl"): HOLDS["transformer", "ssl"]}, ())
    trials = pd.read_csv(folder / "trials.csv")
    first, second = trials["trial"].iloc[:2]
    trials.loc[0, "stage"] = "codebook"
    trials["parents"] = trials["parents"].astype("string")
    trials.loc[2, "parents"] = f"{first};{second}"
    trials.loc[3, "parents"] = "x0123"
    trials.to_csv(folder / "trials.csv", index=False)
    frame = load(folder).drop_duplicates("trial").set_index("trial")
    order = trials["trial"]
    assert frame.loc[order.iloc[2], "codebook"] == first
    assert frame.loc[order.iloc[3], "codebook"] == "x0123"
    assert frame.loc[order.iloc[4], "codebook"] == ""
