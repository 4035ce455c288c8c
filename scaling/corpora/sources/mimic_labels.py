"""The label tables of MIMIC-IV-ECG: discharge diagnoses (ext-icd) and outcomes (MDS-ED).

``records_w_diag_icd10.csv`` (Strodthoff et al., PhysioNet mimic-iv-ecg-ext-icd-labels) and
``mds_ed.csv`` (Lopez Alcaraz and Strodthoff, PhysioNet multimodal-emergency-benchmark). Both
name records by ``study_id`` and give each patient one of 20 stratified folds.

Diagnoses become classes by the rule of the ECG-MIMIC benchmark (Strodthoff, Lopez Alcaraz and
Haverkamp, European Heart Journal - Digital Health 5, 454, 2024): an ICD-10-CM code is cut to five
characters, trailing placeholders X are dropped, every ancestor down to three characters is added,
and what occurs in at least 2,000 records of the table is a class. On the full table of 800,035
records these are 1,076 classes.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import sys
from pathlib import Path

from scaling.corpora.errors import RowProblems, refuse
from scaling.corpora.sources.read.tables import read_columns, table_digest, whole, years

DIAGNOSES = "records_w_diag_icd10.csv"
OUTCOMES = "mds_ed.csv"
FOLDERS = ("", "labels")
FOLDS = 20
ICU = ("icu_24h", "icu_stay")
MORTALITY = (
    "mortality_1d", "mortality_7d", "mortality_28d", "mortality_90d", "mortality_180d",
    "mortality_365d",
)  # fmt: skip
SEX = ("male",)
_SEXES = {"F": "female", "M": "male", "": None, "nan": None}
_OUTCOME_VALUES = {"0": 0, "0.0": 0, "1": 1, "1.0": 1, "-999": None, "-999.0": None, "": None}

Positives = tuple[int, ...]
Labels = dict[str, Positives]


@dataclasses.dataclass(frozen=True, slots=True)
class DiagnosisRow:
    """One row of ``records_w_diag_icd10.csv``; ``codes`` numbers its code list."""

    subject: int
    age: float | None
    sex: str | None
    codes: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One row of ``mds_ed.csv``; None where one of the task's targets is missing (-999)."""

    subject: int
    icu: Positives | None
    mortality: Positives | None


@dataclasses.dataclass(slots=True, kw_only=True)
class LabelTables:
    """What the two tables say; a record is taken out of them by ``take``.

    Attributes:
        classes: task -> class names, of the tasks there are.
        missing: task -> why it is not there.
        folds: subject -> fold, from ext-icd where it has the subject, else from MDS-ED.
        conflicts: subjects whose two folds differ.
        digests: SHA-256 of each table read.
    """

    classes: dict[str, tuple[str, ...]]
    missing: dict[str, str]
    folds: dict[int, int]
    conflicts: int
    digests: list[bytes]
    diagnosed: dict[int, DiagnosisRow]
    outcomes: dict[int, OutcomeRow]
    code_labels: list[Positives]
    _shared: dict[tuple[tuple[str, Positives], ...], Labels] = dataclasses.field(
        default_factory=dict
    )

    def take(self, study: int, subject: int) -> tuple[Labels, float | None, str | None]:
        """Labels, age and sex of a record.

        Raises:
            ValueError: a table has the record under another subject.
        """
        diagnosed, outcome = self.diagnosed.pop(study, None), self.outcomes.pop(study, None)
        for table, row in ((DIAGNOSES, diagnosed), (OUTCOMES, outcome)):
            if row is not None and row.subject != subject:
                raise ValueError(f"study {study} is of subject {row.subject} in {table}")
        tasks: dict[str, Positives | None] = {}
        age = sex = None
        if diagnosed is not None:
            age, sex = diagnosed.age, diagnosed.sex
            tasks["icd"] = None if diagnosed.codes is None else self.code_labels[diagnosed.codes]
            tasks["sex"] = None if sex is None else (0,) * (sex == "male")
        if outcome is not None:
            tasks |= {"icu": outcome.icu, "mortality": outcome.mortality}
        labels = {
            n: positive
            for n, positive in tasks.items()
            if positive is not None and n in self.classes
        }
        # Records of one stay share their labels.
        return self._shared.setdefault(tuple(labels.items()), labels), age, sex

    @property
    def left(self) -> int:
        """Rows of the tables whose record was not taken."""
        return len(self.diagnosed) + len(self.outcomes)


def read_labels(root: Path) -> LabelTables:
    """Read the tables that are in the root or in ``labels``.

    Raises:
        CorpusError: a column is missing, a row makes no sense, or a table puts a subject into
            two folds.
    """
    problems = RowProblems()
    folds: dict[int, int] = {}
    other_folds: dict[int, int] = {}
    digests: list[bytes] = []
    lists = CodeLists()
    diagnosed: dict[int, DiagnosisRow] = {}
    outcomes: dict[int, OutcomeRow] = {}
    if path := _find(root, DIAGNOSES):
        digests.append(table_digest(path))
        diagnosed = _read_diagnoses(path, lists, folds, problems)
    if path := _find(root, OUTCOMES):
        digests.append(table_digest(path))
        outcomes = _read_outcomes(path, other_folds, problems)
    refuse(problems)
    codes = lists.classes(MIN_COUNT)
    classes = {"icd": codes, "sex": SEX, "icu": ICU, "mortality": MORTALITY}
    missing = _missing(bool(diagnosed), bool(outcomes), bool(codes))
    return LabelTables(
        classes={task: names for task, names in classes.items() if task not in missing},
        missing=missing,
        folds=other_folds | folds,
        conflicts=sum(folds.get(who, fold) != fold for who, fold in other_folds.items()),
        digests=digests,
        diagnosed=diagnosed,
        outcomes=outcomes,
        code_labels=lists.labels(codes),
    )


def _missing(diagnosed: bool, outcomes: bool, codes: bool) -> dict[str, str]:
    absent = "{} is neither in the root nor in labels, or is empty".format
    missing: dict[str, str] = {}
    if not diagnosed:
        missing |= dict.fromkeys(("icd", "sex"), absent(DIAGNOSES))
    elif not codes:
        missing["icd"] = f"no code has {MIN_COUNT:,} records in {DIAGNOSES}"
    if not outcomes:
        missing |= dict.fromkeys(("icu", "mortality"), absent(OUTCOMES))
    return missing


def _find(root: Path, name: str) -> Path | None:
    return next((root / f / name for f in FOLDERS if (root / f / name).is_file()), None)


def _read_diagnoses(
    path: Path, lists: CodeLists, folds: dict[int, int], problems: RowProblems
) -> dict[int, DiagnosisRow]:
    # The benchmark's 1,076 classes are those of all_diag_all: diagnoses of the emergency
    # department and of the hospital stay, over all rows.
    needed = ("study_id", "subject_id", "strat_fold", "gender", "age", "all_diag_all")
    rows: dict[int, DiagnosisRow] = {}
    for line, (study, subject, fold, sex, age, codes) in read_columns(path, needed):
        with problems.at(path, line):
            number, who, old = whole(study), whole(subject), years(age)
            if number in rows:
                raise ValueError(f"study {number} appears twice")
            if sex not in _SEXES:
                raise ValueError(f"gender {sex!r} is neither M nor F")
            _enter_fold(folds, who, fold)
            rows[number] = DiagnosisRow(who, old, _SEXES[sex], lists.add(codes))
    return rows


def _read_outcomes(
    path: Path, folds: dict[int, int], problems: RowProblems
) -> dict[int, OutcomeRow]:
    targets = [f"deterioration_{name}" for name in (*ICU, *MORTALITY)]
    needed = ("general_study_id", "general_subject_id", "general_strat_fold", *targets)
    rows: dict[int, OutcomeRow] = {}
    for line, (study, subject, fold, *values) in read_columns(path, needed):
        with problems.at(path, line):
            number, who = whole(study), whole(subject)
            _enter_fold(folds, who, fold)
            icu, mortality = _positives(values[: len(ICU)]), _positives(values[len(ICU) :])
            row = OutcomeRow(who, icu, mortality)
            # A record may be listed again for another stay, but not with other outcomes.
            if rows.setdefault(number, row) != row:
                raise ValueError(f"study {number} appears twice, with different outcomes")
    return rows


def _enter_fold(folds: dict[int, int], subject: int, text: str) -> None:
    """Note the fold of a subject; an empty cell says nothing."""
    if not text.strip():
        return
    fold = whole(text)
    if fold >= FOLDS:
        raise ValueError(f"fold {fold} is not one of 0 to {FOLDS - 1}")
    if folds.setdefault(subject, fold) != fold:
        raise ValueError(
            f"subject {subject} is in both fold {folds[subject]} and fold {fold}: "
            "splits must be by patient"
        )


def _positives(values: list[str]) -> Positives | None:
    """Indices of the ones; None where a value is missing.

    Raises:
        ValueError: a value is none of 0, 1 and -999.
    """
    numbers = []
    for text in values:
        if text not in _OUTCOME_VALUES:
            raise ValueError(f"{text!r} is none of 0, 1 and -999")
        numbers.append(_OUTCOME_VALUES[text])
    if None in numbers:
        return None
    return tuple(i for i, number in enumerate(numbers) if number)


MIN_COUNT = 2000
DIGITS = 5
_SHORTEST = 3
_CODE = re.compile(r"""'([^'"\\]*)'|"([^'"\\]*)\"""")
_LIST = re.compile(r"""\[\s*((?:'[^'"\\]*'|"[^'"\\]*")(\s*,\s*(?:'[^'"\\]*'|"[^'"\\]*"))*)?\s*\]""")


def parse_codes(text: str) -> tuple[str, ...]:
    """Codes of a Python list written as text, such as ``['I10', 'E785']``.

    Raises:
        ValueError: it is not a list of quoted strings.
    """
    if _LIST.fullmatch(text.strip()) is None:
        raise ValueError(f"{text[:80]!r} is not a list of codes")
    return tuple(one or other for one, other in _CODE.findall(text))


def with_ancestors(codes: tuple[str, ...]) -> tuple[str, ...]:
    """The codes, shortened, and their ancestors; sorted, each once.

    ``I4819`` gives I48, I481 and I4819; ``W19XXXA`` gives W19.
    """
    return tuple(sorted(set().union(*map(_ancestors, codes))))


@functools.lru_cache(maxsize=2**17)
def _ancestors(code: str) -> tuple[str, ...]:
    short = code.strip()[:DIGITS].rstrip("X")
    return tuple(sys.intern(short[:end]) for end in range(_SHORTEST, len(short) + 1))


class CodeLists:
    """The code lists of a table, each kept once: records of one stay share theirs."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._codes: list[tuple[str, ...]] = []
        self._records: list[int] = []

    def add(self, text: str) -> int | None:
        """Number of the list of one more record; None where it is empty.

        Raises:
            ValueError: it is not a list of quoted strings.
        """
        at = self._at.get(text)
        if at is None:
            codes = parse_codes(text)
            at = self._at[text] = len(self._codes) if codes else -1
            if codes:
                self._codes.append(with_ancestors(codes))
                self._records.append(0)
        if at < 0:
            return None
        self._records[at] += 1
        return at

    def classes(self, min_count: int) -> tuple[str, ...]:
        """Codes of at least ``min_count`` records, the commonest first, then by name."""
        counts: collections.Counter[str] = collections.Counter()
        for codes, records in zip(self._codes, self._records, strict=True):
            for code in codes:
                counts[code] += records
        kept = [code for code, count in counts.items() if count >= min_count]
        return tuple(sorted(kept, key=lambda code: (-counts[code], code)))

    def labels(self, classes: tuple[str, ...]) -> list[tuple[int, ...]]:
        """Indices of the positive classes of each list."""
        index = {code: i for i, code in enumerate(classes)}
        shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        labels = []
        for codes in self._codes:
            indices = tuple(sorted(index[code] for code in codes if code in index))
            labels.append(shared.setdefault(indices, indices))
        return labels
