"""A cluster that dies: told apart from a worker that does, started again once, cleared away."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scaling.identity import Job
from scaling.workspace import Workspace
from sweeps.drive.executors import cluster
from sweeps.drive.executors.base import JobEvent
from sweeps.drive.executors.cluster import TuneExecutor
from sweeps.errors import ClusterError, StorageError
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.study import (
    RUNNING,
    SLOW,
    TRIALS,
    alive,
    descendants,
    finish,
    finished,
    plan_of,
    processes,
    records_of,
    start,
    store_of,
    wait_for,
)

# What stands in for the process with Ray in it: it says what a test wants said.
STAND_IN = """
import json, os, subprocess, sys, time
from pathlib import Path
output, task = int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
store = Path(task["workspace"]["store"])
ids = [job["id"] for job in task["jobs"]]
attempt = len(list(store.glob("attempt*")))
(store / f"attempt{attempt}").write_text(task["scratch"])
def tell(kind, **values):
    os.write(output, json.dumps({"kind": kind, **values}).encode() + b"\\n")
def ran(ids):
    for name in ids:
        tell("started", id=name)
        tell("finished", id=name, records=[])
def end():
    tell("over", error="")
    sys.stdin.readline()
    sys.exit()
raylet = subprocess.Popen([store / "raylet", os.environ.get("NODE_S", "600")])
time.sleep(0.3)
tell("ready")
"""
WORKER_DIES = "tell('retried', id=ids[0], error='it died'); time.sleep(3); ran(ids); end()"
NODE_DIES = """
ran(ids[:3])
if attempt == 0:
    logs = Path(task["temporary"]) / "session_2026" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_text("".join(f"line {n}\\n" for n in range(100)))
    raylet.kill()
    tell("retried", id=ids[3], error="it died")
    tell("died", id=ids[4], error="it died 3 times")
    time.sleep(600)
ran(ids[3:])
end()
"""
ENDS = "ran(ids[:3]); os._exit(1)"
RAISES = "tell('over', error='ValueError: no'); sys.stdin.readline()"


@pytest.fixture
def jobs(grid: Path) -> list[Job]:
    return [planned.job for planned in plan_of(grid).trials]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(cluster, "HOLD_S", 0.4)
    monkeypatch.setattr(cluster, "LOOK_S", 0.05)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    store = tmp_path / "store"
    store.mkdir()
    sleep = shutil.which("sleep")
    assert sleep is not None
    shutil.copy(sleep, store / "raylet")
    return Workspace(store=store, cache=tmp_path / "cache")


def events_of(
    act: str, jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> list[JobEvent]:
    monkeypatch.setattr(cluster, "CHILD", STAND_IN + act)
    events: list[JobEvent] = []
    TuneExecutor(2).run(jobs, workspace, events.append)
    assert not (workspace.store / "ray").exists()
    return events


def of_kind(kind: str, events: list[JobEvent]) -> list[str]:
    return [event.job.training.id for event in events if event.kind == kind]


def test_a_worker_that_died_in_a_living_cluster_is_its_trials_affair(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = events_of(WORKER_DIES, jobs, workspace, monkeypatch)
    assert of_kind("retried", events) == [jobs[0].training.id]
    assert len(of_kind("finished", events)) == len(jobs)
    assert of_kind("restarted", events) == []
    assert not (workspace.store / "ray.log").exists()


def test_a_node_that_died_is_no_trials_fault(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = events_of(NODE_DIES, jobs, workspace, monkeypatch)
    assert of_kind("retried", events) == of_kind("crashed", events) == []
    assert of_kind("restarted", events) == [jobs[3].training.id]
    assert sorted(of_kind("finished", events)) == sorted(job.training.id for job in jobs)
    (restarted,) = [event for event in events if event.kind == "restarted"]
    assert "its node (raylet), process" in restarted.error
    assert str(workspace.store / "ray.log") in restarted.error
    scratch = {path.read_text() for path in workspace.store.glob("attempt*")}
    assert len(scratch) == 2  # the dead one may still be clearing away its own
    kept = (workspace.store / "ray.log").read_text().splitlines()
    assert kept == ["== raylet.out", *(f"line {n}" for n in range(80, 100))]


def test_what_a_node_starts_bears_its_name_at_first_and_may_end(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = "subprocess.run([store / 'raylet', '1']); ran(ids); end()"
    events = events_of(act, jobs, workspace, monkeypatch)
    assert of_kind("restarted", events) == []
    assert len(of_kind("finished", events)) == len(jobs)


def test_a_node_that_died_before_anyone_looked(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cluster.QUIET, "NODE_S", "0")
    with pytest.raises(ClusterError, match=r"its node \(raylet\).* is gone"):
        events_of("time.sleep(600)", jobs, workspace, monkeypatch)


def test_a_cluster_that_lives_and_starts_no_trial(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "STUCK_S", 2.0)
    act = "while True: tell('alive'); time.sleep(0.1)"
    with pytest.raises(ClusterError, match="no trial has started for 2 s"):
        events_of(act, jobs, workspace, monkeypatch)


def test_a_trial_may_run_for_as_long_as_it_likes(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "STUCK_S", 2.0)
    act = (
        "tell('started', id=ids[0])\n"
        "for _ in range(30): tell('alive'); time.sleep(0.1)\n"
        "ran(ids); end()"
    )
    events = events_of(act, jobs, workspace, monkeypatch)
    assert of_kind("restarted", events) == []


@pytest.mark.parametrize(
    ("act", "words"), [(ENDS, "its process ended"), (RAISES, "ValueError: no")]
)
def test_a_cluster_that_dies_again_ends_the_run(
    act: str,
    words: str,
    jobs: list[Job],
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ClusterError, match=f"Ray died again: .*{words}.*Run the same") as caught:
        events_of(act, jobs, workspace, monkeypatch)
    assert "\n" not in str(caught.value)
    assert str(workspace.store / "ray.log") in str(caught.value)
    assert len(list(workspace.store.glob("attempt*"))) == 2
    assert not (workspace.store / "ray").exists()


def test_a_cluster_that_does_not_start(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "START_S", 0.2)
    monkeypatch.setattr(cluster, "CHILD", "import time; time.sleep(600)")
    with pytest.raises(ClusterError, match="it did not start within"):
        TuneExecutor(2).run(jobs, workspace, lambda event: None)


@pytest.mark.parametrize(("address", "limit"), [("10.0.0.1:6379", "SILENT_S"), ("", "STUCK_S")])
def test_a_cluster_that_falls_silent(
    address: str,
    limit: str,
    jobs: list[Job],
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(cluster, limit, 0.3)
    monkeypatch.setattr(cluster, "CLOSE_S", 0.1)
    with pytest.raises(ClusterError, match="nothing was heard of it for"):
        events_of("time.sleep(600)", jobs, workspace, monkeypatch)


def left_folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{cluster.SCRATCH}{os.getpid()}-*"))


def test_last_words_that_cannot_be_kept_hide_no_death(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cluster._Cluster, "_keep_last_words", full)
    with pytest.raises(ClusterError, match="its process ended"):
        events_of(ENDS, jobs, workspace, monkeypatch)
    assert left_folders() == []


def test_a_cluster_that_finds_no_room_leaves_nothing(jobs: list[Job], workspace: Workspace) -> None:
    (workspace.store / "ray.log").mkdir()
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    one = cluster._Cluster({job.training.id: job for job in jobs}, workspace, 2)
    with pytest.raises(StorageError, match=r"Ray could not be started: .*ray\.log"), one:
        pass
    assert left_folders() == []
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_sockets_have_short_paths_whatever_tmpdir_is(
    tmp_path: Path, jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / "scratch.of.a.batch.job"
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert cluster._short_folder() in cluster.OTHERS
    one = cluster._Cluster({job.training.id: job for job in jobs}, workspace, 2)
    monkeypatch.setattr(cluster, "CHILD", STAND_IN + "time.sleep(600)")
    with one:
        # the name of Ray's session, with the largest process id, and of the socket
        session = "/session_2026-11-30_23-59-59_123456_4194304/sockets/plasma_store"
        assert len(one.temporary + session) <= cluster.SOCKET_PATH
    assert not Path(one.temporary).exists()
    monkeypatch.setattr(cluster, "OTHERS", ())
    two = cluster._Cluster({job.training.id: job for job in jobs}, workspace, 2)
    said = r"\(TMPDIR\) is too long for Ray's sockets: \d+ bytes, 18 at most"
    with pytest.raises(StorageError, match=said) as caught, two:
        pass
    assert "--executor serial" in str(caught.value)


def test_no_trial_is_to_blame_when_the_folder_of_all_is_gone(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "import shutil; ran(ids[:1]); shutil.rmtree(task['scratch'])\n"
    gone += "tell('died', id=ids[1], error='it died 3 times'); time.sleep(600)"
    monkeypatch.setattr(cluster, "CHILD", STAND_IN + gone)
    events: list[JobEvent] = []
    with pytest.raises(StorageError, match="is gone, where Ray keeps its trials"):
        TuneExecutor(2).run(jobs, workspace, events.append)
    assert of_kind("crashed", events) == []
    assert of_kind("finished", events) == [jobs[0].training.id]


def test_trials_of_a_cluster_that_is_given_up_are_told_to_stop(
    jobs: list[Job], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(cluster, "SILENT_S", 0.3)
    monkeypatch.setattr(cluster, "CLOSE_S", 0.1)
    monkeypatch.setattr(cluster, "CHILD", STAND_IN + "time.sleep(600)")
    one = cluster._Cluster({job.training.id: job for job in jobs}, workspace, 2)
    with pytest.raises(cluster.ClusterDied, match="nothing was heard"), one:
        list(one.events())
    assert (one.scratch / "stop").exists()


def test_all_that_a_process_started_is_found_and_killed() -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen(['sleep', '600'], process_group=0)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('started', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        family = descendants(process.pid)
        assert set(cluster.alive_in(process.pid)) == set(family)
        assert len(family) == 3
        process.kill()  # the others are orphans now, and of the session still
        wait_for(lambda: len(cluster.alive_in(process.pid)) == 2)
        assert cluster.kill_session(process.pid)
        assert cluster.alive_in(process.pid) == {}
        assert not alive(family)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "who",
    [
        "raylet/raylet",
        pytest.param("gcs/gcs_server", marks=pytest.mark.accept),
        pytest.param("ray::RuntimeEnvAgent", marks=pytest.mark.accept),
    ],
)
def test_ray_dies_and_starts_again(who: str, write_grid: WriteGrid) -> None:
    grid = write_grid(SLOW)
    process = start(grid, "tune")
    wait_for(lambda: processes(process.pid, RUNNING) and finished(grid))
    kept = {
        name: (store_of(grid).live.records / f"{name}.json").read_bytes() for name in finished(grid)
    }
    family = [pid for pid in descendants(process.pid) if pid != process.pid]
    os.kill(processes(process.pid, who)[0], signal.SIGKILL)
    wait_for(lambda: not alive(family))
    output = finish(process)
    assert process.returncode == 0, output
    assert output.count("Ray died: ") == 1
    assert "its worker process died" not in output
    assert f"{TRIALS} trials trained, 0 failed" in output
    assert len(output.splitlines()) < 20
    assert "\x1b" not in output
    assert len(finished(grid)) == TRIALS
    for name, content in kept.items():
        assert (store_of(grid).live.records / f"{name}.json").read_bytes() == content


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.accept
@pytest.mark.timeout(900)
def test_ray_dies_again_and_the_next_run_goes_on(write_grid: WriteGrid) -> None:
    grid = write_grid(SLOW)
    process = start(grid, "tune")
    for _ in range(2):  # the second strikes a cluster that is starting
        wait_for(lambda: processes(process.pid, "raylet/raylet"))
        raylet = min(processes(process.pid, "raylet/raylet"))  # others are its children
        os.kill(raylet, signal.SIGKILL)
        wait_for(lambda raylet=raylet: not alive([raylet]))  # type: ignore[misc]
    output = finish(process)
    assert process.returncode == 1, output
    last = [line for line in output.splitlines() if "Ray died again: " in line]
    assert len(last) == 1
    assert "Run the same command again" in last[0]
    assert "Traceback" not in output
    assert (store_of(grid).runs / "ray.log").exists()
    assert not (store_of(grid).runs / "ray").exists()
    output = finish(start(grid, "tune"))
    assert "0 failed" in output
    assert {r["trial"]["status"] for r in records_of(grid).values() if r["kind"] == "training"} == {
        "done"
    }
    assert not (store_of(grid).runs / "ray.log").exists()
