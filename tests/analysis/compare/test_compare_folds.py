"""What folds, splits and objectives may be compared, and what is left out with a note."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.compare.__main__ import main
from tests.analysis.compared import TASK, made, run


def test_a_fold_missing_for_all_leaves_out_that_task_only(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = study / ".runs/evaluations.parquet"
    values = pd.read_parquet(table)
    other = values["task"].eq(f"{TASK}@fold2") & values["protocol"].eq("linear-probe")
    values[~other].to_parquet(table)
    found = run(study, capsys)
    assert len(found["chosen"]) == 1 and found["notes"] == [
        "left out: ptbxl:superclass: no result of fold 2: run the study to its end"
    ]


def test_losses_of_different_objectives_are_not_ranked_together(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A focal loss is smaller than the binary cross-entropy of a better model."""
    trials_at, values_at = (study / f".runs/{n}.parquet" for n in ("trials", "evaluations"))
    trials, values = pd.read_parquet(trials_at), pd.read_parquet(values_at)
    focal = trials["size"].eq("s1") & trials["paradigm"].eq("sl")
    trials.loc[focal, "objective"] = "focal"
    trials.to_parquet(trials_at)
    theirs = values["trial"].isin(trials.loc[focal, "trial"])
    loss = theirs & values["metric"].eq("loss")
    bce = values[loss].assign(metric="bce", value=5.0)
    values.loc[loss, "value"] = 0.001
    pd.concat([values, bce]).to_parquet(values_at)
    (best,) = run(study, capsys, "--protocol", "held-out")["chosen"]
    assert [f["size"] for f in best["folds"]] == ["s2"] * 3 and "cross-entropy" in best["rule"]
    ours = values["trial"].isin(trials.loc[trials["paradigm"].eq("sl"), "trial"])
    auroc = values[ours & values["metric"].eq("loss")].assign(metric="macro_auroc")
    auroc["value"] = np.where(auroc["value"] == 0.001, 0.9, 0.8)
    pd.concat([values, auroc]).to_parquet(values_at)  # without bce
    (best,) = run(study, capsys, "--protocol", "held-out")["chosen"]
    assert [f["size"] for f in best["folds"]] == ["s1"] * 3
    assert "highest macro-AUROC" in best["rule"]
    values.to_parquet(values_at)
    assert main([str(study), "--bootstrap", "5", "--protocol", "held-out"]) == 2
    assert "neither binary cross-entropy nor macro-AUROC" in capsys.readouterr().err


def test_models_of_folds_are_compared_on_another_corpus(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are tested on the same official split: they are runs, and not its folds."""
    table, kept = study / ".runs/evaluations.parquet", study / ".runs/predictions"
    values = pd.read_parquet(table)
    probes = values[values["protocol"].eq("linear-probe")]
    for name in probes["evaluation"].unique():
        quality = 2.0 if name.startswith("e0") else 0.3
        np.savez(kept / f"x{name}.npz", **made(quality, 9, int(name[1]) * 7 + int(name[-1])))  # type: ignore[arg-type]
    more = probes.assign(task="csn:all", evaluation="x" + probes["evaluation"])
    pd.concat([values, more]).to_parquet(table)
    plan = json.loads((study / ".runs/study.json").read_text())
    plan["stages"][0]["evaluations"] += sorted(more["evaluation"].unique())
    (study / ".runs/study.json").write_text(json.dumps(plan))
    found = run(study, capsys, "--task", "csn:all")
    (pair,) = found["pairs"]
    assert not found["notes"] and pair["records"] == 50
    assert list(pair["twins"]) == [f"{s} of fold {f}" for s in (0, 1) for f in (1, 2, 3)]
    assert pair["difference"]["low"] > 0 and pair["seeds"] == 1


@pytest.mark.parametrize("parent", [False, True])
def test_a_model_of_a_fold_is_not_tested_on_the_official_split(
    study: Path, capsys: pytest.CaptureFixture[str], parent: bool
) -> None:
    """Its training records hold the official test records; it has no fold to inherit there."""
    trials_at, values_at = (study / f".runs/{n}.parquet" for n in ("trials", "evaluations"))
    trials, values = pd.read_parquet(trials_at), pd.read_parquet(values_at)
    values.loc[values["evaluation"].eq("e0f1"), "task"] = TASK
    if parent:
        mine = trials["trial"].eq("t0f1")
        trials["parents"] = trials["parents"].astype("string").mask(mine, "t3f1")
        trials.loc[mine, "corpus"] = "virtual/code"
    trials.to_parquet(trials_at)
    values.to_parquet(values_at)
    assert main([str(study), "--bootstrap", "5"]) == 2
    error = capsys.readouterr().err
    assert "was trained on ptbxl for fold 1 but is tested on the official split of it" in error
