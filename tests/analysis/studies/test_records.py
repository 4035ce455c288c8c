"""Loading results folders, and choosing rows of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import fit_law, law_rows, load, study
from analysis.studies.groups import groups
from analysis.studies.load import Study
from analysis.studies.rows import remarks, trial_rows
from scaling.records.record import validate
from scaling.records.tables import ResultsError
from tests.analysis.method_stores import students, write_store
from tests.analysis.synthetic import (
    CORPUS,
    SHIFTED,
    SIZES,
    Plan,
    compact,
    publish,
    records,
    write_study,
)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def some_record(folder: Path, letter: str) -> Path:
    return sorted((folder / ".runs/records").glob(f"{letter}*.json"))[0]


def test_the_made_up_records_obey_the_schema() -> None:
    statuses = {("d1w8", 256): "failed", ("d2w8", 256): "diverged"}
    for record in records(Plan(statuses=statuses)):
        validate(record)


def test_live_compacted_and_published_give_the_same_frame(copy: Path) -> None:
    live = study(copy)
    for share in (0.4, 1.0):
        pd.testing.assert_frame_equal(load(compact(copy, share)), live.frame)
    published = study(publish(copy))
    pd.testing.assert_frame_equal(published.frame, live.frame)
    same = {f.name for f in dataclasses.fields(Study)} - {"frame", "errors", "provenance"}
    for name in same:  # those three a live store alone knows whole
        assert getattr(published, name) == getattr(live, name)


def test_a_study_says_what_was_planned_and_what_ran(mixed: Path) -> None:
    found = study(str(mixed))
    assert (found.name, found.folder) == ("made-up", mixed)
    assert found.counts == {"done": 17, "budget_limited": 1, "diverged": 1, "failed": 1}
    assert found.planned == 20 and found.missing == found.ignored == found.empty_evaluations == 0
    assert found.plan == {"pretrain": 20}
    assert [row["size"] for row in found.ladder] == list(SIZES)
    assert found.corpora[CORPUS]["bayes_loss"]["value"] == 0.25
    assert list(found.errors.values()) == ["RuntimeError: no luck"]
    assert set(found.errors) <= set(found.frame["trial"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "another"  # type: ignore[misc]


def test_every_attribute_of_a_study_is_documented() -> None:
    about = Study.__doc__ or ""
    assert not [f.name for f in dataclasses.fields(Study) if f"\n        {f.name}: " not in about]


def test_a_frame_carries_values_alone(mixed: Path) -> None:
    frame = load(mixed)
    assert frame.attrs == {} and law_rows(frame).attrs == {}
    failed = frame[frame["status"] == "failed"]
    assert len(failed) == 1 and failed["metric"].iloc[0] == ""
    assert frame["N"].dtype == "Int64" and frame["value"].dtype == "float64"
    assert set(frame["protocol"]) == {"", "curve", "held-out", "best-test", "linear-probe"}


def test_evaluations_keep_their_own_compute(made: Path) -> None:
    frame = load(made)
    curve = frame[frame["protocol"] == "curve"]
    assert (curve["C"] <= curve["C_total"]).all()
    assert curve.groupby("trial")["C"].nunique().eq(3).all()


def test_what_the_field_counts_is_read_where_a_record_has_it(copy: Path) -> None:
    """Older records, and tables of them, do not have it."""
    path = some_record(copy, "t")
    record = json.loads(path.read_text())
    record["trial"] |= {"macs_full": 5.0, "C_full": 1e9}
    path.write_text(json.dumps(record))
    trials = load(copy).drop_duplicates("trial").set_index("trial")
    assert trials.loc[record["id"], ["macs_full", "C_full"]].tolist() == [5.0, 1e9]
    assert trials.drop(index=record["id"])[["macs_full", "C_full"]].isna().all(axis=None)


def test_ids_outside_the_plan_are_ignored(copy: Path) -> None:
    path = copy / ".runs/study.json"
    planned = json.loads(path.read_text())
    dropped = planned["stages"][0]["trials"].pop()
    path.write_text(json.dumps(planned))
    found = study(copy)
    assert dropped not in set(found.frame["trial"])
    assert found.ignored == 1


def test_a_planned_trial_without_a_record_is_missing(copy: Path) -> None:
    some_record(copy, "t").unlink()
    assert study(copy).missing == 1


def test_unusable_folders_say_why(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(ResultsError, match="nowhere: no such results folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultsError, match="empty: no records here"):
        load(tmp_path / "empty")
    for path in (copy / ".runs/records").iterdir():
        path.unlink()
    with pytest.raises(ResultsError, match="no records yet"):
        load(copy)


@pytest.mark.parametrize("text", ["{", '{"kind": "training", "schema": 1}', "[]", "null"])
def test_a_broken_record_names_its_file(copy: Path, text: str) -> None:
    path = some_record(copy, "t")
    path.write_text(text)
    with pytest.raises(ResultsError, match=path.name):
        load(copy)


def test_a_record_of_another_schema_names_its_file(copy: Path) -> None:
    path = some_record(copy, "e")
    edit(path, schema=99)
    with pytest.raises(ResultsError, match=f"{path.name}.*schema 99"):
        load(copy)


def test_a_broken_plan_names_its_file(copy: Path) -> None:
    path = copy / ".runs/study.json"
    edit(path, schema=2)
    with pytest.raises(ResultsError, match=r"study.json: schema 2, this version reads 1"):
        load(copy)
    path.write_text("{}")
    with pytest.raises(ResultsError, match="needs keys study and stages"):
        load(copy)


@pytest.mark.parametrize(
    "content", ["[]", "7", '{"study": "x", "schema": 1, "stages": 1}', "{", "\xff"]
)
def test_a_broken_plan_says_how_it_is_mended(content: str, copy: Path) -> None:
    path = copy / ".runs/study.json"
    path.write_text(content)
    words = "; delete it and run python -m sweeps.run on the study's grid, which writes it anew$"
    with pytest.raises(ResultsError, match=f"^{path}: .*{words}"):
        load(copy)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("corpora.json", "[]"),
        ("corpora.json", "null"),
        ("corpora.json", '{"simulated/x": 1}'),
        ("ladder.json", "{}"),
        ("ladder.json", "[1]"),
        ("ladder.json", "{"),
        ("compacted.json", "{"),
    ],
)
def test_a_broken_state_file_is_named(name: str, content: str, copy: Path) -> None:
    path = copy / ".runs" / name
    path.write_text(content)
    words = "; run python -m sweeps.run on the study's grid, which writes it anew$"
    with pytest.raises(ResultsError, match=f"^{path}: not .*{words}"):
        load(copy)
    path.unlink()
    load(copy)


@pytest.mark.parametrize("change", [{"error": "no"}, {"error": [1]}, {"provenance": 7}])
def test_a_record_with_a_broken_end_is_named(change: dict[str, Any], copy: Path) -> None:
    paths = sorted((copy / ".runs/records").glob("*.json"))
    if "error" in change:
        paths = [p for p in paths if '"status": "failed"' in p.read_text()]
    path = paths[-1]  # of the last one, the provenance is read
    if "error" in change:
        assert path.name.startswith("t")
    edit(path, **change)
    with pytest.raises(ResultsError, match=rf"{path.name}: broken record .*which sets it aside"):
        load(copy)


def test_tables_of_another_study_are_refused(copy: Path) -> None:
    publish(copy)
    edit(copy / "study.json", study="another")
    with pytest.raises(ResultsError, match=r"holds trials of study 'made-up'.*'another'"):
        load(copy)


def test_published_tables_are_checked(copy: Path) -> None:
    path = publish(copy) / "trials.csv"
    table = pd.read_csv(path)
    table.drop(columns="lr").to_csv(path, index=False)
    with pytest.raises(ResultsError, match=r"trials.csv: missing column lr"):
        load(copy)
    table.assign(D="many").to_csv(path, index=False)
    with pytest.raises(ResultsError, match=r"trials.csv: column D"):
        load(copy)
    (copy / "evaluations.csv").unlink()
    table.to_csv(path, index=False)
    with pytest.raises(ResultsError, match=r"evaluations.csv: cannot be read"):
        load(copy)


def test_a_truncated_parquet_names_its_file(copy: Path) -> None:
    path = compact(copy, 1.0) / ".runs/trials.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(
        ResultsError, match=r"trials.parquet: cannot be read .*run python -m sweeps.run"
    ):
        load(copy)


def test_law_rows_say_what_was_left_out(mixed: Path) -> None:
    frame = load(mixed)
    rows = law_rows(frame)
    assert len(rows) == 18
    assert set(rows["protocol"]) == {"held-out"} and set(rows["split"]) == {"test"}
    warnings, notes = remarks(frame, rows)
    assert warnings == [
        "1 trial failed and left out",
        "1 trial diverged and left out",
        "1 trial stopped at the step cap before converging (used)",
    ]
    assert notes == ["18 trials used, 2 left out"]


def test_law_rows_take_another_task(mixed: Path) -> None:
    rows = law_rows(load(mixed), task=SHIFTED, protocol="linear-probe", metric="macro_auroc")
    assert set(rows["task"]) == {SHIFTED} and len(rows) == 18
    with pytest.raises(ValueError, match=r"no finished trial has .*there are: .*linear-probe"):
        law_rows(load(mixed), task="elsewhere")


def test_rows_of_two_families_are_not_mixed(made: Path) -> None:
    frame = load(made)
    frame.loc[frame["size"] == "d1w8", "family"] = "transformer"
    with pytest.raises(ValueError, match=r"mix several of family .*frame\[frame.family == "):
        law_rows(frame)
    assert [key["family"] for key, _ in groups(frame)] == ["resnet", "transformer"]


def test_several_recipes_in_a_cell_are_reported(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "seeds", Plan(seeds=(0, 1)))
    frame = load(folder)
    frame.loc[frame["seed"] == 1, "recipe"] = "{}"
    warnings, _ = remarks(frame, law_rows(frame))
    assert "cells hold runs of several recipes: all are used" in warnings


def test_the_law_is_fitted_to_the_law_rows(mixed: Path) -> None:
    frame = load(mixed)
    fit = fit_law(frame, n_boot=20)
    assert len(fit.residuals) == 18
    assert set(fit.residuals["trial"]) <= set(trial_rows(frame)["trial"])
    assert fit.warnings[0] == "1 trial failed and left out"
    with pytest.raises(ValueError, match="there are"):
        fit_law(frame, task=SHIFTED)


def test_published_library_versions(copy: Path) -> None:
    publish(copy)
    assert study(copy).provenance["versions"] == {}
    path = copy / "provenance.json"
    both = [{"versions": {"python": "3.11", "torch": t}} for t in ("2.13", "2.14", "2.13")]
    path.write_text(json.dumps(both))
    versions = study(copy).provenance["versions"]
    assert versions == {"python": "3.11", "torch": "2.13 and 2.14"}
    path.write_text('{"torch": "2.13"}')
    with pytest.raises(ResultsError, match=r"provenance.json: broken"):
        load(copy)


def test_students_of_other_leads_or_settings_are_no_one_group(tmp_path: Path) -> None:
    frame = load(write_store(tmp_path, students()))
    assert set(frame.loc[frame["stage"] == "finetune", "given"]) == {""}
    kd = frame[frame["objective"] == "kd"]
    assert set(kd["given"]) == {"I", "I restored"}
    with pytest.raises(ValueError, match="rows mix several of given"):
        law_rows(kd, metric="macro_auroc")
    with pytest.raises(ValueError, match="rows mix several of options"):
        law_rows(kd[kd["given"] == "I restored"], metric="macro_auroc")
    assert len(law_rows(kd[kd["given"] == "I"], metric="macro_auroc")) == 3
