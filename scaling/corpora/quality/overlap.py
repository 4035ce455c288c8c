"""Near-duplicate recordings, within a corpus and between corpora, by signatures of the signals.

Datasets of this field contain each other under other names, rates and gains (Challenge 2021
holds PTB-XL, CPSC 2018 and CSN), so neither record ids nor exact hashes show the overlap.

A signature is a similarity hash (Charikar, STOC 2002): 256 bits, each the sign of one fixed
random projection of the signal between 5 and 25 Hz. The share of bits that differ estimates the
angle between two signals over pi: copies differ in few bits, other recordings in about half.

Not all are compared with all. Locality-sensitive hashing by bands of bits (Indyk & Motwani, STOC
1998): copies agree in all bits of one band or another, and only signatures that do are compared.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError, shown
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.splits import mix
from scaling.corpora.signals.leads import lead_name
from scaling.records.names import SPLITS

# The eight leads that are independent; the others follow from I and II.
LEADS_USED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
HALF_S = 5  # words 0 and 1 are of the first five seconds, words 2 and 3 of the next five
SHORTEST_S = 2.0  # shorter recordings have no signature
WHOLE_S = 9.5  # shorter recordings have no second half
RATE_HZ = 52  # of the features: enough for 25 Hz
LOW_HZ, HIGH_HZ = 5.0, 25.0
TAPER_S = 0.1
HALF_BITS = 128
STEPS = 4096  # of a feature from 0 to 1: 2,080 of them sum to less than 2^24
ROUNDING = 1e-6  # a lead below this share of the largest sample is rounding, not a signal

# Copies of PTB-XL at 500 and at 100 Hz differ in 9 bits (median), 23 at most; of 200 million
# pairs of other recordings, the closest in 45. See docs/preprocessing.md.
MOST = 36
LESS_IF_SHORT = 6  # half the bits tell less: among the same pairs the closest in 34
FOUND_AT_ONCE = 1 << 22
# Bits that must agree in at least one place for a pair to be looked at: more of them in more
# places in larger sets, so that chance pairs (about records^2 x places / 2^bits) stay few.
LEAST_BITS, MOST_BITS, PER_BAND = 12, 16, 25
PAIRS_AT_ONCE = 1 << 19
# Recordings of a crowd, such as thousands that hold one artefact, are paired with some only.
CROWD, COMPANY = 2048, 64
LARGE = 4096  # pairs of two groups of identical signatures that are all listed


def signature_features(
    signal_LT: NDArray[np.float32] | NDArray[np.float64], fs_hz: int, leads: Sequence[str]
) -> NDArray[np.int16]:
    """What the signature of a raw recording is made of, see ``signature_words``.

    The signature hardly changes with sampling rate (from 60 Hz), gain and offset of each lead,
    rounding, filters that leave 5-25 Hz alone, the order and spelling of the leads, zeros around
    the recording, and whatever comes after ten seconds. Recordings of 9.5 s and more have all
    four words; shorter ones have 0 in words 2 and 3 and are compared by the first five seconds
    alone; those under 2 s, and those without any signal, are 0. A copy that starts elsewhere,
    or with other leads, is not recognised.

    Args:
        signal_LT: (leads, samples), any unit; NaN counts as no signal.
        fs_hz: sampling rate in hertz.
        leads: lead names in order; those that follow from I and II are not used.

    Returns:
        (2, values): first and next five seconds, zeros where there is no signal.
    """
    names = _rows(tuple(leads))
    x_LT = np.zeros((len(LEADS_USED), signal_LT.shape[-1]), np.float32)
    for i, lead in enumerate(LEADS_USED):
        if lead in names:
            x_LT[i] = signal_LT[names[lead]]
    if not np.isfinite(x_LT.sum()):
        np.nan_to_num(x_LT, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    x_LT = _without_padding(x_LT)
    found = np.zeros((2, len(LEADS_USED), HALF_S * RATE_HZ), np.int16)
    seconds = x_LT.shape[-1] / fs_hz
    if seconds >= SHORTEST_S:
        halves = np.rint(STEPS * _band_passed(x_LT, fs_hz)).reshape(len(LEADS_USED), 2, -1)
        count = 2 if seconds >= WHOLE_S else 1
        found[:count] = halves.swapaxes(0, 1)[:count]
    return found.reshape(2, -1)


@functools.cache
def _rows(leads: tuple[str, ...]) -> dict[str, int]:
    """Lead -> row."""
    return {lead_name(name): row for row, name in enumerate(leads)}


def signature_words(features: NDArray[np.int16]) -> NDArray[np.uint64]:
    """Signatures, (..., 4) words of 64 bits, from ``signature_features`` (..., 2, values).

    Many at once take less time each.

    Sums of whole numbers below 2^24 are exact in float32, so neither their order nor what else
    is computed at the same time changes a bit.
    """
    found = np.zeros((*features.shape[:-2], 2, HALF_BITS // 64), np.uint64)
    for half in range(2):
        part = features[..., half, :].astype(np.float32)
        bits = part @ _projections(half, part.shape[-1]).T > 0
        packed = np.packbits(bits & part.any(axis=-1, keepdims=True), axis=-1)
        found[..., half, :] = packed.view("<u8")
    return found.reshape(*features.shape[:-2], 4)


def _without_padding(x_LT: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the zeros before and after the recording."""
    live = np.flatnonzero(x_LT.any(axis=0))
    return x_LT[:, live[0] : live[-1] + 1] if len(live) else x_LT[:, :0]


def _band_passed(x_LT: NDArray[np.float32], fs_hz: int) -> NDArray[np.float32]:
    """(leads, 10 s at 52 Hz): band-passed, unit variance in each lead, large values squashed.

    The squashing keeps one artefact from deciding all bits.
    """
    from scipy.fft import irfft, rfft

    samples = 2 * HALF_S * fs_hz
    x_LT = x_LT[:, :samples]
    floor = ROUNDING * max(float(np.abs(x_LT).max()), 1e-30)
    x_LT = x_LT - x_LT.mean(axis=-1, keepdims=True)
    ramp = _ramp(max(round(TAPER_S * fs_hz), 1))
    x_LT[:, : len(ramp)] *= ramp
    x_LT[:, -len(ramp) :] *= ramp[::-1]
    # Ten seconds whatever the rate, so bin k is k / 10 Hz.
    spectrum = rfft(x_LT, n=samples, axis=-1)[:, : HALF_S * RATE_HZ + 1]
    gains = _gains()[: spectrum.shape[-1]]
    band_LT = irfft(spectrum * gains, n=2 * HALF_S * RATE_HZ, axis=-1)
    rms = np.sqrt((band_LT**2).mean(axis=-1, keepdims=True))
    return np.tanh(band_LT / np.where(rms > floor, rms, np.inf))


@functools.cache
def _ramp(samples: int) -> NDArray[np.float32]:
    """Raised cosine from 0 to 1."""
    return np.sin(np.linspace(0, np.pi / 2, samples, dtype=np.float32)) ** 2


@functools.cache
def _gains() -> NDArray[np.float32]:
    """Gain of each tenth of a hertz up to 26 Hz: 0 to 1 to 0 with raised-cosine edges of 1 Hz."""
    hz = np.arange(HALF_S * RATE_HZ + 1) / (2 * HALF_S)
    inside = np.clip(np.minimum(hz - (LOW_HZ - 0.5), (HIGH_HZ + 0.5) - hz), 0, 1)
    return (np.sin(inside * np.pi / 2) ** 2).astype(np.float32)


@functools.cache
def _projections(half: int, size: int) -> NDArray[np.float32]:
    """(128, size) fixed random signs. They come from our own hash, so they never change."""
    count = HALF_BITS * size // 64
    words = mix(np.arange(count, dtype=np.uint64) + np.uint64(half << 32))
    signs = np.unpackbits(words.astype("<u8").view(np.uint8))
    return (2.0 * signs.reshape(HALF_BITS, size) - 1.0).astype(np.float32)


def distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits that differ, of 256, between signatures (..., 4).

    Where one has only a first half, twice the bits of the first half; where one is 0, 256.
    """
    bits = np.bitwise_count(a ^ b).astype(np.int64)
    first, second = bits[..., :2].sum(axis=-1), bits[..., 2:].sum(axis=-1)
    whole = a[..., 2:].any(axis=-1) & b[..., 2:].any(axis=-1)
    known = a[..., :2].any(axis=-1) & b[..., :2].any(axis=-1)
    return np.where(known, np.where(whole, first + second, 2 * first), 2 * HALF_BITS)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A recording that two corpora hold, its id and split in each; ``distance`` in bits of 256."""

    record_a: str
    record_b: str
    split_a: str
    split_b: str
    distance: int


def overlap(a: Corpus, b: Corpus, most: int = MOST) -> list[Shared]:
    """Recordings that two prepared corpora share, in the order of the first.

    Whatever preset and rate they were prepared with; what is recognised says
    ``signature_features``.
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


def check_no_leak(train: Corpus, test: Corpus) -> None:
    """Check that nothing in the training split of one corpus is in the test split of the other.

    Raises:
        CorpusError: names the first of the recordings.
    """
    rows_a = np.flatnonzero(train.splits == SPLITS.index("train"))
    rows_b = np.flatnonzero(test.splits == SPLITS.index("test"))
    leaks = [
        f"{train.record_ids[rows_a[i]]} is {test.record_ids[rows_b[j]]} ({bits} bits of 256 differ)"
        for i, j, bits in near_duplicates(
            np.asarray(train.signatures)[rows_a], np.asarray(test.signatures)[rows_b]
        ).tolist()
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

    Only pairs that agree in one of 20 bands of 12 bits (up to 38 of 16 in larger sets) are
    compared: of copies that differ in 23 bits 99.9 % are found, in 36 bits 98 % (94 % in a
    million records). Of a group of more than 64 identical signatures every recording is paired
    with the first, not with all; of more than 2,048 that are alike, with the next 64 of a band.

    Args:
        a: (n, 4) signatures.
        b: (m, 4) signatures; None looks for pairs within ``a``, each once.
        most: largest distance, in bits of 256; 6 less for recordings shorter than 9.5 s, which
            are compared by their first five seconds.

    Returns:
        (pairs, 3): row of ``a``, row of ``b`` (within ``a``, the later one), distance; sorted
        by the two rows.
    """
    groups_a = _Groups.of(a)
    groups_b = groups_a if b is None else _Groups.of(b)
    one, other = a[groups_a.first], (a if b is None else b)[groups_b.first]
    keys = np.empty(0, np.int64)
    waiting: list[NDArray[np.int64]] = []
    for i, j in _candidates(one, None if b is None else other, most):
        short = ~(one[i, 2:].any(axis=1) & other[j, 2:].any(axis=1))
        close = distance(one[i], other[j]) <= most - LESS_IF_SHORT * short
        waiting.append(i[close] * len(other) + j[close])
        if sum(map(len, waiting)) > FOUND_AT_ONCE:
            keys, waiting = np.unique(np.concatenate([keys, *waiting])), []
    i, j = np.divmod(np.unique(np.concatenate([keys, *waiting])), max(len(other), 1))
    if b is None:
        copied = np.flatnonzero(groups_a.sizes > 1)
        i, j = np.concatenate([i, copied]), np.concatenate([j, copied])
    rows_a, rows_b = _members(groups_a, groups_b, i, j)
    if b is None:
        rows_a, rows_b = np.minimum(rows_a, rows_b), np.maximum(rows_a, rows_b)
        rows_a, rows_b = rows_a[rows_a < rows_b], rows_b[rows_a < rows_b]
    order = np.lexsort((rows_b, rows_a))
    pairs = np.stack([rows_a[order], rows_b[order]], axis=1)
    again = np.zeros(len(pairs), bool)  # of large groups, where the two firsts meet
    again[1:] = (pairs[1:] == pairs[:-1]).all(axis=1)
    pairs = pairs[~again]
    bits = distance(a[pairs[:, 0]], (a if b is None else b)[pairs[:, 1]])
    return np.column_stack([pairs, bits])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """Rows of one array with identical signatures; those without a signature are left out.

    Attributes:
        rows: rows, group after group, ascending in each.
        starts: where each group begins in ``rows``.
        sizes: rows of each group.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def first(self) -> NDArray[np.int64]:
        """First row of each group."""
        return self.rows[self.starts]

    @classmethod
    def of(cls, signatures: NDArray[np.uint64]) -> _Groups:
        rows = np.flatnonzero(signatures.any(axis=1)).astype(np.int64)
        rows = rows[np.lexsort(signatures[rows].T)]  # stable, so ascending in each group
        differ = (signatures[rows[1:]] != signatures[rows[:-1]]).any(axis=1)
        starts = np.flatnonzero(np.concatenate([np.ones(min(len(rows), 1), bool), differ]))
        return cls(rows=rows, starts=starts, sizes=np.diff(starts, append=len(rows)))


def _members(
    a: _Groups, b: _Groups, i: NDArray[np.int64], j: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of rows of pairs of groups: all of small groups, with the first only of large ones."""
    large = a.sizes[i] * b.sizes[j] > LARGE
    n_b = b.sizes[j[~large]]
    pairs = a.sizes[i[~large]] * n_b
    which = np.repeat(np.arange(len(pairs)), pairs)
    at, of = np.divmod(np.arange(len(which)) - (np.cumsum(pairs) - pairs)[which], n_b[which])
    rows_a = [a.rows[a.starts[i[~large]][which] + at]]
    rows_b = [b.rows[b.starts[j[~large]][which] + of]]
    for k, m in zip(i[large].tolist(), j[large].tolist(), strict=True):
        all_a = a.rows[a.starts[k] : a.starts[k] + a.sizes[k]]
        all_b = b.rows[b.starts[m] : b.starts[m] + b.sizes[m]]
        rows_a += [all_a, np.full(len(all_b), all_a[0])]
        rows_b += [np.full(len(all_a), all_b[0]), all_b]
    return np.concatenate(rows_a), np.concatenate(rows_b)


def _candidates(
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
                close = np.bitwise_count(words_a[one] ^ words_b[two]).sum(axis=1) <= most
                yield rows_a[one[close]], rows_b[two[close]]


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
