"""PTB-XL 1.0.x in its official layout (Wagner et al., Scientific Data 7, 154, 2020).

``ptbxl_database.csv``, ``scp_statements.csv`` and ``records100`` or ``records500``. Folds
1-8 train, 9 validates, 10 tests, as its authors recommend. A record carries a class when it has any
statement of that class, whatever its likelihood. A partial download is usable: rows whose files are
absent are left out and counted.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from scaling.corpora.errors import CorpusError, RowProblems
from scaling.corpora.sources.read import tables
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries
from scaling.corpora.sources.read.wfdb16 import RecordReader
from scaling.identity import CorpusSpec

TASKS = ("superclass", "subclass", "diagnostic", "form", "rhythm", "all")
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
DATABASE = "ptbxl_database.csv"
STATEMENTS = "scp_statements.csv"
FILES = (DATABASE, STATEMENTS)
_NEEDED = f"PTB-XL needs {' and '.join(FILES)}"
_SPLIT = dict.fromkeys(range(1, 9), "train") | {9: "validation", 10: "test"}
_SEX = {"0": "male", "1": "female", "": None}
OLDEST, _OLDER = 90.0, "300"  # the database writes 300 for patients older than 89
NOT_LISTED = f"signal file that is not in {DATABASE}"

Mapping = dict[str, dict[str, str]]


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the tables and list the files; no signal is read.

    Args:
        spec: ``fs_hz`` up to 100 reads ``records100``, more reads ``records500``.
        root: folder that holds the two CSV files.

    Raises:
        CorpusError: missing folder, file or column; a row that makes no sense; no record.
    """
    root = tables.existing(root, "PTB-XL")
    source_hz = 100 if spec.fs_hz <= 100 else 500
    mapping = _read_statements(root / STATEMENTS)
    classes = _task_classes(mapping)
    rows = _read_database(
        root / DATABASE, "filename_lr" if source_hz == 100 else "filename_hr", mapping, classes
    )
    sizes = tables.file_sizes(root / f"records{source_hz}", root, (".hea", ".dat"))
    present = [e for e in rows if _files(e) <= sizes.keys()]
    if not present:
        raise CorpusError(
            f"{root}: none of the {len(rows)} records of {DATABASE} is below "
            f"records{source_hz}: download that folder, or choose another fs_hz"
        )
    used = {path: sizes[path] for entry in present for path in _files(entry)}
    known = {entry.where[0] + ".dat" for entry in rows}
    unlisted = sum(path.endswith(".dat") and path not in known for path in sizes)
    stems = sorted(entry.where[0] for entry in present)
    return ListedSource(
        classes=classes,
        entries=tuple(present),
        read=RecordReader(root, source_hz),
        fingerprint=tables.fingerprint(
            [(root / name).read_bytes() for name in FILES],
            used,
            b"".join((root / f"{stem}.hea").read_bytes() for stem in stems),
        ),
        absent=len(rows) - len(present),
        left_out={NOT_LISTED: unlisted},
    )


def _files(entry: Entry) -> set[str]:
    """Paths of the header and the signal file below the root."""
    return {entry.where[0] + ".hea", entry.where[0] + ".dat"}


def _read_statements(path: Path) -> Mapping:
    """Task -> statement -> class, classes in the order of the file."""
    needed = ("diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
    mapping: Mapping = {task: {} for task in TASKS}
    for where, row in tables.read_table(path, needed, _NEEDED):
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


def _task_classes(mapping: Mapping) -> dict[str, tuple[str, ...]]:
    classes = {task: tuple(dict.fromkeys(mapping[task].values())) for task in TASKS}
    return classes | {"superclass": SUPERCLASSES}


def _read_database(
    path: Path, filename: str, mapping: Mapping, classes: dict[str, tuple[str, ...]]
) -> list[Entry]:
    needed = ("ecg_id", "patient_id", "scp_codes", "strat_fold", filename)
    entries: list[Entry] = []
    problems = RowProblems()
    unknown: set[str] = set()
    taken: set[str] = set()
    for where, row in tables.read_table(path, needed, _NEEDED):
        with problems.at(where):
            codes = _codes(row["scp_codes"])
            unknown |= set(codes) - mapping["all"].keys()
            entry = _entry(row, row[filename], _labels(codes, mapping, classes))
            if entry.where[0] in taken:
                raise ValueError(f"{filename} {row[filename]!r} is that of another record too")
            taken.add(entry.where[0])
            entries.append(entry)
    check_entries(entries, problems, str(path))
    if unknown:
        raise CorpusError(
            f"{path}: statements {', '.join(sorted(unknown))} are not in {STATEMENTS}"
        )
    return entries


def _labels(
    codes: tuple[str, ...], mapping: Mapping, classes: dict[str, tuple[str, ...]]
) -> dict[str, tuple[int, ...]]:
    """Task -> positive classes, of the tasks that hold the record; ``all`` holds every one."""
    labels: dict[str, tuple[int, ...]] = {}
    for task, names in classes.items():
        positive = {names.index(mapping[task][code]) for code in codes if code in mapping[task]}
        if positive or task == "all":
            labels[task] = tuple(sorted(positive))
    return labels


def _entry(row: dict[str, str], stem: str, labels: dict[str, tuple[int, ...]]) -> Entry:
    """One row; ValueError says what is wrong with it."""
    patient, fold = float(row["patient_id"] or "nan"), float(row["strat_fold"] or "nan")
    if not patient.is_integer() or fold not in _SPLIT:
        raise ValueError(f"patient_id {row['patient_id']!r}, strat_fold {row['strat_fold']!r}")
    path = tables.inside(stem)
    sex = row.get("sex", "").strip().removesuffix(".0")
    if sex not in _SEX:
        raise ValueError(f"sex {sex!r} is neither 0 (male) nor 1 (female)")
    return Entry(
        record=str(int(row["ecg_id"])),
        patient=int(patient),
        split=_SPLIT[int(fold)],
        labels=labels,
        where=(str(path), path.name + ".dat"),
        age=_age(row.get("age", "")),
        sex=_SEX[sex],
        fold=int(fold),
    )


def _age(text: str) -> float | None:
    if text.strip().removesuffix(".0") == _OLDER:
        return OLDEST
    age = tables.years(text)
    return None if age is None else min(age, OLDEST)


@functools.lru_cache(maxsize=4096)
def _codes(text: str) -> tuple[str, ...]:
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"scp_codes {text[:80]!r} cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"scp_codes {text!r} is not a dictionary")
    return tuple(str(code) for code in value)
