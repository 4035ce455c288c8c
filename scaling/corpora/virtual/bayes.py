"""The Bayes loss of a cohort: what a perfect model of the generator would still lose.

Labels are drawn from P(label | findings) alone, so the entropy H(label | findings) bounds every
model's expected loss from below. A model sees the signal, not the findings; what noise,
neighbouring beats and the variety of people hide of them is added by Laplace's method on the
generator itself (``sensitivity``, ``posterior``). The loss is that of the raw signal: filtering,
resampling or leaving out leads can only take information away.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts.base import Chances, Cohort
from scaling.corpora.virtual.cohorts.records import BLOCK, as_arrays, labels_of
from scaling.corpora.virtual.generate import visits
from scaling.corpora.virtual.population import VISITS, patient_of
from scaling.corpora.virtual.posterior import draw_findings, entropy, hidden_entropy
from scaling.corpora.virtual.sensitivity import surroundings

Array = NDArray[np.float64]

ENTROPY_RECORDS = 8_192
# Records whose posterior is taken: more, until the standard error is this share of the value.
FEWEST, MOST, PRECISION = 16, 64, 0.0125
OUTER, INNER = 8, 96  # signals of each of these records, and posterior draws for each
# Readers imagined for each of these draws, and for each record of the test split.
FEWER_READERS, MANY_READERS = 128, 1024
METHOD = (
    "entropy given the findings plus Laplace posterior of the findings given the signal "
    "({} and {} virtual records)"
)


@dataclasses.dataclass(slots=True)
class Sums:
    """Weighted means of a task's labels, and how they scatter.

    Attributes:
        values: for each independent block, (classes,) sums of weight times value.
        weights: for each block, the sum of its weights.
    """

    values: list[Array] = dataclasses.field(default_factory=list)
    weights: list[float] = dataclasses.field(default_factory=list)

    def add(self, values: Array, weights: Array) -> None:
        """Add a block: values (classes, n) and weights (n,)."""
        self.values.append(values @ weights)
        self.weights.append(float(weights.sum()))

    def mean(self) -> Array:
        """Weighted mean, (classes,)."""
        mean: Array = np.sum(self.values, axis=0) / np.sum(self.weights)
        return mean

    def standard_error(self) -> float:
        """Of the mean over classes: ratio estimate over the blocks."""
        sums, weights = np.mean(self.values, axis=1), np.array(self.weights)
        rest = sums - weights * sums.sum() / weights.sum()
        n = len(sums)
        return float(np.sqrt(n / (n - 1.0) * (rest**2).sum()) / weights.sum())


def bayes_loss(
    cohort: Cohort, *, fs_hz: float, samples: int, seed: int = 0, test: int = 0
) -> dict[str, dict[str, Any]]:
    """Bayes loss of each task of a cohort, mean over labels, in nats.

    Args:
        cohort: the cohort.
        fs_hz: sampling rate in hertz.
        samples: samples per record.
        seed: seed of the cohort; the Monte Carlo patients are in none of its splits.
        test: records of the test split to measure the same on; 0 for none.

    Returns:
        For each task ``value`` with standard error ``se``, the rigorous ``lower_bound``
        H(label | findings), the value ``per_label``, the ``method``, and ``test``: the loss of
        the true probabilities on the labels that the test split happens to have, which moves
        with its sampling as a fitted E does (None without test records).
    """
    known = _entropies(cohort, seed, samples / fs_hz)
    hidden = _hidden(cohort, seed, fs_hz, samples, known)
    drawn = _on_test_split(cohort, seed, test, samples / fs_hz)
    found = {}
    for name, task in cohort.tasks.items():
        bound, extra = known[name].mean(), hidden[name].mean()
        per_label = bound + extra
        se = np.hypot(known[name].standard_error(), hidden[name].standard_error())
        found[name] = {
            "value": float(per_label.mean()),
            "se": float(se),
            "lower_bound": float(bound.mean()),
            "per_label": dict(zip(task.classes, per_label.tolist(), strict=True)),
            "test": _shifted(drawn[name], float(extra.mean())),
            "method": METHOD.format(ENTROPY_RECORDS, len(hidden[name].values)),
        }
    return found


def _entropies(cohort: Cohort, seed: int, duration_s: float) -> dict[str, Sums]:
    """H(label | findings); records of a patient are in one block."""
    sums = {name: Sums() for name in cohort.tasks}
    rng = np.random.default_rng([seed, 2])
    whole = sum(VISITS)
    for start in range(0, ENTROPY_RECORDS, BLOCK):
        stop = min(start + BLOCK, ENTROPY_RECORDS)
        found = visits(cohort, seed, "bayes", start, stop, duration_s)
        arrays = as_arrays(found.findings)
        for name, task in cohort.tasks.items():
            chances = cohort.chances(task, arrays, rng)
            h, weight = known_entropy(chances), chances.belongs
            for first in range(0, stop - start, whole):
                sums[name].add(h[:, first : first + whole], weight[first : first + whole])
    return sums


def _hidden(
    cohort: Cohort, seed: int, fs_hz: float, samples: int, known: dict[str, Sums]
) -> dict[str, Sums]:
    """Entropy that the uncertainty of the findings adds, one record a patient."""
    sums = {name: Sums() for name in cohort.tasks}
    rng = np.random.default_rng([seed, 1])
    names = tuple(sorted(cohort.names))
    first_visits = (i for i in itertools.count() if patient_of(i)[1] == 0)
    chosen = itertools.islice(first_visits, MOST)
    for around in surroundings(cohort, seed, chosen, fs_hz, samples, names):
        drawn = draw_findings(around, rng, OUTER, INNER)
        for name, task in cohort.tasks.items():
            chances = cohort.chances(task, drawn, rng, FEWER_READERS)
            certain = known_entropy(chances)
            sums[name].add(*hidden_entropy(chances.classes, chances.belongs, certain))
        if _precise(sums, known):
            break
    return sums


def known_entropy(chances: Chances) -> Array:
    """H(class | findings) of each class and record, (classes, ...), in nats.

    The entropy of an estimated chance is too small by var / (2 p (1 - p)) to leading order
    (Miller 1955, "Note on the bias of information estimates"), which is put right.
    """
    p = chances.classes
    spread = p * (1.0 - p)
    return entropy(p) + 0.5 * chances.variance / np.where(spread > 0.0, spread, np.inf)


def _precise(hidden: dict[str, Sums], known: dict[str, Sums]) -> bool:
    def enough(task: str) -> bool:
        value = (known[task].mean() + hidden[task].mean()).mean()
        return hidden[task].standard_error() < PRECISION * float(value)

    return len(next(iter(hidden.values())).values) >= FEWEST and all(map(enough, hidden))


def _on_test_split(
    cohort: Cohort, seed: int, records: int, duration_s: float
) -> dict[str, list[Array]]:
    """Loss of P(label | findings) on the labels of the test split, record by record."""
    losses: dict[str, list[Array]] = {name: [] for name in cohort.tasks}
    rng = np.random.default_rng([seed, 3])
    for start in range(0, records, BLOCK):
        found = visits(cohort, seed, "test", start, min(start + BLOCK, records), duration_s)
        arrays = as_arrays(found.findings)
        labels, valid = labels_of(cohort, found)
        for name, task in cohort.tasks.items():
            chances = cohort.chances(task, arrays, rng, MANY_READERS)
            losses[name].append(_losses(chances, labels[name], valid[name]))
    return losses


def _losses(chances: Chances, labels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Array:
    # A label that none of the imagined readers gave is as likely as a quarter of one.
    least = 0.25 / MANY_READERS
    p = np.where(chances.variance > 0.0, chances.classes, chances.classes.clip(least, 1.0 - least))
    inside = np.where(labels[valid].T == 1, p[:, valid], 1.0 - p[:, valid])
    losses: Array = -np.log(inside).mean(axis=0)
    return losses


def _shifted(losses: list[Array], extra: float) -> dict[str, Any] | None:
    """Mean loss plus what noise hides; None where there is no record."""
    together = np.concatenate(losses) if losses else np.zeros(0)
    if not len(together):
        return None
    return {"value": float(together.mean()) + extra, "n": len(together)}
