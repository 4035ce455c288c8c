"""What looks wrong with a plan although it can run: in its grid, and in its prepared corpora."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.corpora.errors import CorpusError
from scaling.cost import bf16_emulated, records_per_step
from scaling.identity import CODEBOOK, CorpusSpec, Job, Training
from sweeps.errors import ConfigurationError
from sweeps.plan.parents import Done, Lineage
from sweeps.stages import STAGES
from sweeps.stages.base import UNTRAINED

if TYPE_CHECKING:
    from scaling.corpora.format.corpus import Corpus
    from sweeps.plan.corpora import StudyCorpora

COLLINEAR = 0.9
FEWEST = 3
CPUINFO, NVIDIA = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/version")
# Not avx_ne_convert, which converts bf16 without AVX512: PyTorch does not use it.
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}

Sized = Sequence[tuple[Training, int]]


def find_warnings(stages: Sequence[tuple[Done, Sequence[int]]], repeated: int) -> list[str]:
    """Warnings, one line each, from stages with N of their trials, and how many are repetitions."""
    trials = [
        (job.training, n)
        for stage, sizes in stages
        for job, n in zip(stage.jobs, sizes, strict=True)
        if job.training.objective != UNTRAINED
    ]
    again = [f"the grid lists {repeated} trial(s) more than once; each runs once"]
    return [
        *(again if repeated else []),
        *_laws(stages),
        *_recipes(trials),
        *_codebooks([stage for stage, _ in stages]),
        *_bf16(trials),
        *_seen_before([stage for stage, _ in stages]),
    ]


def _laws(stages: Sequence[tuple[Done, Sequence[int]]]) -> Iterator[str]:
    """Whether L(N, D) can be told, for each family and paradigm that is pretrained."""
    groups: dict[tuple[str, str], list[tuple[Training, int]]] = {}
    for stage, sizes in stages:
        if STAGES[stage.name].for_laws and not stage.continued:
            for job, n in zip(stage.jobs, sizes, strict=True):
                training = job.training
                if training.objective != UNTRAINED:
                    key = (training.family, training.paradigm)
                    groups.setdefault(key, []).append((training, n))
    for (family, paradigm), trials in groups.items():
        title = f"{family} {paradigm}: " if len(groups) > 1 else ""
        yield from (f"{title}{line}" for line in _law(trials))


def _law(trials: Sized) -> Iterator[str]:
    cells = {(n, training.data) for training, n in trials}
    sizes, data = {n for n, _ in cells}, {d for _, d in cells}
    if len(cells) == 1:
        return  # one model on one amount of data: nobody asks for a law
    for found, what in ((sizes, "model sizes"), (data, "data sizes")):
        if len(found) < FEWEST:
            yield (
                f"{len(found)} {what}: a law needs at least {FEWEST} "
                "(its exponent cannot be told from these)"
            )
    if min(len(sizes), len(data)) >= 2:
        r = statistics.correlation([math.log(n) for n, _ in cells], [math.log(d) for _, d in cells])
        if abs(r) > COLLINEAR:
            yield (
                f"N and D rise together (correlation of their logarithms {r:.2f}): "
                "their effects cannot be told apart; cross sizes and data"
            )


def _recipes(trials: Sized) -> Iterator[str]:
    """Batches and steps beside the records that they are drawn from: those with labels, if few."""
    big = {t.recipe.batch for t, _ in trials if t.recipe.batch > t.labelled}
    if big:
        smallest = min((t for t, _ in trials if t.recipe.batch > t.labelled), key=_labelled)
        records = "records" if smallest.labels_fraction == 1.0 else "labelled records"
        yield (
            f"batch {max(big)} is larger than the data ({smallest.labelled} {records}) of some "
            "trials"
        )
    short = sorted({t.data for t, _ in trials if _shown(t, t.recipe.batch) < t.labelled})
    if short:
        yield (
            f"max_steps x batch is less than one pass over D = {', '.join(map(str, short))}: "
            "those trials do not see all of their data"
        )
    others = [(t, records_per_step(t) - t.recipe.batch) for t, _ in trials]
    left = sorted({t.data for t, size in others if size and _shown(t, size) < t.data - t.labelled})
    if left:
        yield (
            f"max_steps x batch x unlabelled is less than one pass over the unlabelled records of "
            f"D = {', '.join(map(str, left))}: those trials do not see all of them"
        )


def _labelled(training: Training) -> int:
    return training.labelled


def _shown(training: Training, of_step: int) -> int:
    """Records that the steps of a trial see, copies counted, with so many of a kind in a step."""
    return training.recipe.max_steps * of_step


def _codebooks(stages: Sequence[Done]) -> Iterator[str]:
    """Losses of masked trials compare only under one codebook."""
    used: set[str] = set()
    for stage in stages:
        for job in stage.jobs:
            used |= set(job.training.parents_of_role(CODEBOOK))
    trained = {
        job.training.id
        for stage in stages
        if STAGES[stage.name].gives == CODEBOOK
        for job in stage.jobs
    }
    if len(used) > 1:
        yield (
            f"masked trials predict the codes of {len(used)} codebooks: their losses do not compare"
        )
    if idle := trained - used:
        yield f"no masked trial uses {len(idle)} of the {len(trained)} codebooks that are trained"


def _bf16(trials: Sized) -> Iterator[str]:
    if any(t.recipe.precision == "bf16" for t, _ in trials) and not has_bf16():
        yield (
            "precision bf16, but this machine has neither a GPU nor a CPU with bf16 instructions: "
            + bf16_emulated(avx512="avx512bw" in _cpu_flags())
        )


def has_bf16() -> bool:
    """Whether bf16 is worth it on this machine; True where that cannot be told."""
    flags = _cpu_flags()
    return NVIDIA.exists() or not flags or bool(flags & BF16_FLAGS)


def _cpu_flags() -> set[str]:
    """What the processor can do, as Linux names it; empty where that cannot be told."""
    if not CPUINFO.exists():
        return set()
    return {
        flag
        for line in CPUINFO.read_text(errors="replace").splitlines()
        if line.startswith(("flags", "Features"))
        for flag in line.split(":")[1].split()
    }


def _seen_before(stages: Sequence[Done]) -> Iterator[str]:
    """Tasks on another fold of a source that the trial has trained on."""
    lineage = Lineage()
    found: dict[str, None] = {}
    for stage in stages:
        lineage.add(stage.jobs)
        for job in stage.jobs:
            for evaluation in job.evaluations:
                if not lineage.fits(job.training, evaluation.corpus):
                    found.setdefault(evaluation.corpus.source)
    for source in found:
        yield (
            f"some trials have trained on records of {source} that they are tested on (another "
            "fold of it); leave the task's 'fold' out, and it follows that of the trial"
        )


def corpus_warnings(jobs: Iterable[Job], corpora: StudyCorpora, cache: Path) -> list[str]:
    """What the prepared corpora show before the first trial, one line each.

    Raises:
        ConfigurationError: a corpus cannot be opened.
    """
    lost = lost_heartbeats(jobs, cache)
    try:
        return [*leaks(corpora, cache), *lost, *empty_classes(corpora, cache)]
    except CorpusError as error:
        raise ConfigurationError(str(error)) from None


def _opened(spec: CorpusSpec, cache: Path) -> Corpus:
    from scaling.corpora.format.corpus import Corpus
    from scaling.corpora.registry import corpus_folder

    return Corpus.open(corpus_folder(spec, cache))


def leaks(corpora: StudyCorpora, cache: Path) -> list[str]:
    """What a task's test split has from a training split it is to be foreign to.

    Challenge 2021 contains PTB-XL, CPSC 2018 and CSN: a probe on one of these measures memory
    where the backbone has seen the record. One line for each corpus and task that share some.
    """
    from scaling.corpora.quality.overlap import check_no_leak

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
        ours, theirs = _opened(trained, cache), _opened(task, cache)
        try:
            check_no_leak(ours, theirs)
        except CorpusError as error:
            found.append(f"{task.source} is no foreign task for {trained.source}: {error}")
    return found


def lost_heartbeats(jobs: Iterable[Job], cache: Path) -> Iterator[str]:
    """Records with more heartbeats than the Transformers of some trials have slots."""
    from scaling.compatible import describe, heartbeats_lost, slots_of

    read = {
        (spec, tokens)
        for job in jobs
        if (tokens := slots_of(job.training.family, job.training.size)) is not None
        for spec in (job.training.corpus, *(e.corpus for e in job.evaluations))
    }
    lines: dict[str, None] = {}
    for spec, tokens in sorted(read, key=lambda pair: (pair[0].source, pair[1])):
        corpus = _opened(spec, cache)
        if text := describe(heartbeats_lost(corpus, tokens), len(corpus), tokens):
            lines[f"{spec.source}: {text}"] = None
    yield from lines


def empty_classes(corpora: StudyCorpora, cache: Path) -> Iterator[str]:
    """Classes without a positive record in a split: nothing can be learned or said of them."""
    for target in corpora.all():
        if target.spec.is_simulated:
            continue
        corpus = _opened(target.spec, cache)
        labels = corpus.labels(target.task)
        for split in corpora.splits_of(target):
            counts = labels[corpus.rows(split, target.task)].sum(axis=0)
            pairs = zip(corpus.classes(target.task), counts, strict=True)
            empty = [name for name, n in pairs if not n]
            if empty:
                names = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
                yield (
                    f"{target.name}: {len(empty)} of {len(counts)} classes have no positive "
                    f"record in {split} ({names}); metrics leave them out"
                )
