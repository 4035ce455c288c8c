"""What a study will run: jobs that are missing, their FLOPs, minutes and disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.cost import Counts, training_flops
from scaling.identity import Evaluation, Job, Training
from scaling.provenance import commit, corpus_name
from scaling.record import FINISHED
from sweeps.expand import expand
from sweeps.ladder import GUESSED_FLOPS_PER_S, Ladder, Speeds
from sweeps.plan_warnings import find_warnings

if TYPE_CHECKING:
    from sweeps.grid import Study
    from sweeps.resolve import Target, Targets
    from sweeps.store import Known

ROW_BYTES = 250  # one row of a curve or of values, as JSON
RECORD_BYTES = 4000  # the rest of a record
EVALUATION_S = 1.0  # opening a corpus, and what else does not grow with the model


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One trial of the plan.

    Attributes:
        job: the training and all its evaluations.
        todo: what is missing of it; None when nothing is.
        status: ``new``, ``failed`` (it is run again), ``measure`` (only evaluations are
            missing) or ``finished``.
        counts: parameters, MACs and bytes.
        flops: C if it runs to its cap on steps; 0 when its training is finished.
        seconds: expected duration of what is missing.
        calibrated: whether ``seconds`` comes from measured trials of this kind.
        disk: bytes that what is missing will leave.
    """

    job: Job
    todo: Job | None
    status: str
    counts: Counts
    flops: int
    seconds: float
    calibrated: bool
    disk: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole study.

    Attributes:
        study: its name.
        stages: (stage name, its trials).
        warnings: what looks wrong, one line each.
        corpus_bytes: disk that corpora not prepared yet will take.
        ladder: rows of ``ladder.json``.
    """

    study: str
    stages: tuple[tuple[str, tuple[Planned, ...]], ...]
    warnings: tuple[str, ...]
    corpus_bytes: int
    ladder: tuple[dict[str, Any], ...]

    @property
    def trials(self) -> list[Planned]:
        """The trials of all stages."""
        return [planned for _, trials in self.stages for planned in trials]

    @property
    def missing(self) -> list[Planned]:
        """Trials of which something is left to run."""
        return [planned for planned in self.trials if planned.todo is not None]

    def ids(self) -> set[str]:
        """Ids of every training and evaluation of the plan."""
        jobs = [planned.job for planned in self.trials]
        return {j.training.id for j in jobs} | {e.id for j in jobs for e in j.evaluations}


def make_plan(
    study: Study, targets: Targets, known: Mapping[str, Known], cache: Path, speeds: Speeds
) -> Plan:
    """Compare what a study asks for with the records there are.

    Args:
        study: a checked grid.
        targets: its corpora.
        known: records on disk by id.
        cache: folder of the caches; counted ladders are kept there.
        speeds: measured seconds per step.
    """
    ladder = Ladder(cache)
    labels = len(targets.corpus.summary.classes)
    stages, repeated = _unique(expand(study, targets))
    planned = []
    for name, jobs in stages:
        trials = [
            _planned(job, known, ladder.counts(job.training, labels), speeds, targets)
            for job in jobs
        ]
        planned.append((name, tuple(trials)))
    ladder.save()
    trials = [p for _, group in planned for p in group]
    warnings = find_warnings([(p.job.training, p.counts.N) for p in trials], repeated)
    warnings += [
        f"{t.spec.source}: the files of {t.summary.absent} listed records are not there; "
        "the study uses those that are"
        for t in _by_corpus(targets.all())
        if t.summary.absent
    ]
    return Plan(
        study=study.name,
        stages=tuple(planned),
        warnings=tuple(warnings),
        corpus_bytes=sum(_unprepared_bytes(t, cache) for t in _by_corpus(targets.all())),
        ladder=tuple(_ladder_rows(trials, labels, speeds)),
    )


def _unique(stages: list[tuple[str, list[Job]]]) -> tuple[list[tuple[str, list[Job]]], int]:
    """Merge trials that the grid lists twice; also how many were."""
    first: dict[str, Job] = {}
    home: dict[str, int] = {}
    total = 0
    for i, (_, jobs) in enumerate(stages):
        for job in jobs:
            total += 1
            name = job.training.id
            home.setdefault(name, i)
            old = first.get(name, job)
            evaluations = {e.id: e for e in (*old.evaluations, *job.evaluations)}
            first[name] = Job(training=job.training, evaluations=tuple(evaluations.values()))
    merged = [
        (name, [job for key, job in first.items() if home[key] == i])
        for i, (name, _) in enumerate(stages)
    ]
    return merged, total - len(first)


def _planned(
    job: Job, known: Mapping[str, Known], counts: Counts, speeds: Speeds, targets: Targets
) -> Planned:
    training = job.training
    old = known.get(training.id)
    finished = old is not None and old.status in FINISHED
    missing = [e for e in job.evaluations if not _finished(e.id, known)]
    failed = [old is not None and not finished, *(e.id in known for e in missing)]
    status = "new"
    if finished:
        status = "measure" if missing else "finished"
    if any(failed):
        status = "failed"
    flops = 0
    seconds = sum(_evaluation_s(e, counts, targets) for e in missing)
    disk = len(missing) * (RECORD_BYTES + 4 * ROW_BYTES)
    if not finished:
        recipe = training.recipe
        flops = training_flops(counts.macs, recipe.batch, recipe.max_steps)
        seconds += speeds.expected_s(training, counts.macs)
        rows = 2 * (recipe.max_steps // recipe.eval_every)
        disk += counts.bytes + RECORD_BYTES + rows * ROW_BYTES
    todo = Job(training=training, evaluations=tuple(missing))
    return Planned(
        job=job,
        todo=None if finished and not missing else todo,
        status=status,
        counts=counts,
        flops=flops,
        seconds=seconds,
        calibrated=speeds.step_s(training) is not None,
        disk=disk,
    )


def _finished(record_id: str, known: Mapping[str, Known]) -> bool:
    return record_id in known and known[record_id].status in FINISHED


def _evaluation_s(evaluation: Evaluation, counts: Counts, targets: Targets) -> float:
    if evaluation.corpus.source.startswith("simulated/"):
        return 0.0
    name = corpus_name(evaluation.corpus.source, evaluation.task)
    summary = next(t.summary for t in targets.all() if t.name == name)
    records = summary.validation + summary.test
    if evaluation.protocol == "linear-probe":
        records += summary.train
    return EVALUATION_S + 2 * counts.macs * records / GUESSED_FLOPS_PER_S["float32"]


def _by_corpus(targets: Iterable[Target]) -> list[Target]:
    return list({target.spec.key: target for target in targets}.values())


def _unprepared_bytes(target: Target, cache: Path) -> int:
    if target.spec.source.startswith("simulated/") or any(
        (cache / "corpora").glob(f"*-{target.spec.key}")
    ):
        return 0
    summary = target.summary
    records = summary.train + summary.validation + summary.test
    return records * 12 * target.spec.samples * 2


def _ladder_rows(trials: list[Planned], labels: int, speeds: Speeds) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for planned in trials:
        training, counts = planned.job.training, planned.counts
        row = {
            "family": training.family,
            "size": training.size,
            "N": counts.N,
            "params": counts.params,
            "macs": counts.macs,
            "bytes": counts.bytes,
            "s_per_step": speeds.step_s(training),
            "batch": training.recipe.batch,
            "leads": len(training.leads),
            "samples": training.corpus.samples,
            "num_labels": labels,
        }
        rows.setdefault((training.family, training.size), row)
    return sorted(rows.values(), key=lambda row: (row["family"], row["N"]))


def study_json(plan: Plan, grid: dict[str, Any]) -> dict[str, Any]:
    """The content of ``study.json``: the resolved grid, the ids of the plan, the commit."""
    sha, dirty = commit()
    stages = [
        {
            "stage": name,
            "trials": [p.job.training.id for p in trials],
            "evaluations": [e.id for p in trials for e in p.job.evaluations],
        }
        for name, trials in plan.stages
    ]
    return {
        "study": plan.study,
        "schema": 1,
        "grid": grid,
        "stages": stages,
        "commit": sha,
        "dirty": dirty,
    }


def longest_first(trials: Iterable[Planned]) -> list[Planned]:
    """The order to start trials in: the longest must not start last."""
    return sorted(trials, key=lambda planned: -planned.seconds)


def describe_training(training: Training) -> str:
    """A trial in a few words, for messages."""
    return f"{training.family}/{training.size} D={training.data} seed={training.seed}"
