"""What a look at the prepared corpora shows before the first trial: leaks, lost heartbeats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sweeps.plan.plan import Plan
from sweeps.plan.tasks import Target, Targets


def look(plan: Plan, targets: Targets, cache: Path) -> list[str]:
    """Everything below, one line each.

    Raises:
        scaling.corpora.errors.CorpusError: a corpus cannot be opened.
    """
    real = [t for t in targets.all() if not t.spec.source.startswith("simulated/")]
    return [*leaks(targets, cache), *lost_heartbeats(plan, cache), *empty_classes(real, cache)]


def leaks(targets: Targets, cache: Path) -> list[str]:
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
        for cases in targets.stages
        for trained in (case.corpus for case in cases)
        for task in targets.all()
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
    from scaling.corpora.format.corpus import Corpus
    from scaling.corpora.registry import corpus_folder
    from scaling.models.slots import describe, heartbeats_lost, slots_of

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


def empty_classes(targets: list[Target], cache: Path) -> Iterator[str]:
    """Classes without a positive record in a split: nothing can be learned or said of them."""
    from scaling.corpora.format.corpus import Corpus
    from scaling.corpora.registry import corpus_folder

    for target in targets:
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
