"""What a job needs of other trials: the weights of its parents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.identity import Job
from scaling.records.names import FINISHED
from scaling.workspace import Workspace
from sweeps.stages import STAGES

if TYPE_CHECKING:
    from sweeps.plan.plan import Plan, PlannedStage
    from sweeps.store.store import Known, Store


def needed_parents(job: Job, trained: bool) -> list[str]:
    """Ids of the parents whose weights a job reads.

    Args:
        job: what is missing of a trial.
        trained: whether its training is finished. Then only what its stage measures with is read,
            and only by the held-out loss.
    """
    training = job.training
    if not trained:
        return list(training.parent_ids)
    if not any(evaluation.protocol == "held-out" for evaluation in job.evaluations):
        return []
    roles = STAGES[training.stage].measured_with
    return [parent.id for parent in training.parents if parent.role in roles]


def why_not(
    stage: PlannedStage, job: Job, known: Mapping[str, Known], workspace: Workspace
) -> str | None:
    """Why a job cannot start although its stage is due; None when it can."""
    if stage.waiting:
        return "the best of the trials it starts from is not known: some of them are not finished"
    weights_kept = not job.training.corpus.source.startswith("simulated/")
    old = known.get(job.training.id)
    for parent in needed_parents(job, old is not None and old.status in FINISHED):
        found = known.get(parent)
        if found is None and not parent.startswith("x"):
            return f"its parent {parent} has no record"
        if found is not None and found.status in ("failed", "diverged"):
            return f"its parent {parent} {found.status}"
        if weights_kept and not workspace.weights_of(parent).exists():
            return f"the weights of its parent {parent} are gone"
    return None


def lost_weights(plan: Plan, store: Store, workspace: Workspace) -> list[Path]:
    """Records of finished trainings whose weights a planned job needs and that are gone."""
    lost: dict[Path, None] = {}
    for planned in plan.missing:
        job = planned.todo
        if job is None or planned.status == "waiting":
            continue
        if job.training.corpus.source.startswith("simulated/"):
            continue
        trained = planned.status == "measure" or _is_finished(job.training.id, store)
        names = needed_parents(job, trained)
        if trained and store.known[job.training.id].status != "diverged":
            names.append(job.training.id)
        for name in names:
            if _is_finished(name, store) and not _weights_are_there(name, job, workspace):
                lost[store.live.records / f"{name}.json"] = None
    return list(lost)


def _is_finished(name: str, store: Store) -> bool:
    return name in store.known and store.known[name].status in FINISHED


def _weights_are_there(name: str, job: Job, workspace: Workspace) -> bool:
    """The best weights, and those of every step where the job measures a trajectory."""
    along = any(evaluation.checkpoint == "trajectory" for evaluation in job.evaluations)
    if name == job.training.id and along and not workspace.trajectory(name):
        return False
    return workspace.weights_of(name).exists()
