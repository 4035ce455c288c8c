"""What looks wrong with a plan although it can run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from scaling.cost import bf16_emulated
from scaling.identity import CODEBOOK, Training
from sweeps.plan.parents import Done, Lineage
from sweeps.stages import STAGES
from sweeps.stages.base import UNTRAINED

COLLINEAR = 0.9
FEWEST = 3
CPUINFO, NVIDIA = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/version")
# Not avx_ne_convert, which converts bf16 without AVX512: PyTorch does not use it.
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}

Sized = Sequence[tuple[Training, int]]


def find_warnings(stages: Sequence[tuple[Done, Sequence[int]]], repeated: int) -> list[str]:
    """Warnings, one line each.

    Args:
        stages: each stage with N of each of its trials.
        repeated: how often the grid lists a trial again.
    """
    trials = [
        (job.training, n)
        for stage, sizes in stages
        for job, n in zip(stage.jobs, sizes, strict=True)
        if job.training.objective != UNTRAINED
    ]
    return [
        *_repeated(repeated),
        *_laws(stages),
        *_recipes(trials),
        *_codebooks([stage for stage, _ in stages]),
        *_bf16(trials),
        *_seen_before([stage for stage, _ in stages]),
    ]


def _repeated(repeated: int) -> Iterator[str]:
    if repeated:
        yield f"the grid lists {repeated} trial(s) more than once; each runs once"


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
        r = _correlation([(math.log(n), math.log(d)) for n, d in cells])
        if abs(r) > COLLINEAR:
            yield (
                f"N and D rise together (correlation of their logarithms {r:.2f}): "
                "their effects cannot be told apart; cross sizes and data"
            )


def _correlation(points: list[tuple[float, float]]) -> float:
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    xy = sum((x - mean_x) * (y - mean_y) for x, y in points)
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    yy = sum((y - mean_y) ** 2 for _, y in points)
    return xy / math.sqrt(xx * yy)


def _recipes(trials: Sized) -> Iterator[str]:
    big = {t.recipe.batch for t, _ in trials if t.recipe.batch > t.data}
    if big:
        smallest = min(t.data for t, _ in trials if t.recipe.batch > t.data)
        yield f"batch {max(big)} is larger than the data ({smallest} records) of some trials"
    short = sorted({t.data for t, _ in trials if t.recipe.max_steps * t.recipe.batch < t.data})
    if short:
        yield (
            f"max_steps x batch is less than one pass over D = {', '.join(map(str, short))}: "
            "those trials do not see all of their data"
        )


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
