"""Shortcuts: a grid file's plan, and a whole run through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scaling.cache import cache_dir
from sweeps.grid import load_grid
from sweeps.ladder import Speeds
from sweeps.plan import Plan, make_plan
from sweeps.resolve import resolve
from sweeps.run import main
from sweeps.store import Known, Store


def plan_of(grid: Path, known: dict[str, Known] | None = None) -> Plan:
    study = load_grid(grid)
    return make_plan(study, resolve(study, {}), known or {}, cache_dir(), Speeds(cache_dir()))


def run(grid: Path, *words: str) -> int:
    """Run in this process, results beside the grid."""
    results = grid.parent / "results"
    return main([str(grid), "--executor", "serial", "--results", str(results), *words])


def store_of(grid: Path) -> Store:
    study = load_grid(grid).name
    store = Store(grid.parent / "results" / study, study)
    store.read()
    return store


def records_of(grid: Path) -> dict[str, dict[str, Any]]:
    paths = store_of(grid).records.glob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in paths}
