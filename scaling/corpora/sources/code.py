"""CODE, the full set, as its authors share it: WFDB tracings and ``annotations.csv``.

``annotations.csv`` (``id_exam``, ``id_patient``, ``sex`` and six labels) lies in the root,
``RECORDS.txt`` there or in ``wfdb`` or ``ecg-traces``, with the unpacked folders beside it:
``S0120000/TNMG123456_N1`` is the first tracing of exam 123456. What is easily got wrong:

- an exam has several tracings, taken in quick succession: only the first is used, as in
  Ribeiro et al., Nature Communications 11, 1760 (2020); the others are counted;
- nearly one exam in five of ``RECORDS.txt`` has no annotation: it is left out and counted;
- there is no official split: patients are split 8:1:1 by a hash of their id, the same as in
  CODE-15, whose patients and exams are among these.

A partial copy is usable: exams whose files are absent are left out and counted.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from scaling.corpora.errors import CorpusError, RowProblems
from scaling.corpora.sources.code_hdf5 import CLASSES, SEXES, code_labels
from scaling.corpora.sources.read import tables
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries, present_records
from scaling.identity import CorpusSpec

ANNOTATIONS = "annotations.csv"
RECORDS = "RECORDS.txt"
FOLDERS = ("", "wfdb", "ecg-traces")
FURTHER = "further tracings of an exam"
NOT_ANNOTATED = f"exams of {RECORDS} that are not in {ANNOTATIONS}"
AGELESS = "ages that are none, taken as unknown"
_COLUMNS = ("id_exam", "id_patient", "sex", *CLASSES)
_NAME = re.compile(r"TNMG(\d{1,15})_N(\d{1,3})")

Place = tuple[str, int]  # folder below that of RECORDS.txt, number of the tracing


@dataclasses.dataclass(frozen=True, slots=True)
class CodeReader:
    """Reads the tracing of an entry whose ``where`` is its ``Place``."""

    folder: Path

    def __call__(self, entry: Entry) -> Recording:
        """The recording at the rate of its header.

        Raises:
            CorpusError: the files cannot be read.
        """
        from scaling.corpora.sources.read.wfdb16 import read_record

        return read_record(self.folder / _stem(entry), None)


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the two tables and list the files; no tracing is read.

    Args:
        spec: the corpus; nothing in it changes what is read.
        root: folder of ``annotations.csv``.

    Raises:
        CorpusError: a missing table or column, a row that makes no sense, or no tracing.
    """
    root = tables.existing(root, "CODE")
    folder = next((root / f for f in FOLDERS if (root / f / RECORDS).is_file()), None)
    if folder is None:
        raise CorpusError(f"{root}: no {RECORDS} here, in wfdb or in ecg-traces")
    problems = RowProblems()
    places, further = _read_places(folder / RECORDS, problems)
    listed, ageless = _read_annotations(root / ANNOTATIONS, places, problems)
    not_annotated = len(places)
    places.clear()  # 300 MB that the check below can use
    check_entries(listed, problems, str(root / ANNOTATIONS))
    placed = (entry for entry in listed if entry.where is not None)
    entries, listing = present_records(placed, folder, _stem, (".mat", ".dat"))
    if not entries:
        raise CorpusError(
            f"{folder}: none of the {len(listed)} annotated exams is here; unpack the archives "
            f"S*.tar.gz beside {RECORDS}"
        )
    return ListedSource(
        classes={"": CLASSES},
        entries=entries,
        read=CodeReader(folder),
        fingerprint=tables.fingerprint([tables.table_digest(root / ANNOTATIONS)], {}, listing),
        absent=len(listed) - len(entries),
        left_out={FURTHER: further, NOT_ANNOTATED: not_annotated, AGELESS: ageless},
    )


def _read_places(path: Path, problems: RowProblems) -> tuple[dict[int, Place], int]:
    """Exam -> place of its first tracing, and how many further tracings there are."""
    places: dict[int, Place] = {}
    shared: dict[Place, Place] = {}
    safe = {"": "."}
    further = 0
    for line, text in _lines(path):
        below, _, name = text.rpartition("/")
        with problems.at(path, line):
            if (named := _NAME.fullmatch(name)) is None:
                raise ValueError(f"{text!r} is not FOLDER/TNMGx_Ny")
            folder = safe.get(below) or safe.setdefault(below, str(tables.inside(below)))
            exam, place = int(named[1]), (folder, int(named[2]))
            before = places.get(exam)
            further += before is not None
            if before is None or place[1] < before[1]:
                places[exam] = shared.setdefault(place, place)
    return places, further


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers."""
    try:
        with path.open(encoding="utf-8") as lines:
            for line, text in enumerate(lines, 1):
                if stripped := text.strip():
                    yield line, stripped
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from None


def _read_annotations(
    path: Path, places: dict[int, Place], problems: RowProblems
) -> tuple[list[Entry], int]:
    """Annotated exams, and how many of them have an impossible age.

    Those found in ``places`` are taken out of it; the others have no place.
    """
    from scaling.corpora.format.splits import hashed_split

    entries = []
    ageless = 0
    what = f"CODE needs {ANNOTATIONS} and {RECORDS}"
    rows = tables.read_columns(path, _COLUMNS, ("age",), what)
    for line, (exam, patient, sex, *labels, age) in rows:
        with problems.at(path, line):
            number, who = tables.whole(exam), tables.whole(patient)
            if sex not in SEXES:
                raise ValueError(f"sex {sex!r} is neither M nor F")
            positives = code_labels(labels)
            try:
                old = tables.years(age)
            except ValueError:
                # Typed by hand for millions of exams: a slip here must not stop the rest.
                old, ageless = None, ageless + 1
            place, split = places.pop(number, None), hashed_split(who)
            entries.append(Entry(str(number), who, split, positives, place, old, SEXES[sex]))
    return entries, ageless


def _stem(entry: Entry) -> str:
    folder, number = entry.where
    return f"{folder}/TNMG{entry.record}_N{number}"
