"""Ray Tune: the contract, and processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.executors import Executor, make_executor
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.executor_contract import ExecutorContract
from tests.sweeps.study import store_of

pytestmark = pytest.mark.ray

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
PATIENCE_S = 120


class TestTune(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return make_executor("tune", workers=2)


def start(grid: Path) -> subprocess.Popen[str]:
    words = [str(grid), "--workers", "2", "--results", str(grid.parent / "results")]
    return subprocess.Popen(
        [sys.executable, "-m", "sweeps.run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=PATIENCE_S)
    return output


def finished(grid: Path) -> set[str]:
    return {path.stem for path in store_of(grid).records.glob("t*.json")}


def workers_of(driver: int) -> list[int]:
    """Processes of Ray that descend from the driver and are running a trial."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            names[int(folder.name)] = (folder / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(folder.name)] = int(stat[1])

    def descends(pid: int) -> bool:
        while pid in parents and pid != driver:
            pid = parents[pid]
        return pid == driver

    return [pid for pid, name in names.items() if "Trainable.train" in name and descends(pid)]


def test_a_killed_worker_is_replaced_and_its_trial_runs_again(write_grid: WriteGrid) -> None:
    grid = write_grid(SLOW)
    process = start(grid)
    wait_for(lambda: workers_of(process.pid))
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    output = finish(process)
    assert process.returncode == 0, output
    assert "its worker process died; it starts again" in output
    assert len(finished(grid)) == TRIALS


def test_after_a_killed_driver_only_what_is_missing_runs(write_grid: WriteGrid) -> None:
    grid = write_grid(SLOW)
    process = start(grid)
    wait_for(lambda: finished(grid))
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()  # what is left of Ray holds the other end for a while
    kept = {name: (store_of(grid).records / f"{name}.json").read_bytes() for name in finished(grid)}
    assert 0 < len(kept) < TRIALS
    process = start(grid)
    output = finish(process)
    assert process.returncode == 0, output
    assert f"to run: {TRIALS} trials" not in output
    assert len(finished(grid)) == TRIALS
    for name, content in kept.items():
        assert (store_of(grid).records / f"{name}.json").read_bytes() == content
    assert not (store_of(grid).runs / "ray").exists()


def test_an_interrupt_keeps_what_is_finished(write_grid: WriteGrid) -> None:
    grid = write_grid(SLOW)
    process = start(grid)
    wait_for(lambda: finished(grid))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    output = finish(process)
    assert process.returncode == 130, output
    assert "run the same command again to continue" in output
    assert "Traceback" not in output
    store = store_of(grid)
    assert 0 < len(finished(grid)) < TRIALS
    assert list(store.spool.glob("*.json")) == []
    assert (store.runs / "compacted.json").exists()
