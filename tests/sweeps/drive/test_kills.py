"""Drivers, workers, nodes and agents killed at random: nothing is lost, no trial is to blame.

Ten kills in an ordinary run of the tests, and forty more in ``make accept``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from sweeps.drive.executors.cluster import alive_in
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.study import (
    PATIENCE_S,
    RUNNING,
    descendants,
    finish,
    finished,
    processes,
    records_of,
    start,
    store_of,
    wait_for,
)

WHO = {
    "driver": "",
    "worker": RUNNING,
    "raylet": "raylet/raylet",
    "agent": "ray::",  # the two of the node: RuntimeEnvAgent and DashboardAgent
}
PER_KILL = 16  # trials: there must be work left at the last kill
STUDY = """\
study: kills
corpus: {{source: simulated/slow, records: 4096}}
stages:
  - pretrain:
      families: {{simulated: [n1000]}}
      data: [64, 128, 192, 256, 320, 384, 448, 512]
      seeds: [{seeds}]
      recipe: {{max_steps: 50, batch: 64}}
"""
# Every Python process below imports it: a worker notes each training that it has finished.
SITE = """
import os
import scaling.trial
real = scaling.trial.write_record
def write_record(folder, record):
    path = real(folder, record)
    if record["kind"] == "training":
        with open(os.environ["KILLS_LOG"], "a") as file:
            file.write(record["id"] + "\\n")
    return path
scaling.trial.write_record = write_record
"""


@dataclasses.dataclass
class Kills:
    """What came of it.

    Attributes:
        killed: how often each was.
        waits_s: seconds from each kill to the next trial that finished.
        restarts: how often the driver had to be started again.
        outputs: what each driver said.
    """

    killed: Counter[str] = dataclasses.field(default_factory=Counter)
    waits_s: list[float] = dataclasses.field(default_factory=list)
    restarts: int = 0
    outputs: list[str] = dataclasses.field(default_factory=list)


def target(driver: int, who: str, rng: random.Random) -> int | None:
    """A process of the kind, if there is one."""
    if who == "driver":
        return driver
    pids = processes(driver, WHO[who])
    if who == "agent":
        lines = descendants(driver)
        pids = [pid for pid in pids if "Agent" in lines.get(pid, "")]
    return rng.choice(pids) if pids else None


class Harness:
    """Runs a study and kills what is asked for."""

    def __init__(self, grid: Path, seed: int) -> None:
        self.grid, self.rng, self.found = grid, random.Random(seed), Kills()
        self.kept: dict[str, bytes] = {}
        self.sessions: set[int] = set()  # of Ray
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return start(self.grid, "tune")

    def done(self) -> int:
        """Trials that are finished; what was finished before must be what it was."""
        folder = store_of(self.grid).live.records
        for name, content in self.kept.items():
            assert (folder / f"{name}.json").read_bytes() == content, f"{name} was lost or changed"
        for name in finished(self.grid) - set(self.kept):
            self.kept[name] = (folder / f"{name}.json").read_bytes()
        return len(self.kept)

    def revive(self) -> None:
        """Start the driver again where it has ended, by a kill or with its message."""
        if self.process.poll() in (None, 0):
            return
        output = finish(self.process)
        self.found.outputs.append(output)
        assert self.process.returncode in (1, -signal.SIGKILL), output
        assert self.process.returncode != 1 or "Ray died again: " in output, output
        self.found.restarts += 1
        self.process = self._start()

    def until_one_more(self) -> float:
        """Seconds until another trial is finished."""
        began, before = time.monotonic(), self.done()
        while self.done() == before:
            self.revive()
            gone = time.monotonic() - began
            assert gone < PATIENCE_S, f"nothing finished for {gone:.0f} s"
            time.sleep(0.1)
        return time.monotonic() - began

    def kill(self) -> None:
        """Kill one process, somewhere between two looks."""
        who = self.rng.choice(list(WHO))
        time.sleep(self.rng.uniform(0, 1.5))
        deadline = time.monotonic() + PATIENCE_S
        while not self._killed(who):
            assert time.monotonic() < deadline, f"no {who} to kill for {PATIENCE_S} s"
            time.sleep(0.1)
        self.found.killed[who] += 1
        self.found.waits_s.append(self.until_one_more())

    def _killed(self, who: str) -> bool:
        """Kill one, if there is one."""
        assert self.process.poll() != 0, "the study ended before the last kill"
        self.revive()
        pid = target(self.process.pid, who, self.rng)
        for one in descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                self.sessions |= {os.getsid(one)} - {self.process.pid}
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> None:
        """Let the study run to its end."""
        while (code := self.process.poll()) != 0:
            if code is not None:
                self.revive()
            self.until_one_more_or_over()
        self.found.outputs.append(finish(self.process))

    def until_one_more_or_over(self) -> None:
        began, before = time.monotonic(), self.done()
        while self.process.poll() is None and self.done() == before:
            assert time.monotonic() - began < PATIENCE_S, "it hangs"
            time.sleep(0.1)


def kill_at_random(grid: Path, kills: int, seed: int, log: Path) -> Kills:
    """Kill ``kills`` times, let the study end, and look at what it left."""
    harness = Harness(grid, seed)
    try:
        harness.until_one_more()
        for _ in range(kills):
            harness.kill()
        harness.end()
        trials = kills * PER_KILL
        assert harness.done() == trials  # nothing is lost
        records = records_of(grid)
        status = [r["trial"]["status"] for r in records.values() if r["kind"] == "training"]
        assert status == ["done"] * trials  # none failed
        assert len(records) == 2 * trials  # each with its evaluation
        assert not [text for text in harness.found.outputs if "failed: " in text]
        again = [name for name, n in Counter(log.read_text().split()).items() if n > 1]
        assert again == []  # no finished trial was run again
        assert not (store_of(grid).runs / "ray").exists()
        wait_for(lambda: not any(alive_in(session) for session in harness.sessions))
    finally:
        if harness.process.poll() is None:
            harness.process.kill()
            finish(harness.process)
    return harness.found


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.accept) for n in range(1, 5))]
)
def test_ten_random_kills(
    seed: int, write_grid: WriteGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = 10
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    log = tmp_path / "finished.log"
    paths = (str(tmp_path / "site"), str(Path(__file__).resolve().parents[3]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("KILLS_LOG", str(log))
    grid = write_grid(STUDY.format(seeds=", ".join(map(str, range(2 * kills)))))
    found = kill_at_random(grid, kills, seed, log)
    assert sum(found.killed.values()) == kills
    waits = sorted(found.waits_s)
    print(
        f"{kills} kills {dict(found.killed)}, driver started again {found.restarts} times; "
        f"to the next finished trial median {waits[kills // 2]:.1f} s, longest {waits[-1]:.1f} s"
    )
