"""Patient-disjoint splits and nested subsets for data scaling."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError

SPLITS = ("train", "validation", "test")


def check_disjoint(patients: Mapping[str, NDArray[np.int64]]) -> None:
    """Check that no patient is in two splits.

    Args:
        patients: split -> patient id of each of its records.

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
