"""LUDB as its cardiologists delineated it, and intervals over leads from anybody's marks."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.ludb import delineation
from scaling.corpora.sources.read.base import Recording
from scaling.identity import LEADS
from tests.scaling.corpora.real import read

RECORDS = range(1, 101)
FS_HZ = 500
KINDS = ("P", "QRS", "T")
APART_S = 0.12  # marks of one wave in different leads are closer
# Least share of the leads that must have a wave for it to count.
SHARE = {"P": 1 / 3, "QRS": 1 / 2, "T": 1 / 3}

# Of each lead, the waves of a kind: (n, 3) onset, peak and offset in seconds, NaN where unmarked.
Marks = Mapping[str, Sequence[NDArray[np.float64]]]


@functools.cache
def recording(shared: Path, number: int) -> Recording:
    """One record, its leads named and ordered as ours are."""
    found = read(shared / f"data/ludb/data/{number}.hea", ".dat", 0)
    assert [name.lower() for name in found.leads] == [name.lower() for name in LEADS]
    return Recording(found.signal, FS_HZ, LEADS)


@functools.cache
def cardiologists(shared: Path, number: int) -> dict[str, list[NDArray[np.float64]]]:
    """Marks of one record; a lead whose annotations the reader refuses has none."""
    found: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in KINDS}
    for lead in LEADS:
        try:
            waves = delineation(shared / "data/ludb", str(number), lead)
        except CorpusError:
            waves = ()
        for kind in KINDS:
            rows = [(w.onset, w.peak, w.offset) for w in waves if w.kind == kind]
            found[kind].append(np.array(rows, np.float64).reshape(-1, 3) / FS_HZ)
    return found


def intervals_ms(marks: Marks, order: int = 0) -> NDArray[np.float64]:
    """P duration, PR, QRS and QT: medians over beats, NaN where most beats have none.

    Each runs from the earliest onset to the latest offset over leads, or, with ``order`` 1,
    from the second earliest to the second latest.
    """
    p, qrs, t = (_over_leads(marks[kind], SHARE[kind], order) for kind in KINDS)
    rows = []
    for k, (onset, _, offset) in enumerate(qrs):
        before = qrs[k - 1, 2] if k else -np.inf
        after = qrs[k + 1, 0] if k + 1 < len(qrs) else np.inf
        own_p = p[(p[:, 1] > max(before, onset - 0.5)) & (p[:, 1] < onset + 0.01)][-1:]
        own_t = t[(t[:, 1] > offset) & (t[:, 1] < min(after, onset + 0.8))][:1]
        row = [np.nan, np.nan, offset - onset, np.nan]
        if len(own_p):
            row[:2] = own_p[0, 2] - own_p[0, 0], onset - own_p[0, 0]
        if len(own_t):
            row[3] = own_t[0, 2] - onset
        rows.append(row)
    table = 1000 * np.array(rows).reshape(-1, 4)
    half = np.isfinite(table).sum(axis=0) >= 0.5 * len(table)
    return np.array([
        np.nanmedian(column) if enough and len(column) else np.nan
        for column, enough in zip(table.T, half, strict=True)
    ])  # fmt: skip


def _over_leads(
    leads: Sequence[NDArray[np.float64]], share: float, order: int
) -> NDArray[np.float64]:
    """(n, 3) in seconds: outermost onset, median peak and outermost offset of each wave."""
    rows = np.concatenate(list(leads))
    rows = rows[np.argsort(rows[:, 1])]
    rows = rows[np.isfinite(rows[:, 1])]
    groups = np.split(rows, np.flatnonzero(np.diff(rows[:, 1]) > APART_S) + 1)
    least = max(2.0, share * sum(len(lead) > 0 for lead in leads))
    waves = []
    for group in groups:
        onsets, offsets = (np.sort(group[np.isfinite(group[:, j]), j]) for j in (0, 2))
        if len(group) >= least and min(len(onsets), len(offsets)) > order:
            waves.append((onsets[order], np.median(group[:, 1]), offsets[-1 - order]))
    return np.array(waves).reshape(-1, 3)
