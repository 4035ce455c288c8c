from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.splits import (
    check_disjoint,
    hashed_split,
    labelled_subset,
    mix,
    nested_subset,
    stratified_split,
)
from scaling.records.names import SPLITS

patient_lists = st.lists(st.integers(0, 30), min_size=1, max_size=80)


@given(patient_lists, st.integers(0, 3))
def test_smaller_subsets_are_prefixes(patients: list[int], seed: int) -> None:
    ids = np.array(patients, np.int64)
    rows = np.arange(len(ids))
    full = nested_subset(ids, rows, len(ids), seed)
    assert sorted(full) == rows.tolist()
    for size in range(1, len(ids)):
        np.testing.assert_array_equal(nested_subset(ids, rows, size, seed), full[:size])


@given(patient_lists)
def test_patients_are_taken_whole_but_the_last(patients: list[int]) -> None:
    ids = np.array(patients, np.int64)
    size = (len(ids) + 1) // 2
    taken = ids[nested_subset(ids, np.arange(len(ids)), size)]
    for patient in set(taken[:-1].tolist()) - {taken[-1]}:
        assert (taken == patient).sum() == (ids == patient).sum()


@given(patient_lists)
def test_the_order_of_patients_does_not_depend_on_the_others(patients: list[int]) -> None:
    ids = np.array(patients, np.int64)
    rows = np.arange(len(ids))
    some = rows[ids % 2 == 0]
    if len(some):
        full = nested_subset(ids, rows, len(rows))
        kept = full[ids[full] % 2 == 0]
        np.testing.assert_array_equal(nested_subset(ids, some, len(some)), kept)


def test_the_order_is_fixed_and_looks_random() -> None:
    ids = np.arange(1000, dtype=np.int64)
    taken = nested_subset(ids, ids, 200)
    assert taken[:5].tolist() == [286, 250, 781, 728, 844]  # must never change
    assert 400 < taken.mean() < 600
    assert len(set(taken.tolist()) & set(nested_subset(ids, ids, 200, seed=1).tolist())) < 80


def test_the_hash_is_splitmix64() -> None:
    # First outputs of the published generator for the seeds 0 and 1.
    assert mix(np.array([0, 1], np.uint64)).tolist() == [0xE220A8397B1DCDAF, 0x910A2DEC89025CC1]


@pytest.mark.parametrize(
    ("size", "message"),
    [(11, "11 records was asked for, but only 10 are available"), (0, "at least 1")],
)
def test_impossible_sizes(size: int, message: str) -> None:
    ids = np.arange(10, dtype=np.int64)
    with pytest.raises(CorpusError, match=message):
        nested_subset(ids, ids, size)


def test_a_patient_in_two_splits_is_named() -> None:
    one, other = np.array([1, 2, 3]), np.array([7, 3, 9])
    check_disjoint({"train": one, "test": other[[0, 2]]})
    with pytest.raises(CorpusError, match=r"both train and test \(such as 3\)"):
        check_disjoint({"train": one, "validation": np.array([5]), "test": other})


@given(st.integers(-(2**62), 2**63))
def test_a_hashed_split_is_one_of_three(patient: int) -> None:
    assert hashed_split(patient) in SPLITS


def test_hashed_splits_are_eight_to_one_to_one_and_never_change() -> None:
    splits = [hashed_split(patient) for patient in range(20_000)]
    shares = [splits.count(split) / len(splits) for split in SPLITS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    held_out = [patient for patient in range(60) if splits[patient] != "train"]
    assert held_out == HELD_OUT
    assert [splits[patient][0] for patient in held_out] == KINDS


HELD_OUT = [3, 6, 10, 11, 14, 23, 42, 45, 47, 50, 59]
KINDS = ["t", "t", "t", "v", "v", "v", "t", "t", "v", "v", "t"]


def test_a_hashed_split_is_that_of_the_published_hash() -> None:
    patients = np.arange(500, dtype=np.uint64)
    tenths = mix(patients ^ np.uint64(0x73706C6974)) % np.uint64(10)
    want = ["train" if t < 8 else "validation" if t == 8 else "test" for t in tenths.tolist()]
    assert [hashed_split(patient) for patient in range(500)] == want


def test_training_order_does_not_depend_on_the_hashed_split() -> None:
    ids = np.arange(5000, dtype=np.int64)
    first = nested_subset(ids, ids, 1000)
    share = np.mean([hashed_split(int(patient)) == "train" for patient in first])
    assert share == pytest.approx(0.8, abs=0.04)


def many_labels(
    records: int = 6000, patients: int = 4000, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Labels of 20 classes, from half of the records to one in 300."""
    rng = np.random.default_rng(seed)
    labels = rng.random((records, 20)) < np.geomspace(0.5, 0.0033, 20)
    return labels.astype(np.uint8), rng.integers(0, patients, records)


def test_stratified_splits_are_by_patient_and_alike() -> None:
    labels, patients = many_labels()
    splits = stratified_split(labels, patients)
    check_disjoint({split: patients[splits == split] for split in SPLITS})
    for split, share in zip(SPLITS, (0.8, 0.1, 0.1), strict=True):
        part = splits == split
        assert part.mean() == pytest.approx(share, abs=0.02)
        found = labels[part].sum(axis=0) / labels.sum(axis=0)
        assert np.abs(found - share).max() < 0.09
    rare = labels[:, -1].astype(bool)
    assert set(splits[rare]) == set(SPLITS)


def test_stratifying_beats_chance_and_matches_the_reference() -> None:
    labels, _ = many_labels()
    ids = np.arange(len(labels), dtype=np.int64)

    def unevenness(test: NDArray[np.bool_]) -> float:
        return float(np.abs(labels[test].sum(axis=0) / labels.sum(axis=0) - 0.1).max())

    ours = unevenness(stratified_split(labels, ids) == "test")
    random = unevenness(np.random.default_rng(0).random(len(labels)) < 0.1)
    folds = MultilabelStratifiedKFold(10, shuffle=True, random_state=0)
    fold = np.zeros(len(labels), bool)
    fold[next(folds.split(labels, labels))[1]] = True
    assert ours < random / 3
    assert ours < unevenness(fold) + 0.03


def test_a_stratified_split_does_not_depend_on_the_order_of_records() -> None:
    labels, patients = many_labels(1000, 700)
    splits = stratified_split(labels, patients, seed=3)
    order = np.random.default_rng(1).permutation(1000)
    np.testing.assert_array_equal(
        stratified_split(labels[order], patients[order], seed=3), splits[order]
    )
    assert (stratified_split(labels, patients, seed=4) != splits).any()


def test_a_stratified_split_never_changes() -> None:
    labels, patients = many_labels(40, 30)
    splits = stratified_split(labels, patients, (0.5, 0.25, 0.25))
    assert "".join(split[0] for split in splits) == STRATIFIED


STRATIFIED = "tttvttttvttttttttvtvtttvttvttttttvttttvt"


@pytest.mark.parametrize(
    ("shares", "records", "message"),
    [
        ((0.8, 0.1, 0.2), 10, "sum to 1"),
        ((1.2, -0.1, -0.1), 10, "sum to 1"),
        ((0.5, 0.5), 10, "sum to 1"),
        ((0.8, 0.1, 0.1), 9, "9 rows of labels for 10 records"),
    ],
)
def test_bad_stratification(shares: tuple[float, ...], records: int, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        stratified_split(np.zeros((records, 2), np.uint8), np.arange(10), shares)


@pytest.mark.parametrize("seed", [0, 1])
def test_labelled_subsets_are_nested_and_show_every_class(seed: int) -> None:
    labels, patients = many_labels()
    labels[:, 7] = 0  # a class without any record asks for nothing
    rows = np.flatnonzero(patients % 10 < 8)
    parts = [labelled_subset(patients, labels, rows, f, seed) for f in (0.025, 0.05, 0.1, 1.0)]
    assert [len(part) for part in parts] == [round(f * len(rows)) for f in (0.025, 0.05, 0.1, 1)]
    for small, large in itertools.pairwise(parts):
        np.testing.assert_array_equal(small, large[: len(small)])
    assert sorted(parts[-1]) == rows.tolist()
    shown = labels[parts[0]].any(axis=0)
    assert shown.tolist() == [k != 7 for k in range(20)]


def test_labels_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, patients = many_labels(1000, 700)
    rows = np.arange(1000)
    whole = labelled_subset(patients, labels, rows, 0.1)
    monkeypatch.setattr("scaling.corpora.format.splits.BLOCK", 64)
    np.testing.assert_array_equal(labelled_subset(patients, labels, rows, 0.1), whole)


def test_labelled_subsets_take_patients_whole() -> None:
    labels, patients = many_labels()
    rows = np.arange(len(patients))
    part = labelled_subset(patients, labels, rows, 0.1)
    partly = [
        patient
        for patient in set(patients[part].tolist())
        if (patients[part] == patient).sum() < (patients == patient).sum()
    ]
    assert len(partly) <= 1


def test_a_tiny_labelled_subset_takes_the_rarest_classes_first() -> None:
    labels = np.zeros((100, 3), np.uint8)
    labels[:90, 0] = labels[90:98, 1] = labels[98:, 2] = 1
    ids = np.arange(100)
    for size, classes in ((1, [2]), (2, [1, 2]), (3, [0, 1, 2])):
        part = labelled_subset(ids, labels, ids, size / 100)
        assert np.flatnonzero(labels[part].any(axis=0)).tolist() == classes


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_bad_labelled_fractions(fraction: float) -> None:
    ids = np.arange(10)
    with pytest.raises(CorpusError, match="a labelled fraction of"):
        labelled_subset(ids, np.ones((10, 1), np.uint8), ids, fraction)


def test_no_candidates_to_label() -> None:
    ids = np.arange(10)
    with pytest.raises(CorpusError, match="only 0 are available"):
        labelled_subset(ids, np.ones((10, 1), np.uint8), ids[:0], 0.1)


def test_stratifying_is_loaded_only_when_used() -> None:
    code = (
        "import sys, scaling.corpora.format.splits;"
        "print({'sklearn', 'iterstrat'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
