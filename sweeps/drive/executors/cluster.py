"""Ray in a process of its own: started, watched, ended, and started again once.

Ray may abort the process it lives in, wait for ever when its node is dead, and write pages to
the console. So it gets a process with a session of its own (``tune.py`` runs in it) and a log
for what it says; this one keeps the records, and can always end all of it. The two talk in
lines of JSON. When the driver is killed, the other end sees its input close, and ends the rest.

A worker process that died is its trial's affair, and Tune starts the trial again. When the
node or the cluster died, no trial is to blame: what a dying cluster says of workers is held
back until it is clear that it is alive.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.identity import Job
from scaling.workspace import Workspace
from sweeps import interrupts
from sweeps.drive.executors.base import ENDED, JobEvent, OnEvent
from sweeps.errors import ClusterError, StorageError

SCRATCH = "ecg-ray-"
PROC = Path("/proc")
# Of a socket in the folder of Ray: the name of the folder, of Ray's session in it, of the socket.
SOCKET_PATH = 103 if sys.platform == "darwin" else 107
SOCKET_NAME = 25 + 43 + 21
OTHERS = ("/tmp", "/var/tmp")  # where TMPDIR is too long
RESTARTS = 1  # of the cluster, in a run
START_S = 600.0  # for a cluster to start; 10 s are usual, minutes where others crowd the machine
SILENT_S = 25.0  # of a cluster that is not ours, until it is taken for dead
STUCK_S = 90.0  # of our own, whose processes are seen: no sign, or no trial that starts
LOOK_S = 0.5  # between looks at the processes of our own
HOLD_S = 2.0  # a node that dies takes its workers along, and not always last
CLOSE_S = 5.0  # for Ray to go by itself
CHILD = (
    "import sys; from sweeps.drive.executors.tune import main; main(int(sys.argv[1]), sys.argv[2])"
)
# Without one of these no trial can start or end. The agents are the raylet's, which ends soon
# after they do. Names as the kernel keeps them, 15 characters.
VITAL = {
    "gcs_server": "its control store (gcs_server)",
    "raylet": "its node (raylet)",
    "ray::DashboardA": "the agent of its node",
    "ray::RuntimeEnv": "the runtime agent of its node",
}
# Ray reads these when it is imported. Its loggers, tables and experiment snapshots would
# repeat what records and the progress line say, at a cost for every trial.
QUIET = {
    "AIR_VERBOSITY": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "600",
}
# "0" makes a cluster of this machine alone listen on loopback only, as Ray always does on
# macOS and Windows. Without it, all of its servers listen on every interface.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Ray kills a healthy node that answers late, as on a crowded machine. Here the driver sees for
# itself whether the processes of the node are there.
PATIENT = {
    "RAY_health_check_timeout_ms": "60000",
    "RAY_agent_register_timeout_ms": "600000",
    # A worker that dies before it has registered is noticed only then.
    "RAY_worker_register_timeout_seconds": "60",
}
LAST_LINES = 20  # of each of Ray's own logs, kept when it died


class ClusterDied(RuntimeError):  # noqa: N818 - it names what happened
    """The cluster is dead; the message says of what."""


class TuneExecutor:
    """Runs jobs on a Ray cluster: its own on this machine, or the one of ``RAY_ADDRESS``.

    Args:
        workers: jobs that run at once.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.restarts = RESTARTS

    def run(self, jobs: Sequence[Job], workspace: Workspace, on_event: OnEvent) -> None:
        """Run ``jobs``; see ``Executor``.

        Raises:
            ClusterError: the cluster died and was started again, and died again.
        """
        left = {job.training.id: job for job in jobs}
        scratch, log = workspace.store / "ray", workspace.store / "ray.log"
        self._clear(scratch, log)
        _remove_left_folders()
        try:
            while left:
                interrupts.check()
                try:
                    with interrupts.gently():
                        self._run(left, workspace, on_event)
                except ClusterDied as death:
                    interrupts.check()
                    self._start_again(death, left, log, on_event)
        finally:
            with interrupts.shielded():
                self._clear(scratch, log)
        interrupts.check()

    def _clear(self, scratch: Path, log: Path) -> None:
        """Remove what Ray left; its log only when nobody was sent there."""
        shutil.rmtree(scratch, ignore_errors=True)
        if self.restarts == RESTARTS:
            log.unlink(missing_ok=True)

    def _run(self, left: dict[str, Job], workspace: Workspace, on_event: OnEvent) -> None:
        """Run what is left on one cluster; what ends is taken out."""
        with _Cluster(left, workspace, self.workers) as cluster:
            for event in cluster.events():
                if event.kind in ENDED:
                    del left[event.job.training.id]
                on_event(event)
        if left:
            interrupts.check()
            raise ClusterDied("it ended before the last trial")

    def _start_again(
        self, death: ClusterDied, left: Mapping[str, Job], log: Path, on_event: OnEvent
    ) -> None:
        if not left:
            return  # it died of old age
        if not self.restarts:
            raise ClusterError(
                f"Ray died again: {death}. Finished records are safe and no trial is to blame. "
                f"Run the same command again to continue; {log} has what Ray said"
            ) from None
        self.restarts -= 1
        job = next(iter(left.values()))
        note = f"Ray died: {death}; it starts again, with the trials it was running ({log})"
        on_event(JobEvent(kind="restarted", job=job, error=note))


class _Cluster:
    """One cluster, or one connection to that of ``RAY_ADDRESS``, in a process of its own."""

    def __init__(self, jobs: Mapping[str, Job], workspace: Workspace, workers: int) -> None:
        self.jobs, self.workspace, self.workers = dict(jobs), workspace, workers
        self.own = not os.environ.get("RAY_ADDRESS")
        self.vital: dict[str, int] = {}  # name -> the first process that was seen
        self.temporary = ""
        self.left, self.running = set(jobs), set[str]()
        self.held: list[tuple[float, JobEvent]] = []
        self.rest = b""
        self.ready = self.over = self.stopping = False
        self.error = ""
        self.began = self.heard = self.moved = self.looked = time.monotonic()

    def __enter__(self) -> _Cluster:
        self.source, theirs = os.pipe()
        os.set_blocking(self.source, False)
        try:
            # Sockets live here and their paths must be short, so it is not in the store.
            self.temporary = tempfile.mkdtemp(
                prefix=f"{SCRATCH}{os.getpid()}-", dir=_short_folder() if self.own else None
            )
            self._start(theirs)
        except BaseException as error:
            os.close(self.source)
            shutil.rmtree(self.temporary, ignore_errors=True)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise StorageError(error.errno, _no_start(error)) from None
            raise
        finally:
            os.close(theirs)
        return self

    def _start(self, theirs: int) -> None:
        # What a driver that was killed had started may still be clearing away its own.
        self.scratch = self.workspace.store / "ray" / Path(self.temporary).name
        self.scratch.mkdir(parents=True)
        task = Path(self.temporary) / "task.json"
        task.write_text(self._task())
        with (self.workspace.store / "ray.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CHILD, str(theirs), str(task)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(theirs,),
                # What Ray's workers leave in their temporary folder goes with ours.
                env=environment(os.environ) | ({"TMPDIR": self.temporary} if self.own else {}),
                start_new_session=True,
            )

    def __exit__(self, *exception: object) -> None:
        with interrupts.shielded():
            if not self.own:  # its trials are out of reach of a signal
                with contextlib.suppress(OSError):
                    (self.scratch / "stop").touch()
            if self._order("close") and not interrupts.requested() and (self.over or not self.own):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(CLOSE_S)
            try:
                kill_session(self.process.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
                    self.process.communicate(timeout=CLOSE_S)
                if isinstance(exception[1], ClusterDied):
                    with contextlib.suppress(OSError):  # what it died of is worth more
                        self._keep_last_words()
            finally:
                os.close(self.source)
                shutil.rmtree(self.temporary, ignore_errors=True)

    def _keep_last_words(self) -> None:
        """Append the ends of the logs of Ray's processes, which go with their folder, to ours."""
        logs = Path(self.temporary).glob("session_2*/logs/*")
        kept = [p for p in logs if p.name.startswith(("raylet", "gcs_server")) and p.is_file()]
        with (self.workspace.store / "ray.log").open("a", errors="replace") as file:
            for path in sorted(kept):
                lines = path.read_text(errors="replace").splitlines()[-LAST_LINES:]
                file.write("\n".join([f"== {path.name}", *lines, ""]))

    def _order(self, word: str) -> bool:
        """Tell the other process something; False when it is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(word.encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return False
        return True

    def events(self) -> Iterator[JobEvent]:
        """What happens, until all is done or what runs was interrupted.

        Raises:
            ClusterDied: the cluster is dead.
        """
        while not self.over:
            yield from self._news()
            self._look()
            if interrupts.requested() and not self.stopping:
                if not self.ready:
                    return  # nothing runs yet
                self.stopping = True
                (self.scratch / "stop").touch()  # trials look for it
                self._order("stop")
        while self.held:
            time.sleep(LOOK_S)
            self._look()
            yield from self._settled()

    def _task(self) -> str:
        """What ``tune.main`` reads, as JSON."""
        store, cache = (str(p.resolve()) for p in (self.workspace.store, self.workspace.cache))
        task = {
            "jobs": [{"id": name, "job": job.to_dict()} for name, job in self.jobs.items()],
            "workspace": dataclasses.asdict(self.workspace) | {"store": store, "cache": cache},
            "workers": self.workers,
            "scratch": str(self.scratch.resolve()),
            "temporary": self.temporary,
            "own": self.own,
        }
        return json.dumps(task)

    def _news(self) -> Iterator[JobEvent]:
        """Events that have come in, after a while at most."""
        select.select([self.source], [], [], 0.2)
        for message in self._messages():
            self.heard = time.monotonic()
            kind = message.pop("kind")
            if kind in ("ready", "alive"):
                if not self.ready:
                    self.ready, self.moved = True, self.heard
            elif kind == "over":
                self.over, self.error = True, message["error"]
            else:
                event = self._event(kind, message)
                self._count(event)
                if kind in ("retried", "died"):
                    if not self.scratch.is_dir():  # then Tune calls every trial failed
                        gone = f"{self.scratch} is gone, where Ray keeps its trials"
                        raise StorageError(errno.ENOENT, gone)
                    self.held.append((time.monotonic(), event))
                else:
                    yield event
        yield from self._settled()
        if self.error:
            raise ClusterDied(self._death() or self.error)

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            try:
                part = os.read(self.source, 2**20)
            except BlockingIOError:
                return
            if not part and not self.over:
                raise ClusterDied(self._death() or "its process ended")
            if not part:
                return
            *lines, self.rest = (self.rest + part).split(b"\n")
            yield from map(json.loads, lines)

    def _event(self, kind: str, message: Mapping[str, Any]) -> JobEvent:
        return JobEvent(
            kind="crashed" if kind == "died" else kind,  # type: ignore[arg-type]
            job=self.jobs[message["id"]],
            records=tuple(message.get("records", ())),
            error=message.get("error", ""),
            share=message.get("share", 0.0),
        )

    def _count(self, event: JobEvent) -> None:
        """Keep account of what runs and what is left."""
        name, self.moved = event.job.training.id, self.heard
        if event.kind == "progress":
            return
        self.running.discard(name)
        if event.kind == "started":
            self.running.add(name)
        elif event.kind in ENDED:
            self.left.discard(name)

    def _settled(self) -> Iterator[JobEvent]:
        """Deaths of workers that the cluster has survived."""
        if interrupts.requested():
            self.held.clear()  # they may have been sent the signal as well
        now = time.monotonic()
        while self.held and now - self.held[0][0] >= HOLD_S and not self._death():
            yield self.held.pop(0)[1]

    def _look(self) -> None:
        """Raise ``ClusterDied`` when it is so."""
        now = time.monotonic()
        if not self.ready and now - self.began > START_S:
            raise ClusterDied(f"it did not start within {START_S:.0f} s")
        if self.own and now - self.looked >= LOOK_S:
            self.looked = now
            if death := self._death():
                raise ClusterDied(death)
        patience_s = STUCK_S if self.own else SILENT_S
        if self.ready and now - self.heard > patience_s:
            raise ClusterDied(f"nothing was heard of it for {patience_s:.0f} s")
        # Elsewhere the trials of others may be in the way.
        idle = self.own and self.ready and self.left and not self.running and not self.over
        if idle and not self.stopping and now - self.moved > STUCK_S:
            raise ClusterDied(f"no trial has started for {STUCK_S:.0f} s")

    def _death(self) -> str:
        """Which vital process of a cluster of our own is gone, in words; empty for none.

        Judged by name: what a vital process starts bears its name too, until it becomes another
        program, and may be what was seen first.
        """
        if not self.own:
            return ""
        alive = {name: pid for pid, name in alive_in(self.process.pid).items() if name in VITAL}
        for name, what in VITAL.items():
            if name in alive:
                self.vital.setdefault(name, alive[name])
            elif name in self.vital:
                return f"{what}, process {self.vital[name]}, is gone"
            elif name == "raylet" and self.ready:  # before anyone looked
                return f"{what} is gone"
        return ""


def _short_folder() -> str:
    """A temporary folder in which the sockets of Ray have paths that a system takes.

    Raises:
        StorageError: there is none.
    """
    own, most = tempfile.gettempdir(), SOCKET_PATH - SOCKET_NAME
    for folder in (own, *OTHERS):
        if len(os.fsencode(folder)) <= most and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise StorageError(
        errno.ENAMETOOLONG,
        f"{own} (TMPDIR) is too long for Ray's sockets: {len(os.fsencode(own))} bytes, {most} at "
        f"most, and {' and '.join(OTHERS)} cannot be written. Set TMPDIR to a shorter folder, or "
        "use --executor serial",
    )


def _no_start(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"Ray could not be started: {where}{error.strerror or error}. It needs room in the "
        f"results folder and in {tempfile.gettempdir()} (TMPDIR). Finished records are safe; "
        "make room and run the same command again, or use --executor serial"
    )


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of Ray's processes, from that of this one.

    It keeps others on this machine out of the cluster, unless the user has chosen otherwise.
    Ray asks for a token on every new cluster of one machine. Without one of ours it would use
    the user's, ``~/.ray/auth_token``, and make that file where there is none.
    """
    settings = QUIET if ours.get("RAY_ADDRESS") else QUIET | LOOPBACK | PATIENT
    theirs = settings | dict(ours)
    home = Path(__file__).resolve().parents[3]  # where workers find this package
    if home.name not in ("site-packages", "dist-packages"):
        theirs["PYTHONPATH"] = os.pathsep.join(filter(None, (str(home), ours.get("PYTHONPATH"))))
    if not ours.get("RAY_ADDRESS") and not any(name.startswith("RAY_AUTH_") for name in ours):
        theirs["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return theirs


def _remove_left_folders() -> None:
    """Remove what drivers that were killed left in the temporary folder."""
    places = dict.fromkeys((tempfile.gettempdir(), *OTHERS))
    for folder in (found for place in places for found in Path(place).glob(f"{SCRATCH}*-*")):
        owner = folder.name.removeprefix(SCRATCH).split("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # someone else's


def alive_in(session: int) -> dict[int, str]:
    """Id -> name of the processes of a session that run; zombies do not.

    A session outlives process groups (Ray gives each worker one of its own) and parents (Ray's
    agents are left to init when their node dies): nothing that a cluster started is out of reach.
    """
    found = {}
    for pid in _every_process():
        with contextlib.suppress(OSError):  # it has gone
            if os.getsid(pid) == session:
                state, name = _state_and_name(pid)
                if state[:1] not in ("Z", "X"):
                    found[pid] = name
    return found


def kill_session(session: int, patience_s: float = 3.0) -> bool:
    """Kill every process of a session but this one; False where some are left in the end."""
    deadline = time.monotonic() + patience_s
    while left := [pid for pid in alive_in(session) if pid != os.getpid()]:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _every_process() -> list[int]:
    if (PROC / "self" / "stat").exists():
        return [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]
    return [int(line) for line in _ps("-axo", "pid=").splitlines()]


def _state_and_name(pid: int) -> tuple[str, str]:
    """Of a process; ``OSError`` where it has gone."""
    if (PROC / "self" / "stat").exists():
        head, _, tail = (PROC / str(pid) / "stat").read_text().rpartition(")")
        return tail.split()[0], head.partition("(")[2]
    if not (line := _ps("-o", "stat=,comm=", "-p", str(pid)).strip()):
        raise ProcessLookupError(pid)
    state, _, name = line.partition(" ")
    return state, Path(name.strip()).name


def _ps(*words: str) -> str:
    """Output of ``ps``, where there is no ``/proc`` (macOS)."""
    return subprocess.run(["ps", *words], capture_output=True, text=True, check=False).stdout
