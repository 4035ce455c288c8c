"""Shortcuts: a grid file's plan, whole runs through the command line, and runs to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from scaling.records.record import read_record
from scaling.workspace import cache_dir
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import find_corpora
from sweeps.plan.cost import Speeds
from sweeps.plan.plan import Plan, make_plan
from sweeps.run import main
from sweeps.store import Known, Store

SLOW = """\
study: slow
corpus: {source: simulated/slow}
stages:
  - pretrain:
      families: {simulated: [n1000]}
      data: [256, 512, 1024]
      seeds: [0, 1]
      recipe: {max_steps: 250, batch: 64}
"""
TRIALS = 6
RUNNING = "Trainable.train"  # in the name of a worker that runs a trial
PATIENCE_S = 240  # of a busy machine; more means that it hangs
# Tests may themselves run where Ctrl-C or a hang-up is ignored, and on a machine so busy that an
# orderly end takes longer than those who ask for it wait.
HEARING = """
import signal, sys
from sweeps import interrupts
interrupts.GRACE_S, interrupts.LIMIT_S = 60.0, 180.0
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from sweeps.run import main
sys.exit(main(last=True))
"""


def plan_of(grid: Path, known: dict[str, Known] | None = None) -> Plan:
    study = load_grid(grid)
    return make_plan(study, find_corpora(study, {}), known or {}, cache_dir(), Speeds(cache_dir()))


def ids_of(plan: Plan) -> set[str]:
    """Ids of every training and evaluation of a plan that can be named."""
    jobs = [planned.job for planned in plan.trials if planned.status != "waiting"]
    return {job.training.id for job in jobs} | {e.id for job in jobs for e in job.evaluations}


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
    paths = store_of(grid).live.records.glob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in paths}


def start(grid: Path, executor: str, *more: str) -> subprocess.Popen[str]:
    """Run in another process, the head of a group of its own; results beside the grid."""
    words = ["--executor", executor, "--workers", "2", "--results", str(grid.parent / "results")]
    words += more
    return subprocess.Popen(
        [sys.executable, "-c", HEARING, str(grid), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def descendants(driver: int) -> dict[int, str]:
    """Command lines of the processes that descend from a process, and its own."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            lines[int(folder.name)] = (folder / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if stat[0] != "Z":
            parents[int(folder.name)] = int(stat[1])

    def descends(pid: int) -> bool:
        while pid in parents and pid != driver:
            pid = parents[pid]
        return pid == driver

    return {pid: line for pid, line in lines.items() if descends(pid)}


def processes(driver: int, word: str) -> list[int]:
    """Processes below a driver with a word in the name of their program."""
    lines = {pid: line.split("\0")[0] for pid, line in descendants(driver).items()}
    return [pid for pid, line in lines.items() if word in line and pid != driver]


def alive(pids: Iterable[int]) -> list[int]:
    """Which of some processes are there and no zombies."""
    left = []
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        left += [pid] * (stat.rsplit(")", 1)[1].split()[0] != "Z")
    return left


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=PATIENCE_S)
    return output


def finished(grid: Path) -> set[str]:
    return {path.stem for path in store_of(grid).live.records.glob("t*.json")}


def interrupt(grid: Path, executor: str, times: int) -> None:
    """Press Ctrl-C during a slow study, perhaps again and again, and look at what is left."""
    process = start(grid, executor)
    wait_for(lambda: finished(grid))
    for _ in range(times):  # the later ones strike while it clears up
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        time.sleep(0.1)
    output = finish(process)
    assert process.returncode == 130, output
    assert "run the same command again to continue" in output
    assert "Traceback" not in output
    store = store_of(grid)
    assert 0 < len(finished(grid)) < TRIALS
    for path in store.live.records.iterdir():
        read_record(path)
    assert not (store.runs / "ray").exists()
    if times == 1:  # there was time for the tables
        assert list(store.live.spool.glob("*.json")) == []
        assert (store.runs / "compacted.json").exists()
