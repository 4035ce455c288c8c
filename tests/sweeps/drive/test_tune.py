"""Ray Tune: the contract, and processes that are killed."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling.identity import Job
from scaling.workspace import Workspace
from sweeps.drive.executors import make_executor
from sweeps.drive.executors.base import Executor, JobEvent
from sweeps.drive.executors.cluster import environment
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.executor_contract import ExecutorContract
from tests.sweeps.study import (
    PATIENCE_S,
    RUNNING,
    SLOW,
    TRIALS,
    descendants,
    finish,
    finished,
    interrupt,
    plan_of,
    processes,
    start,
    store_of,
    wait_for,
)

pytestmark = pytest.mark.ray

CONNECT = """
import logging, sys, ray
ray.init(address=sys.argv[1], logging_level=logging.CRITICAL, log_to_driver=False)
print(ray.cluster_resources()["CPU"])
"""


class TestTune(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return make_executor("tune", workers=2)

    def test_the_cluster_is_on_loopback_and_asks_for_a_token(
        self, executor: Executor, jobs: list[Job], workspace: Workspace
    ) -> None:
        found: list[tuple[set[str], str, str]] = []

        def on_event(event: JobEvent) -> None:
            if event.kind == "started" and not found:
                address = gcs_address(os.getpid())
                raylet = min(processes(os.getpid(), "raylet/raylet"))  # not a child of it
                pairs = Path(f"/proc/{raylet}/environ").read_text().split("\0")
                friend = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
                stranger = {k: v for k, v in friend.items() if not k.startswith("RAY_AUTH_")}
                ours = connect(address, friend)
                found.append((listeners(os.getpid()), ours, connect(address, stranger)))

        executor.run(jobs[:2], workspace, on_event)
        ((listening, ours, refused),) = found
        assert listening == {"127.0.0.1"}
        assert ours == "2.0\n"
        assert "InvalidAuthToken" in refused
        assert not [name for name in os.environ if name.startswith("RAY_AUTH_")]

    def test_progress_within_a_trial_arrives(
        self, executor: Executor, write_grid: WriteGrid, workspace: Workspace
    ) -> None:
        (job, *_) = [planned.job for planned in plan_of(write_grid(SLOW)).trials]
        events: list[JobEvent] = []
        executor.run([job], workspace, events.append)
        kinds = [event.kind for event in events]
        assert kinds[0] == "started"
        assert kinds[-1] == "finished"
        shares = [event.share for event in events if event.kind == "progress"]
        assert any(0 < share < 1 for share in shares), kinds
        assert shares == sorted(shares)


def test_a_trial_stops_when_told_or_when_its_driver_is_gone(tmp_path: Path) -> None:
    from sweeps.drive.executors.tune import _reporter

    folder = tmp_path / "scratch"
    folder.mkdir()
    _reporter(folder, "t1")(0.5)
    assert (folder / "t1.share").read_text() == "0.5000"
    (folder / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        _reporter(folder, "t1")(0.5)
    shutil.rmtree(folder)
    with pytest.raises(KeyboardInterrupt):
        _reporter(folder, "t1")(0.5)


def test_progress_is_told_once_for_each_step_of_it(tmp_path: Path) -> None:
    from sweeps.drive.executors import tune

    said = [("0.25", "t1"), ("0.25", "t1"), ("half", "t2"), ("0.75", "t1")]
    told: list[tuple[str, str, float]] = []

    def wait(seconds: float) -> bool:
        if said:
            share, name = said.pop(0)
            (tmp_path / f"{name}.share").write_text(share)
            return False
        return True

    driver = SimpleNamespace(
        task={"scratch": str(tmp_path)},
        closed=SimpleNamespace(wait=wait),
        tell=lambda kind, id, share: told.append((kind, id, share)),  # noqa: A006
    )
    tune._Driver.tell_of_progress(driver)  # type: ignore[arg-type]
    assert told == [("progress", "t1", 0.25), ("progress", "t1", 0.75)]


def test_a_sign_of_life_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    from sweeps.drive.executors import tune

    answers = [ConnectionError("late"), [{"Alive": False}], [{"Alive": True}]]
    told: list[str] = []

    def nodes() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    driver = SimpleNamespace(
        closed=SimpleNamespace(wait=lambda seconds: not answers), tell=told.append
    )
    monkeypatch.setattr("ray.nodes", nodes)
    tune._Driver.tell_of_life(driver)  # type: ignore[arg-type]
    assert told == ["alive"]


def connect(address: str, environment: dict[str, str]) -> str:
    """What a process of this environment says when it connects to a cluster."""
    once = {"RAY_NUM_REDIS_GET_RETRIES": "1"}  # else it asks for 20 s
    words = [sys.executable, "-c", CONNECT, address]
    done = subprocess.run(
        words,
        env=environment | once,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stderr if done.returncode else done.stdout


def gcs_address(driver: int) -> str:
    """Where the cluster of a driver answers."""
    lines = "\0".join(descendants(driver).values()).split("\0")
    return next(word.split("=", 1)[1] for word in lines if word.startswith("--gcs-address="))


def listeners(driver: int) -> set[str]:
    """Addresses on which a driver and the processes below it listen."""
    sockets: set[str] = set()
    for pid in descendants(driver):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            sockets |= {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:  # 0A: listening
                found.add(from_kernel(fields[1].split(":")[0]))
    return found


def from_kernel(address: str) -> str:
    """An address as ``/proc/net/tcp`` writes it: words of 32 bits in the host's order."""
    raw = bytes.fromhex(address)
    words = [raw[i : i + 4] for i in range(0, len(raw), 4)]
    packed = b"".join(w[::-1] if sys.byteorder == "little" else w for w in words)
    found = ipaddress.ip_address(packed)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def test_the_users_own_choice_of_authentication_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ours = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH_")}
    assert len(environment(ours)["RAY_AUTH_TOKEN"]) == 64
    assert "RAY_AUTH_TOKEN" not in environment(ours | {"RAY_AUTH_MODE": "disabled"})
    assert "RAY_AUTH_TOKEN" not in environment(ours | {"RAY_ADDRESS": "10.0.0.1:6379"})
    assert environment(ours | {"AIR_VERBOSITY": "3"})["AIR_VERBOSITY"] == "3"


def test_workers_find_this_package_wherever_the_command_is_given() -> None:
    home = str(Path(__file__).resolve().parents[3])
    assert environment({})["PYTHONPATH"] == home
    assert environment({"PYTHONPATH": "/mine"})["PYTHONPATH"] == f"{home}{os.pathsep}/mine"


def test_a_killed_worker_is_replaced_and_its_trial_runs_again(write_grid: WriteGrid) -> None:
    grid = write_grid(SLOW)
    process = start(grid, "tune")
    wait_for(lambda: processes(process.pid, RUNNING))
    os.kill(processes(process.pid, RUNNING)[0], signal.SIGKILL)
    output = finish(process)
    assert process.returncode == 0, output
    assert "its worker process died; it starts again" in output
    assert len(finished(grid)) == TRIALS


def test_after_a_killed_driver_only_what_is_missing_runs(write_grid: WriteGrid) -> None:
    grid = write_grid(SLOW)
    process = start(grid, "tune")
    wait_for(lambda: finished(grid))
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()  # what is left of Ray holds the other end for a while
    kept = {
        name: (store_of(grid).live.records / f"{name}.json").read_bytes() for name in finished(grid)
    }
    assert 0 < len(kept) < TRIALS
    process = start(grid, "tune")
    output = finish(process)
    assert process.returncode == 0, output
    assert f"to run: {TRIALS} trials" not in output
    assert len(finished(grid)) == TRIALS
    for name, content in kept.items():
        assert (store_of(grid).live.records / f"{name}.json").read_bytes() == content
    assert not (store_of(grid).runs / "ray").exists()


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_keeps_what_is_finished(write_grid: WriteGrid, times: int) -> None:
    interrupt(write_grid(SLOW), "tune", times)
