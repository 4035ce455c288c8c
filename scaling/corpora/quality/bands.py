"""Pairs of signatures that may be copies, without comparing all with all.

Locality-sensitive hashing by bands of bits (Indyk & Motwani, STOC 1998): copies agree in all
bits of one band or another, and only signatures that do are compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.quality.signature import HALF_BITS

# Bits that must agree in at least one place for a pair to be looked at: more of them in more
# places in larger sets, so that chance pairs (about records^2 x places / 2^bits) stay few.
LEAST_BITS, MOST_BITS, PER_BAND = 12, 16, 25
PAIRS_AT_ONCE = 1 << 19
# Recordings of a crowd, such as thousands that hold one artefact, are paired with some only.
CROWD, COMPANY = 2048, 64


def candidates(
    a: NDArray[np.uint64], b: NDArray[np.uint64] | None, most: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of rows that agree in a band, and in most of that half.

    Args:
        a: (n, 4) signatures.
        b: (m, 4) signatures; None looks within ``a``, for pairs of an earlier and a later row.
        most: largest distance of the half that holds the band, in bits.

    Yields:
        Rows of ``a`` and rows of ``b``, some pairs at a time; a pair may come repeatedly.
    """
    records = max(len(a), 0 if b is None else len(b))
    bits = min(max(math.ceil(math.log2(records / PER_BAND + 1)), LEAST_BITS), MOST_BITS)
    step = max(LEAST_BITS - 2 * (bits - LEAST_BITS), LEAST_BITS // 2)
    for half in range(2):
        rows_a, words_a = _half(a, half)
        rows_b, words_b = (rows_a, words_a) if b is None else _half(b, half)
        for start in range(0, HALF_BITS - bits + 1, step):
            key_a, key_b = (_band(words, start, bits) for words in (words_a, words_b))
            order = np.argsort(key_b, kind="stable")
            by_key = order if b is None else np.arange(len(key_a))
            for i, j in _equal(key_a[by_key], key_b[order], within=b is None):
                one, two = by_key[i], order[j]
                near = np.bitwise_count(words_a[one] ^ words_b[two]).sum(axis=1) <= most
                yield rows_a[one[near]], rows_b[two[near]]


def _half(
    signatures: NDArray[np.uint64], half: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Rows that have this half, and their two words of it."""
    words = signatures[:, 2 * half : 2 * half + 2]
    rows = np.flatnonzero(words.any(axis=1))
    return rows, np.ascontiguousarray(words[rows])


def _band(words: NDArray[np.uint64], start: int, bits: int) -> NDArray[np.uint16]:
    """``bits`` bits of each half from the one at ``start``; 16 at most, which sort in no time."""
    word, shift = divmod(start, 64)
    key = words[:, word] >> np.uint64(shift)
    if shift + bits > 64:
        key |= words[:, word + 1] << np.uint64(64 - shift)
    return (key & np.uint64((1 << bits) - 1)).astype(np.uint16)


def _equal(
    key_a: NDArray[np.uint16], key_b: NDArray[np.uint16], *, within: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of positions whose keys are equal; ``key_b`` is sorted, and is ``key_a`` within."""
    first = np.searchsorted(key_b, key_a)
    counts = np.searchsorted(key_b, key_a, side="right") - first
    crowded = counts > CROWD
    if within:
        ends, first = first + counts, np.arange(1, len(key_a) + 1)
        counts = ends - first
    counts[crowded] = np.minimum(counts[crowded], COMPANY)
    ends = np.cumsum(counts)
    start = 0
    while start < len(key_a):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + PAIRS_AT_ONCE, side="right")))
        n = counts[start:stop]
        after = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        yield np.repeat(np.arange(start, stop), n), np.repeat(first[start:stop], n) + after
        start = stop
