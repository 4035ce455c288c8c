"""A results folder becomes one tidy frame.

The columns are those of ``docs/records.md``. The live store and the published tables give
the same frame: same columns, same dtypes, same order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.columns import (
    EVALUATION_COLUMNS,
    OPTIONAL_COLUMNS,
    OPTIONAL_TRIAL_COLUMNS,
    TRIAL_COLUMNS,
    ResultsError,
    read_csv,
    read_parquet,
    typed,
)

__all__ = ["EVALUATION_COLUMNS", "STATUSES", "TRIAL_COLUMNS", "ResultsError", "load"]

SCHEMA = 1
STATUSES = ("done", "budget_limited", "diverged", "failed")


def load(folder: str | Path) -> pd.DataFrame:
    """Read a study: every evaluation joined with its trial.

    Args:
        folder: a results folder, such as ``results/first-laws``: with a live store (``.runs``),
            or with the published ``trials.csv`` and ``evaluations.csv``.

    Returns:
        One row per measured value. Columns are those of *trials* (its ``C``, all training FLOPs
        of the trial, is called ``C_total``) and of *evaluations* (whose ``C`` is what was spent
        by ``step``), with ``low`` and ``high`` (95 % interval, NaN where none was measured) and
        ``codebook`` (ids of the codebooks among the parents, whose codes a masked training
        predicts). A trial without a value has one row with an empty ``metric``. ``attrs``
        holds ``study``, ``folder``, ``plan`` (trials by stage), ``counts`` (trials by status),
        ``planned``, ``missing`` (planned trials without a record), ``empty_evaluations``
        (planned evaluations without a value), ``ignored`` (trials no longer
        in the plan), ``corpora``, ``ladder``, ``errors`` (by trial) and ``provenance``.

    Raises:
        ResultsError: no such folder, no records, tables of another study, or a file that
            cannot be read (which is named).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ResultsError(f"{folder}: no such results folder")
    store = folder / ".runs"
    live = store.is_dir() and (store / "study.json").exists()
    if not live and not (folder / "trials.csv").exists():
        raise ResultsError(f"{folder}: no records here (neither .runs/study.json nor trials.csv)")
    base = store if live else folder
    study = _study(base / "study.json")
    trials, evaluations, extra = _live(store, study["study"]) if live else _published(folder)
    if trials.empty:
        raise ResultsError(f"{base}: the study has no records yet")
    others = sorted(set(trials["study"]) - {study["study"]})
    if others:
        raise ResultsError(
            f"{base}: holds trials of study {others[0]!r}, but study.json is {study['study']!r}"
        )
    plan = {t for stage in study["stages"] for t in stage["trials"]}
    wanted = {e for stage in study["stages"] for e in stage["evaluations"]}
    kept = trials[trials["trial"].isin(plan)]
    if kept.empty:
        raise ResultsError(f"{base}: no record belongs to the plan in study.json")
    evaluations = evaluations[evaluations["evaluation"].isin(plan | wanted)]
    kept = kept.assign(codebook=_codebooks(trials))
    frame = kept.rename(columns={"C": "C_total"}).merge(evaluations, on="trial", how="left")
    texts = [c for c, kind in EVALUATION_COLUMNS.items() if kind == "string" and c in frame]
    frame[texts] = frame[texts].fillna("")
    order = ["trial", "evaluation", "protocol", "split", "metric", "step"]
    frame = frame.sort_values(order, kind="stable").reset_index(drop=True)
    frame.attrs.update(extra)
    frame.attrs["folder"] = str(folder)
    frame.attrs["corpora"] = _json(base / "corpora.json", {})
    frame.attrs["ladder"] = _json(base / "ladder.json", [])
    frame.attrs["ignored"] = len(trials) - len(kept)
    frame.attrs["empty_evaluations"] = len(wanted - set(evaluations["evaluation"]))
    frame.attrs.update(_plan_counts(study, kept))
    return frame


def _codebooks(trials: pd.DataFrame) -> pd.Series[str]:
    """Which of each trial's parents are codebooks: of this study, or converted (``x...``)."""
    known = set(trials.loc[trials["stage"] == "codebook", "trial"])

    def of(parents: str) -> str:
        return ";".join(i for i in parents.split(";") if i in known or i.startswith("x"))

    return trials["parents"].map(of).astype("string")


def _plan_counts(study: Mapping[str, Any], trials: pd.DataFrame) -> dict[str, Any]:
    """What was planned and what has run."""
    plan = {t for stage in study["stages"] for t in stage["trials"]}
    stages: dict[str, int] = {}  # a grid may hold several stages of one name
    for stage in study["stages"]:
        stages[stage["stage"]] = stages.get(stage["stage"], 0) + len(stage["trials"])
    return {
        "study": study["study"],
        "commit": study.get("commit", "unknown"),
        "dirty": bool(study.get("dirty", False)),
        "plan": stages,
        "planned": len(plan),
        "missing": len(plan - set(trials["trial"])),
        "counts": {s: int((trials["status"] == s).sum()) for s in STATUSES},
    }


def _study(path: Path) -> dict[str, Any]:
    study = _json(path, None)
    if not isinstance(study, dict) or not {"study", "stages"} <= set(study):
        raise ResultsError(f"{path}: needs keys study and stages")
    if study.get("schema") != SCHEMA:
        raise ResultsError(f"{path}: schema {study.get('schema')!r}, this version reads {SCHEMA}")
    for stage in study["stages"]:
        if not {"stage", "trials", "evaluations"} <= set(stage):
            raise ResultsError(f"{path}: a stage needs keys stage, trials and evaluations")
    return study


def _json(path: Path, default: Any) -> Any:
    if not path.exists():
        if default is None:
            raise ResultsError(f"{path}: no such file")
        return default
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ResultsError(f"{path}: not JSON ({error})") from None


def _published(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    trials = read_csv(folder / "trials.csv", TRIAL_COLUMNS, OPTIONAL_TRIAL_COLUMNS)
    evaluations = read_csv(folder / "evaluations.csv", EVALUATION_COLUMNS, OPTIONAL_COLUMNS)
    return trials, evaluations, {"errors": {}, "provenance": {"versions": _versions(folder)}}


def _versions(folder: Path) -> dict[str, str]:
    """Library versions of ``provenance.json``; several of one library are joined by "and"."""
    path = folder / "provenance.json"
    try:
        pairs = [pair for entry in _json(path, []) for pair in entry["versions"].items()]
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path}: broken ({error!r})") from None
    found: dict[str, str] = {}
    for name, version in dict.fromkeys(pairs):
        found[name] = f"{found[name]} and {version}" if name in found else str(version)
    return found


def _live(store: Path, study: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Compacted tables and the records that are not in them yet."""
    trials, evaluations = [], []
    compacted = _ids(_json(store / "compacted.json", []))
    if compacted:
        path = store / "trials.parquet"
        trials.append(read_parquet(path, TRIAL_COLUMNS, OPTIONAL_TRIAL_COLUMNS))
        path = store / "evaluations.parquet"
        evaluations.append(read_parquet(path, EVALUATION_COLUMNS, OPTIONAL_COLUMNS))
    rows: list[dict[str, Any]] = []
    values: list[dict[str, Any]] = []
    paths = sorted((store / "records").glob("*.json"))
    for path in paths:
        if path.name.startswith(".") or path.stem in compacted:
            continue
        try:
            _collect(_json(path, None), study, rows, values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ResultsError(f"{path}: broken record ({error!r})") from None
    own = pd.DataFrame(rows, columns=[*TRIAL_COLUMNS, *OPTIONAL_TRIAL_COLUMNS])
    trials.append(typed(store / "records", own, TRIAL_COLUMNS, OPTIONAL_TRIAL_COLUMNS))
    new = pd.DataFrame(values, columns=[*EVALUATION_COLUMNS, *OPTIONAL_COLUMNS])
    evaluations.append(typed(store / "records", new, EVALUATION_COLUMNS, OPTIONAL_COLUMNS))
    extra: dict[str, Any] = {"errors": {}, "provenance": {}}
    together = pd.concat(trials, ignore_index=True)
    bad = together.loc[together["status"].isin(("failed", "diverged")), "trial"]
    for trial in bad:
        why = _json(store / "records" / f"{trial}.json", {}).get("error")
        if why:
            extra["errors"][str(trial)] = f"{why['type']}: {why['message']}"
    if paths:
        extra["provenance"] = _json(paths[-1], {}).get("provenance", {})
    return together, pd.concat(evaluations, ignore_index=True), extra


def _collect(
    record: Mapping[str, Any], study: str, rows: list[dict[str, Any]], values: list[dict[str, Any]]
) -> None:
    if record["schema"] != SCHEMA:
        raise KeyError(f"schema {record['schema']!r}, this version reads {SCHEMA}")
    if record["kind"] == "training":
        own = {k: record["trial"][k] for k in [*TRIAL_COLUMNS][1:]}
        own |= {k: record["config"].get(k, "") for k in OPTIONAL_TRIAL_COLUMNS}
        rows.append({"study": study, **own})
        trial, found = record["id"], record["curve"]
    elif record["kind"] == "evaluation":
        trial, found = record["trial"], record["values"]
    else:
        raise KeyError(f"kind {record['kind']!r}")
    keys = [*EVALUATION_COLUMNS][2:]
    for row in found:
        extra = {k: row.get(k) for k in OPTIONAL_COLUMNS}
        values.append(
            {"evaluation": record["id"], "trial": trial, **{k: row[k] for k in keys}, **extra}
        )


def _ids(value: object) -> set[str]:
    """Ids of ``compacted.json``: a list, or an object of lists."""
    if isinstance(value, dict):
        return {i for part in value.values() if isinstance(part, list) for i in part}
    return set(value) if isinstance(value, list) else set()
