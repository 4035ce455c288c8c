"""A cross-validated study with predictions, to compare models on the same patients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.compare.__main__ import main
from scaling.records.schema import EVALUATIONS, TRIALS, names

FOLDS, PER_FOLD, TASK = 3, 60, "ptbxl:superclass"
CLASSES = np.array(["NORM", "MI"])


def made(quality: float, fold: int, seed: int) -> dict[str, np.ndarray]:
    """Predictions of a model of this quality; labels and patients depend on the fold only."""
    rng = np.random.default_rng(fold)
    rows = np.arange(PER_FOLD) + PER_FOLD * fold
    patient = 1000 * fold + np.arange(PER_FOLD) // 2
    labels = (rng.random((PER_FOLD, 2)) < 0.4).astype(np.uint8)
    noise = np.random.default_rng([fold, seed]).standard_normal((PER_FOLD, 2))
    split = np.ones(PER_FOLD, dtype=np.int8)
    split[:10] = 0
    return {
        "split": split, "row": rows, "record": np.array([f"r{r:05d}" for r in rows]),
        "patient": patient, "labels": labels, "classes": CLASSES,
        "logits": (quality * labels + noise).astype(np.float32),
    }  # fmt: skip


def row(name: str, paradigm: str, fold: int, size: str, seed: int) -> dict[str, Any]:
    trial: dict[str, Any] = dict.fromkeys(names(TRIALS, "id", "row"))
    return trial | {
        "study": "cv", "stage": "pretrain", "trial": f"t{name}", "family": "resnet", "size": size,
        "paradigm": paradigm, "objective": "supervised", "corpus": f"{TASK}@fold{fold}",
        "preprocessing": "none", "recipe": "{}", "labels_fraction": 1.0, "num_labels": 2,
        "leads": 12, "N": 5000 + 10 * int(size[1]), "D": 120 + fold, "lr": 0.01, "batch": 64,
        "seed": seed, "status": "done", "C": 1e9,
    }  # fmt: skip


def write_cv(folder: Path) -> Path:
    """Three folds: an SSL model, two supervised sizes and two random twins, with predictions."""
    store = folder / "cv" / ".runs"
    (store / "predictions").mkdir(parents=True)
    models = [("ssl", "s1", 0, 2.0), ("random", "s1", 0, 0.3), ("random", "s1", 1, 0.3),
              ("sl", "s1", 0, 1.0), ("sl", "s2", 0, 1.5)]  # fmt: skip
    trials, values = [], []
    for i, (paradigm, size, seed, quality) in enumerate(models):
        for fold in range(1, FOLDS + 1):
            name = f"{i}f{fold}"
            trials.append(row(name, paradigm, fold, size, seed))
            best = (quality if fold != 2 else 2.5 - quality) if paradigm == "sl" else 1.0
            for metric, split, value in (
                ("loss", "validation", 1 / best), ("macro_auroc", "test", 0.8)
            ):  # fmt: skip
                values.append({
                    "evaluation": f"e{name}", "trial": f"t{name}", "step": 1, "C": 1e9,
                    "task": f"{TASK}@fold{fold}", "split": split, "metric": metric, "n": 50,
                    "protocol": "held-out" if paradigm == "sl" else "linear-probe",
                    "value": value, "value_se": 0.01,
                })  # fmt: skip
            np.savez(store / "predictions" / f"e{name}.npz", **made(quality, fold, 7 * i))  # type: ignore[arg-type]
    pd.DataFrame(trials)[[*names(TRIALS, "id", "row")]].to_parquet(store / "trials.parquet")
    pd.DataFrame(values)[[*names(EVALUATIONS, "id", "row")]].to_parquet(
        store / "evaluations.parquet"
    )
    ids = [t["trial"] for t in trials]
    (store / "compacted.json").write_text(json.dumps([*ids, *(v["evaluation"] for v in values)]))
    stage = {"stage": "pretrain", "trials": ids, "evaluations": [v["evaluation"] for v in values]}
    (store / "study.json").write_text(
        json.dumps({"study": "cv", "schema": 1, "grid": {}, "stages": [stage]})
    )
    return folder / "cv"


def run(study: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main([str(study), "--bootstrap", "200", "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found
