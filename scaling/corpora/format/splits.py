"""Patient-disjoint splits, nested subsets for data scaling, labelled and unlabelled parts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.records.names import SPLITS

BLOCK = 1 << 16
_WORD = (1 << 64) - 1
# Another stream than that of ``nested_subset``: which patients are held out, and which come
# first in training, have nothing to do with each other.
_SPLIT_STREAM = 0x73706C6974


def check_disjoint(patients: Mapping[str, NDArray[np.int64]]) -> None:
    """Check that no patient is in two splits, from the patient ids of the records of each.

    Raises:
        CorpusError: names some of the patients and the two splits.
    """
    unique = {split: np.unique(ids) for split, ids in patients.items()}
    for one, other in itertools.combinations(unique, 2):
        both = np.intersect1d(unique[one], unique[other], assume_unique=True)
        if len(both):
            some = ", ".join(str(p) for p in both[:5])
            raise CorpusError(
                f"{len(both)} patients are in both {one} and {other} (such as {some}): "
                "splits must be by patient"
            )


def nested_subset(
    patients: NDArray[np.int64], rows: NDArray[np.int64], size: int, seed: int = 0
) -> NDArray[np.int64]:
    """Choose ``size`` of ``rows``, patient by patient in a fixed order.

    The order of patients comes from a hash of (seed, patient id), so it does not depend on
    which others are there, and a smaller subset is a prefix of a larger one. Only the last
    patient may be taken in part.

    Args:
        patients: (records of the corpus,) patient ids.
        rows: (candidates,) rows of the corpus to choose from.
        size: how many, at least 1.
        seed: another seed is another order.

    Returns:
        (size,) rows, in the order they were taken.

    Raises:
        CorpusError: ``size`` is not positive or larger than the number of candidates.
    """
    check_size(size, len(rows))
    ids = patients[rows]
    order = np.lexsort((rows, ids, _hash(ids, seed)))
    return rows[order[:size]]


def hashed_split(patient: int) -> str:
    """Train, validation or test, 8:1:1, from the patient number alone, any integer.

    A patient keeps the split when others are added, and in another dataset that numbers
    patients alike. About 0.5 us a call, with no array.
    """
    tenth = _mix_int((patient ^ _SPLIT_STREAM) & _WORD) % 10
    return SPLITS[max(tenth - 7, 0)]


def stratified_split(
    labels: NDArray[np.uint8],
    patients: NDArray[np.int64],
    shares: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> NDArray[np.str_]:
    """Split by patient so that every class has nearly the same share in each split.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011; the
    iterative-stratification package), whose unit is the patient with all labels of its
    records. The result does not depend on the order of the records.

    Args:
        labels: (records, classes), 0 or 1.
        patients: (records,) patient ids.
        shares: of the patients in training, validation and test; they sum to 1.
        seed: another seed is another split.

    Returns:
        (records,) ``train``, ``validation`` or ``test``.

    Raises:
        CorpusError: shares that are no shares, or labels that do not fit the patients.
    """
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise CorpusError(f"shares {tuple(shares)} are not three numbers >= 0 that sum to 1")
    if len(labels) != len(patients):
        raise CorpusError(f"{len(labels)} rows of labels for {len(patients)} records")
    from iterstrat.ml_stratifiers import IterativeStratification

    ids, unit = np.unique(patients, return_inverse=True)
    union = np.zeros((len(ids), labels.shape[1]), bool)
    np.logical_or.at(union, unit, labels.astype(bool))
    order = np.argsort(_hash(ids, seed), kind="stable")
    folds = np.empty(len(ids), np.int64)
    random = np.random.RandomState(seed)
    folds[order] = IterativeStratification(union[order], np.array(shares, float), random)
    return np.array(SPLITS)[folds[unit]]


def labelled_subset(
    patients: NDArray[np.int64],
    labels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    fraction: float,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Choose the labelled part of a training split; the rest counts as unlabelled.

    First come records that between them show every class, the rarest class first, then the
    other records of their patients, then all other patients in the order of
    ``nested_subset``. So a smaller fraction is a prefix of a larger one, and no class is
    without a positive record unless it has none or there are fewer places than that takes.
    Patients are taken whole, but for the last one, and for those who come first where the
    subset is so small that it holds little else.

    Args:
        patients: (records of the corpus,) patient ids.
        labels: (records of the corpus, classes), 0 or 1.
        rows: (candidates,) rows of the corpus to choose from.
        fraction: share of the candidates, in (0, 1], such as 0.1, 0.05 or 0.025.
        seed: another seed is another order.

    Returns:
        (max(1, round(fraction x candidates)),) rows, in the order they were taken.

    Raises:
        CorpusError: a fraction outside (0, 1], or no candidates.
    """
    if not 0 < fraction <= 1:
        raise CorpusError(f"a labelled fraction of {fraction:g} was asked for; it is in (0, 1]")
    size = max(1, round(fraction * len(rows)))
    ordered = nested_subset(patients, rows, len(rows), seed) if len(rows) else rows
    check_size(size, len(ordered))
    showing = _showing(labels, ordered)
    # The other records of these patients come next, so that few patients are taken in part.
    ids = patients[ordered]
    rank = np.where(np.isin(ids, ids[showing]), 0, 1)
    rank[showing] = np.arange(-len(showing), 0)
    return ordered[np.argsort(rank, kind="stable")[:size]]


def _showing(labels: NDArray[np.uint8], ordered: NDArray[np.int64]) -> list[int]:
    """Places in ``ordered`` that between them show every class, the rarest class first."""
    classes = labels.shape[1]
    counts, first = np.zeros(classes, np.int64), np.full(classes, -1)
    for start in range(0, len(ordered), BLOCK):  # the labels of a large corpus stay on disk
        positive = labels[ordered[start : start + BLOCK]] != 0
        new = (first < 0) & positive.any(axis=0)
        first[new] = start + positive.argmax(axis=0)[new]
        counts += positive.sum(axis=0)
    showing: list[int] = []
    shown = counts == 0
    for k in np.argsort(counts, kind="stable"):
        if not shown[k]:
            showing.append(int(first[k]))
            shown |= labels[ordered[first[k]]] != 0
    return showing


def check_size(size: int, available: int) -> None:
    """Check that ``size`` records can be taken.

    Raises:
        CorpusError: names both numbers.
    """
    if size < 1:
        raise CorpusError(f"a subset of {size} records was asked for; it needs at least 1")
    if size > available:
        raise CorpusError(
            f"a subset of {size:,} records was asked for, but only {available:,} are available: "
            "choose a smaller data size or a larger corpus"
        )


def _hash(ids: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """SplitMix64 of the id, its state moved by the seed."""
    start = mix(np.array([seed], np.int64).astype(np.uint64))
    return mix(ids.astype(np.uint64) ^ start)


def mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the first output for the state ``z``."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _mix_int(z: int) -> int:
    """``mix`` of one number, without an array."""
    z = (z + 0x9E3779B97F4A7C15) & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return z ^ (z >> 31)
