"""Heartbeats against a record-by-record reference, and cases worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from scaling.models.heartbeats import MIDDLE, WIDTH, parts_of, put_back, tokenize


def ramp(leads: int, samples: int) -> Tensor:
    """One record whose values say lead and sample, none of them 0: 1,003 is sample 3 of lead 1."""
    return 1000.0 * torch.arange(1, leads + 1)[:, None] + torch.arange(samples)[None] + 0.5


def cut(x_LT: NDArray[np.float32], peaks: list[int], tokens: int) -> NDArray[np.float32]:
    """The tokens of one record, slowly."""
    samples = x_LT.shape[1]
    peaks = peaks or list(range(48, samples - 47, 96))
    edges = [peaks[0] - 48, *((a + b) // 2 for a, b in itertools.pairwise(peaks))]
    edges.append(peaks[-1] + 48)
    found = np.zeros((tokens, 96), np.float32)
    slot = 0
    for lead in x_LT:
        for beat, peak in enumerate(peaks):
            for place in range(max(edges[beat], 0), min(edges[beat + 1], samples)):
                column = place - peak + 48
                if slot < tokens and 0 <= column < 96:
                    found[slot, column] = lead[place]
            slot += 1
    return found


def padded(peaks: list[list[int]]) -> Tensor:
    most = max(1, *(len(p) for p in peaks))
    return torch.tensor([[*p, *[-1] * (most - len(p))] for p in peaks], dtype=torch.int16)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_agrees_with_a_reference_record_by_record(data: st.DataObject) -> None:
    samples = data.draw(st.integers(96, 400))
    one = st.lists(st.integers(0, samples - 1), max_size=6, unique=True).map(sorted)
    peaks = data.draw(st.lists(one, min_size=1, max_size=4))
    leads, tokens = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 24))
    x_BLT = torch.randn(len(peaks), leads, samples, generator=torch.Generator().manual_seed(0))
    beats = tokenize(x_BLT, padded(peaks), tokens)
    for record, found in enumerate(peaks):
        expected = cut(x_BLT[record].numpy(), found, tokens)
        assert np.array_equal(beats.beats_BSW[record].numpy(), expected)
        count = len(found) or samples // 96
        assert int(beats.real_BS[record].sum()) == min(tokens, leads * count)


def test_a_long_beat_is_cropped_around_its_peak() -> None:
    beats = tokenize(ramp(1, 500)[None], padded([[100, 300]]), 4)
    assert beats.beats_BSW[0, 0].tolist() == [1000.5 + t for t in range(52, 148)]
    assert beats.beats_BSW[0, 1, MIDDLE] == 1300.5


def test_short_beats_end_at_the_midpoint_and_keep_the_peak_in_the_middle() -> None:
    token = tokenize(ramp(1, 500)[None], padded([[200, 240, 300]]), 4).beats_BSW[0, 1]
    assert token[MIDDLE] == 1240.5
    assert token.nonzero().flatten().tolist() == list(range(MIDDLE - 20, MIDDLE + 30))


def test_beyond_the_record_there_are_zeros() -> None:
    beats = tokenize(ramp(1, 200)[None], padded([[10, 190]]), 2).beats_BSW[0]
    assert beats[0].nonzero().flatten().tolist() == list(range(38, 96))
    assert beats[1].nonzero().flatten().tolist() == list(range(0, 58))


def test_tokens_are_ordered_by_lead_then_time_and_padded() -> None:
    beats = tokenize(ramp(2, 500)[None], padded([[98, 100, 450]]), 8)
    assert beats.leads_BS[0].tolist() == [1, 1, 1, 2, 2, 2, 0, 0]
    assert beats.times_BS[0].tolist() == [1, 2, 5, 1, 2, 5, 0, 0]
    assert beats.real_BS[0].tolist() == [True] * 6 + [False] * 2
    assert beats.beats_BSW[0, :6, MIDDLE].tolist() == [
        lead + t + 0.5 for lead in (1000, 2000) for t in (98, 100, 450)
    ]
    assert not beats.beats_BSW[0, 6:].any()


def test_the_last_leads_lose_what_does_not_fit() -> None:
    beats = tokenize(ramp(3, 500)[None], padded([[50, 150, 250, 350]]), 10)
    assert beats.leads_BS[0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]
    assert beats.real_BS.all()


@pytest.mark.parametrize(("samples", "count"), [(96, 1), (191, 1), (500, 5), (1000, 10)])
def test_a_record_without_peaks_is_cut_into_whole_tokens(samples: int, count: int) -> None:
    x_LT = ramp(1, samples)
    for peaks_BP in (torch.full((1, 30), -1), torch.full((1, 1), -1), torch.empty(1, 0).long()):
        beats = tokenize(x_LT[None], peaks_BP, 12)
        assert int(beats.real_BS.sum()) == count
        assert torch.equal(beats.beats_BSW[0, :count].flatten(), x_LT[0, : count * WIDTH])
        assert beats.times_BS[0, :count].tolist() == [
            (48 + 96 * k) // 100 + 1 for k in range(count)
        ]


def test_ten_seconds_have_ten_seconds_and_a_record_may_have_fifteen() -> None:
    beats = tokenize(ramp(1, 1500)[None], padded([[0, 999, 1499]]), 3)
    assert beats.times_BS[0].tolist() == [1, 10, 15]


def test_types_and_the_meta_device() -> None:
    for device in ("cpu", "meta"):
        x_BLT = torch.zeros(2, 12, 500, device=device)
        peaks_BP = torch.full((2, 9), 40, dtype=torch.int16, device=device)
        beats = tokenize(x_BLT, peaks_BP, 128)
        assert beats.beats_BSW.shape == (2, 128, WIDTH)
        assert beats.beats_BSW.dtype == torch.float32
        assert beats.leads_BS.dtype == beats.times_BS.dtype == torch.int64
        assert beats.real_BS.dtype == torch.bool
        values = (beats.beats_BSW, beats.leads_BS, beats.times_BS, beats.real_BS)
        assert {value.device.type for value in values} == {device}


def hearts(beats: list[int], samples: int = 500) -> Tensor:
    """R peaks of records with so many beats, (B, P)."""
    return padded([[10 + k * (samples - 20) // max(n, 1) for k in range(n)] for n in beats])


@pytest.mark.parametrize(
    ("beats", "halves"),
    [
        ([9, 3, 8, 4], [([1, 3], 49), ([2, 0], 109)]),  # one slot of padding is left
        ([9, 3, 4], [([1], 37), ([2, 0], 109)]),
        ([0, 4, 9, 9], [([1, 0], 61), ([2, 3], 109)]),  # none found: five tokens of a grid
        ([11, 3, 12, 15], [(None, 128)]),  # 11 of each lead fill all slots
        ([6, 6, 6], [(None, 73)]),  # as long as each other
        ([6], [(None, 73)]),
        ([0], [(None, 61)]),
        ([11, 12], [(None, 128)]),
    ],
)
def test_a_batch_goes_as_two_halves_without_most_of_its_padding(
    beats: list[int], halves: list[tuple[list[int] | None, int]]
) -> None:
    x_BLT = torch.empty(len(beats), 12, 500)
    parts = parts_of(x_BLT, hearts(beats), 128)
    rows = [p.rows.tolist() if isinstance(p.rows, Tensor) else None for p in parts]
    assert list(zip(rows, (part.slots for part in parts), strict=True)) == halves


def test_parts_are_put_back_in_order() -> None:
    x_BLT, peaks_BP = torch.arange(5.0)[:, None, None].expand(5, 12, 500), hearts([9, 3, 8, 4, 5])
    parts = parts_of(x_BLT, peaks_BP, 128)
    assert len(parts) == 2
    assert put_back([x_BLT[p.rows, 0, 0] for p in parts], parts).tolist() == [0, 1, 2, 3, 4]


def test_a_batch_stays_whole_where_a_device_would_have_to_be_waited_for() -> None:
    peaks_BP = hearts([9, 3, 8, 4])
    (part,) = parts_of(torch.empty(4, 12, 500, device="meta"), peaks_BP, 128)
    assert (part.rows, part.slots) == (slice(None), 109)
    (part,) = parts_of(torch.empty(4, 12, 500, device="meta"), peaks_BP.to("meta"), 128)
    assert (part.rows, part.slots) == (slice(None), 128)
