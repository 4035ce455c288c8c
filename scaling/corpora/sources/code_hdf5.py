"""CODE-15 % and CODE-test in their official layouts (Zenodo 4916206 and 3765780): HDF5 tracings.

Tracings are (records, 4096, 12) at 400 Hz, in millivolts, though the READMEs speak of a scale of
1e-4 V. Recordings of 7 to 10 s were padded with zeros on both sides to 4,096 samples; the padding
is taken off again, so that a preset decides what becomes of a short recording.

The six abnormalities, here and in the full set (``code``), are in the order of Ribeiro et al.,
Nature Communications 11, 1760 (2020): SB, AF, ST. The table of CODE-15 has them as SB, ST, AF;
columns are therefore taken by name. A record without any of the six is a valid negative. It need
not be normal: most carry other findings, and CODE-15 marks only 134,657 of 308,004 as
``normal_ecg``.

**CODE-15**: ``exams.csv`` and ``exams_part0.hdf5`` to ``exams_part17.hdf5`` (``exam_id`` and
``tracings``), unpacked into one folder. What is easily got wrong:

- a part ends with a row of zeros whose exam id is 0: it is no exam;
- the table and the parts are in different orders: exams are found by their id;
- there is no official split: patients are split 8:1:1 by a hash of their id.

A partial download is usable: exams of absent parts are left out and counted.

**CODE-test**: 827 exams in ``ecg_tracings.hdf5`` (``tracings``), ``annotations/gold_standard.csv``
and ``attributes.csv``. What is easily got wrong:

- the tables have no ids: line i belongs to tracing i, so their lengths must agree;
- the lead order is I, II, III, **aVL, aVF, aVR**, V1 to V6, not that of CODE-15;
- the labels are the committee's (``gold_standard.csv``); those of single readers and of the
  published network lie beside them and are not read.

Each exam is of another patient, as its authors say. All are test records: the source has
nothing to train on, and asking it for a training subset is an error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import CorpusError, RowProblems, UnusableError, refuse
from scaling.corpora.sources.read import tables
from scaling.corpora.sources.read.arrays import dataset_row, open_dataset
from scaling.corpora.sources.read.base import Recording, check_amplitude
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries
from scaling.identity import LEADS, CorpusSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
SEXES = {"F": "female", "M": "male", "": None}

# Millions of records share these few dictionaries.
_SHARED: dict[tuple[int, ...], dict[str, tuple[int, ...]]] = {}


def code_labels(cells: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Labels of an ``Entry`` from the six cells in the order of ``CLASSES``.

    Raises:
        ValueError: a cell that is neither yes nor no, by class.
    """
    positives = []
    for i, (name, cell) in enumerate(zip(CLASSES, cells, strict=True)):
        try:
            if tables.flag(cell):
                positives.append(i)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    indices = tuple(positives)
    return _SHARED.setdefault(indices, {"": indices})


FS_HZ = 400
SAMPLES = 4096
BLOCK = 32  # consecutive rows read at once: 6 MB
EDGE = 4  # samples, 10 ms: how far two sides of the same padding may differ


@dataclasses.dataclass(frozen=True, slots=True)
class TracingsReader:
    """Reads the recording of an entry whose ``where`` is (file name, row)."""

    root: Path
    leads: tuple[str, ...]  # in the order of the last axis

    def __call__(self, entry: Entry) -> Recording:
        """The recording without its padding.

        Raises:
            CorpusError: the file cannot be read.
            UnusableError: nothing but zeros, or values that no ECG has.
        """
        import numpy as np

        name, row = entry.where
        path = self.root / name
        signal_TL, _ = dataset_row(path, "tracings", row, BLOCK)
        start, stop = unpadded(signal_TL)
        where = f"{path}: record {entry.record} (row {row})"
        if start == stop:
            raise UnusableError(f"{where} holds only zeros")
        check_amplitude(signal_TL[start:stop].T, where)
        signal_LT = np.ascontiguousarray(signal_TL[start:stop].T, np.float32)
        return Recording(signal_LT, FS_HZ, self.leads)


def unpadded(signal_TL: NDArray[Any]) -> tuple[int, int]:
    """First sample of the recording, and the one after its last, within its zero padding.

    The padding is as long on both sides, give or take one. A recording may itself begin or
    end with zeros: where both sides agree within ``EDGE`` samples, the shorter one is the
    padding. Otherwise the longer side holds more than padding, and all its zeros go.

    Args:
        signal_TL: (samples, leads).
    """
    import numpy as np

    sounding = np.flatnonzero((signal_TL != 0).any(axis=1))
    if not len(sounding):
        return 0, 0
    samples = len(signal_TL)
    before, after = int(sounding[0]), samples - 1 - int(sounding[-1])
    if abs(before - after) <= EDGE:
        before = after = min(before, after)
    return before, samples - after


def count_tracings(path: Path) -> int:
    """Number of rows of ``tracings``, after a check of its shape.

    Raises:
        CorpusError: not HDF5, truncated, without such a dataset, or of another shape or type.
    """
    with open_dataset(path, "tracings") as stored:
        shape = stored.shape or ()  # an empty dataset has none
        if shape[1:] != (SAMPLES, len(LEADS)) or stored.dtype.kind != "f":
            raise CorpusError(
                f"{path}: tracings is {stored.dtype} {stored.shape}, not floating point of "
                f"shape (records, {SAMPLES}, {len(LEADS)})"
            )
        return int(stored.shape[0])


def read_exam_ids(path: Path) -> NDArray[Any]:
    """(records,) int64 ids of the rows of a part.

    Raises:
        CorpusError: no such dataset, or not one whole number for each row of ``tracings``.
    """
    import numpy as np

    rows = count_tracings(path)
    with open_dataset(path, "exam_id") as stored:
        if stored.shape != (rows,) or stored.dtype.kind not in "iu":
            raise CorpusError(
                f"{path}: exam_id is {stored.dtype} {stored.shape}, but tracings has {rows} rows"
            )
        return np.asarray(stored[:], np.int64)


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the tables, and ids and shapes of the tracings; no tracing is read.

    Args:
        spec: ``source`` is ``code15`` or ``code-test``.
        root: folder of ``exams.csv`` and the parts, or of ``ecg_tracings.hdf5``.

    Raises:
        CorpusError: a missing or damaged table, column or file, a row that makes no sense, tracings
            of another shape; parts that lack exams that the table says they hold; tables and
            tracings of different lengths.
    """
    return _open_code15(root) if spec.source == "code15" else _open_code_test(root)


EXAMS = "exams.csv"
_PART = re.compile(r"exams_part\d+\.hdf5")
NOT_LISTED = f"rows of the HDF5 parts whose exam is not in {EXAMS}"
_COLUMNS = ("exam_id", "patient_id", "age", "is_male", "trace_file", *CLASSES)

Exams = dict[str, dict[int, Entry]]


def _open_code15(root: Path | None) -> ListedSource:
    root = tables.existing(root, "CODE-15")
    exams = _read_exams(root / EXAMS)
    parts = sorted(part for part in exams if (root / part).is_file())
    if not parts:
        raise CorpusError(
            f"{root}: none of {', '.join(sorted(exams)) or 'the parts'} is here; unpack "
            "exams_part0.zip and following beside exams.csv"
        )
    entries: list[Entry] = []
    ids = []
    not_listed = 0
    problems: list[str] = []
    for part in parts:
        listed = exams[part]
        exam_ids = read_exam_ids(root / part)
        ids.append(exam_ids.astype("<i8").tobytes())
        placed = _in_rows(part, exam_ids.tolist(), listed, problems)
        not_listed += int((exam_ids != 0).sum()) - len(placed)
        if lacking := sorted(listed.keys() - {int(entry.record) for entry in placed}):
            problems.append(
                f"{root / part}: {len(lacking)} exams of {EXAMS} are not in it (such as "
                f"{lacking[0]}): the part is truncated or another; download it again"
            )
        entries += placed
    check_entries(entries, problems, str(root / EXAMS))
    return ListedSource(
        classes={"": CLASSES},
        entries=tuple(entries),
        read=TracingsReader(root, LEADS),
        fingerprint=tables.fingerprint(
            [tables.table_digest(root / EXAMS)],
            {part: (root / part).stat().st_size for part in parts},
            b"".join(ids),
        ),
        absent=sum(len(listed) for part, listed in exams.items() if part not in parts),
        left_out={NOT_LISTED: not_listed},
    )


def _in_rows(
    part: str, exam_ids: list[int], listed: dict[int, Entry], problems: list[str]
) -> list[Entry]:
    """Entries of one part in the order of its rows."""
    rows: dict[int, int] = {}
    for row, exam in enumerate(exam_ids):
        if exam in rows and exam != 0:
            problems.append(f"{part}: exam {exam} is in rows {rows[exam]} and {row}")
        rows.setdefault(exam, row)
    placed = []
    for exam, row in rows.items():
        if (entry := listed.get(exam)) is not None:
            placed.append(dataclasses.replace(entry, where=(part, row)))
    return placed


def _read_exams(path: Path) -> Exams:
    """Part -> exam id -> its entry, which has no place yet."""
    from scaling.corpora.format.splits import hashed_split

    exams: Exams = {}
    seen: set[int] = set()
    parts: dict[str, str] = {}
    problems = RowProblems()
    rows = tables.read_columns(path, _COLUMNS, what="CODE-15 needs exams.csv and its HDF5 parts")
    for line, (exam, patient, age, male, trace_file, *labels) in rows:
        with problems.at(path, line):
            number, who = tables.whole(exam), tables.whole(patient)
            if number == 0:
                raise ValueError("exam id 0 is that of the padding rows of the parts")
            if number in seen:
                raise ValueError(f"exam {number} appears twice")
            part = parts.get(trace_file) or parts.setdefault(trace_file, _part(trace_file))
            sex = "male" if tables.flag(male) else "female"
            split, positives = hashed_split(who), code_labels(labels)
            entry = Entry(str(number), who, split, positives, None, tables.years(age), sex)
            seen.add(number)
            exams.setdefault(part, {})[number] = entry
    refuse(problems)
    return exams


def _part(text: str) -> str:
    """Name of a part, which lies directly below the root."""
    part = str(tables.inside(text))
    if not _PART.fullmatch(part):
        raise ValueError(f"trace_file {text!r} is not the name of a part")
    return part


TRACINGS = "ecg_tracings.hdf5"
GOLD = "annotations/gold_standard.csv"
ATTRIBUTES = "attributes.csv"
CODE_TEST_LEADS = ("I", "II", "III", "aVL", "aVF", "aVR", "V1", "V2", "V3", "V4", "V5", "V6")
_NEEDS = f"CODE-test needs {TRACINGS}, {GOLD} and {ATTRIBUTES}"


def _open_code_test(root: Path | None) -> ListedSource:
    """CODE-test, whose record ids are the numbers of the rows of its HDF5 file, from 0."""
    root = tables.existing(root, "CODE-test")
    gold = list(tables.read_columns(root / GOLD, CLASSES, what=_NEEDS))
    attributes = list(tables.read_columns(root / ATTRIBUTES, ("age", "sex"), what=_NEEDS))
    rows = count_tracings(root / TRACINGS)
    if not len(gold) == len(attributes) == rows > 0:
        raise CorpusError(
            f"{root}: {TRACINGS} has {rows} tracings, {GOLD} {len(gold)} and {ATTRIBUTES} "
            f"{len(attributes)} rows; they belong together line by line: download them again"
        )
    entries = []
    problems = RowProblems()
    for row, ((line, labels), (other, (age, sex))) in enumerate(zip(gold, attributes, strict=True)):
        with problems.at(root / GOLD, line):
            positives = code_labels(labels)
            with problems.at(root / ATTRIBUTES, other):
                if not sex or sex not in SEXES:
                    raise ValueError(f"sex {sex!r} is neither M nor F")
                known = (tables.years(age), SEXES[sex])
                entries.append(Entry(str(row), row, "test", positives, (TRACINGS, row), *known))
    refuse(problems)
    return ListedSource(
        classes={"": CLASSES},
        entries=tuple(entries),
        read=TracingsReader(root, CODE_TEST_LEADS),
        fingerprint=tables.fingerprint(
            [tables.table_digest(root / GOLD), tables.table_digest(root / ATTRIBUTES)],
            {TRACINGS: (root / TRACINGS).stat().st_size},
        ),
    )
