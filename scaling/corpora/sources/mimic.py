"""MIMIC-IV-ECG 1.0 in its official layout (Gow et al., PhysioNet), with two sets of labels.

``record_list.csv`` and ``files/p1000/p10000032/s40689238/40689238.hea|dat``; the label tables
``records_w_diag_icd10.csv`` and ``mds_ed.csv`` in the root or in ``labels``. The tasks are
``icd`` (discharge diagnoses, see ``mimic_labels``), ``sex``, ``icu`` (two horizons) and
``mortality`` (six). A record belongs to ``icd`` when it has any diagnosis, to the outcomes when
none of the task's targets is missing. What is easily got wrong:

- leads are stored as I, II, III, **aVR, aVF, aVL**, V1 to V6: the names in the header decide;
- samples may be missing: they are NaN in the recording, and the preset decides;
- the machine's measurements mark what is missing by 29999, 32767 or 65535: they are not read.

Folds 0-17 train, 18 validates and 19 tests, for all tasks alike. A patient's fold is that of
ext-icd, else that of MDS-ED, else one of 20 drawn by a hash of the id. (A study that uses a
quarter of the patients to train takes a nested subset of the training split; the official
folds stay as they are.) A partial download is usable: records whose files are absent are left
out and counted.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

from scaling.corpora.errors import CorpusError, RowProblems
from scaling.corpora.sources.mimic_labels import FOLDS, LabelTables, read_labels
from scaling.corpora.sources.read import tables
from scaling.corpora.sources.read.base import Summary
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries, present_records
from scaling.corpora.sources.read.wfdb16 import RecordReader
from scaling.identity import CorpusSpec

FS_HZ = 500
RECORD_LIST = "record_list.csv"
UNKNOWN = f"rows of the label tables whose study is not in {RECORD_LIST}"
_SPLITS = ("train",) * 18 + ("validation", "test")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MimicSource(ListedSource):
    """MIMIC-IV-ECG as found under a root.

    Attributes:
        missing: task -> why it is not there.
        conflicts: patients whose fold differs between the label tables (ext-icd's counts).
        hashed: patients of neither table, whose fold is a hash of their id.
    """

    missing: dict[str, str]
    conflicts: int
    hashed: int

    def summary(self, task: str) -> Summary:
        """Count the records that belong to the task.

        Raises:
            CorpusError: the task's table is not there.
        """
        if task in self.missing:
            raise CorpusError(f"mimic has no task {task!r} here: {self.missing[task]}")
        return ListedSource.summary(self, task)

    def notes(self) -> dict[str, Any]:
        """Absent files, tasks that are not there, and where folds come from."""
        return ListedSource.notes(self) | {
            "missing_tasks": dict(self.missing),
            "patients_with_two_folds": self.conflicts,
            "patients_with_hashed_fold": self.hashed,
        }


def open_source(spec: CorpusSpec, root: Path | None) -> MimicSource:
    """Read the tables and list the files; no signal and no header is read.

    Args:
        spec: the corpus; nothing in it changes what is read.
        root: folder of ``record_list.csv`` and ``files``.

    Raises:
        CorpusError: a missing table or column, a row that makes no sense, a patient in two
            folds of one table, or no record.
    """
    root = tables.existing(root, "MIMIC-IV-ECG")
    path = root / RECORD_LIST
    labels = read_labels(root)
    listed = _read_list(path, labels)
    entries, listing = present_records(listed, root, lambda entry: entry.where, (".dat",))
    if not entries:
        raise CorpusError(
            f"{root}: none of the {len(listed)} records of {RECORD_LIST} is here; download files"
        )
    return MimicSource(
        classes=labels.classes,
        entries=entries,
        read=RecordReader(root, FS_HZ),
        fingerprint=tables.fingerprint([tables.table_digest(path), *labels.digests], {}, listing),
        absent=len(listed) - len(entries),
        left_out={UNKNOWN: labels.left},
        missing=labels.missing,
        conflicts=labels.conflicts,
        hashed=len({entry.patient for entry in entries} - labels.folds.keys()),
    )


def _read_list(path: Path, labels: LabelTables) -> list[Entry]:
    """One entry for each row of ``record_list.csv``."""
    entries: list[Entry] = []
    problems = RowProblems()
    needed, what = ("subject_id", "study_id", "path"), f"MIMIC-IV-ECG needs {RECORD_LIST} and files"
    for line, (subject, study, path_cell) in tables.read_columns(path, needed, what=what):
        with problems.at(path, line):
            who, number = tables.whole(subject), tables.whole(study)
            official = path_cell == _official_path(subject, study)
            where = path_cell if official else str(tables.inside(path_cell))
            if not where.endswith(f"/{number}"):
                raise ValueError(f"path {where!r} is not that of study {number}")
            positives, age, sex = labels.take(number, who)
            fold = labels.folds.get(who)
            split = _SPLITS[_hashed_fold(who) if fold is None else fold]
            entries.append(Entry(str(number), who, split, positives, where, age, sex))
    check_entries(entries, problems, str(path))
    return entries


def _official_path(subject: str, study: str) -> str:
    """Where the publisher keeps a record: safe to open, and cheaper to compare than to parse."""
    return f"files/p{subject[:4]}/p{subject}/s{study}/{study}"


@functools.lru_cache(maxsize=1)
def _hashed_fold(subject: int) -> int:
    """A fold that depends on the subject alone; the rows of a subject follow each other."""
    return int.from_bytes(hashlib.sha256(str(subject).encode()).digest()[:8], "big") % FOLDS
