"""CODE-15 % in its official layout (Ribeiro et al., Zenodo 4916206).

``exams.csv`` and ``exams_part0.hdf5`` to ``exams_part17.hdf5`` (``exam_id`` and ``tracings``),
unpacked into one folder. What is easily got wrong:

- a part ends with a row of zeros whose exam id is 0: it is no exam;
- the table and the parts are in different orders: exams are found by their id;
- recordings of 7 to 10 s are padded with zeros to 4,096 samples: the padding is removed, and a
  preset that asks for 10 s refuses the short ones unless it pads;
- the table has its labels in another order than the published model, see ``code_shared``;
- there is no official split: patients are split 8:1:1 by a hash of their id.

A partial download is usable: exams of absent parts are left out and counted.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path, PurePosixPath

from scaling.corpora.errors import CorpusError, refuse
from scaling.corpora.sources.code_shared import CLASSES, TracingsReader, code_labels, read_exam_ids
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries
from scaling.corpora.sources.read.tables import (
    existing,
    fingerprint,
    flag,
    inside,
    read_columns,
    table_digest,
    whole,
    years,
)
from scaling.identity import LEADS, CorpusSpec

EXAMS = "exams.csv"
_PART = re.compile(r"exams_part\d+\.hdf5")
NOT_LISTED = f"rows of the HDF5 parts whose exam is not in {EXAMS}"
_COLUMNS = ("exam_id", "patient_id", "age", "is_male", "trace_file", *CLASSES)

Exams = dict[str, dict[int, Entry]]


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the table and the ids of the parts; no tracing is read.

    Args:
        spec: the corpus; nothing in it changes what is read.
        root: folder of ``exams.csv`` and the parts.

    Raises:
        CorpusError: missing table, column or parts; a row that makes no sense; a part that is
            damaged, of another shape, or lacks exams that the table says it holds.
    """
    root = existing(root, "CODE-15")
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
        placed = _place(part, exam_ids.tolist(), listed, problems)
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
        fingerprint=fingerprint(
            [table_digest(root / EXAMS)],
            {part: (root / part).stat().st_size for part in parts},
            b"".join(ids),
        ),
        absent=sum(len(listed) for part, listed in exams.items() if part not in parts),
        left_out={NOT_LISTED: not_listed} if not_listed else {},
    )


def _place(
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
    problems: list[str] = []
    what = "CODE-15 needs exams.csv and its HDF5 parts"
    for line, (exam, patient, age, male, trace_file, *labels) in read_columns(
        path, _COLUMNS, what=what
    ):
        try:
            number, who = whole(exam), whole(patient)
            if number == 0:
                raise ValueError("exam id 0 is that of the padding rows of the parts")
            if number in seen:
                raise ValueError(f"exam {number} appears twice")
            part = parts.get(trace_file) or parts.setdefault(trace_file, _part(trace_file))
            entry = Entry(
                str(number),
                who,
                hashed_split(who),
                code_labels(labels),
                None,
                years(age),
                "male" if flag(male) else "female",
            )
        except ValueError as error:
            problems.append(f"{path}:{line}: {error}")
            continue
        seen.add(number)
        exams.setdefault(part, {})[number] = entry
    refuse(problems)
    return exams


def _part(text: str) -> str:
    """Name of a part, which lies directly below the root."""
    path: PurePosixPath = inside(text)
    if not _PART.fullmatch(str(path)):
        raise ValueError(f"trace_file {text!r} is not the name of a part")
    return str(path)
