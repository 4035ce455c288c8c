"""Ray Tune places jobs on processes and starts them again when a process dies.

That is all it does here: plans, ids, records and progress are ours, so trials are a job as
JSON, and what Tune keeps is thrown away at the end. Actors are reused, which leaves about
10 ms of overhead a trial. The only file that imports ray.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune

from scaling.identity import Job
from scaling.trial import Workspace
from sweeps.executors.base import JobEvent, OnEvent, run_to_event

RETRIES = 2  # of a job whose worker process died
SCRATCH = "ecg-ray-"
OBJECT_STORE_BYTES = 100 * 2**20  # records are small
TOKEN = secrets.token_hex(32)  # one a process: Ray keeps the first it has read


class _JobTrainable(tune.Trainable):  # type: ignore[misc]
    """One process; runs the job of its config in its only step, then takes the next config."""

    def setup(self, config: dict[str, str]) -> None:
        self._config = config

    def reset_config(self, new_config: dict[str, str]) -> bool:
        self._config = new_config
        return True

    def step(self) -> dict[str, Any]:
        job = Job.from_dict(json.loads(self._config["job"]))
        workspace = _workspace_from(json.loads(self._config["workspace"]))
        event = run_to_event(job, workspace, lambda share: None)
        return {
            "done": True,
            "event": event.kind,
            "records": json.dumps(event.records),
            "error": event.error,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to save: a training that is started again goes on from its own checkpoint."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load."""


class _Relay(tune.Callback):  # type: ignore[misc]
    """Passes what happens in Tune to the driver as job events."""

    def __init__(self, on_event: OnEvent, interrupted: threading.Event) -> None:
        self._on_event = on_event
        self._interrupted = interrupted

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks to restore an experiment, which we never do."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._send(JobEvent(kind="started", job=_job(trial)))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        records = tuple(json.loads(result["records"]))
        kind, error = result["event"], result["error"]
        self._send(JobEvent(kind=kind, job=_job(trial), records=records, error=error))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._send(JobEvent(kind="retried", job=_job(trial), error="its worker process died"))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = f"its worker process died {RETRIES + 1} times (out of memory?)"
        self._send(JobEvent(kind="crashed", job=_job(trial), error=error))

    def _send(self, event: JobEvent) -> None:
        try:
            self._on_event(event)
        except Exception as error:
            raise _Stopped(error) from error


class _Stopped(BaseException):
    """Carries an exception of the driver through Tune, which would swallow it."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class TuneExecutor:
    """Runs jobs on a Ray cluster: its own on this machine, or the one of ``RAY_ADDRESS``.

    Args:
        workers: jobs that run at once.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, jobs: Sequence[Job], workspace: Workspace, on_event: OnEvent) -> None:
        """Run ``jobs``; see ``Executor``."""
        scratch = workspace.store / "ray"
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            with _cluster(self.workers), _interrupts() as interrupted:
                self._fit(jobs, workspace, scratch, _Relay(on_event, interrupted))
        except _Stopped as stopped:
            raise stopped.cause from None
        finally:  # when the cluster is down: until then its workers may write there
            shutil.rmtree(scratch, ignore_errors=True)

    def _fit(self, jobs: Sequence[Job], workspace: Workspace, scratch: Path, relay: _Relay) -> None:
        gpus = ray.cluster_resources().get("GPU", 0)
        resources = {"cpu": 1, "gpu": min(1, gpus / self.workers)} if gpus else {"cpu": 1}
        space = {
            "job": tune.grid_search([json.dumps(job.to_dict()) for job in jobs]),
            "workspace": json.dumps(_workspace_dict(workspace)),
        }
        tuner = tune.Tuner(
            tune.with_resources(_JobTrainable, resources),
            param_space=space,
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                max_concurrent_trials=self.workers,
                trial_dirname_creator=_trial_name,
                trial_name_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name="stage",
                storage_path=str(scratch.resolve()),
                verbose=0,
                callbacks=[relay],
                failure_config=tune.FailureConfig(max_failures=RETRIES),
            ),
        )
        tuner.fit()


def _trial_name(trial: Any) -> str:
    return str(trial.trial_id)


def _job(trial: Any) -> Job:
    return Job.from_dict(json.loads(trial.config["job"]))


def _workspace_dict(workspace: Workspace) -> dict[str, Any]:
    return {
        "store": str(workspace.store.resolve()),
        "cache": str(workspace.cache.resolve()),
        "roots": [list(pair) for pair in workspace.roots],
        "threads": workspace.threads,
        "checkpoint_s": workspace.checkpoint_s,
    }


def _workspace_from(value: dict[str, Any]) -> Workspace:
    return Workspace(
        store=Path(value["store"]),
        cache=Path(value["cache"]),
        roots=tuple((name, path) for name, path in value["roots"]),
        threads=value["threads"],
        checkpoint_s=value["checkpoint_s"],
    )


@contextlib.contextmanager
def _cluster(workers: int) -> Iterator[None]:
    """A Ray cluster on this machine, or a connection to that of ``RAY_ADDRESS``."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    address = os.environ.get("RAY_ADDRESS")
    _remove_left_folders()
    # Sockets live in this folder and their paths must be short, so it is not in the store.
    temporary = tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-")
    local: dict[str, Any] = {
        "num_cpus": workers,
        "include_dashboard": False,
        "_temp_dir": temporary,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    with contextlib.nullcontext() if address else _own_token():
        try:
            ray.init(**({"address": address} if address else local), **quiet)
            yield
        finally:
            ray.shutdown()
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _own_token() -> Iterator[None]:
    """Keep others on this machine out of the cluster, unless the user has chosen otherwise.

    Ray asks for a token on every new cluster of one machine. Without one of ours it would use
    the user's, ``~/.ray/auth_token``, and make that file where there is none.
    """
    if any(name.startswith("RAY_AUTH_") for name in os.environ):
        yield
        return
    os.environ["RAY_AUTH_TOKEN"] = TOKEN
    try:
        yield
    finally:
        for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):  # Ray sets the second
            os.environ.pop(name, None)


def _remove_left_folders() -> None:
    """Remove what drivers that were killed left in the temporary folder."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*-*"):
        owner = folder.name.removeprefix(SCRATCH).split("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # someone else's


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """The first Ctrl-C asks Tune's loop to end; the second breaks off at once."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: types.FrameType | None) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
