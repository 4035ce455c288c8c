"""What trials take: parameters and MACs, seconds, disk; what was measured is cached on disk.

So that a plan needs no torch, ladders are counted once; speeds are those of finished trials.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import json
import statistics
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.corpora.equal_codes import shared_classes
from scaling.cost import Counts, count_training, records_per_step, training_flops
from scaling.identity import RESTORATION, TEACHER, Evaluation, Training
from scaling.models.families import FAMILIES
from scaling.numerics import versions
from scaling.objectives.registry import OBJECTIVES
from scaling.records.files import write_json
from scaling.records.names import EXTERNAL, LINEAR_PROBE, TRAJECTORY
from sweeps.plan.corpora import StudyCorpora
from sweeps.stages.base import UNTRAINED

# Where nothing has been measured: one core of a 2025 server CPU, and fixed costs a step.
GUESSED_FLOPS_PER_S = {"float32": 8e10, "bf16": 1.8e11}
GUESSED_STEP_S = 0.006
FEWEST_STEPS = 50  # shorter trials mostly measure their start

ROW_BYTES = 250  # one row of a curve or of values, as JSON
RECORD_BYTES = 4000  # the rest of a record
NAME_BYTES = 4 * 24  # a record id in a table of predictions
EVALUATION_S = 1.0  # opening a corpus, and what else does not grow with the model


class _Cached:
    """A JSON object on disk. A damaged or unwritable cache is only slower, never an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(path.read_bytes())
            self.values = found if isinstance(found, dict) else {}

    def save(self, new: Mapping[str, Any]) -> None:
        """Merge ``new`` with what is on disk by now."""
        self.values = _Cached(self.path).values | self.values | dict(new)
        with contextlib.suppress(OSError):
            write_json(self.path, self.values)


class Ladder:
    """Counts of each (family, size), from the folder of caches where they are known."""

    def __init__(self, cache: Path) -> None:
        self._file = _Cached(cache / "ladder.json")
        self._new: dict[str, Any] = {}

    def counts(self, training: Training, num_labels: int) -> Counts:
        """Parameters, MACs and bytes of the model of ``training``."""
        leads, samples = len(training.leads), training.corpus.samples
        key = _counts_key(training, leads, samples, num_labels)
        if key in self._file.values:
            return Counts(**self._file.values[key])
        counts = count_training(training, num_labels)
        self._file.values[key] = self._new[key] = dataclasses.asdict(counts)
        return counts

    def save(self) -> None:
        """Keep what was counted for the next plan."""
        if self._new:
            self._file.save(self._new)


def _counts_key(training: Training, leads: int, samples: int, num_labels: int) -> str:
    names = {FAMILIES[training.family].numerics, OBJECTIVES[training.objective].numerics}
    numerics = ",".join(f"{module}-{version}" for module, version in versions(*names))
    head = f"{training.objective}{dict(training.options) or ''}"
    model = f"{training.family}/{training.size}/{leads}x{samples}/{num_labels}"
    return f"{model}/{head}/{numerics}/full"  # caches of before ``macs_full`` go by shorter names


def speed_key(training: Training, teacher: str = "") -> str:
    """What the seconds of a step depend on, the machine apart; ``teacher`` is family and size.

    Versions are those that the training was made with: what an older one took says little.
    """
    recipe, timed = training.recipe, ("training", FAMILIES[training.family].numerics)
    made_by = ",".join(f"{name}-{n}" for name, n in training.numerics if name in timed)
    shape = f"{len(training.leads)}x{training.corpus.samples}"
    model = f"{training.family}/{training.size}/{training.objective}"
    if training.parents_of_role(TEACHER):  # unlabelled records and boxes decide what a step does
        model += f"/{teacher}/{dict(training.options) or ''}"
    return f"{model}/{shape}/{recipe.batch}/{recipe.precision}/{made_by}"


class Speeds:
    """Seconds per step measured on finished trials, of this study and from the folder of caches."""

    def __init__(self, cache: Path) -> None:
        self._file = _Cached(cache / "speeds.json")
        self._models: dict[str, str] = {}

    def know(self, trainings: Iterable[Training]) -> None:
        """Remember which models trainings are of, since they may be teachers of others."""
        self._models |= {t.id: f"{t.family}/{t.size}" for t in trainings}

    def learn(self, records: Iterable[Mapping[str, Any]], save: bool = False) -> None:
        """Take in finished training records; the median of each kind of trial is kept.

        Args:
            records: training records; those of fewer than ``FEWEST_STEPS`` say nothing.
            save: keep the medians for other studies.
        """
        found: dict[str, list[float]] = {}
        read: list[tuple[Training, Mapping[str, Any]]] = []
        for record in records:
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                # As this version writes it.
                read.append((Training.from_dict(record["config"]), record["trial"]))
        self.know(training for training, _ in read)
        for training, row in read:
            steps, duration = row["steps"], row["duration_s"]
            if duration and steps is not None and steps >= FEWEST_STEPS:
                found.setdefault(self._key(training), []).append(duration / steps)
        medians = {key: statistics.median(values) for key, values in found.items()}
        self._file.values |= medians
        if save and medians:
            self._file.save(medians)

    def step_s(self, training: Training) -> float | None:
        """Measured seconds per step, or None."""
        value = self._file.values.get(self._key(training))
        return float(value) if isinstance(value, int | float) else None

    def _key(self, training: Training) -> str:
        teachers = (self._models.get(name, "") for name in training.parents_of_role(TEACHER))
        return speed_key(training, next(teachers, ""))

    def expected_s(self, training: Training, macs: int, beside: int = 0) -> float:
        """Expected seconds of a training that runs to its cap on steps.

        ``beside`` are the FLOPs of its teacher.
        """
        steps, records = training.recipe.max_steps, records_per_step(training)
        measured = self.step_s(training)
        if measured is not None:
            return measured * steps
        speed = GUESSED_FLOPS_PER_S[training.recipe.precision]
        return GUESSED_STEP_S * steps + (training_flops(macs, records, steps) + beside) / speed


def evaluations_s(
    evaluations: Sequence[Evaluation], training: Training, counts: Counts, corpora: StudyCorpora
) -> float:
    """Expected seconds of the missing evaluations of a trial.

    All tasks of one corpus share one pass of the model over its records.
    """
    seconds = 0.0
    records: dict[tuple[str, str], int] = {}
    for evaluation in evaluations:
        spec = evaluation.corpus
        if spec.is_simulated:
            continue
        seconds += EVALUATION_S
        needed = _looked_at(evaluation, training, corpora)
        passes = 1
        if evaluation.protocol == LINEAR_PROBE:
            needed += corpora.of(spec, evaluation.task).summary.train
        if evaluation.checkpoint == TRAJECTORY:
            passes = training.recipe.max_steps // training.recipe.eval_every
        key = (spec.key, evaluation.checkpoint)
        records[key] = max(records.get(key, 0), needed * passes)
    return seconds + 2 * counts.macs * sum(records.values()) / GUESSED_FLOPS_PER_S["float32"]


def _looked_at(evaluation: Evaluation, training: Training, corpora: StudyCorpora) -> int:
    """Validation and test records of an evaluation; an external one's validation is its model's."""
    target = corpora.of(evaluation.corpus, evaluation.task)
    external = evaluation.protocol == EXTERNAL
    own = corpora.of(training.corpus, training.task) if external else target
    return own.summary.validation + target.summary.test


def _classes_kept(evaluation: Evaluation, training: Training, corpora: StudyCorpora) -> int:
    """Classes whose logits an evaluation keeps."""
    target = corpora.of(evaluation.corpus, evaluation.task)
    if evaluation.protocol != EXTERNAL:
        return len(target.summary.classes)
    own = corpora.of(training.corpus, training.task)
    return len(shared_classes(own.labelled, target.labelled))


def disk_bytes(
    training: Training,
    evaluations: Sequence[Evaluation],
    counts: Counts,
    corpora: StudyCorpora,
    *,
    trained: bool,
) -> int:
    """Bytes that the missing ``evaluations`` of a trial, and its training, if any, will leave."""
    recipe = training.recipe
    steps = 0 if training.objective == UNTRAINED else recipe.max_steps // recipe.eval_every
    total = len(evaluations) * (RECORD_BYTES + 4 * ROW_BYTES)
    for evaluation in evaluations:
        if evaluation.predictions:
            row = 5 * _classes_kept(evaluation, training, corpora) + NAME_BYTES + 17
            total += row * _looked_at(evaluation, training, corpora)
    if not trained:
        kept = 1 + steps * any(e.checkpoint == TRAJECTORY for e in evaluations)
        total += kept * counts.bytes + RECORD_BYTES + 2 * steps * ROW_BYTES
    return total


def restored_bytes(
    trainings: Iterable[Training], corpora: StudyCorpora, known: Container[str]
) -> int:
    """Disk that restored signals will take, of each corpus by each net; not what exists already.

    ``known`` are ids of records: a finished student has left the signals that it was trained on.
    """
    found: dict[tuple[str, str], int] = {}
    for training in trainings:
        for net in training.parents_of_role(RESTORATION):
            summary, key = corpora.of(training.corpus, training.task).summary, training.corpus.key
            records = summary.train + summary.validation + summary.test
            size = records * len(training.leads) * training.corpus.samples * 2
            there = training.id in known
            found[key, net] = 0 if there else min(size, found.get((key, net), size))
    return sum(found.values())


def unprepared_bytes(corpora: StudyCorpora, cache: Path) -> int:
    """Disk that corpora which are not prepared yet will take; folds share their signals."""
    found: dict[tuple[object, ...], int] = {}
    for target in corpora.all():
        spec, summary = target.spec, target.summary
        if spec.is_simulated or any((cache / "corpora").glob(f"*-{spec.key}")):
            continue
        records = summary.train + summary.validation + summary.test
        signals = (spec.source, spec.fs_hz, spec.window_s, spec.preprocessing, spec.seed)
        found[signals] = max(found.get(signals, 0), records * 12 * spec.samples * 2)
    return sum(found.values())


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Wall time in seconds of list scheduling, longest first (Graham 1969).

    Args:
        seconds: duration of each job.
        workers: jobs that run at once, >= 1.
    """
    free = [0.0] * workers
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + duration)
    return max(free)
