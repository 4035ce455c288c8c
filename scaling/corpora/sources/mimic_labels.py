"""The label tables of MIMIC-IV-ECG: discharge diagnoses (ext-icd) and outcomes (MDS-ED).

``records_w_diag_icd10.csv`` (Strodthoff et al., PhysioNet mimic-iv-ecg-ext-icd-labels) and
``mds_ed.csv`` (Lopez Alcaraz and Strodthoff, PhysioNet multimodal-emergency-benchmark). Both
name records by ``study_id`` and give each patient one of 20 stratified folds.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from scaling.corpora.errors import CorpusError, shown
from scaling.corpora.sources.read import icd
from scaling.corpora.sources.read.columns import read_columns, table_digest, whole, years

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
class Diagnosed:
    """One row of ``records_w_diag_icd10.csv``; ``codes`` numbers its code list."""

    subject: int
    age: float | None
    sex: str | None
    codes: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
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
    diagnosed: dict[int, Diagnosed]
    outcomes: dict[int, Outcome]
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
        labels = {n: found for n, found in tasks.items() if found is not None and n in self.classes}
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
    problems: list[str] = []
    folds: dict[int, int] = {}
    other_folds: dict[int, int] = {}
    digests: list[bytes] = []
    lists = icd.CodeLists()
    diagnosed: dict[int, Diagnosed] = {}
    outcomes: dict[int, Outcome] = {}
    if path := _find(root, DIAGNOSES):
        digests.append(table_digest(path))
        diagnosed = _read_diagnoses(path, lists, folds, problems)
    if path := _find(root, OUTCOMES):
        digests.append(table_digest(path))
        outcomes = _read_outcomes(path, other_folds, problems)
    if problems:
        raise CorpusError(f"{len(problems)} rows cannot be used:\n{shown(problems)}")
    codes = lists.classes(icd.MIN_COUNT)
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
        missing["icd"] = f"no code has {icd.MIN_COUNT:,} records in {DIAGNOSES}"
    if not outcomes:
        missing |= dict.fromkeys(("icu", "mortality"), absent(OUTCOMES))
    return missing


def _find(root: Path, name: str) -> Path | None:
    return next((root / f / name for f in FOLDERS if (root / f / name).is_file()), None)


def _read_diagnoses(
    path: Path, lists: icd.CodeLists, folds: dict[int, int], problems: list[str]
) -> dict[int, Diagnosed]:
    # The benchmark's 1,076 classes are those of all_diag_all: diagnoses of the emergency
    # department and of the hospital stay, over all rows.
    needed = ("study_id", "subject_id", "strat_fold", "gender", "age", "all_diag_all")
    found: dict[int, Diagnosed] = {}
    for line, (study, subject, fold, sex, age, codes) in read_columns(path, needed):
        try:
            number, who, old = whole(study), whole(subject), years(age)
            if number in found:
                raise ValueError(f"study {number} appears twice")
            if sex not in _SEXES:
                raise ValueError(f"gender {sex!r} is neither M nor F")
            _enter_fold(folds, who, fold)
            row = Diagnosed(who, old, _SEXES[sex], lists.add(codes))
        except ValueError as error:
            problems.append(f"{path}:{line}: {error}")
            continue
        found[number] = row
    return found


def _read_outcomes(path: Path, folds: dict[int, int], problems: list[str]) -> dict[int, Outcome]:
    targets = [f"deterioration_{name}" for name in (*ICU, *MORTALITY)]
    needed = ("general_study_id", "general_subject_id", "general_strat_fold", *targets)
    found: dict[int, Outcome] = {}
    for line, (study, subject, fold, *values) in read_columns(path, needed):
        try:
            number, who = whole(study), whole(subject)
            _enter_fold(folds, who, fold)
            icu, mortality = _positives(values[: len(ICU)]), _positives(values[len(ICU) :])
            row = Outcome(who, icu, mortality)
            # A record may be listed again for another stay, but not with other outcomes.
            if found.setdefault(number, row) != row:
                raise ValueError(f"study {number} appears twice, with different outcomes")
        except ValueError as error:
            problems.append(f"{path}:{line}: {error}")
    return found


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
