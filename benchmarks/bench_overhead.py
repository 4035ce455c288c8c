"""Overhead of a sweep on Ray: wall time against the list-scheduling bound.

``python -m benchmarks.bench_overhead`` takes about a minute and a half. Simulated trials sleep
10 to 16 s each, so all time beyond the bound is ours and Ray's. Ray's start is excluded: the
clock runs from the first trial's start to the last record kept. The bound is that of list
scheduling, longest first, for the same sleeps on the same workers.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scaling.identity import Job
from scaling.simulated import STEP_S
from scaling.workspace import Workspace
from sweeps.drive.driver import run_plan
from sweeps.drive.executors import make_executor
from sweeps.drive.executors.base import Executor, JobEvent, OnEvent
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import find_corpora
from sweeps.plan.cost import Speeds, makespan
from sweeps.plan.plan import make_plan
from sweeps.store import Store

LIMIT = 1.15
GRID = """
study: overhead
corpus: {source: simulated/slow}
stages:
  - pretrain:
      families: {simulated: [n1000]}
      data: [256]
      seeds: [0, 1]
      recipe: {max_steps: [1000, 1200, 1300, 1400, 1600]}
"""


class _Clocked:
    """An executor that notes when its first job started and its last record was kept."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.times: list[float] = []

    def run(self, jobs: Sequence[Job], workspace: Workspace, on_event: OnEvent) -> None:
        def note(event: JobEvent) -> None:
            if event.kind == "started" and not self.times:
                self.times.append(time.monotonic())
            on_event(event)
            if event.kind == "finished":
                self.times.append(time.monotonic())

        self._inner.run(jobs, workspace, note)


def measure(workers: int, executor: str) -> tuple[float, float, float]:
    """Seconds of the sweep, of its bound, and of starting and stopping around it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "grid.yaml").write_text(GRID)
        study = load_grid(folder / "grid.yaml")
        corpora = find_corpora(study, {})
        store = Store(folder / study.name, study.name)
        clocked = _Clocked(make_executor(executor, workers))
        with store.locked():
            plan = make_plan(study, corpora, store.known, folder, Speeds(folder))
            workspace = Workspace(store=store.runs, cache=folder)
            began = time.monotonic()
            run_plan(plan, store, clocked, workspace, workers=workers, out=io.StringIO())
            total = time.monotonic() - began
    sleeps = [planned.job.training.recipe.max_steps * STEP_S for planned in plan.trials]
    wall = clocked.times[-1] - clocked.times[0]
    return wall, makespan(sleeps, workers), total - wall


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--workers", type=int, default=2)
    parse.add_argument("--executor", choices=("tune", "serial"), default="tune")
    options = parse.parse_args()
    wall, bound, around = measure(options.workers, options.executor)
    ratio = wall / bound
    print(f"sweep {wall:.1f} s, list-scheduling bound {bound:.1f} s, start and stop {around:.1f} s")
    print(f"ratio {ratio:.3f} (limit {LIMIT})")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
