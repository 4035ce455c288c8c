"""SPH: Shandong Provincial Hospital (Liu et al., Scientific Data 9, 272, 2022).

``metadata.csv``, ``code.csv`` and ``records/<ECG_ID>.h5`` (dataset ``ecg``, 12 x N float16 in
millivolts, 500 Hz, 10 to 60 s). A record's AHA_Code is a list of statements separated by ``;``;
a statement is one primary code and any number of modifiers joined by ``+``. The classes are the
primary codes of ``code.csv`` by description; modifiers (such as "frequent") qualify a statement
and are not classes. Patients return, and there is no official split: patients are split 8:1:1
by a hash.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from scaling.corpora.errors import CorpusError, RowProblems
from scaling.corpora.sources.read import tables
from scaling.corpora.sources.read.arrays import open_dataset
from scaling.corpora.sources.read.base import Recording, check_amplitude
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries
from scaling.identity import LEADS, CorpusSpec

METADATA, CODES, RECORDS = "metadata.csv", "code.csv", "records"
ARCHIVE = "records.tar.gz"
TASK = "primary"
FS_HZ = 500
DATASET = "ecg"
MODIFIER = "Modifier"
_SEX = {"M": "male", "F": "female", "": None}
_NEEDS = f"SPH needs {METADATA}, {CODES} and the folder {RECORDS}"


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the two tables and list the files; no signal is read.

    Args:
        spec: which corpus.
        root: folder that holds the tables and ``records``.

    Raises:
        CorpusError: missing folder, table or column; a row or code that makes no sense; no
            record.
    """
    root = tables.existing(root, "SPH")
    primary, modifiers = _read_codes(root / CODES)
    entries = _read_metadata(root / METADATA, list(primary), modifiers)
    sizes = tables.file_sizes(root / RECORDS, root, (".h5",))
    present = tuple(entry for entry in entries if entry.where[0] in sizes)
    if not present:
        raise CorpusError(
            f"{root}: none of the {len(entries)} records of {METADATA} is below {RECORDS}; "
            f"unpack {ARCHIVE} there (it is a plain tar: tar -xf {ARCHIVE})"
        )
    used = {entry.where[0]: sizes[entry.where[0]] for entry in present}
    digests = [tables.table_digest(root / name) for name in (METADATA, CODES)]
    return ListedSource(
        classes={TASK: tuple(primary.values())},
        entries=present,
        read=SphReader(root),
        fingerprint=tables.fingerprint(digests, used),
        absent=len(entries) - len(present),
        left_out={f"record that is not in {METADATA}": len(sizes) - len(used)},
        remarks=("no official split: patients are split 8:1:1 by a hash of their id",),
    )


def _read_codes(path: Path) -> tuple[dict[str, str], set[str]]:
    """Primary code -> description in the order of the table, and the modifiers."""
    primary: dict[str, str] = {}
    modifiers: set[str] = set()
    for line, cells in tables.read_columns(path, ("Category", "Code", "Description"), what=_NEEDS):
        category, code, description = (cell.strip() for cell in cells)
        if not code.isdecimal() or code in primary or code in modifiers:
            raise CorpusError(f"{path}:{line}: code {code!r} is no number, or appears twice")
        if category == MODIFIER:
            modifiers.add(code)
        elif not description or description in primary.values():
            raise CorpusError(f"{path}:{line}: description {description!r} is empty or not unique")
        else:
            primary[code] = description
    if not primary:
        raise CorpusError(f"{path}: has no primary code")
    return primary, modifiers


def _read_metadata(path: Path, primary: list[str], modifiers: set[str]) -> list[Entry]:
    from scaling.corpora.format.splits import hashed_split

    index = {code: i for i, code in enumerate(primary)}
    shared: dict[tuple[int, ...], dict[str, tuple[int, ...]]] = {}
    entries: list[Entry] = []
    problems = RowProblems()
    needed = ("ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex", "N")
    rows = tables.read_columns(path, needed, what=_NEEDS)
    for line, (record, codes, who, age, sex, samples) in rows:
        with problems.at(path, line):
            if not record.strip():
                raise ValueError("ECG_ID is empty")
            if sex.strip() not in _SEX:
                raise ValueError(f"sex {sex!r} is neither M nor F")
            indices = _statements(codes, index, modifiers)
            patient = tables.patient_number(who)
            file = str(tables.inside(f"{RECORDS}/{record.strip()}.h5"))
            entries.append(
                Entry(
                    record=record.strip(),
                    patient=patient,
                    split=hashed_split(patient),
                    labels=shared.setdefault(indices, {TASK: indices}),
                    where=(file, tables.whole(samples)),
                    age=tables.years(age),
                    sex=_SEX[sex.strip()],
                )
            )
    check_entries(entries, problems, str(path))
    return entries


def _statements(text: str, index: Mapping[str, int], modifiers: set[str]) -> tuple[int, ...]:
    """Classes of an AHA_Code; a statement that is repeated counts once.

    Raises:
        ValueError: a code that ``code.csv`` does not have, or not one primary code a statement.
    """
    indices: set[int] = set()
    for statement in text.split(";"):
        codes = [code.strip() for code in statement.split("+")]
        if unknown := [code for code in codes if code not in index and code not in modifiers]:
            raise ValueError(f"AHA_Code {text!r}: {unknown[0]!r} is not in {CODES}")
        named = [index[code] for code in codes if code in index]
        if len(named) != 1:
            raise ValueError(f"AHA_Code {text!r}: {statement!r} has {len(named)} primary codes")
        indices.add(named[0])
    return tuple(sorted(indices))


@dataclasses.dataclass(frozen=True, slots=True)
class SphReader:
    """Reads entries whose ``where`` is (path below the root, number of samples)."""

    root: Path

    def __call__(self, entry: Entry) -> Recording:
        """Read one record.

        Raises:
            CorpusError: the file cannot be read, or its array is not 12 x N floating point.
            UnusableError: values that no ECG has.
        """
        import numpy as np

        name, samples = entry.where
        path = self.root / name
        with open_dataset(path, DATASET) as dataset:
            if dataset.shape != (len(LEADS), samples) or dataset.dtype.kind != "f":
                raise CorpusError(
                    f"{path}: {DATASET} is {dataset.dtype} {dataset.shape}, not floating point of "
                    f"shape ({len(LEADS)}, {samples}), as {METADATA} says"
                )
            stored_LT = dataset[()]
        check_amplitude(stored_LT, str(path))
        return Recording(stored_LT.astype(np.float32), FS_HZ, LEADS)
