"""Run what a plan has left: prepare corpora, place jobs, keep records, say how it went.

A trial starts when the weights of its parents are there.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from scaling.corpora.errors import CorpusError
from scaling.identity import RESTORATION, Job
from scaling.provenance import failed_training
from scaling.records.names import LOST, OF_THE_HEAD, TRAJECTORY
from scaling.records.record import status_of
from scaling.workspace import Workspace
from sweeps.drive.executors.base import Executor, JobEvent
from sweeps.drive.progress import Progress
from sweeps.errors import ConfigurationError, StorageError
from sweeps.plan.corpora import CorpusTask, StudyCorpora
from sweeps.plan.plan import Plan, PlannedStage, describe_training, independent
from sweeps.stages import STAGES
from sweeps.store import Known, Record, Store, is_finished


class WorkerDied(RuntimeError):  # noqa: N818 - it names what happened
    """A worker process died each time it was started on a job."""


@dataclasses.dataclass(slots=True)
class RunOutcome:
    """How a run went: trainings that ran to an end, and a line for each job that did not."""

    trained: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)  # with where to read on
    not_started: list[str] = dataclasses.field(default_factory=list)  # parents are not there


def prepare_corpora(corpora: StudyCorpora, cache: Path, say: Callable[[str], None]) -> None:
    """Prepare each corpus that is not simulated and not there yet; folds share their signals.

    Raises:
        ConfigurationError: a source's files cannot be used.
        StorageError: a corpus could not be written.
    """
    for target in {t.spec.key: t for t in corpora.all()}.values():
        if target.spec.is_simulated:
            continue
        from scaling.corpora.prepare.prepare import prepare

        try:
            prepare(target.spec, cache, target.root, _preparing(target, say))
        except CorpusError as error:
            raise ConfigurationError(f"{target.spec.source}: {error}") from None
        except OSError as error:
            message = f"the corpus {target.spec.source} could not be written to {cache}: {error}"
            raise StorageError(error.errno, message) from None


def _preparing(target: CorpusTask, say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Say that a corpus is prepared, at most every ten seconds."""
    last: float | None = None

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if last is None or now - last > 10 or done == total:
            last = now
            then = ", joining and measuring" if done == total else ""
            say(f"preparing {target.spec.source}: {done}/{total} records{then}")

    return progress


def run_plan(
    plan: Plan,
    store: Store,
    executor: Executor,
    workspace: Workspace,
    *,
    workers: int,
    out: TextIO,
    replan: Callable[[], Plan] | None = None,
) -> RunOutcome:
    """Run the missing jobs of each stage, longest first, and keep their records.

    Stages that need nothing of each other run together, so that nobody waits for the last trial of
    one, nor for processes that each run of an executor starts anew.

    Args:
        plan: what is missing.
        store: where records are kept; held by this process.
        executor: runs the jobs of stages that run together.
        workspace: where workers find and leave things.
        workers: jobs that run at once, for the expected time.
        out: where progress is shown.
        replan: plans again from the records there are, before a stage that waits for earlier ones;
            without it such a stage is not started.

    Raises:
        StorageError: a record could not be written; the run stops there.
        ClusterError: Ray died more often than it is started again.
        KeyboardInterrupt: the run was interrupted; finished records are kept.
    """
    with Progress(_items(plan.stages), workers, out) as progress:
        driver = _Driver(store, progress)
        index = 0
        while index < len(plan.stages):
            if plan.stages[index].waiting and replan is not None:
                old = plan.stages[index:]
                plan = replan()
                progress.replace(_ids(old), _items(plan.stages[index:]))
            together = independent(plan.stages[index:])
            index += len(together)
            jobs = driver.startable(together, workspace)
            if jobs:
                executor.run(jobs, workspace, driver.on_event)
    return driver.outcome


def _items(stages: Sequence[PlannedStage]) -> list[tuple[str, float, float]]:
    """What progress shows of the missing trials: id, FLOPs, expected seconds."""
    missing = [p for stage in stages for p in stage.trials if p.todo is not None]
    return [(p.job.training.id, float(p.flops), p.seconds) for p in missing]


def _ids(stages: Sequence[PlannedStage]) -> set[str]:
    return {p.job.training.id for stage in stages for p in stage.trials}


def needed_parents(job: Job, trained: bool) -> list[str]:
    """Ids of the parents whose weights a job reads.

    Of a job that is ``trained`` only what its stage measures with: a codebook only where the head
    that it was trained with is measured, a restoration net in probes as well.
    """
    training = job.training
    if not trained:
        return list(training.parent_ids)
    roles = set(STAGES[training.stage].measured_with)
    if not any(evaluation.protocol in OF_THE_HEAD for evaluation in job.evaluations):
        roles &= {RESTORATION} if job.evaluations else set()
    return [parent.id for parent in training.parents if parent.role in roles]


def why_not(
    stage: PlannedStage, job: Job, known: Mapping[str, Known], workspace: Workspace
) -> str | None:
    """Why a job cannot start although its stage is due; None when it can."""
    if stage.waiting:
        return "the best of the trials it starts from is not known: some of them are not finished"
    weights_kept = not job.training.corpus.is_simulated
    for parent in needed_parents(job, is_finished(job.training.id, known)):
        found = known.get(parent)
        if found is None and not parent.startswith("x"):
            return f"its parent {parent} has no record"
        if found is not None and found.status in LOST:
            return f"its parent {parent} {found.status}"
        if weights_kept and not workspace.weights_of(parent).exists():
            return f"the weights of its parent {parent} are gone"
    return None


def check_weights(plan: Plan, store: Store, workspace: Workspace) -> None:
    """A trained model whose weights were deleted can be neither measured nor started from.

    Raises:
        ConfigurationError: names the records of all that a planned job needs.
    """
    lost: dict[Path, None] = {}
    for job in (planned.todo for planned in plan.missing if planned.status != "waiting"):
        if job is None or job.training.corpus.is_simulated:
            continue
        trained = is_finished(job.training.id, store.known)
        names = needed_parents(job, trained)
        if trained and store.known[job.training.id].status != "diverged":
            names.append(job.training.id)
        for name in names:
            if is_finished(name, store.known) and not _weights_are_there(name, job, workspace):
                lost[store.live.records / f"{name}.json"] = None
    if lost:
        names = [str(path) for path in lost]
        raise ConfigurationError(
            "weights that are needed for what is missing are gone. Delete these records to train "
            "the models again:\n  " + "\n  ".join(names)
        )


def _weights_are_there(name: str, job: Job, workspace: Workspace) -> bool:
    """The best weights, and those of every step where the job measures a trajectory."""
    along = any(evaluation.checkpoint == TRAJECTORY for evaluation in job.evaluations)
    if name == job.training.id and along and not workspace.trajectory(name):
        return False
    return workspace.weights_of(name).exists()


class _Driver:
    """Takes the events of an executor."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self.store = store
        self.progress = progress
        self.outcome = RunOutcome()

    def startable(self, stages: Sequence[PlannedStage], workspace: Workspace) -> list[Job]:
        """The missing jobs of stages that can start now, longest first; others are reported."""
        jobs = []
        trials = [(stage, planned) for stage in stages for planned in stage.trials]
        for stage, planned in sorted(trials, key=lambda pair: -pair[1].seconds):
            if (job := planned.todo) is None:
                continue
            reason = why_not(stage, job, self.store.known, workspace)
            if reason is None:
                jobs.append(job)
                continue
            trial = f"{job.training.id} ({describe_training(job.training)})"
            self.outcome.not_started.append(f"not started: trial {trial}: {reason}")
            self.progress.say(self.outcome.not_started[-1])
            self.progress.finished(job.training.id, failed=True)
        return jobs

    def on_event(self, event: JobEvent) -> None:
        name = event.job.training.id
        if event.kind == "started":
            self.progress.started(name)
        elif event.kind == "progress":
            self.progress.progress(name, event.share)
        elif event.kind == "retried":
            self.progress.say(f"trial {name}: {event.error}; it starts again")
        elif event.kind == "restarted":
            self.progress.say(event.error)
        elif event.kind == "storage":
            self.store.ingest_job(event.job, event.records)
            trial = describe_training(event.job.training)
            raise StorageError(
                f"trial {name} ({trial}) could not be written: {event.error}. Finished records "
                "are safe; make room and run the same command again"
            )
        else:
            self._ended(event)

    def _ended(self, event: JobEvent) -> None:
        from scaling.compatible import LOSE_SOME

        training = event.job.training
        records = list(event.records)
        if event.kind == "crashed" and not self._trained(event.job):
            records.append(failed_training(training, WorkerDied(event.error)))
        kept = self.store.ingest_job(event.job, records)
        bad = [record for record in kept if status_of(record) == "failed"]
        for record in bad:
            self._complain(event.job, record)
        for note in [note for record in kept for note in record.get("notes", ())]:
            if LOSE_SOME in note:  # said of each corpus before the first trial
                continue
            self.progress.say(f"trial {training.id} ({describe_training(training)}): {note}")
        there = is_finished(training.id, self.store.known)
        lost = event.kind == "finished" and not there and not bad
        if lost:  # a training that is over, in a file that is broken
            path = self.store.live.spool / f"{training.id}.json"
            self._complain_line(event.job, f"it left no record that can be read ({path})")
        if event.kind == "crashed" and not bad:
            self._complain_line(event.job, f"evaluating it: {event.error}")
        self.outcome.trained += any(
            record["kind"] == "training" and status_of(record) != "failed" for record in kept
        )
        self.progress.finished(training.id, failed=bool(bad) or lost or event.kind == "crashed")

    def _trained(self, job: Job) -> bool:
        """Whether the training was over before its worker died."""
        name = job.training.id
        known = self.store.known.get(name)
        return (self.store.live.spool / f"{name}.json").exists() or (
            known is not None and known.status != "failed"
        )

    def _complain(self, job: Job, record: Record) -> None:
        error = record["error"] or {}
        message = str(error.get("message") or "").strip().splitlines() or [""]
        path = self.store.live.records / f"{record['id']}.json"
        self._complain_line(job, f"{error.get('type')}: {message[0]} (traceback in {path})")

    def _complain_line(self, job: Job, reason: str) -> None:
        line = f"failed: trial {job.training.id} ({describe_training(job.training)}): {reason}"
        self.outcome.failures.append(line)
        self.progress.say(line)
