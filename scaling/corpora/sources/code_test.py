"""CODE-test in its official layout (Ribeiro et al., Zenodo 3765780): 827 annotated exams.

``ecg_tracings.hdf5`` (``tracings``), ``annotations/gold_standard.csv`` and ``attributes.csv``.
What is easily got wrong:

- the tables have no ids: line i belongs to tracing i, so their lengths must agree;
- the lead order is I, II, III, **aVL, aVF, aVR**, V1 to V6, not that of CODE-15;
- recordings of 7 and 10 s are padded with zeros, which are removed, see ``code_shared``;
- the labels are the committee's (``gold_standard.csv``); those of single readers and of the
  published network lie beside them and are not read.

Each exam is of another patient, as its authors say. All are test records: the source has
nothing to train on, and asking it for a training subset is an error.
"""

from __future__ import annotations

from pathlib import Path

from scaling.corpora.errors import CorpusError, refuse
from scaling.corpora.sources.code_shared import (
    CLASSES,
    SEXES,
    TracingsReader,
    code_labels,
    count_tracings,
)
from scaling.corpora.sources.read.listed import Entry, ListedSource
from scaling.corpora.sources.read.tables import (
    existing,
    fingerprint,
    read_columns,
    table_digest,
    years,
)
from scaling.identity import CorpusSpec

TRACINGS = "ecg_tracings.hdf5"
GOLD = "annotations/gold_standard.csv"
ATTRIBUTES = "attributes.csv"
LEADS = ("I", "II", "III", "aVL", "aVF", "aVR", "V1", "V2", "V3", "V4", "V5", "V6")
_WHAT = f"CODE-test needs {TRACINGS}, {GOLD} and {ATTRIBUTES}"


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the tables and the shape of the tracings; no tracing is read.

    Args:
        spec: the corpus; nothing in it changes what is read.
        root: folder of the HDF5 file; record ids are the numbers of its rows, from 0.

    Raises:
        CorpusError: a missing or damaged file, a row that makes no sense, or tables and
            tracings of different lengths.
    """
    root = existing(root, "CODE-test")
    gold = list(read_columns(root / GOLD, CLASSES, what=_WHAT))
    attributes = list(read_columns(root / ATTRIBUTES, ("age", "sex"), what=_WHAT))
    rows = count_tracings(root / TRACINGS)
    if not len(gold) == len(attributes) == rows > 0:
        raise CorpusError(
            f"{root}: {TRACINGS} has {rows} tracings, {GOLD} {len(gold)} and {ATTRIBUTES} "
            f"{len(attributes)} rows; they belong together line by line: download them again"
        )
    entries = []
    problems = []
    for row, ((line, labels), (other, (age, sex))) in enumerate(zip(gold, attributes, strict=True)):
        try:
            positives = code_labels(labels)
        except ValueError as error:
            problems.append(f"{root / GOLD}:{line}: {error}")
            continue
        try:
            if not sex or sex not in SEXES:
                raise ValueError(f"sex {sex!r} is neither M nor F")
            where = (TRACINGS, row)
            entries.append(Entry(str(row), row, "test", positives, where, years(age), SEXES[sex]))
        except ValueError as error:
            problems.append(f"{root / ATTRIBUTES}:{other}: {error}")
    refuse(problems)
    return ListedSource(
        classes={"": CLASSES},
        entries=tuple(entries),
        read=TracingsReader(root, LEADS),
        fingerprint=fingerprint(
            [table_digest(root / GOLD), table_digest(root / ATTRIBUTES)],
            {TRACINGS: (root / TRACINGS).stat().st_size},
        ),
    )
