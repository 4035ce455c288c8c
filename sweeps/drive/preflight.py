"""What must be there before a trial starts, and what the prepared corpora show before the first.

Weights of its parents; no leaks, no lost heartbeats, no class without a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.identity import Job
from scaling.records.names import FINISHED, HELD_OUT, LOST, TRAJECTORY
from scaling.workspace import Workspace
from sweeps.stages import STAGES

if TYPE_CHECKING:
    from sweeps.plan.corpora import CorpusTask, StudyCorpora
    from sweeps.plan.plan import Plan, PlannedStage
    from sweeps.store import Known, Store


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
    if not any(evaluation.protocol == HELD_OUT for evaluation in job.evaluations):
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
        if found is not None and found.status in LOST:
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
    along = any(evaluation.checkpoint == TRAJECTORY for evaluation in job.evaluations)
    if name == job.training.id and along and not workspace.trajectory(name):
        return False
    return workspace.weights_of(name).exists()


def corpus_warnings(plan: Plan, corpora: StudyCorpora, cache: Path) -> list[str]:
    """Everything below, one line each.

    Raises:
        scaling.corpora.errors.CorpusError: a corpus cannot be opened.
    """
    real = [t for t in corpora.all() if not t.spec.source.startswith("simulated/")]
    return [*leaks(corpora, cache), *lost_heartbeats(plan, cache), *empty_classes(real, cache)]


def leaks(corpora: StudyCorpora, cache: Path) -> list[str]:
    """What a task's test split has from a training split it is to be foreign to.

    Challenge 2021 contains PTB-XL, CPSC 2018 and CSN: a probe on one of these measures memory
    where the backbone has seen the record. One line for each corpus and task that share some.
    """
    from scaling.corpora.errors import CorpusError
    from scaling.corpora.format.corpus import Corpus
    from scaling.corpora.quality.overlap import check_no_leak
    from scaling.corpora.registry import corpus_folder

    # The same files under another preset have the same splits; virtual patients share none.
    pairs = {
        (trained.spec.key, task.spec.key): (trained.spec, task.spec)
        for cases in corpora.stages
        for trained in (case.corpus for case in cases)
        for task in corpora.all()
        if trained.spec.fingerprint and task.spec.fingerprint not in ("", trained.spec.fingerprint)
    }
    found = []
    for trained, task in pairs.values():
        ours, theirs = (Corpus.open(corpus_folder(spec, cache)) for spec in (trained, task))
        try:
            check_no_leak(ours, theirs)
        except CorpusError as error:
            found.append(f"{task.source} is no foreign task for {trained.source}: {error}")
    return found


def lost_heartbeats(plan: Plan, cache: Path) -> Iterator[str]:
    """Records with more heartbeats than the Transformers of the plan have slots."""
    from scaling.compatible import describe, heartbeats_lost, slots_of
    from scaling.corpora.format.corpus import Corpus
    from scaling.corpora.registry import corpus_folder

    read = {
        (spec, tokens)
        for job in (planned.job for planned in plan.trials)
        if (tokens := slots_of(job.training.family, job.training.size)) is not None
        for spec in (job.training.corpus, *(e.corpus for e in job.evaluations))
    }
    lines: dict[str, None] = {}
    for spec, tokens in sorted(read, key=lambda pair: (pair[0].source, pair[1])):
        corpus = Corpus.open(corpus_folder(spec, cache))
        if text := describe(heartbeats_lost(corpus, tokens), len(corpus), tokens):
            lines[f"{spec.source}: {text}"] = None
    yield from lines


def empty_classes(corpora: list[CorpusTask], cache: Path) -> Iterator[str]:
    """Classes without a positive record in a split: nothing can be learned or said of them."""
    from scaling.corpora.format.corpus import Corpus
    from scaling.corpora.registry import corpus_folder

    for target in corpora:
        corpus = Corpus.open(corpus_folder(target.spec, cache))
        labels = corpus.labels(target.task)
        for split in ("train", "validation", "test"):
            counts = labels[corpus.rows(split, target.task)].sum(axis=0)
            empty = [name for name, n in zip(corpus.classes(target.task), counts, strict=True)
                     if not n]  # fmt: skip
            if empty:
                names = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
                yield (
                    f"{target.name}: {len(empty)} of {len(counts)} classes have no positive "
                    f"record in {split} ({names}); metrics leave them out"
                )
