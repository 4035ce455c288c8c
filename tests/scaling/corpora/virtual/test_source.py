"""Virtual cohorts as a source: rows and recordings agree, counts are true, errors speak."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.errors import CorpusError
from scaling.corpora.format.splits import check_disjoint
from scaling.corpora.registry import open_source
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.virtual import open_source as open_virtual
from scaling.corpora.virtual.cohorts import COHORTS as DEFINED
from scaling.corpora.virtual.cohorts.records import records_of
from scaling.identity import LEADS, CorpusSpec

COHORTS = [name for name, info in SOURCES.items() if info.kind == "virtual"]


def spec(name: str, **changes: int) -> CorpusSpec:
    return CorpusSpec(**{"source": name, "records": 40, "validation": 10, "test": 10} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COHORTS)
def test_rows_and_recordings_agree(name: str) -> None:
    source = open_source(spec(name), None)
    assert set(source.classes) == set(SOURCES[name].tasks)
    valid: dict[tuple[str, str], int] = {}
    patients: dict[str, list[int]] = {}
    for chunk in source.chunks():
        rows, recordings = pickle.loads(pickle.dumps(chunk)).read()
        found = list(recordings)
        assert len(found) == chunk.size == len(set(rows.records))
        assert set(rows.sexes) <= {"male", "female"}
        assert all(age is not None and 18 <= age <= 96 for age in rows.ages)
        for recording in found:
            assert isinstance(recording, Recording)
            assert recording.signal.shape == (12, 1000)
            assert recording.signal.dtype == np.float32
            assert recording.leads == LEADS
            peaks = recording.r_peaks_s
            assert peaks is not None
            assert (np.diff(peaks) > 0).all()
            assert ((peaks >= 0) & (peaks < 10)).all()
        split = rows.splits[0]
        patients.setdefault(split, []).extend(rows.patients.tolist())
        for task, classes in source.classes.items():
            assert rows.labels[task].shape == (chunk.size, len(classes))
            assert not rows.labels[task][~rows.valid[task]].any()
            key = (task, split)
            valid[key] = valid.get(key, 0) + int(rows.valid[task].sum())
    check_disjoint({split: np.array(ids) for split, ids in patients.items()})
    for task in source.classes:
        summary = source.summary(task)
        for split in ("train", "validation", "test"):
            assert getattr(summary, split) == valid[task, split]
    assert source.fingerprint == ""


def test_r_peaks_are_at_the_peaks() -> None:
    made = records_of(DEFINED["virtual/code"], 0, "train", 0, 60, 500, 5000)
    off = []
    for signal, peaks in zip(made.signals, made.r_peaks_s, strict=True):
        size = np.linalg.norm(signal[[0, 1, *range(6, 12)]], axis=0)
        for peak in peaks[(peaks > 0.2) & (peaks < 9.8)]:
            at = round(peak * 500)
            off.append(abs(int(size[at - 60 : at + 60].argmax()) - 60) / 500)
    assert np.median(off) < 0.015
    assert np.quantile(off, 0.9) < 0.05


def test_a_grown_pool_leaves_the_rest_as_it_was() -> None:
    small = open_source(spec("virtual/code", records=20), None).chunks()[0].read()
    large = open_source(spec("virtual/code", records=40), None).chunks()[0].read()
    for a, b in zip(small[1], large[1], strict=False):
        assert isinstance(a, Recording)
        assert isinstance(b, Recording)
        assert np.array_equal(a.signal, b.signal)
    assert np.array_equal(small[0].labels[""], large[0].labels[""][:20])


@pytest.mark.parametrize("field", ["records", "validation", "test"])
def test_a_split_without_records_is_refused(field: str) -> None:
    with pytest.raises(CorpusError, match=r"virtual/code: 0 \w+ records"):
        open_virtual(spec("virtual/code", **{field: 0}), None)
