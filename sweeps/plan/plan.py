"""What a study will run: jobs that are missing, their FLOPs, minutes and disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.cost import Counts, records_per_step, taught_records, training_flops
from scaling.identity import TEACHER, Evaluation, Job, Training
from scaling.objectives.registry import default_objective
from scaling.provenance import commit
from sweeps.plan.cost import (
    Ladder,
    Speeds,
    disk_bytes,
    evaluations_s,
    restored_bytes,
    unprepared_bytes,
)
from sweeps.plan.expand import expand
from sweeps.plan.parents import Done
from sweeps.plan.warnings import find_warnings
from sweeps.stages import STAGES
from sweeps.stages.base import UNTRAINED
from sweeps.store import Known, is_finished

if TYPE_CHECKING:
    from sweeps.grid.load import Study
    from sweeps.plan.corpora import StudyCorpora


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One trial of the plan.

    It is ``new``, ``failed`` (it is run again), ``measure`` (only evaluations are missing),
    ``finished``, or ``waiting`` (it stands in for a trial whose parent is not known yet).
    """

    job: Job  # the training and all its evaluations
    todo: Job | None  # what is missing of it; None when nothing is
    status: str
    counts: Counts  # parameters, MACs and bytes
    flops: int  # C if it runs to its cap on steps; 0 when its training is finished
    teacher_flops: int  # of its teacher's forward passes until then
    seconds: float  # expected duration of what is missing
    calibrated: bool  # whether ``seconds`` comes from measured trials of this kind
    disk: int  # bytes that what is missing will leave


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """One stage of the plan."""

    name: str
    trials: tuple[Planned, ...]  # each in the first stage that lists it
    waiting: bool = False  # they stand in for trials that can be named when earlier stages end


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole study."""

    study: str
    stages: tuple[PlannedStage, ...]  # in the order of the grid
    warnings: tuple[str, ...]  # what looks wrong, one line each
    corpus_bytes: int  # disk that corpora not prepared yet, and restored signals, will take
    ladder: tuple[dict[str, Any], ...]  # rows of ``ladder.json``

    @property
    def trials(self) -> list[Planned]:
        """The trials of all stages, stand-ins included."""
        return [planned for stage in self.stages for planned in stage.trials]

    @property
    def missing(self) -> list[Planned]:
        """Trials of which something is left to run, stand-ins included."""
        return [planned for planned in self.trials if planned.todo is not None]

    @property
    def together(self) -> list[Sequence[PlannedStage]]:
        """Its stages as they run: those that need nothing of each other at once."""
        found: list[Sequence[PlannedStage]] = []
        while (done := sum(map(len, found))) < len(self.stages):
            found.append(independent(self.stages[done:]))
        return found

    @property
    def jobs(self) -> list[Job]:
        """The training of each trial and all its evaluations, stand-ins included."""
        return [planned.job for planned in self.trials]


def independent(stages: Sequence[PlannedStage]) -> Sequence[PlannedStage]:
    """The first of some stages, and those after it that wait for no trial of it or each other."""
    running: set[str] = set()
    for i, stage in enumerate(stages):
        missing = [planned.todo.training for planned in stage.trials if planned.todo is not None]
        needed = {parent for training in missing for parent in training.parent_ids}
        if i and (stage.waiting or needed & running):
            return stages[:i]
        running |= {training.id for training in missing}
    return stages


def make_plan(
    study: Study, corpora: StudyCorpora, known: Mapping[str, Known], cache: Path, speeds: Speeds
) -> Plan:
    """Compare what a study asks for with the records there are; ladders are counted in ``cache``.

    Raises:
        ConfigurationError: a stage that has nothing to start from, or models that cannot read
            their corpora.
    """
    ladder = Ladder(cache)
    labels = {target.name: len(target.summary.classes) for target in corpora.all()}
    stages, repeated = _unique(expand(study, corpora, known))
    speeds.know(job.training for stage in stages for job in stage.jobs)
    planned, macs = [], dict[str, int]()
    for stage in stages:
        trials = []
        for job in stage.jobs:
            target = corpora.of(job.training.corpus, job.training.task)
            counts = ladder.counts(job.training, labels[target.name])
            macs[job.training.id] = counts.macs
            taught = sum(macs[name] for name in job.training.parents_of_role(TEACHER))
            trials.append(_planned(job, known, counts, taught, speeds, corpora, stage.waiting))
        planned.append(PlannedStage(name=stage.name, trials=tuple(trials), waiting=stage.waiting))
    ladder.save()
    everything = [trial.job.training for stage in planned for trial in stage.trials]
    sizes = [[trial.counts.N for trial in stage.trials] for stage in planned]
    warnings = find_warnings(list(zip(stages, sizes, strict=True)), repeated)
    warnings += [
        f"{t.spec.source}: the files of {t.summary.absent} listed records are not there; "
        "the study uses those that are"
        for t in {target.spec.source: target for target in corpora.all()}.values()
        if t.summary.absent
    ]
    return Plan(
        study=study.name,
        stages=tuple(planned),
        warnings=tuple(warnings),
        corpus_bytes=unprepared_bytes(corpora, cache) + restored_bytes(everything, corpora, known),
        ladder=tuple(_ladder_rows(planned, labels, corpora, speeds)),
    )


def _unique(stages: list[Done]) -> tuple[list[Done], int]:
    """Merge trials that the grid lists twice; also how many were."""
    first: dict[str, Job] = {}
    home: dict[str, int] = {}
    total = 0
    for i, stage in enumerate(stages):
        for job in stage.jobs:
            total += 1
            name = job.training.id
            home.setdefault(name, i)
            old = first.get(name, job)
            evaluations = {e.id: e for e in (*old.evaluations, *job.evaluations)}
            first[name] = Job(training=job.training, evaluations=tuple(evaluations.values()))
    merged = [
        dataclasses.replace(stage, jobs=tuple(job for key, job in first.items() if home[key] == i))
        for i, stage in enumerate(stages)
    ]
    return merged, total - len(first)


def _planned(
    job: Job,
    known: Mapping[str, Known],
    counts: Counts,
    teacher_macs: int,
    speeds: Speeds,
    corpora: StudyCorpora,
    waiting: bool,
) -> Planned:
    training = job.training
    finished = not waiting and is_finished(training.id, known)
    missing = [e for e in job.evaluations if waiting or not is_finished(e.id, known)]
    flops = teacher_flops = 0
    seconds = evaluations_s(missing, training, counts, corpora)
    if not finished and training.objective != UNTRAINED:
        recipe = training.recipe
        flops = training_flops(counts.macs, records_per_step(training), recipe.max_steps)
        teacher_flops = 2 * teacher_macs * taught_records(training, recipe.max_steps)
        seconds += speeds.expected_s(training, counts.macs, teacher_flops)
    todo = Job(training=training, evaluations=tuple(missing))
    return Planned(
        job=job,
        todo=None if finished and not missing else todo,
        status="waiting" if waiting else _status(job, missing, known),
        counts=counts,
        flops=flops,
        teacher_flops=teacher_flops,
        seconds=seconds,
        calibrated=speeds.step_s(training) is not None,
        disk=disk_bytes(training, missing, counts, corpora, trained=finished),
    )


def _status(job: Job, missing: Sequence[Evaluation], known: Mapping[str, Known]) -> str:
    finished = is_finished(job.training.id, known)
    if (job.training.id in known and not finished) or any(e.id in known for e in missing):
        return "failed"
    if finished:
        return "measure" if missing else "finished"
    return "new"


def _ladder_rows(
    stages: Iterable[PlannedStage], labels: Mapping[str, int], corpora: StudyCorpora, speeds: Speeds
) -> list[dict[str, Any]]:
    """One row for each size and objective."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for planned in (planned for stage in stages for planned in stage.trials):
        training, counts = planned.job.training, planned.counts
        row = {
            "family": training.family,
            "size": training.size,
            "objective": training.objective,
            "N": counts.N,
            "params": counts.params,
            "macs": counts.macs,
            "macs_full": counts.macs_full,
            "bytes": counts.bytes,
            "s_per_step": speeds.step_s(training),
            "batch": training.recipe.batch,
            "leads": len(training.leads),
            "samples": training.corpus.samples,
            "num_labels": labels[corpora.of(training.corpus, training.task).name],
        }
        rows.setdefault((training.family, training.size, training.objective), row)
    return sorted(rows.values(), key=lambda row: (row["family"], row["objective"], row["N"]))


def study_json(plan: Plan, grid: dict[str, Any]) -> dict[str, Any]:
    """The content of ``study.json``: the resolved grid, the ids of the plan, the commit."""
    sha, dirty = commit()
    stages = []
    for stage in plan.stages:
        jobs = [] if stage.waiting else [planned.job for planned in stage.trials]
        stages.append(
            {
                "stage": stage.name,
                "trials": [job.training.id for job in jobs],
                "evaluations": [e.id for job in jobs for e in job.evaluations],
            }
        )
    return {
        "study": plan.study,
        "schema": 1,
        "grid": grid,
        "stages": stages,
        "commit": sha,
        "dirty": dirty,
    }


def describe_training(training: Training) -> str:
    """A trial in a few words, for messages."""
    stage = "" if STAGES[training.stage].for_laws else f"{training.stage} "
    kind = f" {training.paradigm}" * (training.paradigm != "sl")
    usual = default_objective(training.paradigm, training.family)
    method = f" {training.objective}" * (training.objective != usual)
    leads = f" {'+'.join(training.input_leads)}" * bool(training.input_leads)
    labels = f" labels={training.labels_fraction:g}" * (training.labels_fraction < 1.0)
    fold = f" fold={training.corpus.fold}" * (training.corpus.fold > 0)
    model = f"{training.family}/{training.size}"
    return (
        f"{stage}{model}{kind}{method}{leads} D={training.data}{labels}{fold} seed={training.seed}"
    )
