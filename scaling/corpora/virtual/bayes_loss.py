"""The Bayes loss of a cohort: what a perfect model of the generator would still lose.

Labels are drawn from P(label | findings) alone, so the entropy H(label | findings) bounds every
model's expected loss from below. A model sees the signal, not the findings; what noise,
neighbouring beats and the variety of people hide of them is added by Laplace's method on the
generator itself: with a signal that is linear around the truth (``sensitivity``) and noise of
unit variance the posterior of the latents is normal with covariance S = (J J' + I)^-1, and its
mean is scattered about the truth with covariance S - S S and a pull of -S z towards the prior. A
disorder that other latents explain but for D^2 has the posterior log odds log(prior odds)
- D^2 / 2 - D e with e standard normal, exactly so for two normals of equal covariance. Several
disorders are taken as independent given the signal (MacKay 2003, "Information Theory, Inference,
and Learning Algorithms", ch. 27).

The loss is that of the raw signal: filtering, resampling or leaving out leads can only take
information away.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from scaling.corpora.processes import one_thread
from scaling.corpora.virtual.cohorts.base import Cohort
from scaling.corpora.virtual.cohorts.chances import Chances, class_chances
from scaling.corpora.virtual.cohorts.records import BLOCK, as_arrays, labels_of
from scaling.corpora.virtual.generate import visits
from scaling.corpora.virtual.population import VISITS, patient_of
from scaling.corpora.virtual.sensitivity import Surroundings, surroundings

Array = NDArray[np.float64]

ENTROPY_RECORDS = 8_192
# Records whose posterior is taken: more, until the standard error is this share of the value.
FEWEST, MOST, PRECISION = 16, 64, 0.0125
OUTER, INNER = 8, 96  # signals of each of these records, and posterior draws for each
# Beside a test split of fewer records, whose own scatter is larger than what the estimate loses.
FEW_TESTED = 512
QUICK_RECORDS, QUICK_POSTERIORS, QUICK_OUTER = 2_048, 8, 4
# Readers imagined where a chance has no formula, for each of these draws and for each record: as
# many here as there, so that what they leave out of the entropy cancels; and for the test split.
READERS, MANY_READERS = 256, 1024
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
    cohort: Cohort,
    fs_hz: float = 100,
    samples: int = 500,
    seed: int = 0,
    test: int = 0,
    workers: int = 1,
) -> dict[str, dict[str, Any]]:
    """Bayes loss of each task of a cohort, mean over labels, in nats.

    The Monte Carlo patients are in none of the cohort's splits; so many ``test`` records of the
    test split are measured too, and where they are few (``FEW_TESTED``) fewer patients will do,
    which ``se`` and ``method`` say. The numbers do not depend on the processes (``workers``).

    Returns:
        For each task ``value`` with standard error ``se``, the rigorous ``lower_bound``
        H(label | findings), the value ``per_label``, the ``method``, and ``test``: the loss of
        the true probabilities on the labels that the test split happens to have, which moves
        with its sampling as a fitted E does (None without test records).
    """
    with one_thread():
        quick = 0 < test < FEW_TESTED
        records = min(QUICK_RECORDS, ENTROPY_RECORDS) if quick else ENTROPY_RECORDS
        known = _entropies(cohort, seed, samples / fs_hz, records)
        hidden = _hidden(cohort, seed, fs_hz, samples, known, workers, quick)
        drawn = _on_test_split(cohort, seed, test, samples / fs_hz)
    losses = {}
    for name, task in cohort.tasks.items():
        bound, extra = known[name].mean(), hidden[name].mean()
        per_label = bound + extra
        se = np.hypot(known[name].standard_error(), hidden[name].standard_error())
        losses[name] = {
            "value": float(per_label.mean()),
            "se": float(se),
            "lower_bound": float(bound.mean()),
            "per_label": dict(zip(task.classes, per_label.tolist(), strict=True)),
            "test": _shifted(drawn[name], float(extra.mean())),
            "method": METHOD.format(records, len(hidden[name].values)),
        }
    return losses


def _entropies(cohort: Cohort, seed: int, duration_s: float, records: int) -> dict[str, Sums]:
    """H(label | findings); records of a patient are in one block."""
    sums = {name: Sums() for name in cohort.tasks}
    rng = np.random.default_rng([seed, 2])
    whole = sum(VISITS)
    for start in range(0, records, BLOCK):
        stop = min(start + BLOCK, records)
        block = visits(cohort, seed, "bayes", start, stop, duration_s)
        arrays = as_arrays(block.findings)
        for name, chances in class_chances(cohort, arrays, rng, READERS).items():
            h, weight = known_entropy(chances), chances.belongs
            for first in range(0, stop - start, whole):
                sums[name].add(h[:, first : first + whole], weight[first : first + whole])
    return sums


def _hidden(
    cohort: Cohort,
    seed: int,
    fs_hz: float,
    samples: int,
    known: dict[str, Sums],
    workers: int,
    quick: bool,
) -> dict[str, Sums]:
    """Entropy that the uncertainty of the findings adds, one record a patient."""
    sums = {name: Sums() for name in cohort.tasks}
    rng, imagine = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 4])
    names = tuple(sorted(cohort.names))
    first_visits = (i for i in itertools.count() if patient_of(i)[1] == 0)
    chosen = itertools.islice(first_visits, min(QUICK_POSTERIORS, MOST) if quick else MOST)
    outer = QUICK_OUTER if quick else OUTER
    for around in surroundings(cohort, seed, chosen, fs_hz, samples, names, workers):
        drawn = draw_findings(around, rng, outer, INNER)
        for name, chances in class_chances(cohort, drawn, imagine, READERS).items():
            certain = known_entropy(chances)
            sums[name].add(*hidden_entropy(chances.classes, chances.belongs, certain))
        if _precise(sums, known):
            break
    return sums


def draw_findings(
    around: Surroundings, rng: np.random.Generator, outer: int, inner: int
) -> dict[str, Array]:
    """Findings as a perfect model would have to imagine them, (outer, inner) each.

    That is for ``outer`` noisy signals of the record, and ``inner`` posterior draws for each.
    """
    values, vectors = np.linalg.eigh(around.gram)
    spread = 1.0 / (1.0 + np.maximum(values, 0.0))  # eigenvalues of S
    pull = spread * (vectors.T @ around.normals)
    scatter = np.sqrt(np.maximum(spread - spread**2, 0.0))
    centre = scatter * rng.normal(size=(outer, 1, len(values))) - pull
    moves = centre + np.sqrt(spread) * rng.normal(size=(outer, inner, len(values)))
    seen = rng.normal(size=(outer, len(around.distance2))) * np.sqrt(around.distance2)
    odds = around.log_odds - 0.5 * around.distance2 - seen
    chance = 0.5 * (1.0 + np.tanh(0.5 * odds))
    other = rng.random((outer, inner, len(around.distance2))) < chance[:, None, :]
    drawn = {}
    for name, true in around.findings.items():
        slope = vectors.T @ around.slopes[name]
        drawn[name] = true + moves @ slope + other @ around.toggled[name]
    return drawn


def entropy(p: Array) -> Array:
    """Entropy of a Bernoulli in nats; ``p`` in [0, 1], rounding aside."""
    inside = np.clip(p, 0.0, 1.0)
    return entr(inside) + entr(1.0 - inside)


def hidden_entropy(p: Array, weight: Array, known: Array | None = None) -> tuple[Array, Array]:
    """Entropy that the uncertainty of the findings adds to a label.

    Args:
        p: (..., inner) P(label | findings) at posterior draws.
        weight: (..., inner) P(the record belongs to the task | findings), in [0, 1].
        known: (..., inner) entropies of ``p`` where ``p`` is an estimate, of which ``entropy``
            would be too small; None for ``entropy(p)``.

    Returns:
        H(mean p) - mean H(p) over the draws and the mean weight, (...). The first term is
        biased downwards by a finite number of draws, to leading order by 1 / inner of the
        difference, which is put right.
    """
    mean_weight = weight.mean(axis=-1)
    share = weight / np.maximum(weight.sum(axis=-1, keepdims=True), 1e-300)
    mean = (share * p).sum(axis=-1)
    inner = p.shape[-1]
    gain = entropy(mean) - (share * (entropy(p) if known is None else known)).sum(axis=-1)
    # Estimates scatter: what is below zero makes up for what is above.
    gain = np.maximum(gain, 0.0) if known is None else gain
    return gain * inner / (inner - 1.0), mean_weight


def known_entropy(chances: Chances) -> Array:
    """H(class | findings) of each class and record, (classes, ...), in nats.

    Of a chance p that is a share k / n of readers it is estimated by (k / n)(h(n - 1) - h(k - 1))
    and the like for the rest, with h(m) = 1 + 1/2 + ... + 1/m. Its mean over readers is
    p ((1 - p) + (1 - p)^2 / 2 + ... + (1 - p)^(n - 1) / (n - 1)) and the like: -p log p but for
    the terms after, so that it is never too large, and too small only where n p is small
    (Grassberger 1988, Physics Letters A 128:369; Schuermann 2004, J. Phys. A 37:L295).
    """
    p, n = chances.classes, chances.readers
    counted = np.isfinite(n)
    among = np.where(counted, n, 1.0)
    given = np.rint(np.where(counted, p * among, 0.0))
    whole = harmonic(among - 1.0)
    counted_entropy = sum(
        k / np.maximum(among, 1.0) * (whole - harmonic(k - 1.0)) for k in (given, among - given)
    )
    return np.where(counted, counted_entropy, entropy(p))


def surprise(chances: Chances, labels: NDArray[np.uint8]) -> Array:
    """-log P(label | findings) of given labels, 0 or 1, of the shape of ``classes``.

    Of a chance that is a share k / n of readers it is estimated by h(n) - h(k), whose mean over
    readers is (1 - p) + (1 - p)^2 / 2 + ... + (1 - p)^n / n: -log p but for the terms after.
    """
    p = np.where(labels == 1, chances.classes, 1.0 - chances.classes)
    counted = np.isfinite(chances.readers)
    n = np.where(counted, chances.readers, 0.0)
    estimate = harmonic(n) - harmonic(np.rint(p * n))
    return np.where(counted, estimate, -np.log(np.where(counted, 1.0, p)))


def harmonic(m: Array) -> Array:
    """1 + 1/2 + ... + 1/m of whole numbers; 0 where m is less than one."""
    terms = np.arange(1, int(m.max(initial=0.0)) + 1)
    table = np.concatenate([[0.0], np.cumsum(1.0 / terms)])
    return table[np.maximum(m, 0.0).astype(np.int64)]


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
        block = visits(cohort, seed, "test", start, min(start + BLOCK, records), duration_s)
        arrays = as_arrays(block.findings)
        labels, valid = labels_of(cohort, block)
        for name, chances in class_chances(cohort, arrays, rng, MANY_READERS).items():
            lost = surprise(chances, labels[name].T).mean(axis=0)
            losses[name].append(lost[valid[name]])
    return losses


def _shifted(losses: list[Array], extra: float) -> dict[str, Any] | None:
    """Mean loss plus what noise hides; None where there is no record."""
    together = np.concatenate(losses) if losses else np.zeros(0)
    if not len(together):
        return None
    return {"value": float(together.mean()) + extra, "n": len(together)}
