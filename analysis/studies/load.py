"""A results folder becomes one tidy frame, or a study: the frame and what is known beside it.

The columns are those of ``docs/records.md``. The live store and the published tables give
the same frame: same columns, same dtypes, same order.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.studies.taught import with_teachers
from scaling.records.layout import (
    AGAIN,
    CORPORA,
    LADDER,
    PROVENANCE,
    RUNS,
    STUDY,
    LiveStore,
    live_store,
)
from scaling.records.names import LOST, STATUSES
from scaling.records.record import RecordError, evaluation_rows, read_plan, trial_row
from scaling.records.schema import EVALUATIONS, SCHEMA, TABLES, TRIALS, Column, dtypes, names
from scaling.records.tables import ResultsError, read_csv, read_parquet, typed


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """A results folder: its measured values, what was planned, and where they come from.

    Attributes:
        frame: every evaluation joined with its trial; see ``load``.
        name: of the study.
        folder: as it was given.
        plan: planned trials by stage.
        planned: trials in the plan.
        missing: planned trials without a record.
        counts: trials by status: ``done``, ``budget_limited``, ``diverged`` and ``failed``.
        ignored: trials with a record that are no longer in the plan.
        empty_evaluations: planned evaluations without a value.
        corpora: what is known of each corpus by its name in the tables, as ``corpora.json`` has
            it: records and patients by split, classes, and the Bayes loss in nats where known.
        ladder: model sizes, as ``ladder.json`` has them: N, parameters by group, MACs, bytes.
        errors: why trials failed or diverged, by trial; a live store alone knows.
        provenance: ``versions`` of the libraries (several of one library joined by "and"), and
            of a live store what else its last record says.
        commit: git commit at which the plan was made.
        dirty: whether it had uncommitted changes.
    """

    frame: pd.DataFrame
    name: str
    folder: Path
    plan: Mapping[str, int]
    planned: int
    missing: int
    counts: Mapping[str, int]
    ignored: int
    empty_evaluations: int
    corpora: Mapping[str, Any]
    ladder: Sequence[Mapping[str, Any]]
    errors: Mapping[str, str]
    provenance: Mapping[str, Any]
    commit: str
    dirty: bool


def load(folder: str | Path) -> pd.DataFrame:
    """Read a study's measured values: every evaluation joined with its trial.

    Args:
        folder: a results folder, such as ``results/first-laws``: with a live store (``.runs``),
            or with the published ``trials.csv`` and ``evaluations.csv``.

    Returns:
        One row per measured value. Columns are those of *trials* (its ``C``, all training FLOPs
        of the trial, is called ``C_total``) and of *evaluations* (whose ``C`` is what was spent
        by ``step``), with ``low`` and ``high`` (95 % interval, NaN where none was measured),
        ``codebook`` (ids of the codebooks among the parents, whose codes a masked training
        predicts), and of students ``given``, ``L_T``, ``N_T``, ``D_T`` and ``L_alone``
        (``taught.with_teachers``). A trial without a value has one row with an empty ``metric``.
        What was planned and where it ran is told by ``study``.

    Raises:
        ResultsError: no such folder, no records, tables of another study, or a file that
            cannot be read (which is named).
    """
    return study(folder).frame


def study(folder: str | Path) -> Study:
    """Read a study: its frame, what was planned, and where it ran.

    Args:
        folder: see ``load``.

    Raises:
        ResultsError: see ``load``.
    """
    folder = Path(folder)
    if folder.is_file():
        raise ResultsError(
            f"{folder}: a file, not the folder of a study; fit_law({str(folder)!r}) or "
            f"python -m analysis.fit {folder} fits a law to a table of runs"
        )
    if not folder.is_dir():
        raise ResultsError(f"{folder}: no such results folder")
    store = live_store(folder)
    live = store.study.exists()
    if not live and not (folder / "trials.csv").exists():
        raise ResultsError(f"{folder}: no records here (neither .runs/study.json nor trials.csv)")
    base = store.store if live else folder
    planned = _plan(base / STUDY)
    trials, evaluations, origin = _live(store, planned["study"]) if live else _published(folder)
    if trials.empty:
        raise ResultsError(f"{base}: the study has no records yet")
    others = sorted(set(trials["study"]) - {planned["study"]})
    if others:
        raise ResultsError(
            f"{base}: holds trials of study {others[0]!r}, but study.json is {planned['study']!r}"
        )
    ids = {t for stage in planned["stages"] for t in stage["trials"]}
    wanted = {e for stage in planned["stages"] for e in stage["evaluations"]}
    kept = trials[trials["trial"].isin(ids)]
    if kept.empty:
        raise ResultsError(f"{base}: no record belongs to the plan in study.json")
    evaluations = evaluations[evaluations["evaluation"].isin(ids | wanted)]
    stages: dict[str, int] = {}  # a grid may hold several stages of one name
    for stage in planned["stages"]:
        stages[stage["stage"]] = stages.get(stage["stage"], 0) + len(stage["trials"])
    return Study(
        frame=with_teachers(
            _joined(kept.assign(codebook=_codebooks(trials), given=_given(trials)), evaluations)
        ),
        name=planned["study"],
        folder=folder,
        plan=stages,
        planned=len(ids),
        missing=len(ids - set(kept["trial"])),
        counts={s: int((kept["status"] == s).sum()) for s in STATUSES},
        ignored=len(trials) - len(kept),
        empty_evaluations=len(wanted - set(evaluations["evaluation"])),
        corpora=_objects(base / CORPORA, dict),
        ladder=_objects(base / LADDER, list),
        errors=origin["errors"],
        provenance=origin["provenance"],
        commit=planned.get("commit", "unknown"),
        dirty=bool(planned.get("dirty", False)),
    )


def _joined(trials: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """Every evaluation with its trial, in one order; a trial without any keeps one row."""
    frame = trials.rename(columns={"C": "C_total"}).merge(evaluations, on="trial", how="left")
    texts = [c.name for c in EVALUATIONS if c.kind == "text"]
    frame[texts] = frame[texts].fillna("")
    order = ["trial", "evaluation", "protocol", "split", "metric", "step"]
    return frame.sort_values(order, kind="stable").reset_index(drop=True)


def _codebooks(trials: pd.DataFrame) -> pd.Series[str]:
    """Which of each trial's parents are codebooks: of this study, or converted (``x...``)."""
    known = set(trials.loc[trials["stage"] == "codebook", "trial"])

    def of(parents: str) -> str:
        return ";".join(i for i in parents.split(";") if i in known or i.startswith("x"))

    return trials["parents"].map(of).astype("string")


def _given(trials: pd.DataFrame) -> pd.Series[str]:
    """What each trial's model is given where that is not all leads: ``I``, or ``I restored``."""
    restored = trials["restoration"].fillna("").ne("").map({True: " restored", False: ""})
    return (trials["input_leads"].fillna("") + restored).astype("string")


def _plan(path: Path) -> dict[str, Any]:
    """What was planned: ``study.json``, checked."""
    try:
        return read_plan(path)
    except FileNotFoundError:
        raise ResultsError(f"{path}: no such file") from None
    except RecordError as error:
        raise ResultsError(f"{error}{_mended(path)}") from None


def _objects(path: Path, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    """``corpora.json`` or ``ladder.json``: objects by name or in a list; none where it is absent.

    Raises:
        ResultsError: it holds something else.
    """
    content = _json(path, kind())
    rows = content.values() if isinstance(content, dict) else content
    if not isinstance(content, kind) or not all(isinstance(row, dict) for row in rows):
        form = "an object" if kind is dict else "a list"
        raise ResultsError(f"{path}: not {form} of objects{_mended(path)}")
    return content


def _mended(path: Path) -> str:
    """How a broken file of a live store is mended; nothing is said of other files."""
    if path.parent.name == "records":
        return "; run python -m sweeps.run on the study's grid, which sets it aside"
    if path.parent.name != RUNS:
        return ""
    return f"; delete it and {AGAIN}" if path.name == STUDY else f"; {AGAIN}"


def _json(path: Path, default: Any) -> Any:
    if not path.exists():
        if default is None:
            raise ResultsError(f"{path}: no such file")
        return default
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ResultsError(f"{path}: not JSON ({error}){_mended(path)}") from None


def _published(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    trials = read_csv(folder / "trials.csv", *_columns(TRIALS))
    evaluations = read_csv(folder / "evaluations.csv", *_columns(EVALUATIONS))
    return trials, evaluations, {"errors": {}, "provenance": {"versions": _versions(folder)}}


def _versions(folder: Path) -> dict[str, str]:
    """Library versions of ``provenance.json``; several of one library are joined by "and"."""
    path = folder / PROVENANCE
    try:
        pairs = [pair for entry in _json(path, []) for pair in entry["versions"].items()]
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path}: broken ({error!r})") from None
    versions: dict[str, str] = {}
    for name, version in dict.fromkeys(pairs):
        versions[name] = f"{versions[name]} and {version}" if name in versions else str(version)
    return versions


def _live(store: LiveStore, name: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Compacted tables and the records that are not in them yet."""
    trials: list[pd.DataFrame] = []
    evaluations: list[pd.DataFrame] = []
    compacted = _ids(_json(store.compacted, []))
    if compacted:
        for parts, table in ((trials, "trials"), (evaluations, "evaluations")):
            path = store.table(table)
            try:
                parts.append(read_parquet(path, *_columns(TABLES[table])))
            except ResultsError as error:
                raise ResultsError(f"{error}{_mended(path)}") from None
    rows: list[dict[str, Any]] = []
    values: list[dict[str, Any]] = []
    paths = sorted(store.records.glob("*.json"))
    for path in paths:
        if path.name.startswith(".") or path.stem in compacted:
            continue
        try:
            _collect(_json(path, None), name, rows, values)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _broken(path, error) from None
    own = pd.DataFrame(rows, columns=names(TRIALS))
    trials.append(typed(store.records, own, *_columns(TRIALS)))
    new = pd.DataFrame(values, columns=names(EVALUATIONS))
    evaluations.append(typed(store.records, new, *_columns(EVALUATIONS)))
    together = pd.concat(trials, ignore_index=True)
    bad = together.loc[together["status"].isin(LOST), "trial"]
    extra = _beside(bad.map(store.record), paths)
    return together, pd.concat(evaluations, ignore_index=True), extra


def _beside(bad: Iterable[Path], paths: Sequence[Path]) -> dict[str, Any]:
    """Why trials failed, from their records, and the provenance of the last record."""
    errors: dict[str, str] = {}
    provenance: dict[str, Any] = {}
    for path, last in [*((path, False) for path in bad), *((path, True) for path in paths[-1:])]:
        try:
            record = _json(path, {})
            if last:
                provenance = dict(record.get("provenance", {}))
            elif why := record.get("error"):
                errors[path.stem] = f"{why['type']}: {why['message']}"
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _broken(path, error) from None
    return {"errors": errors, "provenance": provenance}


def _broken(path: Path, error: Exception) -> ResultsError:
    if isinstance(error, ResultsError):
        return error
    return ResultsError(f"{path}: broken record ({error!r}){_mended(path)}")


def _collect(
    record: Mapping[str, Any], name: str, rows: list[dict[str, Any]], values: list[dict[str, Any]]
) -> None:
    if record["schema"] != SCHEMA:
        raise KeyError(f"schema {record['schema']!r}, this version reads {SCHEMA}")
    if record["kind"] not in ("training", "evaluation"):
        raise KeyError(f"kind {record['kind']!r}")
    if record["kind"] == "training":
        rows.append(_whole(trial_row(record, name), TRIALS))
    values.extend(_whole(row, EVALUATIONS) for row in evaluation_rows(record))


def _whole(row: dict[str, Any], table: Sequence[Column]) -> dict[str, Any]:
    """The columns of a row, all of which must be there."""
    return {column.name: row[column.name] for column in table}


def _columns(table: tuple[Column, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Columns that a table must have, and those that older ones lack."""
    return dtypes(table, always=True), dtypes(table, always=False)


def _ids(value: object) -> set[str]:
    """Ids of ``compacted.json``: a list, or an object of lists."""
    if isinstance(value, dict):
        return {i for part in value.values() if isinstance(part, list) for i in part}
    return set(value) if isinstance(value, list) else set()
