"""The shipped studies, in their smoke form, from grid file to report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def command(*words: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ECG_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def study(grid: str, results: Path, cache: Path, *more: str) -> str:
    words = ("sweeps.run", grid, "--smoke", "--executor", "serial", "--results", str(results))
    done = command(*words, *more, cache=cache)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_default_study_goes_from_grid_to_report(tmp_path: Path) -> None:
    cache, results = tmp_path / "cache", tmp_path / "results"
    assert "9 trials" in study("grid.yaml", results, cache)
    assert "nothing to run" in study("grid.yaml", results, cache)
    folder = results / "first-laws-smoke"
    report = command("analysis.report", str(folder), "--json", "--bootstrap", "50", cache=cache)
    assert report.returncode == 0, report.stderr
    found = json.loads(report.stdout)
    assert len(found["groups"]) == 1
    assert found["groups"][0]["bayes"]["value"] > 0.1
    page = command("analysis.report", str(folder), "--bootstrap", "50", cache=cache)
    assert page.returncode == 0, page.stderr
    html = (folder / "report.html").read_text()
    assert "<svg" in html
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", html)


@pytest.mark.slow
def test_ptbxl_runs_from_its_official_layout(tmp_path: Path, shared: Path) -> None:
    cache, results = tmp_path / "cache", tmp_path / "results"
    root = ("--root", f"ptbxl={shared / 'data' / 'ptb-xl'}")
    assert "9 trials" in study("sweeps/grids/ptbxl.yaml", results, cache, *root)
    corpora = json.loads((results / "ptbxl-smoke" / ".runs" / "corpora.json").read_text())
    assert corpora["ptbxl:superclass"]["records"] == {"train": 1481, "validation": 232, "test": 252}
    assert corpora["ptbxl:superclass"]["classes"] == ["NORM", "MI", "STTC", "CD", "HYP"]
