"""A results folder made from a known law, laid out as ``docs/records.md`` says."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.laws import get
from analysis.studies.load import load
from scaling.records.schema import EVALUATIONS, TRIALS, names

THETA = np.array([0.25, 1.2, 0.35, 2.0, 0.4])
SIZES = {"d1w8": 1_800, "d2w8": 5_600, "d2w16": 21_000, "d3w24": 95_000}
DATA = (256, 512, 1024, 2048, 4096)
CORPUS, SHIFTED = "virtual/code", "virtual/shifted"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What the made-up study holds."""

    sizes: dict[str, int] = dataclasses.field(default_factory=lambda: dict(SIZES))
    data: tuple[int, ...] = DATA
    seeds: tuple[int, ...] = (0,)
    noise: float = 0.01
    statuses: dict[tuple[str, int], str] = dataclasses.field(default_factory=dict)
    name: str = "made-up"
    bayes: float | None = 0.25


def trial_id(size: str, data: int, seed: int) -> str:
    """An id of the right shape."""
    return f"t{zlib.crc32(size.encode()):08x}{data:06d}{seed:02d}"


def _row(step: int, macs: float, **values: Any) -> dict[str, Any]:
    return {
        "step": step, "C": 6 * macs * 64 * step, "n": 2048, "value_se": 0.004, **values,
    }  # fmt: skip


def records(plan: Plan) -> list[dict[str, Any]]:
    """Training and evaluation records of the whole plan."""
    rng = np.random.default_rng(0)
    law, found = get("chinchilla"), []
    for size, n in plan.sizes.items():
        for data in plan.data:
            for seed in plan.seeds:
                exact = float(law.value(THETA, np.array([[n, data]], dtype=float))[0])
                loss = exact * float(np.exp(plan.noise * rng.standard_normal()))
                status = plan.statuses.get((size, data), "done")
                found += _trial(plan, size, n, data, seed, loss, status)
    return found


def _trial(
    plan: Plan, size: str, n: int, data: int, seed: int, loss: float, status: str
) -> list[dict[str, Any]]:
    trial, macs = trial_id(size, data, seed), 40.0 * n
    failed = status == "failed"
    row: dict[str, Any] = {
        "stage": "pretrain", "trial": trial, "parents": "", "family": "resnet", "size": size,
        "paradigm": "sl", "objective": "supervised", "corpus": CORPUS, "preprocessing": "none",
        "recipe": json.dumps({"batch": 64, "max_steps": 400}), "labels_fraction": 1.0,
        "num_labels": 6, "leads": 12, "N": None if failed else n,
        "params_total": None if failed else n + 100, "D": data,
        "patients": None if failed else data // 2, "lr": 0.003, "batch": 64, "seed": seed,
        "status": status, "steps": None if failed else 300,
        "C": None if failed else 6 * macs * 64 * 300, "macs": None if failed else macs,
        "started": "2026-01-02T03:04:05+00:00", "duration_s": 4.5,
        "device": None if failed else "cpu", "commit": "0123456789ab", "dirty": False,
    }  # fmt: skip
    curve = [
        _row(step, macs, task=CORPUS, split="validation", metric="loss", protocol="curve",
             value=loss * (1 + 40 / step))
        for step in (100, 200, 300)
    ]  # fmt: skip
    error = {"type": "RuntimeError", "message": "no luck", "traceback": "..."} if failed else None
    training = {
        "kind": "training", "schema": 1, "id": trial, "config": {}, "trial": row,
        "params": {} if failed else {"backbone": n, "head": 100}, "curve": [] if failed else curve,
        "error": error, "provenance": {"versions": {"python": "3.11", "torch": "2.13"}},
    }  # fmt: skip
    if status in ("failed", "diverged"):
        return [training]
    auroc = 1 - loss / 2
    held = [
        _row(300, macs, task=CORPUS, split=split, metric=metric, protocol="held-out", value=value)
        for split in ("validation", "test")
        for metric, value in (("loss", loss), ("macro_auroc", auroc))
    ]
    held.append(_row(300, macs, task=CORPUS, split="test", metric="loss", protocol="best-test",
                     value=0.999 * loss))  # fmt: skip
    probe = [
        _row(300, macs, task=SHIFTED, split="test", metric=metric, protocol="linear-probe",
             value=value)
        for metric, value in (("loss", 1.1 * loss), ("macro_auroc", auroc - 0.03))
    ]  # fmt: skip
    return [
        training,
        *(
            {
                "kind": "evaluation", "schema": 1, "id": f"e{letter}{trial[2:]}", "trial": trial,
                "status": "done", "config": {}, "values": values, "error": None,
                "provenance": training["provenance"],
            }
            for letter, values in (("a", held), ("b", probe))
        ),
    ]  # fmt: skip


def write_study(folder: Path, plan: Plan | None = None) -> Path:
    """Write a live store of JSON records; returns ``folder``."""
    plan = plan or Plan()
    store = folder / ".runs"
    (store / "records").mkdir(parents=True)
    found = records(plan)
    for record in found:
        (store / "records" / f"{record['id']}.json").write_text(json.dumps(record))
    ids = [[r["id"] for r in found if r["kind"] == kind] for kind in ("training", "evaluation")]
    _write(store / "study.json", {
        "study": plan.name, "schema": 1, "grid": {"study": plan.name, "stages": []},
        "stages": [{"stage": "pretrain", "trials": ids[0], "evaluations": ids[1]}],
        "commit": "0123456789ab", "dirty": False,
    })  # fmt: skip
    _write(store / "ladder.json", [
        {"family": "resnet", "size": s, "N": n, "params": {"backbone": n, "head": 100},
         "macs": 40.0 * n, "bytes": 4 * n, "s_per_step": None, "batch": 64, "leads": 12,
         "samples": 500, "num_labels": 6}
        for s, n in plan.sizes.items()
    ])  # fmt: skip
    bayes = plan.bayes and {
        "value": plan.bayes, "se": 0.001, "lower_bound": 0.2, "per_label": {"AF": 0.2},
        "method": "posterior of the generator",
    }  # fmt: skip
    _write(store / "corpora.json", {
        name: {
            "source": name, "task": "", "fingerprint": "", "classes": ["1dAVb", "AF"],
            "records": {"train": 8192, "validation": 1024, "test": 2048},
            "patients": {"train": 4096, "validation": 512, "test": 1024},
            "prevalence": [0.1, 0.2], "preprocessing": {"name": "none"},
            "bayes_loss": bayes if name == CORPUS else None,
        }
        for name in (CORPUS, SHIFTED)
    })  # fmt: skip
    return folder


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The *trials* and *evaluations* tables of a live store."""
    frame = load(folder)
    trials = frame.drop_duplicates("trial").drop(columns="C").rename(columns={"C_total": "C"})
    evaluations = frame[frame["metric"] != ""]
    return trials[[*names(TRIALS, "id", "row")]], evaluations[[*names(EVALUATIONS, "id", "row")]]


def publish(folder: Path) -> Path:
    """Turn a live store into published tables, dropping the store."""
    trials, evaluations = tables(folder)
    trials.to_csv(folder / "trials.csv", index=False)
    evaluations.to_csv(folder / "evaluations.csv", index=False)
    for name in ("study.json", "ladder.json", "corpora.json"):
        shutil.copy(folder / ".runs" / name, folder / name)
    shutil.rmtree(folder / ".runs")
    return folder


def compact(folder: Path, share: float) -> Path:
    """Move the first ``share`` of the trials' records into parquet tables."""
    trials, evaluations = tables(folder)
    chosen = set(trials["trial"].iloc[: round(share * len(trials))])
    part = evaluations[evaluations["trial"].isin(chosen)]
    store = folder / ".runs"
    trials[trials["trial"].isin(chosen)].to_parquet(store / "trials.parquet", index=False)
    part.to_parquet(store / "evaluations.parquet", index=False)
    _write(store / "compacted.json", sorted(chosen | set(part["evaluation"])))
    return folder
