"""Models that cannot read what they are given, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from scaling.identity import CODEBOOK, RESTORATION, START, TEACHER, CorpusSpec, Job, Training
from scaling.provenance import corpus_name
from scaling.weights.compatible import cannot_read, parent_differences, signal_differences
from sweeps.plan.corpora import Case, Target

USES = {
    CODEBOOK: "predict codes of a codebook",
    START: "start from a model",
    TEACHER: "imitate a model",
    RESTORATION: "are given signals mended by a model",
}


def unreadable(jobs: Iterable[Job]) -> Iterator[tuple[Training, str]]:
    """Sizes that leave no sample of their records, or need another sampling rate.

    Args:
        jobs: trials; the corpora they are probed on are looked at as well.

    Yields:
        A training of each size and corpus that do not go together, and why.
    """
    seen: set[tuple[str, str, str, CorpusSpec, bool]] = set()
    for job in jobs:
        training = job.training
        if training.family == "simulated":
            continue
        for spec, trained_on in [
            (training.corpus, True),
            *((e.corpus, False) for e in job.evaluations),
        ]:
            key = (training.family, training.size, training.objective, spec, trained_on)
            if key in seen:
                continue
            seen.add(key)
            if problem := cannot_read(training, spec, trained_on=trained_on):
                yield training, f"{spec.source}: {problem}"


def unlike_tasks(case: Case) -> Iterator[tuple[Target, str]]:
    """Tasks whose signals are not what the models of a case are trained on.

    Yields:
        A task, and each of its differences by name.
    """
    for task in case.tasks:
        if found := signal_differences(task.spec, case.corpus.spec):
            yield (
                task,
                f"{task.name} has {'; '.join(found)}: a model is measured on signals like those "
                "it was trained on",
            )


def unlike_parents(
    jobs: Iterable[Job], config_of: Callable[[str], Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Parents that were trained on other signals than what starts from them.

    Args:
        jobs: trials.
        config_of: from a parent's id to its training, as its sidecar has it.

    Yields:
        The role of a parent, and each difference by name; the same of many trials once.
    """
    found: dict[tuple[str, str], None] = {}
    for job in jobs:
        training = job.training
        name = corpus_name(training.corpus.source, training.task, training.corpus.fold)
        for role, parent in training.parents:
            if unlike := parent_differences(role, config_of(parent), training):
                message = (
                    f"trials on {name} {USES[role]} that was trained with {'; '.join(unlike)}: "
                    "give both the same signals"
                )
                found.setdefault((role, message))
    yield from found
