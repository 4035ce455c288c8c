"""Ray Tune places jobs on processes and starts them again when a process dies.

That is all it does here: plans, ids, records and progress are ours, so trials are a job as
JSON, and what Tune keeps is thrown away at the end. Actors are reused, which leaves about
10 ms of overhead a trial. The only file that imports ray; it runs in a process of its own,
which ``cluster.py`` starts and watches.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import tune

from scaling.identity import Job
from scaling.workspace import Workspace
from sweeps.drive.executors.base import run_to_event
from sweeps.drive.executors.cluster import kill_session

RETRIES = 2  # of a job whose worker process died
OBJECT_STORE_BYTES = 100 * 2**20  # records are small
ALIVE_S = 5.0  # between signs of life
ASK_S = 0.2  # between a trial's looks whether it is to stop
SHARE_S = 1.0  # between signs of how far a trial has come
SHARE = ".share"  # suffix of the file in which a trial says so


class _JobTrainable(tune.Trainable):  # type: ignore[misc]
    """One process; runs the job of its config in its only step, then takes the next config."""

    def setup(self, config: dict[str, str]) -> None:
        self._config = config

    def reset_config(self, new_config: dict[str, str]) -> bool:
        self._config = new_config
        return True

    def step(self) -> dict[str, Any]:
        job = Job.from_dict(json.loads(self._config["job"])["job"])
        given = json.loads(self._config["workspace"])
        paths = {"store": Path(given["store"]), "cache": Path(given["cache"])}
        roots = tuple((source, folder) for source, folder in given["roots"])
        workspace = Workspace(**given | paths | {"roots": roots})
        report = _reporter(Path(self._config["scratch"]), job.training.id)
        try:
            event = run_to_event(job, workspace, report)
        except KeyboardInterrupt:  # its checkpoint is written
            return {"done": True, "event": "interrupted", "records": "[]", "error": ""}
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


def _reporter(scratch: Path, name: str) -> Callable[[float], None]:
    """Says in a file how far a trial has come, and ends it at a step when it is to stop.

    It is when there is a file ``stop``, or the folder is gone with the driver. Both are asked
    seldom, since they may be far away.

    Args:
        scratch: the folder that the driver shares with its trials.
        name: id of the trial.
    """
    asked = said = -ASK_S

    def report(share: float) -> None:
        nonlocal asked, said
        now = time.monotonic()
        if now - asked < ASK_S:
            return
        asked = now
        if (scratch / "stop").exists() or not scratch.exists():
            raise KeyboardInterrupt
        if now - said >= SHARE_S:
            said = now
            with contextlib.suppress(OSError):  # nobody's work depends on it
                (scratch / f"{name}{SHARE}").write_text(f"{share:.4f}")

    return report


class _Driver:
    """The other end: what it asks for, and what it is told."""

    def __init__(self, output: int, task: Path) -> None:
        os.set_inheritable(output, False)
        self.output = output
        self.task: dict[str, Any] = json.loads(task.read_bytes())
        # Ray's processes must not read what is for this one.
        self.input = os.fdopen(os.dup(0), "rb")
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        self.lock = threading.Lock()
        self.stopped, self.closed = threading.Event(), threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.input:
            (self.closed if line == b"close\n" else self.stopped).set()
        # The driver is dead: nobody else can end what was started here.
        kill_session(os.getsid(0))
        shutil.rmtree(self.task["temporary"], ignore_errors=True)
        scratch = Path(self.task["scratch"])
        shutil.rmtree(scratch, ignore_errors=True)
        with contextlib.suppress(OSError):  # another driver is at work
            scratch.parent.rmdir()
        os._exit(1)

    def tell(self, kind: str, **values: Any) -> None:
        line = memoryview(json.dumps({"kind": kind, **values}).encode() + b"\n")
        with self.lock:
            while line:
                line = line[os.write(self.output, line) :]

    def tell_of_life(self) -> None:
        """Now and then, for as long as the cluster answers."""
        while not self.closed.wait(ALIVE_S):
            try:
                alive = any(node["Alive"] for node in ray.nodes())
            except Exception:  # it may answer the next time
                traceback.print_exc()
                continue
            if alive:
                self.tell("alive")

    def tell_of_progress(self) -> None:
        """Pass on what trials say of how far they have come."""
        told: dict[str, str] = {}
        while not self.closed.wait(SHARE_S):
            for path in Path(self.task["scratch"]).glob(f"*{SHARE}"):
                with contextlib.suppress(OSError, ValueError):  # it is written just now
                    said = path.read_text()
                    if said != told.get(path.stem):
                        self.tell("progress", id=path.stem, share=float(said))
                        told[path.stem] = said


class _Relay(tune.Callback):  # type: ignore[misc]
    """Passes what happens in Tune to the driver."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver
        self._running: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks to restore an experiment, which we never do."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._driver.stopped.is_set() and not self._running:
            raise KeyboardInterrupt

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.add(trial.trial_id)
        if not self._driver.stopped.is_set():
            self._driver.tell("started", id=_id(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._running.discard(trial.trial_id)
        if result["event"] == "interrupted":
            return
        records, error = json.loads(result["records"]), result["error"]
        self._driver.tell(result["event"], id=_id(trial), records=records, error=error)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        self._driver.tell("retried", id=_id(trial), error="its worker process died")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        error = f"its worker process died {RETRIES + 1} times (out of memory?)"
        self._driver.tell("died", id=_id(trial), error=error)


def main(output: int, task: str) -> None:
    """Run the task of a file and say how it goes on ``output``; orders come on the input."""
    driver = _Driver(output, Path(task))
    error = ""
    try:
        _start(driver)
        driver.tell("ready")
        for telling in (driver.tell_of_life, driver.tell_of_progress):
            threading.Thread(target=telling, daemon=True).start()
        _fit(driver)
    except KeyboardInterrupt:
        pass
    except Exception as failure:
        traceback.print_exc()
        last = str(failure).strip().splitlines() or [""]
        error = f"{type(failure).__name__}: {last[0]}"
    driver.tell("over", error=error)
    driver.closed.wait()
    ray.shutdown()


def _start(driver: _Driver) -> None:
    """A Ray cluster on this machine, or a connection to that of ``RAY_ADDRESS``."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not driver.task["own"]:
        ray.init(address=os.environ["RAY_ADDRESS"], **quiet)
        return
    ray.init(
        num_cpus=driver.task["workers"],
        include_dashboard=False,
        _temp_dir=driver.task["temporary"],
        object_store_memory=OBJECT_STORE_BYTES,
        **quiet,
    )


def _fit(driver: _Driver) -> None:
    task = driver.task
    gpus = ray.cluster_resources().get("GPU", 0)
    resources = {"cpu": 1, "gpu": min(1, gpus / task["workers"])} if gpus else {"cpu": 1}
    space = {
        "job": tune.grid_search([json.dumps(job) for job in task["jobs"]]),
        "workspace": json.dumps(task["workspace"]),
        "scratch": task["scratch"],
    }
    tuner = tune.Tuner(
        tune.with_resources(_JobTrainable, resources),
        param_space=space,
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=task["workers"],
            trial_dirname_creator=_trial_name,
            trial_name_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="stage",
            storage_path=task["scratch"],
            verbose=0,
            callbacks=[_Relay(driver)],
            failure_config=tune.FailureConfig(max_failures=RETRIES),
        ),
    )
    tuner.fit()


def _trial_name(trial: Any) -> str:
    return str(trial.trial_id)


def _id(trial: Any) -> str:
    return str(json.loads(trial.config["job"])["id"])
