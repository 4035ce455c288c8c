"""PTB-XL 1.0.x in its official layout (Wagner et al., Scientific Data 7, 154, 2020).

``ptbxl_database.csv``, ``scp_statements.csv`` and ``records100`` or ``records500``. Folds
1-8 train, 9 validates, 10 tests, as its authors recommend. A record carries a class when it
has any statement of that class, whatever its likelihood. A partial download is usable: rows
whose files are absent are left out and counted.
"""

from __future__ import annotations

import ast
import csv
import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from scaling.corpora.errors import CorpusError, shown
from scaling.corpora.sources.base import CHUNK, Chunk, Order, Recording, Rows, Summary
from scaling.identity import CorpusSpec

TASKS = ("superclass", "subclass", "diagnostic", "form", "rhythm", "all")
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
DATABASE = "ptbxl_database.csv"
STATEMENTS = "scp_statements.csv"
FILES = (DATABASE, STATEMENTS)
_SPLIT = dict.fromkeys(range(1, 9), "train") | {9: "validation", 10: "test"}
_SEX = {"0": "male", "1": "female"}
OLDEST = 90.0  # the database writes 300 for patients older than 89

Mapping = dict[str, dict[str, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One row of the database whose files are present.

    Attributes:
        record: ``ecg_id``.
        patient: ``patient_id``.
        split: from the fold.
        age: years, 90 for 90 or older; None where unknown.
        sex: ``male``, ``female`` or None.
        codes: its SCP-ECG statements.
        stem: path of the record below the root, without extension.
    """

    record: int
    patient: int
    split: str
    age: float | None
    sex: str | None
    codes: tuple[str, ...]
    stem: str


def open_source(spec: CorpusSpec, root: Path | None) -> PtbxlSource:
    """Read the tables and list the files; no signal is read.

    Args:
        spec: ``fs_hz`` up to 100 reads ``records100``, more reads ``records500``.
        root: folder that holds the two CSV files.

    Raises:
        CorpusError: missing folder, file or column; a row that makes no sense; no record.
    """
    if root is None or not root.is_dir():
        raise CorpusError(f"PTB-XL is not at {root}: no such folder")
    source_hz = 100 if spec.fs_hz <= 100 else 500
    mapping = _read_statements(root / STATEMENTS)
    rows = _read_database(root / DATABASE, "filename_lr" if source_hz == 100 else "filename_hr")
    if unknown := sorted({code for row in rows for code in row.codes} - set(mapping["all"])):
        raise CorpusError(
            f"{root / DATABASE}: statements {', '.join(unknown)} are not in {STATEMENTS}"
        )
    sizes = _sizes(root / f"records{source_hz}", root)
    present = [e for e in rows if e.stem + ".hea" in sizes and e.stem + ".dat" in sizes]
    if not present:
        raise CorpusError(
            f"{root}: none of the {len(rows)} records of {DATABASE} is below "
            f"records{source_hz}: download that folder, or choose another fs_hz"
        )
    used = sorted(e.stem + suffix for e in present for suffix in (".hea", ".dat"))
    digest = hashlib.sha256()
    for name in FILES:
        digest.update((root / name).read_bytes())
    digest.update("".join(f"{path} {sizes[path]}\n" for path in used).encode())
    for entry in sorted(present, key=lambda e: e.stem):
        digest.update((root / f"{entry.stem}.hea").read_bytes())
    return PtbxlSource(
        root=root,
        source_hz=source_hz,
        mapping=mapping,
        entries=tuple(present),
        absent=len(rows) - len(present),
        fingerprint="f" + digest.hexdigest()[:16],
    )


def _read_table(path: Path, needed: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV with ``file:line`` of each."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; PTB-XL needs {' and '.join(FILES)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from None
    reader = csv.DictReader(text.splitlines(keepends=True), restval="")
    if absent := [name for name in needed if name not in (reader.fieldnames or ())]:
        raise CorpusError(f"{path}: column {', '.join(absent)} is missing")
    for row in reader:
        yield f"{path}:{reader.line_num}", row


def _read_statements(path: Path) -> Mapping:
    """Task -> statement -> class, classes in the order of the file."""
    needed = ("diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
    mapping: Mapping = {task: {} for task in TASKS}
    for where, row in _read_table(path, needed):
        code = next(iter(row.values()))  # the first column has no name in the official file
        mapping["all"][code] = code
        for kind in ("diagnostic", "form", "rhythm"):
            if row[kind].strip() in ("1", "1.0"):
                mapping[kind][code] = code
        if code in mapping["diagnostic"]:
            if row["diagnostic_class"] not in SUPERCLASSES:
                raise CorpusError(
                    f"{where}: diagnostic_class of {code} is {row['diagnostic_class']!r}, "
                    f"not one of {', '.join(SUPERCLASSES)}"
                )
            mapping["superclass"][code] = row["diagnostic_class"]
            mapping["subclass"][code] = row["diagnostic_subclass"]
    return mapping


def _read_database(path: Path, filename: str) -> list[Entry]:
    needed = ("ecg_id", "patient_id", "scp_codes", "strat_fold", filename)
    entries: list[Entry] = []
    problems: list[str] = []
    for where, row in _read_table(path, needed):
        try:
            entries.append(_entry(row, row[filename]))
        except (ValueError, SyntaxError, KeyError) as error:
            problems.append(f"{where}: {error}")
    seen: set[int] = set()
    home: dict[int, str] = {}
    for entry in entries:
        if entry.record in seen:
            problems.append(f"{path}: ecg_id {entry.record} appears twice")
        if home.setdefault(entry.patient, entry.split) != entry.split:
            problems.append(
                f"{path}: patient {entry.patient} is in both {home[entry.patient]} and "
                f"{entry.split}: the folds must be by patient"
            )
        seen.add(entry.record)
    if problems:
        raise CorpusError(f"{len(problems)} rows cannot be used:\n{shown(problems)}")
    return entries


def _entry(row: dict[str, str], stem: str) -> Entry:
    """One row; ValueError says what is wrong with it."""
    patient, fold = float(row["patient_id"] or "nan"), float(row["strat_fold"] or "nan")
    if not patient.is_integer() or fold not in _SPLIT:
        raise ValueError(f"patient_id {row['patient_id']!r}, strat_fold {row['strat_fold']!r}")
    path = PurePosixPath(stem)
    if path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise ValueError(f"{stem!r} is not a path below the root")
    age = float(row["age"]) if row.get("age") else None
    return Entry(
        record=int(row["ecg_id"]),
        patient=int(patient),
        split=_SPLIT[int(fold)],
        age=OLDEST if age is not None and age >= OLDEST else age,
        sex=_SEX.get(row.get("sex") or ""),
        codes=_codes(row["scp_codes"]),
        stem=stem,
    )


@functools.lru_cache(maxsize=4096)
def _codes(text: str) -> tuple[str, ...]:
    value = ast.literal_eval(text)
    if not isinstance(value, dict):
        raise ValueError(f"scp_codes {text!r} is not a dictionary")
    return tuple(str(code) for code in value)


def _sizes(folder: Path, root: Path) -> dict[str, int]:
    """Path below the root -> bytes, of the files in the sub-folders of ``folder``."""
    sizes: dict[str, int] = {}
    for parent in sorted(folder.iterdir()) if folder.is_dir() else []:
        if parent.is_dir():
            with os.scandir(parent) as files:
                prefix = parent.relative_to(root).as_posix()
                sizes |= {f"{prefix}/{f.name}": f.stat().st_size for f in files}
    return sizes


def _task_classes(mapping: Mapping) -> dict[str, tuple[str, ...]]:
    found = {task: tuple(dict.fromkeys(mapping[task].values())) for task in TASKS}
    return found | {"superclass": SUPERCLASSES}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PtbxlSource:
    """PTB-XL as found under a root; see ``base.Source``."""

    root: Path
    source_hz: int
    mapping: Mapping
    entries: tuple[Entry, ...]
    absent: int
    fingerprint: str

    @property
    def order(self) -> Order:
        """Patients by hash: the database is sorted by date."""
        return "hashed"

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Task -> class names."""
        return _task_classes(self.mapping)

    def summary(self, task: str) -> Summary:
        """Count the records with a label of the task, from the tables alone."""
        members = [e for e in self.entries if _in_task(e, task, self.mapping)]
        counts = {split: sum(e.split == split for e in members) for split in _SPLIT.values()}
        return Summary(
            **counts,
            patients=len({e.patient for e in members if e.split == "train"}),
            classes=self.classes[task],
            fingerprint=self.fingerprint,
            absent=self.absent,
        )

    def chunks(self) -> list[Chunk]:
        """The present records in the order of the database."""
        starts = range(0, len(self.entries), CHUNK)
        parts = (self.entries[i : i + CHUNK] for i in starts)
        return [PtbxlChunk(self.root, self.source_hz, self.mapping, part) for part in parts]

    def notes(self) -> dict[str, Any]:
        """Rows of the database whose files are absent."""
        return {"missing_files": self.absent}

    def bayes_loss(self) -> dict[str, Any] | None:
        """Nobody knows it."""
        return None


def _in_task(entry: Entry, task: str, mapping: Mapping) -> bool:
    """Whether the record has a label of the task; ``all`` keeps every record."""
    return task == "all" or any(code in mapping[task] for code in entry.codes)


@dataclasses.dataclass(frozen=True, slots=True)
class PtbxlChunk:
    """Some entries; see ``base.Chunk``."""

    root: Path
    source_hz: int
    mapping: Mapping
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Number of records."""
        return len(self.entries)

    def read(self) -> tuple[Rows, Iterable[Recording | CorpusError]]:
        """Tables and recordings."""
        import numpy as np

        labels, valid = {}, {}
        for task, classes in _task_classes(self.mapping).items():
            table = np.zeros((self.size, len(classes)), np.uint8)
            for i, entry in enumerate(self.entries):
                for code in entry.codes:
                    if code in self.mapping[task]:
                        table[i, classes.index(self.mapping[task][code])] = 1
            labels[task] = table
            valid[task] = np.array([_in_task(e, task, self.mapping) for e in self.entries])
        rows = Rows(
            records=[str(e.record) for e in self.entries],
            patients=np.array([e.patient for e in self.entries], np.int64),
            splits=[e.split for e in self.entries],
            ages=[e.age for e in self.entries],
            sexes=[e.sex for e in self.entries],
            labels=labels,
            valid=valid,
        )
        return rows, map(self._recording, self.entries)

    def _recording(self, entry: Entry) -> Recording | CorpusError:
        from scaling.corpora.sources.wfdb16 import read_record

        try:
            return read_record(self.root / entry.stem, self.source_hz)
        except CorpusError as error:
            return error
