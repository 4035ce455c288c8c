"""A made-up study of students: what each reached is known, and so is what is drawn of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scaling.records.explained import Explained
from scaling.records.schema import EVALUATIONS, TRIALS, names

CORPUS, CLASSES = "virtual/ptbxl:superclass", ("NORM", "MI", "CD")
LEADS = ("I", "II", "V1", "V2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One finished trial, measured on its own test records."""

    name: str
    objective: str = "none"
    stage: str = "distill"
    size: str = "d8n1h1s2"
    N: int = 5000
    auroc: float = 0.6
    validation: float = 0.6
    draw: int = 0
    teacher: str = ""
    restoration: str = ""
    options: str = ""
    recipe: str = '{"lr": 0.01}'
    classes: tuple[str, ...] = CLASSES  # whose AUROC was measured
    measured: bool = True
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)


def study_of_students() -> list[Trial]:
    """Two draws of a teacher and of three methods, of two sizes; nets of two sizes restore."""
    boxes = '{"boxes": "record", "unlabelled": 1.0}'
    net: dict[str, Any] = {"stage": "restore", "objective": "restoration", "measured": False}
    found = [
        Trial(name="net", size="c4", N=23000, **net), Trial(name="net8", size="c8", N=90000, **net),
    ]  # fmt: skip
    for draw in (0, 1):
        teacher = f"teach{draw}"
        found.append(Trial(name=teacher, objective="supervised", stage="pretrain", size="d2w24",
                           N=22000, auroc=0.8, draw=draw, columns={"input_leads": ""}))  # fmt: skip
        for size, N in (("d8n1h1s2", 5000), ("d16n1h2s2", 17000)):
            own: dict[str, Any] = {"size": size, "N": N, "draw": draw}
            best: dict[str, Any] = {"teacher": teacher, "restoration": "net", "options": boxes}
            at = f"{size}-{draw}"
            found += [
                Trial(name=f"none-{at}", auroc=0.60 + 0.02 * draw, **own),
                Trial(name=f"kd-{at}", objective="kd", auroc=0.62, teacher=teacher, **own),
                Trial(name=f"kd-like-{at}", objective="kd", auroc=0.64, **best, **own),
                Trial(name=f"lite-{at}", objective="liteheart", auroc=0.66, **best, **own),
                Trial(name=f"lite8-{at}", objective="liteheart", auroc=0.67, **own,
                      **{**best, "restoration": "net8"}),
            ]  # fmt: skip
    return found


def write_students(folder: Path, trials: list[Trial]) -> Path:
    """A results folder whose live store holds these trials."""
    store = folder / ".runs"
    store.mkdir(parents=True)
    rows = [_row(trial) for trial in trials]
    values = [value for trial in trials for value in _values(trial)]
    pd.DataFrame(rows)[[*names(TRIALS)]].to_parquet(store / "trials.parquet")
    pd.DataFrame(values)[[*names(EVALUATIONS)]].to_parquet(store / "evaluations.parquet")
    ids = [trial.name for trial in trials]
    evaluations = sorted({v["evaluation"] for v in values})
    (store / "compacted.json").write_text(json.dumps([*ids, *evaluations]))
    stages = [{"stage": "distill", "trials": ids, "evaluations": evaluations}]
    (store / "study.json").write_text(
        json.dumps({"study": "made", "schema": 1, "grid": {}, "stages": stages})
    )
    (store / "corpora.json").write_text(json.dumps({CORPUS: {"classes": list(CLASSES)}}))
    return folder


def _row(trial: Trial) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(names(TRIALS))
    parents = ";".join(filter(None, (trial.teacher, trial.restoration)))
    return row | {
        "study": "made", "stage": trial.stage, "trial": trial.name, "parents": parents,
        "family": {"pretrain": "resnet", "restore": "unet"}.get(trial.stage, "convtx"),
        "size": trial.size, "paradigm": "sl", "objective": trial.objective, "corpus": CORPUS,
        "preprocessing": "none", "recipe": trial.recipe, "labels_fraction": 0.25, "num_labels": 3,
        "leads": 4, "N": trial.N, "params_total": trial.N, "D": 1792, "lr": 0.01, "batch": 64,
        "seed": 0, "status": "done", "C": 1e9, "macs": 100.0 * trial.N, "label_set": "",
        "input_leads": "I", "teacher": trial.teacher, "restoration": trial.restoration,
        "labelled_draw": trial.draw, "N_system": trial.N + 23000 * bool(trial.restoration),
        "macs_system": 100.0 * trial.N + 2e6 * bool(trial.restoration), "options": trial.options,
    } | trial.columns  # fmt: skip


def _values(trial: Trial) -> list[dict[str, Any]]:
    if not trial.measured:
        return []
    areas = {"macro_auroc": trial.auroc}
    areas |= {f"auroc:{c}": trial.auroc + 0.01 * i for i, c in enumerate(trial.classes)}
    areas["loss"] = 1 - trial.auroc
    test = [("test", metric, area) for metric, area in areas.items()]
    return [
        {
            "evaluation": f"e{trial.name}", "trial": trial.name, "step": 9, "C": 1e9, "n": 90,
            "task": CORPUS, "split": split, "metric": metric, "protocol": "held-out",
            "value": area, "value_se": 0.01, "low": area - 0.02, "high": area + 0.02,
        }
        for split, metric, area in [*test, ("validation", "macro_auroc", trial.validation)]
    ]  # fmt: skip


def made_up(students: tuple[str, ...], teacher: str = "teach0", *, restored: bool = True,
            records: int = 2, unit: str = "mV") -> Explained:  # fmt: skip
    """Arrays of a teacher, if named, and of students, with waves for signals."""
    rng = np.random.default_rng(0)
    models = [*filter(None, [teacher]), *students]
    samples, points, count = 200, 30, len(models)
    time = np.arange(samples) / 100
    true = np.stack([np.stack([np.sin(2 * np.pi * (1 + r) * time + k) for k in range(len(LEADS))])
                     for r in range(records)]).astype(np.float32)  # fmt: skip
    made = np.where(np.array([n == "I" for n in LEADS])[:, None], true, 0.8 * true)
    cam = rng.random((count, records, samples)).astype(np.float32)
    cam[-1, 0] = 0.0
    features = tuple(rng.random((points, 3 + m)).astype(np.float32) for m in range(count))
    return Explained(
        models=np.array(models),
        teacher=np.array([name == teacher for name in models]),
        restoring=np.array([restored and name != teacher for name in models]),
        restoration=np.array("net" if restored else ""),
        classes=np.array(CLASSES),
        leads=np.array(LEADS),
        input_leads=np.array(["I"]),
        fs_hz=np.array(100),
        unit=np.array(unit),
        record=np.array([f"test/{r}" for r in range(records)]),
        labels=np.eye(3, dtype=np.uint8)[np.arange(records) % 3],
        explained=np.arange(records) % 3,
        true=true,
        restored=made.astype(np.float32) if restored else true[:0],
        cam=cam,
        logits=rng.standard_normal((count, records, 3)).astype(np.float32),
        point_record=np.array([f"test/{p}" for p in range(points)]),
        point_labels=(rng.random((points, 3)) < 0.4).astype(np.uint8),
        features=features,
        tsne=rng.standard_normal((count, points, 2)).astype(np.float32),
        asked=np.array([records, points]),
    )
