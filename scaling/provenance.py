"""Records of a trial, and where their numbers came from: commit, versions, machine, time."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import json
import platform
import subprocess
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.identity import RESTORATION, TEACHER, Evaluation, Training
from scaling.numerics import NUMERICS
from scaling.records.names import BEST, LINEAR_PROBE, MULTILABEL, OF_THE_HEAD, TRAJECTORY
from scaling.records.schema import SCHEMA, TRIALS, names

Record = dict[str, Any]
LIBRARIES = ("torch", "numpy", "scipy", "ray")


@functools.cache
def commit() -> tuple[str, bool]:
    """Git commit of this code and whether the work tree differs; ("unknown", True) outside git."""
    here = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(here), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        dirty = git("status", "--porcelain", "--", "scaling", "sweeps", "analysis")
        return git("rev-parse", "--short=12", "HEAD"), bool(dirty)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that touch numbers."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def provenance() -> dict[str, Any]:
    """Library and numerics versions and the machine, for a record."""
    return {
        "versions": library_versions(),
        "numerics": dict(NUMERICS),
        "machine": f"{platform.machine()} {platform.system()}",
    }


def corpus_name(source: str, task: str, fold: int = 0) -> str:
    """``source`` for a source with one task, else ``source:task``; ``@fold3`` for a fold."""
    name = f"{source}:{task}" if task else source
    return f"{name}@fold{fold}" if fold else name


def protocol_name(evaluation: Evaluation) -> str:
    """The *protocol* column of an evaluation's rows.

    ``linear-probe@0.1`` is a probe on a tenth of the labelled records, and
    ``linear-probe-trajectory`` one at every kept step.

    Raises:
        ValueError: a protocol, checkpoint rule, set of metrics or combination that does not exist.
    """
    name = evaluation.protocol
    if name not in (*OF_THE_HEAD, LINEAR_PROBE):
        raise ValueError(f"{evaluation.id}: unknown protocol {name!r}")
    if evaluation.checkpoint not in (BEST, TRAJECTORY):
        raise ValueError(f"{evaluation.id}: unknown checkpoint rule {evaluation.checkpoint!r}")
    if evaluation.metrics not in ("", MULTILABEL):
        raise ValueError(f"{evaluation.id}: unknown metrics {evaluation.metrics!r}")
    fraction, along = evaluation.labels_fraction, evaluation.checkpoint == TRAJECTORY
    if name in OF_THE_HEAD:
        if along or fraction != 1.0:
            raise ValueError(
                f"{evaluation.id}: {name} measures the trained head at the best step with all "
                "labels; only linear-probe takes a trajectory or a labels_fraction"
            )
        return name
    if along and evaluation.predictions:
        raise ValueError(f"{evaluation.id}: predictions are kept at the best step only")
    share = f"@{fraction:g}" if fraction != 1.0 else ""
    return f"{name}{share}" + ("-trajectory" if along else "")


def run_columns(training: Training) -> dict[str, Any]:
    """The *trials* row of a training before it has run: configuration filled in, results null."""
    sha, dirty = commit()
    row: dict[str, Any] = dict.fromkeys(names(TRIALS, "row"))
    row |= {
        "stage": training.stage,
        "trial": training.id,
        "parents": ";".join(training.parent_ids),
        "family": training.family,
        "size": training.size,
        "paradigm": training.paradigm,
        "objective": training.objective,
        "corpus": corpus_name(training.corpus.source, training.task, training.corpus.fold),
        "preprocessing": training.corpus.preprocessing,
        "recipe": json.dumps(training.recipe.to_dict(), sort_keys=True),
        "labels_fraction": training.labels_fraction,
        "leads": len(training.leads),
        "D": training.data,
        "lr": training.recipe.lr,
        "batch": training.recipe.batch,
        "seed": training.seed,
        "input_leads": "+".join(training.input_leads),
        "teacher": ";".join(training.parents_of_role(TEACHER)),
        "restoration": ";".join(training.parents_of_role(RESTORATION)),
        "labelled_draw": training.labelled_draw,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": sha,
        "dirty": dirty,
    }
    return row


def training_record(
    training: Training,
    trial: Mapping[str, Any],
    *,
    params: Mapping[str, int],
    curve: Sequence[Mapping[str, Any]],
    error: BaseException | None = None,
    notes: Sequence[str] = (),
) -> Record:
    """The record of a training, failed where there is an ``error``.

    Args:
        training: what was run.
        trial: its *trials* row, ``run_columns`` with the results filled in.
        params: parameters by group.
        curve: rows of the *evaluations* table.
        error: what ended it.
        notes: sentences about the run that its user should read.
    """
    record = {
        "kind": "training",
        "schema": SCHEMA,
        "id": training.id,
        "config": training.to_dict(),
        "trial": dict(trial),
        "params": dict(params),
        "curve": list(curve),
        "error": describe_error(error) if error else None,
        "provenance": provenance(),
    }
    return record | ({"notes": list(notes)} if notes else {})


def evaluation_record(
    evaluation: Evaluation,
    status: str,
    values: Sequence[Mapping[str, Any]],
    error: BaseException | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Record:
    """The record of an evaluation with its ``values``, rows of the *evaluations* table.

    Its status is that of the training, or ``failed`` where there is an ``error``. ``thresholds``
    are the log-odds from which each class was predicted.
    """
    return {
        "kind": "evaluation",
        "schema": SCHEMA,
        "id": evaluation.id,
        "trial": evaluation.training,
        "status": status,
        "config": evaluation.to_dict(),
        "values": list(values),
        "error": describe_error(error) if error else None,
        "provenance": provenance(),
        **({"thresholds": dict(thresholds)} if thresholds else {}),
    }


def failed_training(training: Training, error: BaseException) -> Record:
    """The record of a training that raised, with the traceback kept."""
    row = run_columns(training) | {"status": "failed"}
    return training_record(training, row, params={}, curve=[], error=error)


def failed_evaluation(evaluation: Evaluation, error: BaseException) -> Record:
    """The record of an evaluation that raised, with the traceback kept."""
    return evaluation_record(evaluation, "failed", [], error)


def describe_error(error: BaseException) -> dict[str, str]:
    """Type, message and traceback of an exception, as a record keeps them."""
    text = "".join(traceback.format_exception(error))
    return {"type": type(error).__name__, "message": str(error), "traceback": text}
