"""Near-duplicate recordings, within a corpus and between corpora.

Datasets of this field contain each other under other names, rates and gains (Challenge 2021
holds PTB-XL, CPSC 2018 and CSN), so neither record ids nor exact hashes show the overlap;
signatures of the signals do (``scaling.corpora.signature``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError, shown
from scaling.corpora.signature import HALF_BITS, distance
from scaling.corpora.splits import SPLITS

BAND = 12  # bits that must agree in at least one place for a pair to be looked at
# Copies of PTB-XL at 500 and at 100 Hz differ in 9 bits (median), 23 at most; of 200 million
# pairs of other recordings, the closest in 45. See docs/preprocessing.md.
MOST = 36
LESS_IF_SHORT = 6  # half the bits tell less: among the same pairs the closest in 34
PAIRS_AT_ONCE = 1 << 21


class Signed(Protocol):
    """What is needed of a prepared corpus (``scaling.corpora.corpus.Corpus`` has it)."""

    @property
    def path(self) -> Path:
        """Its folder."""
        ...

    @property
    def record_ids(self) -> Sequence[str]:
        """(records,) record ids."""
        ...

    @property
    def splits(self) -> NDArray[np.int8]:
        """(records,) index into ``SPLITS``."""
        ...

    @property
    def signatures(self) -> NDArray[np.uint64]:
        """(records, 4) signatures."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A recording that two corpora hold.

    Attributes:
        record_a: its id in the first corpus.
        record_b: its id in the second.
        split_a: its split in the first.
        split_b: its split in the second.
        distance: bits of 256 that differ.
    """

    record_a: str
    record_b: str
    split_a: str
    split_b: str
    distance: int


def overlap(a: Signed, b: Signed, most: int = MOST) -> list[Shared]:
    """Recordings that two prepared corpora share, in the order of the first.

    Whatever preset and rate they were prepared with; see ``signature`` for what is recognised.
    """
    pairs = near_duplicates(np.asarray(a.signatures), np.asarray(b.signatures), most)
    return [
        Shared(
            record_a=str(a.record_ids[i]),
            record_b=str(b.record_ids[j]),
            split_a=SPLITS[a.splits[i]],
            split_b=SPLITS[b.splits[j]],
            distance=int(bits),
        )
        for i, j, bits in pairs.tolist()
    ]


def check_no_leak(train: Signed, test: Signed) -> None:
    """Check that no recording is trained on in one corpus and tested on in the other.

    Args:
        train: corpus whose training split is used.
        test: corpus whose test split is used.

    Raises:
        CorpusError: names the first of them.
    """
    leaks = [
        f"{s.record_a} is {s.record_b} ({s.distance} bits of 256 differ)"
        for s in overlap(train, test)
        if s.split_a == "train" and s.split_b == "test"
    ]
    if leaks:
        raise CorpusError(
            f"{len(leaks)} training recordings of {train.path} are in the test split of "
            f"{test.path}: leave them out of one of the two\n{shown(leaks)}"
        )


def near_duplicates(
    a: NDArray[np.uint64], b: NDArray[np.uint64] | None = None, most: int = MOST
) -> NDArray[np.int64]:
    """Pairs of recordings that are copies of each other.

    Only pairs that agree in one of 20 bands of 12 bits are compared: of copies that differ in
    23 bits 99.9 % are found, in 36 bits 97 %.

    Args:
        a: (n, 4) signatures.
        b: (m, 4) signatures; None looks for pairs within ``a``, each once.
        most: largest distance, in bits of 256; 6 less for recordings shorter than 9.5 s, which
            are compared by their first five seconds.

    Returns:
        (pairs, 3): row of ``a``, row of ``b`` (within ``a``, the later one), distance; sorted
        by the two rows.
    """
    within = b is None
    other = a if b is None else b
    keys: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for rows_a, rows_b in _candidates(a, other):
        if within:
            later = rows_b > rows_a
            rows_a, rows_b = rows_a[later], rows_b[later]  # noqa: PLW2901
        one, two = a[rows_a], other[rows_b]
        short = ~(one[:, 2:].any(axis=1) & two[:, 2:].any(axis=1))
        close = distance(one, two) <= most - LESS_IF_SHORT * short
        keys.append(rows_a[close] * len(other) + rows_b[close])
    pairs = np.unique(np.concatenate(keys))
    row_a, row_b = np.divmod(pairs, max(len(other), 1))
    return np.stack([row_a, row_b, distance(a[row_a], other[row_b])], axis=1)


def _candidates(
    a: NDArray[np.uint64], b: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of rows that agree in a band, some at a time; a pair may come more than once."""
    bits_a, bits_b = _bits(a), _bits(b)
    weights = 1 << np.arange(BAND)
    for half in range(2):
        rows_a, rows_b = (np.flatnonzero(s[:, 2 * half : 2 * half + 2].any(axis=1)) for s in (a, b))
        for start in range(half * HALF_BITS, (half + 1) * HALF_BITS - BAND + 1, BAND):
            key_a = bits_a[rows_a, start : start + BAND] @ weights
            key_b = bits_b[rows_b, start : start + BAND] @ weights
            order = np.argsort(key_b, kind="stable")
            yield from _equal(key_a, key_b[order], rows_a, rows_b[order])


def _equal(
    key_a: NDArray[np.int64],
    key_b: NDArray[np.int64],
    rows_a: NDArray[np.int64],
    rows_b: NDArray[np.int64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of rows whose keys are equal; ``key_b`` is sorted."""
    first = np.searchsorted(key_b, key_a)
    counts = np.searchsorted(key_b, key_a, side="right") - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(key_a):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + PAIRS_AT_ONCE, side="right")))
        n = counts[start:stop]
        within = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        yield (
            np.repeat(rows_a[start:stop], n),
            rows_b[np.repeat(first[start:stop], n) + within],
        )
        start = stop


def _bits(signatures: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """(n, 256) bits, 0 or 1."""
    plain = np.ascontiguousarray(signatures, "<u8")
    return np.unpackbits(plain.view(np.uint8).reshape(len(plain), 2 * HALF_BITS // 8), axis=1)
