"""The battery every source of files passes. A source's test class inherits it.

It knows nothing of a layout: the subclass gives a small dataset in the official one, written
by other means than the reader under test, and one sample and label worked out by hand.
"""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.format.splits import check_disjoint
from scaling.corpora.registry import open_source, resolve
from scaling.corpora.sources.read.base import Recording, Rows, Source
from scaling.identity import CorpusSpec
from scaling.records.names import SPLITS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a reader of the layout's description expects of one record.

    Attributes:
        record: its id.
        lead: name of a lead.
        sample: index of a sample at the source's own rate.
        value: of that sample, in millivolts (or without unit).
        task: a task that holds the record.
        positives: its positive classes in that task.
        split: where it is.
    """

    record: str
    lead: str
    sample: int
    value: float
    task: str
    positives: frozenset[str]
    split: str


class SourceContract:
    """Subclass with ``spec``, ``expected`` and a fixture ``root``; see the module."""

    spec: CorpusSpec
    expected: Expected

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """Write a small dataset in the official layout and return its folder."""
        raise NotImplementedError

    @pytest.fixture
    def source(self, root: Path) -> Source:
        """The dataset, opened."""
        return open_source(self.spec, root)

    def test_catalogue_names_its_tasks(self, source: Source) -> None:
        info = SOURCES[self.spec.source]
        assert set(source.classes) == set(info.tasks), f"its tasks: {sorted(source.classes)}"
        assert info.licence or info.access == "own"
        for classes in source.classes.values():
            assert len(set(classes)) == len(classes)

    def test_rows_and_recordings_agree(self, source: Source) -> None:
        for chunk in source.chunks():
            rows, recordings = pickle.loads(pickle.dumps(chunk)).read()
            assert len(list(recordings)) == chunk.size == len(rows.records)
            columns = (rows.patients, rows.splits, rows.ages, rows.sexes)
            assert {len(column) for column in columns} == {chunk.size}
            for task, classes in source.classes.items():
                assert rows.labels[task].shape == (chunk.size, len(classes))
                assert rows.labels[task].dtype == np.uint8
                assert rows.valid[task].shape == (chunk.size,)
                assert not rows.labels[task][~rows.valid[task]].any()

    def test_every_recording_is_read(self, source: Source) -> None:
        for chunk in source.chunks():
            for recording in chunk.read()[1]:
                assert isinstance(recording, Recording), recording
                assert recording.signal.shape[0] == len(recording.leads)
                assert recording.signal.dtype == np.float32

    def test_ids_are_unique_and_patients_are_in_one_split(self, source: Source) -> None:
        rows = _all_rows(source)
        records = [record for block in rows for record in block.records]
        assert len(set(records)) == len(records) > 0
        splits = np.array([split for block in rows for split in block.splits])
        patients = np.concatenate([block.patients for block in rows])
        assert set(splits) <= set(SPLITS)
        check_disjoint({split: patients[splits == split] for split in SPLITS})

    def test_summary_counts_what_the_chunks_hold(self, source: Source) -> None:
        rows = _all_rows(source)
        splits = np.array([split for block in rows for split in block.splits])
        for task, classes in source.classes.items():
            summary = source.summary(task)
            valid = np.concatenate([block.valid[task] for block in rows])
            counts = [int((valid & (splits == split)).sum()) for split in SPLITS]
            assert [summary.train, summary.validation, summary.test] == counts
            assert summary.classes == classes

    def test_the_hand_computed_sample_and_label(self, source: Source) -> None:
        expected = self.expected
        for chunk in source.chunks():
            rows, recordings = chunk.read()
            for i, recording in enumerate(recordings):
                if rows.records[i] != expected.record:
                    continue
                assert isinstance(recording, Recording)
                lead = recording.leads.index(expected.lead)
                value = float(recording.signal[lead, expected.sample])
                assert value == pytest.approx(expected.value, abs=1e-5)
                positive = np.flatnonzero(rows.labels[expected.task][i])
                names = source.classes[expected.task]
                assert {names[k] for k in positive} == expected.positives
                assert rows.valid[expected.task][i]
                assert rows.splits[i] == expected.split
                return
        raise AssertionError(f"no record {expected.record}")

    def test_the_fingerprint_is_that_of_the_content(self, root: Path) -> None:
        first = resolve(self.spec, root).fingerprint
        assert first == resolve(self.spec, root).fingerprint != ""
        tables = (p for p in sorted(root.rglob("*")) if p.suffix in (".csv", ".hea"))
        table = next(tables, None)
        if table is not None:
            table.write_bytes(table.read_bytes() + b"\n")
            assert resolve(self.spec, root).fingerprint != first

    def test_import_needs_only_the_standard_library(self) -> None:
        module = SOURCES[self.spec.source].reader
        heavy = {"numpy", "pandas", "torch", "scipy", "h5py", "wfdb", "openpyxl"}
        code = f"import sys, {module}; print(*(set(sys.modules) & {heavy!r}))"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # noqa: PLW1510
        assert (out.returncode, out.stdout.split()) == (0, [])


def _all_rows(source: Source) -> list[Rows]:
    return [chunk.read()[0] for chunk in source.chunks()]
