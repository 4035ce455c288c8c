"""Where a number came from: commit, library versions, device, time."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from scaling.identity import Training
from scaling.numerics import NUMERICS
from scaling.record import TRIAL_COLUMNS

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
def versions() -> dict[str, str]:
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
        "versions": versions(),
        "numerics": dict(NUMERICS),
        "machine": f"{platform.machine()} {platform.system()}",
    }


def now() -> str:
    """UTC time in ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def corpus_name(source: str, task: str, fold: int = 0) -> str:
    """``source`` for a source with one task, else ``source:task``; ``@fold3`` for a fold."""
    name = f"{source}:{task}" if task else source
    return f"{name}@fold{fold}" if fold else name


def run_columns(training: Training) -> dict[str, Any]:
    """The *trials* row of a training before it has run: configuration filled in, results null."""
    sha, dirty = commit()
    row: dict[str, Any] = dict.fromkeys(TRIAL_COLUMNS[1:])
    row |= {
        "stage": training.stage,
        "trial": training.id,
        "parents": ";".join(training.parents),
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
        "started": now(),
        "commit": sha,
        "dirty": dirty,
    }
    return row
