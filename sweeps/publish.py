"""``python -m sweeps.publish results/<study>``: the tables, figures and README that are kept.

Beside the live store, which git ignores: ``trials.csv``, ``evaluations.csv``, ``study.json``,
``ladder.json``, ``corpora.json``, ``provenance.json``, ``figures/`` and ``README.md``; where laws
were fitted to several configurations, ``findings.md`` and ``findings.json``; where predictions
were kept, ``comparison.json``. No weights.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.record import write_atomically, write_json
from sweeps.errors import ConfigurationError, StorageError
from sweeps.readme import readme

if TYPE_CHECKING:
    import pandas as pd

    from sweeps.store import Store

CURVES_BELOW = 1_000_000  # bytes of evaluations.csv up to which training curves are kept
SOMETIMES = ("findings.md", "findings.json", "comparison.json")
COPIED = ("study.json", "ladder.json", "corpora.json")


def publish(folder: Path) -> Path:
    """Write the published form of a study beside its live store; returns the README.

    Args:
        folder: ``results/<study>``.

    Raises:
        ConfigurationError: no live store, nothing finished, or another driver is running.
        StorageError: a file could not be written; those there are left as they were.
    """
    from sweeps.store import RUNS, Store

    try:
        study = json.loads((folder / RUNS / "study.json").read_bytes())
    except (OSError, ValueError):
        raise ConfigurationError(f"{folder} holds no study: run it first") from None
    store = Store(folder, study["study"])
    with store.locked():
        store.compact()
        tables = _tables(store, study)
        origins = _provenance(store, study)
    if tables["trials"].empty:
        raise ConfigurationError(f"{folder}: no trial of this study is finished yet")
    try:
        for name, table in tables.items():
            write_atomically(folder / f"{name}.csv", table.to_csv(index=False).encode())
        for name in COPIED:
            write_atomically(folder / name, (store.runs / name).read_bytes())
        write_json(folder / "provenance.json", origins)
        for old in [*(folder / "figures").glob("*.png"), *(folder / name for name in SOMETIMES)]:
            old.unlink(missing_ok=True)
        numbers = json.loads(_analysis("report", folder, "--json", "--figures"))
        figures = [path.name for path in (folder / "figures").glob("*.png")]
        findings = _configurations(tables["trials"]) > 1 and any(
            law["params"] for group in numbers["groups"] for law in group["laws"].values()
        )
        if findings:
            _analysis("findings", folder, "--write")
        comparison = _comparison(folder)
        page = readme(study, numbers, figures, findings=findings, comparison=comparison)
        write_atomically(folder / "README.md", page.encode())
    except OSError as error:
        raise StorageError(error.errno, f"{folder}: {error.strerror or error}") from None
    return folder / "README.md"


def _tables(store: Store, study: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Both tables without what is no longer planned; curves only while they are small."""
    import pandas as pd

    planned = {i for stage in study["stages"] for i in stage["trials"] + stage["evaluations"]}
    trials, evaluations = (
        pd.read_parquet(store.runs / f"{name}.parquet", dtype_backend="numpy_nullable")
        for name in ("trials", "evaluations")
    )
    trials = trials[trials["trial"].isin(planned)].sort_values(
        ["family", "N", "D", "seed", "trial"]
    )
    evaluations = evaluations[evaluations["evaluation"].isin(planned)]
    if len(evaluations.to_csv(index=False)) > CURVES_BELOW:
        evaluations = evaluations[evaluations["protocol"] != "curve"]
    order = ["trial", "protocol", "task", "split", "metric", "step"]
    return {"trials": trials, "evaluations": evaluations.sort_values(order)}


def _provenance(store: Store, study: dict[str, Any]) -> list[dict[str, Any]]:
    """What the planned trials ran on, the commonest first; how many share each combination."""
    planned = {i for stage in study["stages"] for i in stage["trials"]}
    found: dict[str, dict[str, Any]] = {}
    for record in store.trainings():
        if record["id"] in planned:
            row = {key: record["trial"][key] for key in ("commit", "dirty", "device")}
            origin = row | record["provenance"]
            entry = found.setdefault(json.dumps(origin, sort_keys=True), origin | {"trials": 0})
            entry["trials"] += 1
    return sorted(found.values(), key=lambda entry: -entry["trials"])


def _configurations(trials: pd.DataFrame) -> int:
    """How many (family, paradigm) were trained, codebooks and untrained models apart."""
    trained = trials[(trials["stage"] == "pretrain") & (trials["paradigm"] != "random")]
    return len(trained[["family", "paradigm"]].drop_duplicates())


def _comparison(folder: Path) -> str:
    """Models on the same patients, or why they cannot be compared; empty without predictions."""
    from sweeps.store import RUNS

    if not any((folder / RUNS / "predictions").glob("*.npz")):
        return ""
    try:
        return _analysis("compare", folder, "--out", str(folder / "comparison.json"))
    except ConfigurationError as error:
        return str(error)


def _analysis(command: str, folder: Path, *flags: str) -> str:
    """Let the analysis write its figures and pages; what it prints. It runs on its own."""
    words = [sys.executable, "-m", f"analysis.{command}", str(folder), *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"python {shlex.join(words[1:])} failed:\n{done.stderr.strip()}")
    return done.stdout


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parse = argparse.ArgumentParser(prog="python -m sweeps.publish", description=publish.__doc__)
    parse.add_argument("folder", type=Path, help="results folder, such as results/first-laws")
    options = parse.parse_args(words)
    try:
        sys.stdout.write(f"{publish(options.folder)}: written\n")
    except (ConfigurationError, StorageError) as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, ConfigurationError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
