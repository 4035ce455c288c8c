"""Splits: resident or streamed they give the same batches; leads and classes go by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.corpus import Corpus
from scaling.data import batches as data
from scaling.data.batches import (
    NO_PEAK,
    Batch,
    Split,
    StreamedSplit,
    evaluated,
    open_corpus,
    padded_r_peaks,
    split_of,
)
from scaling.workspace import Workspace
from tests.scaling.training.trials import BASIC

CPU = torch.device("cpu")
ROWS = np.array([7, 0, 31, 3], np.int64)


@pytest.fixture
def corpus(tmp_path: Path, trials_cache: Path) -> Corpus:
    return open_corpus(BASIC, Workspace(store=tmp_path, cache=trials_cache))


@pytest.mark.parametrize("leads", [None, ("V2", "I")])
def test_a_streamed_split_gives_the_batches_of_a_resident_one(
    corpus: Corpus, leads: tuple[str, ...] | None
) -> None:
    resident = split_of(corpus, ROWS, "", CPU, leads)
    streamed = split_of(corpus, ROWS, "", CPU, leads, streamed=True)
    assert isinstance(streamed, StreamedSplit)
    assert len(streamed) == len(resident) == 4
    assert len(streamed.signals) == 0
    for split in (resident, streamed):
        split.extra["place"] = torch.arange(4)
    pairs = [(resident.batch(rows), streamed.batch(rows)) for rows in torch.tensor([[2, 2, 0]])]
    pairs += list(zip(resident.chunks(3), streamed.chunks(3), strict=True))
    for one, other in pairs:
        for name in ("x_BLT", "r_peaks_BP", "labels_BC", "patients_B", "rows_B"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
        assert torch.equal(one.extra["place"], other.extra["place"])


@pytest.mark.parametrize("streamed", [False, True])
def test_a_batch_is_the_records_at_its_places(corpus: Corpus, streamed: bool) -> None:
    split = split_of(corpus, ROWS, "", CPU, streamed=streamed)
    batch = split.batch(torch.tensor([2, 0]))
    assert torch.equal(batch.x_BLT, torch.from_numpy(corpus.batch(ROWS[[2, 0]])))
    assert batch.patients_B.tolist() == corpus.patients[ROWS[[2, 0]]].tolist()
    assert batch.labels_BC.tolist() == corpus.labels("")[ROWS[[2, 0]]].tolist()
    peaks = batch.r_peaks_BP[0]
    assert peaks[peaks != NO_PEAK].tolist() == corpus.r_peaks(31).tolist()


@pytest.mark.parametrize("streamed", [False, True])
def test_the_first_records_of_a_split(corpus: Corpus, streamed: bool) -> None:
    split = split_of(corpus, ROWS, "", CPU, streamed=streamed)
    whole, few = split.batch(torch.arange(2)), split.first(2)
    assert len(few) == 2
    (batch,) = few.chunks()
    assert torch.equal(batch.x_BLT, whole.x_BLT)
    assert torch.equal(batch.patients_B, whole.patients_B)


def test_leads_and_classes_go_by_name(corpus: Corpus) -> None:
    whole = split_of(corpus, ROWS, "", CPU).batch(torch.arange(4))
    names = corpus.classes("")
    some = split_of(corpus, ROWS, "", CPU, ("V6", "II"), (names[3], names[0]))
    batch = some.batch(torch.arange(4))
    assert torch.equal(batch.x_BLT, whole.x_BLT[:, [11, 1]])
    assert torch.equal(batch.labels_BC, whole.labels_BC[:, [3, 0]])
    with pytest.raises(CorpusError, match="V9"):
        split_of(corpus, ROWS, "", CPU, ("I", "V9"))
    with pytest.raises(ValueError, match="no class 'flutter'"):
        split_of(corpus, ROWS, "", CPU, classes=("flutter",))


def test_records_without_r_peaks_are_all_padding(corpus: Corpus) -> None:
    assert padded_r_peaks(corpus, np.array([], np.int64)).shape == (0, 1)
    found = padded_r_peaks(corpus, ROWS)
    counts = [len(corpus.r_peaks(int(row))) for row in ROWS]
    assert (found != NO_PEAK).sum(axis=1).tolist() == counts
    assert found.shape[1] == max(counts)


def split_with_beats(beats: list[int]) -> Split:
    """Records of one sample, which is their place, with so many R peaks."""
    r_peaks = torch.full((len(beats), 9), NO_PEAK, dtype=torch.int16)
    for row, n in enumerate(beats):
        r_peaks[row, :n] = torch.arange(n)
    return Split(
        signals=torch.arange(len(beats), dtype=torch.int16)[:, None, None],
        labels=torch.zeros(len(beats), 1),
        patients=np.arange(len(beats)),
        mv=1.0,
        r_peaks=r_peaks,
    )


def test_records_of_like_length_are_measured_together_and_returned_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data, "WINDOW", 6)  # those further on are not sorted in between
    split, seen = split_with_beats([5, 0, 9, 5, 2, 7, 1, 3, 2, 2]), []

    def measure(batch: Batch) -> Tensor:
        seen.append(batch.rows_B.tolist())
        return torch.stack([batch.x_BLT[:, 0, 0], -batch.x_BLT[:, 0, 0]], dim=1)

    found = evaluated(nn.Identity(), measure, split, 4)
    assert seen == [[1, 4, 0, 3], [5, 2, 6, 8], [9, 7]]
    assert found[:, 0].tolist() == list(range(10))
    assert found[:, 1].tolist() == [-place for place in range(10)]


def test_sixty_four_records_are_measured_at_once_on_a_cpu() -> None:
    split, sizes = split_with_beats([3] * 130), []

    def measure(batch: Batch) -> Tensor:
        sizes.append(len(batch.rows_B))
        return batch.x_BLT[:, 0, 0]

    assert evaluated(nn.Identity(), measure, split).tolist() == list(range(130))
    assert sizes == [64, 64, 2]
    assert [len(batch.rows_B) for batch in split.chunks()] == [64, 64, 2]
