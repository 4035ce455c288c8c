"""Models that cannot read what they are given, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scaling.identity import CorpusSpec, Job, Training

HALVED = ("contrastive",)  # objectives whose backbone sees half a record at a time


def unreadable(jobs: Iterable[Job]) -> Iterator[tuple[Training, str]]:
    """Sizes that leave no sample of their records, or need another sampling rate.

    Args:
        jobs: trials; the corpora they are probed on are looked at as well.

    Yields:
        A training of each size and corpus that do not go together, and why.
    """
    from scaling.models.families import problem

    seen: set[tuple[str, str, CorpusSpec, int]] = set()
    for job in jobs:
        training = job.training
        if training.family == "simulated":
            continue
        corpora = [(training.corpus, 2 if training.objective in HALVED else 1)]
        corpora += [(e.corpus, 1) for e in job.evaluations]
        for spec, parts in corpora:
            key = (training.family, training.size, spec, parts)
            if key in seen:
                continue
            seen.add(key)
            found = problem(
                training.family,
                training.size,
                spec.fs_hz,
                spec.samples // parts,
                len(training.leads),
            )
            if found is not None:
                yield training, f"{spec.source}: {found}"
