from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample_poly

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.quality.overlap import (
    MOST,
    check_no_leak,
    distance,
    near_duplicates,
    overlap,
    signature_features,
    signature_words,
)
from scaling.corpora.signals.presets import PRESETS
from scaling.identity import LEADS
from tests.scaling.corpora.beats import ecg
from tests.scaling.corpora.real import challenge, ptbxl

Words = NDArray[np.uint64]


def sign(x: NDArray[np.float32], fs_hz: int = 500, leads: tuple[str, ...] = LEADS) -> Words:
    return signature_words(signature_features(x, fs_hz, leads))


def bits_between(a: Words, b: Words) -> int:
    return int(distance(a, b))


def test_the_signature_never_changes() -> None:
    # Stored corpora are compared by it: another value here makes all of them incomparable.
    x = np.outer(np.arange(1, 13), np.sin(np.arange(1000) * 0.7)).astype(np.float32)
    x[:, 500:] *= np.cos(np.arange(500) * 0.11)
    found = [f"{int(word):016x}" for word in sign(x, 100)]
    want = ["fbde99878b4f33df", "e0ea0ffa18a80f7e", "8e91bc0a73f625dc", "57d4c4247e2560ce"]
    assert sum((int(a, 16) ^ int(b, 16)).bit_count() for a, b in zip(found, want, strict=True)) <= 6


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rounding", lambda x: np.round(x / 0.005) * 0.005),
        ("gain and offset", lambda x: -0.7 + 200 * x),
        ("a gain for each lead", lambda x: x / x.std(axis=1, keepdims=True)),
        ("after ten seconds", lambda x: np.concatenate([x, ecg(99, 500, 5.0)], axis=1)),
        ("padding", lambda x: np.pad(x, ((0, 0), (300, 700)))),
        ("the s1 preset", lambda x: PRESETS["s1"].apply(x, 500, 500, 5000)),
        ("the heartlang filter", lambda x: PRESETS["heartlang"].apply(x, 500, 500, 5000)),
        ("the liteheart preset", lambda x: PRESETS["liteheart"].apply(x, 500, 500, 6144)),
        ("augmented leads swapped", lambda x: x[[0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10, 11]]),
        ("noise of 20 uV", lambda x: x + np.random.default_rng(5).normal(0, 0.02, x.shape)),
    ],
)
def test_a_changed_copy_is_recognised(name: str, change: object) -> None:
    assert callable(change)
    x = ecg(1)
    assert bits_between(sign(x), sign(np.asarray(change(x), np.float32))) <= MOST / 2, name


@pytest.mark.parametrize("target_hz", [100, 250, 257, 400])
def test_a_resampled_copy_is_recognised(target_hz: int) -> None:
    x = ecg(2)
    copy = resample_poly(x, target_hz, 500, axis=1).astype(np.float32)
    assert bits_between(sign(x), sign(copy, target_hz)) <= MOST / 2


def test_order_and_spelling_of_leads_do_not_matter() -> None:
    x = ecg(3)
    names = tuple(lead.upper() for lead in LEADS)[::-1]
    np.testing.assert_array_equal(sign(x), sign(x[::-1].copy(), leads=names))


def test_short_copies_are_compared_by_the_first_five_seconds() -> None:
    x = ecg(4)
    short = sign(x[:, :2500])
    assert not short[2:].any()
    assert bits_between(sign(x), short) <= MOST / 2
    assert bits_between(sign(x), sign(x[:, :3500])) <= MOST / 2
    assert bits_between(sign(ecg(5)), short) > 2 * MOST


def test_other_recordings_differ_in_half_the_bits() -> None:
    signatures = np.stack([sign(ecg(seed)) for seed in range(60)])
    all_bits = distance(signatures[:, None], signatures[None])[np.triu_indices(60, 1)]
    assert all_bits.min() > 2 * MOST
    assert all_bits.mean() == pytest.approx(128, abs=4)


@pytest.mark.parametrize(
    "signal",
    [np.zeros((12, 5000)), np.full((12, 5000), 0.3), np.full((12, 5000), np.nan), ecg(1)[:, :800],
     np.zeros((12, 0))],
    ids=["zeros", "constant", "missing", "1.6 s", "empty"],
)  # fmt: skip
def test_what_holds_no_signal_has_no_signature(signal: NDArray[np.float32]) -> None:
    nothing = sign(signal.astype(np.float32))
    assert not nothing.any()
    assert len(near_duplicates(np.stack([nothing, nothing]))) == 0


def test_missing_samples_are_no_signal() -> None:
    x = ecg(6)
    holes = x.copy()
    holes[3, 100:200] = np.nan
    holes[7, ::500] = np.nan
    assert bits_between(sign(x), sign(holes)) <= MOST


def flipped(words: Words, count: int, seed: int) -> Words:
    bits = np.unpackbits(words.view(np.uint8))
    bits[np.random.default_rng(seed).choice(256, count, replace=False)] ^= 1
    return np.packbits(bits).view(np.uint64)


def random_words(count: int, seed: int = 0) -> Words:
    return np.random.default_rng(seed).integers(1, 2**64, (count, 4), dtype=np.uint64)


@given(st.integers(0, 2**32), st.integers(0, 60))
def test_distance_counts_the_bits(seed: int, count: int) -> None:
    words = random_words(1, seed)[0]
    assert bits_between(words, flipped(words, count, seed)) == count


def test_pairs_between_two_sets() -> None:
    a = random_words(3000)
    b = random_words(2000, 1)
    for row in range(200):
        b[row] = flipped(a[2 * row], row % 24, row)
    b[1000] = flipped(a[5], MOST + 1, 0)
    pairs = near_duplicates(a, b)
    want = [[2 * row, row, row % 24] for row in range(200)]
    assert [pair for pair in want if pair not in pairs.tolist()] == []
    assert len(pairs) == 200
    assert len(near_duplicates(a, b, most=10)) == sum(row % 24 <= 10 for row in range(200))


def test_short_recordings_must_be_closer() -> None:
    a = random_words(1)
    short = a.copy()
    short[0, 2:] = 0
    for count, found in ((14, 1), (15, 1), (16, 0)):
        b = short.copy()
        b[0, 0] ^= np.uint64((1 << count) - 1)
        assert len(near_duplicates(a, b)) == found
        assert bits_between(a[0], b[0]) == 2 * count


def test_pairs_within_one_set_come_once() -> None:
    a = random_words(500)
    a[400] = flipped(a[7], 5, 0)
    a[450] = a[7]
    assert near_duplicates(a).tolist() == [[7, 400, 5], [7, 450, 0], [400, 450, 5]]
    assert near_duplicates(a[:0]).shape == (0, 3)


def test_a_large_block_of_copies_is_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.repeat(random_words(1), 40, axis=0)
    whole = near_duplicates(a)
    monkeypatch.setattr("scaling.corpora.quality.overlap.PAIRS_AT_ONCE", 7)
    np.testing.assert_array_equal(near_duplicates(a), whole)
    assert len(whole) == 40 * 39 / 2


def test_signatures_made_together_are_those_made_alone() -> None:
    made = np.stack([signature_features(ecg(seed, seconds=s), 500, LEADS) for seed, s in
                     ((1, 10.0), (2, 5.0), (3, 1.0), (4, 12.0))])  # fmt: skip
    alone = [signature_words(one) for one in made]
    np.testing.assert_array_equal(signature_words(made), alone)
    np.testing.assert_array_equal(signature_words(made[::-1])[::-1], alone)
    assert [int(np.count_nonzero(w)) for w in alone] == [4, 2, 0, 4]


@pytest.mark.parametrize("per_band", [25, 4, 0.01])
def test_any_width_of_band_finds_copies(monkeypatch: pytest.MonkeyPatch, per_band: float) -> None:
    # As if there were more records: 12, 13 and 16 bits.
    monkeypatch.setattr("scaling.corpora.quality.overlap.PER_BAND", per_band)
    a = random_words(30_000)
    copies = np.stack([flipped(a[row], 20, row) for row in range(300)])
    found = near_duplicates(np.concatenate([a, copies]))
    assert set(map(tuple, found.tolist())) <= {(row, 30_000 + row, 20) for row in range(300)}
    assert len(found) >= 297
    assert len(near_duplicates(a, copies)) >= 297


def test_thousands_of_identical_signatures_are_paired_with_the_first() -> None:
    a = random_words(5000)
    a[10:4010] = a[10]
    b = np.concatenate([a[4500:4501], a[10:11], random_words(10, 2)])
    pairs = near_duplicates(a)
    assert pairs.tolist() == [[10, row, 0] for row in range(11, 4010)]
    want = [[row, 1, 0] for row in range(10, 4010)] + [[4500, 0, 0]]
    assert near_duplicates(a, b).tolist() == want
    assert near_duplicates(b, a).tolist() == sorted([j, i, bits] for i, j, bits in want)


def test_a_crowd_of_like_recordings_is_paired_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling.corpora.quality.overlap.CROWD", 100)
    monkeypatch.setattr("scaling.corpora.quality.overlap.COMPANY", 8)
    a = random_words(3000)
    for row in range(1000):
        a[row] = flipped(a[2999], 6, row)
    a[2000] = flipped(a[1500], 20, 0)
    pairs = near_duplicates(a)
    assert [1500, 2000, 20] in pairs.tolist()
    in_crowd = {*range(1000), 2999}
    assert in_crowd <= set(pairs[:, :2].ravel().tolist())  # every one has company
    assert len(pairs) < 1000 * 999 / 4


def prepared(name: str, words: Words, splits: list[int]) -> Corpus:
    """What is asked of a corpus."""
    ids = [f"{name}{i}" for i in range(len(words))]
    known = {"path": Path(name), "record_ids": ids, "signatures": words}
    return cast(Corpus, SimpleNamespace(splits=np.array(splits, np.int8), **known))


def test_overlap_names_records_and_splits() -> None:
    words = random_words(6)
    a = prepared("a", words[:4], [0, 0, 1, 2])
    b = prepared("b", np.stack([words[4], flipped(words[2], 3, 0), words[3]]), [0, 2, 0])
    found = [dataclasses.astuple(shared) for shared in overlap(a, b)]
    assert found == [("a2", "b1", "validation", "test", 3), ("a3", "b2", "test", "train", 0)]


def test_a_leak_is_refused_in_its_own_direction_only() -> None:
    words = random_words(5)
    a = prepared("a", words[:3], [0, 1, 2])
    b = prepared("b", words[[3, 0]], [0, 2])
    check_no_leak(b, a)
    with pytest.raises(CorpusError, match=r"1 training recordings of a are in the test split of b"):
        check_no_leak(a, b)
    with pytest.raises(CorpusError, match=r"a0 is b1 \(0 bits"):
        check_no_leak(a, b)


def test_a_leak_is_found_behind_many_copies_in_other_splits() -> None:
    a = prepared("a", np.repeat(random_words(1), 200, axis=0), [1] * 199 + [0])
    b = prepared("b", np.repeat(random_words(1), 200, axis=0), [1] * 199 + [2])
    with pytest.raises(CorpusError, match="a199 is b199"):
        check_no_leak(a, b)


@pytest.fixture(scope="module")
def real_words(shared: Path) -> dict[str, tuple[list[str], Words]]:
    groups = {
        "100": {str(k): r for k, r in ptbxl(shared, 100).items()},
        "500": {str(k): r for k, r in ptbxl(shared, 500).items()},
        "challenge": challenge(shared),
    }
    return {
        name: (list(rs), np.stack([sign(r.signal, r.fs_hz, r.leads) for r in rs.values()]))
        for name, rs in groups.items()
    }


Groups = dict[str, tuple[list[str], Words]]


@pytest.mark.parametrize("rate", ["100", "500"])
def test_challenge_2021_holds_records_of_ptbxl(real_words: Groups, rate: str) -> None:
    ids, words = real_words["challenge"]
    others, other_words = real_words[rate]
    found = {(ids[i], others[j]) for i, j, _ in near_duplicates(words, other_words)}
    # Its records HR##### carry the PTB-XL id; those present here and there are the overlap.
    want = {(name, str(int(name[2:]))) for name in ids if name.startswith("HR")}
    assert found == {(name, other) for name, other in want if other in set(others)}
    assert len(found) == (6 if rate == "100" else 5)


def test_every_record_is_found_at_another_rate(real_words: Groups) -> None:
    ids, words = real_words["500"]
    others, other_words = real_words["100"]
    pairs = near_duplicates(words, other_words)
    assert {(ids[i], others[j]) for i, j, _ in pairs} == {(name, name) for name in ids}
    assert pairs[:, 2].max() <= 30


@pytest.mark.parametrize("group", ["100", "challenge"])
def test_other_real_records_are_far_apart(real_words: Groups, group: str) -> None:
    words = real_words[group][1]
    assert len(near_duplicates(words)) == 0
    nearest = distance(words[:200, None], words[None])
    np.fill_diagonal(nearest, 256)
    assert nearest.min() > MOST + 15
