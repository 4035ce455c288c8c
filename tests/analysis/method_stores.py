"""Made-up stores of several methods: what they predict is known, and so is which is better."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scaling.records.schema import EVALUATIONS, TRIALS, names

TASK, CLASSES = "ptbxl:superclass", ("NORM", "MI", "STTC")
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial and its evaluation."""

    name: str
    objective: str = "kd"
    quality: float = 1.0  # of what it predicts: the shift of a positive's logits
    fold: int = 0
    seed: int = 0
    kept: bool = True  # whether it keeps its predictions
    validation: float | None = None  # its macro-AUROC there, where it was measured
    task: str = TASK
    protocol: str = "held-out"
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)


def predicted(trial: Trial, records: int = 80) -> Arrays:
    """Half validation and half test; labels, patients and difficulty are of the fold alone."""
    rng = np.random.default_rng(trial.fold)
    n = 2 * records
    labels = (rng.random((n, len(CLASSES))) < [0.5, 0.3, 0.4]).astype(np.uint8)
    hard = rng.standard_normal((n, len(CLASSES)))
    own = np.random.default_rng([trial.fold, trial.seed, *trial.name.encode()])
    logits = trial.quality * labels + 0.7 * hard + 0.7 * own.standard_normal(hard.shape) - 1
    rows = np.arange(n) + 1000 * trial.fold
    return {
        "split": np.repeat(np.arange(2, dtype=np.int8), records),
        "row": rows, "record": np.array([f"r{r:05d}" for r in rows]),
        "patient": rows // 2, "labels": labels, "logits": logits.astype(np.float32),
        "classes": np.array(CLASSES),
    }  # fmt: skip


def write_store(folder: Path, trials: list[Trial]) -> Path:
    """A results folder whose live store holds these trials."""
    store = folder / "made" / ".runs"
    (store / "predictions").mkdir(parents=True)
    rows, values = [], []
    for trial in trials:
        fold = f"@fold{trial.fold}" if trial.fold else ""
        row: dict[str, Any] = dict.fromkeys(names(TRIALS, "id", "row"))
        rows.append(row | {
            "study": "made", "stage": "pretrain", "trial": f"t{trial.name}", "family": "resnet",
            "size": "d2w6", "paradigm": "sl", "objective": trial.objective,
            "corpus": f"{TASK}{fold}", "preprocessing": "none", "recipe": '{"lr": 0.01}',
            "labels_fraction": 1.0, "num_labels": 3, "leads": 12, "N": 5000, "D": 120, "lr": 0.01,
            "batch": 64, "seed": trial.seed, "status": "done", "C": 1e9, "parents": "",
            "options": "", "label_set": "", **trial.columns,
        })  # fmt: skip
        task = f"{trial.task}{fold}"
        value = {
            "evaluation": f"e{trial.name}", "trial": f"t{trial.name}", "step": 1, "C": 1e9,
            "task": task, "split": "test", "metric": "macro_auroc", "n": 80,
            "protocol": trial.protocol, "value": 0.8, "value_se": 0.01,
        }  # fmt: skip
        values.append(value)
        if trial.validation is not None:
            values.append(value | {"split": "validation", "value": trial.validation})
        if trial.kept:
            np.savez(store / f"predictions/e{trial.name}.npz", **predicted(trial))  # type: ignore[arg-type]
    given = {column for trial in trials for column in trial.columns}
    columns = [*names(TRIALS, "id", "row", "config")]
    columns += [c for c in names(TRIALS, "optional") if c in given]
    pd.DataFrame(rows)[columns].to_parquet(store / "trials.parquet")
    pd.DataFrame(values)[[*names(EVALUATIONS, "id", "row")]].to_parquet(
        store / "evaluations.parquet"
    )
    ids, evaluations = [r["trial"] for r in rows], [v["evaluation"] for v in values]
    (store / "compacted.json").write_text(json.dumps([*ids, *evaluations]))
    stage = {"stage": "pretrain", "trials": ids, "evaluations": evaluations}
    (store / "study.json").write_text(
        json.dumps({"study": "made", "schema": 1, "grid": {}, "stages": [stage]})
    )
    return folder / "made"


def students(draws: tuple[int, ...] = (0, 1, 2), labels: float = 0.1) -> list[Trial]:
    """Students of lead I as published and at matched inputs, their ceiling, and their teachers.

    On validation matched DKD is better than matched KD; on the test records it is worse.
    """
    boxes, more = '{"boxes": "record"}', '{"boxes": "record", "unlabelled": 1.0}'
    share = f"{100 * labels:g}"
    trials = [
        Trial(name="net", objective="restoration", kept=False, columns={"stage": "restore"}),
        *(
            Trial(name=f"teacher{share}d{d}", objective="supervised", quality=3.2, seed=d,
                  columns={"stage": "finetune", "size": "big", "labels_fraction": labels,
                           "labelled_draw": d})
            for d in draws
        ),
        *(
            Trial(name=f"ceiling{d}", objective="none", quality=2.6, seed=d,
                  columns={"stage": "distill", "input_leads": "I"})
            for d in draws
        ),
    ]  # fmt: skip
    for form, objective, quality, validation, options in (
        ("a", "none", 1.0, 0.60, ""), ("b", "kd", 1.3, 0.62, ""), ("c", "dkd", 1.2, 0.62, ""),
        ("d", "kd", 1.6, 0.64, boxes), ("e", "liteheart", 1.65, 0.64, boxes),
        ("f", "liteheart", 2.0, 0.70, more), ("g", "kd", 1.9, 0.68, more),
        ("h", "dkd", 1.7, 0.69, more), ("i", "none", 1.4, 0.66, boxes),
    ):  # fmt: skip
        taught = objective != "none"
        for d in draws:
            teacher, net = f"tteacher{share}d{d}" * taught, "tnet" * bool(options)
            columns = {
                "stage": "distill", "input_leads": "I", "labels_fraction": labels,
                "labelled_draw": d, "options": options, "teacher": teacher, "restoration": net,
                "parents": ";".join(filter(None, (teacher, net))),
            }  # fmt: skip
            trials.append(
                Trial(name=f"{form}{share}d{d}", objective=objective, quality=quality, seed=d,
                      validation=validation, columns=columns)
            )  # fmt: skip
    return trials
