"""Where trials run: in this process, or on Ray. Both pass the same battery of tests."""

from __future__ import annotations

import os

from sweeps.executors.base import Executor, JobEvent

NAMES = ("tune", "serial")

# Ray reads these when it is imported. Its loggers, tables and experiment snapshots would
# repeat what records and the progress line say, at a cost for every trial.
QUIET = {
    "AIR_VERBOSITY": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed",  # we say so ourselves
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


def make_executor(name: str, workers: int) -> Executor:
    """Build an executor; nothing is started yet.

    Args:
        name: one of ``NAMES``.
        workers: jobs that run at once (``serial`` runs one).
    """
    if name == "serial":
        from sweeps.executors.serial import SerialExecutor

        return SerialExecutor()
    settings = QUIET if os.environ.get("RAY_ADDRESS") else QUIET | LOOPBACK
    for variable, value in settings.items():
        os.environ.setdefault(variable, value)
    from sweeps.executors.tune import TuneExecutor

    return TuneExecutor(workers)


__all__ = ["NAMES", "Executor", "JobEvent", "make_executor"]
