"""LUDB 1.0.1 (Kalyakulina et al., IEEE Access 8, 186181-186190, 2020).

``ludb.csv`` beside ``data/<ID>.hea|.dat`` and one annotation file for each lead, ``.i`` to
``.v6``: 200 subjects, 10 s, 500 Hz, lead names in lower case. Cells of the table end in a line
break and hold one finding a line. A task is a column of findings; its classes are the findings
that occur, by alphabet. There is no official split: subjects are split 8:1:1 by a hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries
from scaling.corpora.sources.read.tables import (
    existing,
    file_sizes,
    fingerprint,
    read_table,
)
from scaling.corpora.sources.read.wfdb16 import RecordReader
from scaling.identity import CorpusSpec

TABLE = "ludb.csv"
FS_HZ = 500
OLDEST = 90.0  # the table writes >89 for older subjects
COLUMNS = {
    "rhythm": "Rhythms",
    "axis": "Electric axis of the heart",
    "conduction": "Conduction abnormalities",
    "extrasystole": "Extrasystolies",
    "hypertrophy": "Hypertrophies",
    "pacing": "Cardiac pacing",
    "ischemia": "Ischemia",
    "repolarization": "Non-specific repolarization abnormalities",
    "other": "Other states",
}
# Every record has a rhythm and an axis: an empty cell is a missing label. Elsewhere it says
# that there is no such finding.
ALWAYS_THERE = ("rhythm", "axis")
_SEX = {"M": "male", "F": "female", "": None}


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read ``ludb.csv`` and list the files; no signal is read.

    Args:
        spec: which corpus.
        root: folder that holds ``ludb.csv`` and ``data``.

    Raises:
        CorpusError: missing folder, table or column; a row that makes no sense; no record.
    """
    root = existing(root, "LUDB")
    table = root / TABLE
    needed = ("ID", "Sex", "Age", *COLUMNS.values())
    rows = list(read_table(table, needed, f"LUDB needs {TABLE} and the folder data"))
    classes = {
        task: _classes(_findings(row[column], column) for _, row in rows)
        for task, column in COLUMNS.items()
    }
    entries = [_entry(where, row, classes) for where, row in rows]
    check_entries(entries, [], str(table))
    sizes = file_sizes(root / "data", root, (".hea", ".dat"))
    present = [e for e in entries if {e.where[0] + ".hea", e.where[0] + ".dat"} <= sizes.keys()]
    if not present:
        raise CorpusError(f"{root}: none of the {len(rows)} records of {TABLE} is below data")
    unlisted = sum(path.endswith(".dat") for path in sizes) - len(present)
    used = sorted(e.where[0] + suffix for e in present for suffix in (".hea", ".dat"))
    headers = b"".join((root / path).read_bytes() for path in used if path.endswith(".hea"))
    return ListedSource(
        classes=classes,
        entries=tuple(present),
        read=RecordReader(root, FS_HZ),
        fingerprint=fingerprint([table.read_bytes()], {p: sizes[p] for p in used}, headers),
        absent=len(entries) - len(present),
        left_out={f"record that is not in {TABLE}": unlisted},
        remarks=("no official split: subjects are split 8:1:1 by a hash of their number",),
    )


def _age(text: str, where: str) -> float | None:
    if text.startswith(">"):
        return OLDEST
    try:
        return float(text) if text else None
    except ValueError:
        raise CorpusError(f"{where}: Age {text!r} is not a number") from None


def _findings(cell: str, column: str) -> tuple[str, ...]:
    """The findings of a cell, one a line, without the column's name and a full stop."""
    lines = (line.strip().removeprefix(f"{column}:").strip(" .") for line in cell.splitlines())
    return tuple(line for line in lines if line)


def _classes(cells: Iterator[tuple[str, ...]]) -> tuple[str, ...]:
    """Every finding once; the same words in another case are the same finding."""
    spelled: dict[str, str] = {}
    for finding in sorted(finding for cell in cells for finding in cell):
        spelled.setdefault(finding.casefold(), finding)
    return tuple(spelled[key] for key in sorted(spelled))


def _entry(where: str, row: dict[str, str], classes: dict[str, tuple[str, ...]]) -> Entry:
    from scaling.corpora.format.splits import hashed_split

    number, sex = row["ID"].strip(), row["Sex"].strip()
    if not number.isdecimal() or sex not in _SEX:
        raise CorpusError(f"{where}: ID {number!r}, Sex {sex!r}: not a number, and M or F")
    labels = {}
    for task, column in COLUMNS.items():
        findings = _findings(row[column], column)
        if findings or task not in ALWAYS_THERE:
            index = {name.casefold(): i for i, name in enumerate(classes[task])}
            labels[task] = tuple(sorted({index[finding.casefold()] for finding in findings}))
    patient, age = int(number), _age(row["Age"].strip(), where)
    place = (f"data/{number}", f"{number}.dat")
    return Entry(number, patient, hashed_split(patient), labels, place, age, _SEX[sex])
