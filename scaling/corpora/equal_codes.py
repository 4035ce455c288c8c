"""Which classes of different corpora are one diagnosis, for models that are measured elsewhere.

Sources name a diagnosis in their own ways, and one name may mean two: ``AF`` is atrial flutter in
CSN and fibrillation in CODE. ``equal_codes.csv`` has a row for each diagnosis: its SNOMED CT codes,
several where the Challenge scores them as one, and a column for each **vocabulary** with the names
of the class in it. Which vocabulary the classes of a source and task are of is said by the
catalogue (``vocabularies``); a task without one is compared with nothing.

- The codes of CODE's six classes, of the virtual cohorts and of PTB-XL's statements stand in no
  file of theirs. Those of CODE are by the names that Ribeiro et al. (2020) give them, and a cohort
  has those of the set that it is modelled on. A statement of PTB-XL has the code that means the
  same in the Challenge's tables (``dx_mapping_scored.csv`` and ``dx_mapping_unscored.csv`` of its
  evaluation code) and that its copy of PTB-XL uses there.
- The Challenge writes 164884008, ventricular ectopics, for what CPSC 2018 and PTB-XL call PVC, and
  does not score it: no record of the two has 427172004 or 17338001. What their publishers say
  counts, so it is in the row of premature ventricular beats.
- Left out, since names and codes disagree: ``NORM`` (coded as sinus rhythm, but it is a normal ECG:
  a sinus rhythm with any other finding is none); CSN's ``STE`` and ``STTU`` (the first has the
  name of ST elevation, the second its code); PTB-XL's ``BIGU`` and ``SVARR``, which are wider than
  ventricular bigeminy and supraventricular beats, and its ``TAB_``, ``NT_`` and ``LOWT``, of which
  none is the abnormal T wave alone. The benchmark's rule of ``csn:published``, and PTB-XL's
  superclasses and subclasses, make classes of which no code is.

Standard library only. A change of the table changes numbers: raise ``evaluation.external``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.tables import csv_rows
from scaling.provenance import corpus_name

TABLE = Path(__file__).with_suffix(".csv")
_FIRST = ("codes", "meaning")  # columns; the others are vocabularies
_BETWEEN = ";"  # of several codes or names in a cell


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One row of the table."""

    codes: tuple[str, ...]  # SNOMED CT codes that are scored as one
    meaning: str  # in words
    names: Mapping[str, tuple[str, ...]]  # vocabulary -> names of the class in it


class LabelledTask(NamedTuple):
    """A source, one of its tasks, and the classes of it that are meant, in order."""

    source: str
    task: str
    classes: tuple[str, ...]

    @property
    def name(self) -> str:
        """``source``, or ``source:task``."""
        return corpus_name(self.source, self.task)


class SharedClass(NamedTuple):
    """A diagnosis that two tasks have: the name of its class in each."""

    own: str
    other: str


def read_equal_codes(path: Path = TABLE) -> tuple[Diagnosis, ...]:
    """The rows of a table of equal codes.

    Raises:
        CorpusError: names file and line: a row without a code, a meaning or a name, a code that is
            no number, or a code or name that stands in two rows.
    """
    rows = csv_rows(path, _FIRST)
    _, header = next(rows)
    vocabularies = [name for name in header if name not in _FIRST]
    found: list[Diagnosis] = []
    taken: dict[tuple[str, str], int] = {}
    for line, cells in rows:
        row = dict(zip(header, cells, strict=True))
        one = Diagnosis(
            codes=_several(row["codes"]),
            meaning=row["meaning"].strip(),
            names={name: _several(row[name]) for name in vocabularies if row[name].strip()},
        )
        for problem in _problems(one):
            raise CorpusError(f"{path}:{line}: {problem}")
        for column, word in _words(one):
            first = taken.setdefault((column, word), line)
            if first != line:
                raise CorpusError(
                    f"{path}:{line}: {word!r} of the column {column!r} is in line {first} too: it "
                    "would be two diagnoses"
                )
        found.append(one)
    return tuple(found)


def _several(cell: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(_BETWEEN) if word.strip())


def _problems(one: Diagnosis) -> Iterator[str]:
    if not one.codes or not one.meaning or not one.names:
        yield "a row has at least a code, a meaning and a name of the class"
    for code in one.codes:
        if not code.isdecimal():
            yield f"code {code!r} is not a SNOMED CT code, which is a number"
    for column, word in _words(one):
        if [*_words(one)].count((column, word)) > 1:
            yield f"{word!r} stands twice in the column {column!r}"


def _words(one: Diagnosis) -> Iterator[tuple[str, str]]:
    """Column and content of each code and name."""
    yield from (("codes", code) for code in one.codes)
    yield from ((column, name) for column, names in one.names.items() for name in names)


def overlaps(source: str, other: str) -> bool:
    """Whether two sources have patients in common by their names: one is the other or a part."""
    return f"{source}/".startswith(f"{other}/") or f"{other}/".startswith(f"{source}/")


@functools.cache
def _places() -> Mapping[tuple[str, str], int]:
    """Vocabulary and name -> row of the table."""
    return {
        (vocabulary, name): i
        for i, one in enumerate(read_equal_codes())
        for vocabulary, names in one.names.items()
        for name in names
    }


def vocabulary_of(source: str, task: str) -> str:
    """Column of the table with the class names of a task; empty where it has none."""
    info = SOURCES[source]
    return dict(zip(info.tasks, info.vocabularies, strict=False)).get(task, "")


def shared_classes(own: LabelledTask, other: LabelledTask) -> tuple[SharedClass, ...]:
    """The classes that two tasks have in common, in the order of ``own``.

    In one vocabulary equal names are equal, also those that the table does not have.

    Raises:
        ValueError: a task whose classes are of no vocabulary, no class in common, or two classes
            of a task that are one diagnosis; says what there is.
    """
    for task in (own, other):
        if not vocabulary_of(task.source, task.task):
            raise ValueError(
                f"{task.name} has no column in {TABLE.name}, so no class of it is known to be one "
                f"of another corpus; take a task that has one: {', '.join(_comparable())}"
            )
    mine, theirs = _by_diagnosis(own), _by_diagnosis(other)
    shared = tuple(SharedClass(mine[key], theirs[key]) for key in mine if key in theirs)
    if not shared:
        raise ValueError(
            f"{own.name} and {other.name} have no class in common by {TABLE.name}: the first has "
            f"{', '.join(own.classes)}, the second {', '.join(other.classes)}"
        )
    return shared


def _by_diagnosis(task: LabelledTask) -> dict[int | str, str]:
    """Row of the table, or a name that is in none, -> class."""
    vocabulary = vocabulary_of(task.source, task.task)
    found: dict[int | str, str] = {}
    for name in task.classes:
        key: int | str = _places().get((vocabulary, name), f"{vocabulary}/{name}")
        if (before := found.setdefault(key, name)) != name:
            raise ValueError(
                f"{task.name}: the classes {before} and {name} are one diagnosis by {TABLE.name}"
            )
    return found


def _comparable() -> Sequence[str]:
    """Names of all tasks with a vocabulary."""
    pairs = [(name, task) for name, info in SOURCES.items() for task in info.tasks]
    return [LabelledTask(s, t, ()).name for s, t in pairs if vocabulary_of(s, t)]
