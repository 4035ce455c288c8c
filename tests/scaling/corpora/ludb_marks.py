"""LUDB as its cardiologists delineated it, and intervals over leads from anybody's marks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.read.tables import inside
from scaling.identity import LEADS
from tests.scaling.corpora.real import read

RECORDS = range(1, 101)
FS_HZ = 500
KINDS = ("P", "QRS", "T")
APART_S = 0.12  # marks of one wave in different leads are closer
# Least share of the leads that must have a wave for it to count.
SHARE = {"P": 1 / 3, "QRS": 1 / 2, "T": 1 / 3}
_WAVES: dict[str, Literal["P", "QRS", "T"]] = {"p": "P", "N": "QRS", "t": "T"}
_END = b"\0\0"  # of every annotation file; see annot(5) of the WFDB Applications Guide

# Of each lead, the waves of a kind: (n, 3) onset, peak and offset in seconds, NaN where unmarked.
Marks = Mapping[str, Sequence[NDArray[np.float64]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Wave:
    """One wave as a cardiologist delineated it, in samples of 2 ms from the record's start.

    Attributes:
        kind: ``P``, ``QRS`` or ``T``.
        onset: first sample; None where it is not marked.
        peak: the peak (of the R or the largest wave in a QRS complex).
        offset: last sample; None where it is not marked.
    """

    kind: Literal["P", "QRS", "T"]
    onset: int | None
    peak: int
    offset: int | None


def delineation(root: Path, record: str, lead: str) -> tuple[Wave, ...]:
    """The waves delineated in one lead, in order of time.

    The first and last beats of a record are usually not annotated.

    Args:
        root: folder that holds ``data``.
        record: record id, such as ``1``.
        lead: name, such as ``aVR``, in any case.

    Raises:
        CorpusError: no such lead, record or file, or its marks make no waves.
    """
    import wfdb

    if lead.upper() not in {name.upper() for name in LEADS}:
        raise CorpusError(f"unknown lead {lead!r}; the leads are {', '.join(LEADS)}")
    stem = root / inside(f"data/{record}")
    path = stem.with_name(f"{stem.name}.{lead.lower()}")
    try:
        if not path.read_bytes().endswith(_END):
            raise CorpusError(f"{path}: is no annotation file, or truncated; download it again")
        marks = wfdb.rdann(str(stem), lead.lower())
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; download LUDB whole") from None
    except (OSError, IndexError, KeyError, TypeError) as error:
        raise CorpusError(f"{path}: is no annotation file ({error}); download it again") from None
    samples = [int(sample) for sample in marks.sample]
    return tuple(_waves(list(zip(samples, marks.symbol, strict=True)), path))


def _waves(marks: list[tuple[int, str]], path: Path) -> Iterator[Wave]:
    """Group the marks ``(``, peak, ``)``; a boundary may be missing, a peak may not."""
    onset: int | None = None
    for i, (sample, symbol) in enumerate(marks):
        before = marks[i - 1][1] if i else ")"
        if symbol in _WAVES:
            closed = i + 1 < len(marks) and marks[i + 1][1] == ")"
            yield Wave(_WAVES[symbol], onset, sample, marks[i + 1][0] if closed else None)
            onset = None
        elif symbol == "(" and before != "(":
            onset = sample
        elif symbol != ")" or before not in _WAVES:
            raise CorpusError(f"{path}: mark {symbol!r} at sample {sample} belongs to no wave")
    if onset is not None:
        raise CorpusError(f"{path}: the mark '(' at sample {onset} belongs to no wave")


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
