"""``python -m sweeps.publish results/<study>``: the tables, figures and README that are kept.

Beside the live store, which git ignores: ``trials.csv``, ``evaluations.csv``, ``study.json``,
``ladder.json``, ``corpora.json``, ``figures/`` and ``README.md``. No weights.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.record import write_atomically
from sweeps.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    import pandas as pd

    from sweeps.store import Store

CURVES_BELOW = 1_000_000  # bytes of evaluations.csv up to which training curves are kept
FILES = """## Files

| file | what |
|---|---|
| `trials.csv` | one row per trial; columns in `docs/records.md` |
| `evaluations.csv` | one row per measured value |
| `study.json` | the resolved grid and the ids of its trials and evaluations |
| `ladder.json` | parameters, MACs and seconds per step of each model size |
| `corpora.json` | records, classes and, where it is known, the Bayes loss |
"""
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
    if tables["trials"].empty:
        raise ConfigurationError(f"{folder}: no trial of this study is finished yet")
    try:
        for name, table in tables.items():
            write_atomically(folder / f"{name}.csv", table.to_csv(index=False).encode())
        for name in COPIED:
            write_atomically(folder / name, (store.runs / name).read_bytes())
        numbers = _report(folder)
        readme = _readme(study, tables["trials"], numbers) + _figures(folder / "figures")
        write_atomically(folder / "README.md", readme.encode())
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


def _report(folder: Path) -> dict[str, Any]:
    """Let the analysis write the figures and print its numbers; it runs on its own."""
    for old in (folder / "figures").glob("*.png"):
        old.unlink()
    command = [sys.executable, "-m", "analysis.report", str(folder), "--json", "--figures"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"{' '.join(command[1:])} failed:\n{done.stderr.strip()}")
    numbers: dict[str, Any] = json.loads(done.stdout)
    return numbers


def _readme(study: dict[str, Any], trials: pd.DataFrame, numbers: dict[str, Any]) -> str:
    counts = ", ".join(f"{n} {name}" for name, n in trials["status"].value_counts().items())
    corpus = study["grid"]["corpus"]
    dirty = " with uncommitted changes" if study["dirty"] else ""
    minutes = trials["duration_s"].sum() / 60
    lines = [
        f"# {study['study']}",
        "",
        f"{len(trials)} trials ({counts}) on `{trials['corpus'].iloc[0]}` "
        f"({corpus['fs_hz']} Hz, {corpus['window_s']:g} s): {trials['C'].sum():.2e} training "
        f"FLOPs and {minutes:.1f} minutes of training in all, on {_devices(trials)}.",
        f"Planned at commit `{study['commit']}`{dirty}; each row of `trials.csv` names its own.",
        "",
        *_command(study["study"]),
        *_estimates(numbers),
        *_warnings(numbers),
        FILES,
    ]
    return "\n".join(lines)


def _command(study: str) -> list[str]:
    """How to run it again, when its grid is one of this project's."""
    for path in (Path("grid.yaml"), *sorted(Path("sweeps/grids").glob("*.yaml"))):
        wanted = re.compile(rf"^study:\s*{re.escape(study)}\s*(#.*)?$", re.MULTILINE)
        if path.exists() and wanted.search(path.read_text(encoding="utf-8")):
            return [
                "```",
                f"python -m sweeps.run {path}",
                f"python -m analysis.report results/{study}",
                "```",
                "",
            ]
    return []


def _devices(trials: pd.DataFrame) -> str:
    return " and ".join(sorted(trials["device"].dropna().unique())) or "no device"


def _estimates(numbers: dict[str, Any]) -> list[str]:
    """The joint laws that were fitted, and what they were checked against."""
    lines = []
    for group in numbers["groups"]:
        law = group["laws"].get("chinchilla") or {}
        if not law.get("params"):
            continue
        lines += [f"## {group['title']}", "", law["formula"], ""]
        lines += ["| parameter | estimate | 95 % interval |", "|---|---|---|"]
        for name, value in law["params"].items():
            low, high = law["intervals"].get(name) or (math.nan, math.nan)
            lines.append(f"| {name} | {value:.4g} | {low:.4g} to {high:.4g} |")
        lines += ["", f"Status {law['status']}, {law['points']} runs, R2 {law['r2']:.4f}.", ""]
        if bayes := group.get("bayes"):
            verdict = "covers" if bayes["covered"] else "does NOT cover"
            lines += [f"E's interval {verdict} the Bayes loss, {bayes['value']:.4f} nats.", ""]
        if holdout := group.get("holdout"):
            lines += [_holdout(holdout), ""]
    return lines


def _holdout(holdout: dict[str, Any]) -> str:
    low, high = holdout["interval"]
    inside = "inside" if holdout["covered"] else "OUTSIDE"
    losses = ", ".join(f"{loss:.4f}" for loss in holdout["losses"])
    return (
        f"The largest cell, left out of the fit: measured {losses}, {inside} its 95 % "
        f"prediction interval {low:.4f} to {high:.4f}."
    )


def _warnings(numbers: dict[str, Any]) -> list[str]:
    warnings = [*numbers["warnings"], *(w for g in numbers["groups"] for w in g["warnings"])]
    return ["## Warnings", "", *(f"- {warning}" for warning in warnings), ""] if warnings else []


def _figures(folder: Path) -> str:
    return "".join(f"\n![{p.stem}](figures/{p.name})\n" for p in sorted(folder.glob("*.png")))


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
