"""PhysioNet/CinC Challenge 2021 1.0.3 in its official layout (Reyna et al., 2021).

``training/<part>/g<k>/*.hea`` and ``*.mat``; the root is the folder that holds ``training``,
``training`` itself, or, for one part, that part's folder. Labels are the SNOMED CT codes of
the headers. Task ``scored`` has the 26 classes of the Challenge, diagnoses that the organisers
score as one being one class; ``liteheart`` has LiteHeart's classes of that part, kept apart.
A record without any class of a task does not belong to it.

The set names no patients: every record counts as one. Splits are 8:1:1, stratified. The ``PVC``
of CPSC 2018 (164884008, "ventricular ectopics") is not among the scored codes, and Ningbo codes
atrial fibrillation as flutter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.headers import (
    Annotated,
    class_index,
    positives,
    read_headers,
    unusual_gains,
)
from scaling.corpora.sources.read.listed import (
    NO_PATIENTS,
    Entry,
    ListedSource,
    check_entries,
    stratified,
)
from scaling.corpora.sources.read.tables import existing, read_table
from scaling.corpora.sources.read.wfdb16 import RecordReader
from scaling.identity import CorpusSpec

# A diagnosis a row, in the order of dx_mapping_scored.csv of the evaluation code: its class of task
# ``scored``, and 1 where LiteHeart (Extended Data Table 1) has it as a class of that part, of which
# more than 200 records have it as published. Fixed: a partial download keeps its classes.
LITEHEART_PARTS = ("georgia", "ptb-xl", "ningbo", "chapman_shaoxing")
_COLUMNS = ("Abbreviation", "SNOMEDCTCode", "scored", *LITEHEART_PARTS)
_TABLE = Path(__file__).with_name("challenge2021_scored.csv")
_DIAGNOSES = [row for _, row in read_table(_TABLE, _COLUMNS)]
SCORED = {row["Abbreviation"]: row["SNOMEDCTCode"] for row in _DIAGNOSES}
SCORED_CLASSES: dict[str, tuple[str, ...]] = {  # 26 classes -> their one or two codes
    name: tuple(row["SNOMEDCTCode"] for row in _DIAGNOSES if row["scored"] == name)
    for name in dict.fromkeys(row["scored"] for row in _DIAGNOSES)
}
LITEHEART_CLASSES: dict[str, dict[str, tuple[str, ...]]] = {
    part: {row["Abbreviation"]: (row["SNOMEDCTCode"],) for row in _DIAGNOSES if row[part] == "1"}
    for part in LITEHEART_PARTS
}

_SPLIT = "each part is split 8:1:1 by iterative stratification over the scored codes"
_STRATA = {code: i for i, code in enumerate(SCORED.values())}


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read all headers of the set, or of one part of it; no signal is read.

    Args:
        spec: ``source`` is ``challenge2021`` or ``challenge2021/<part>``.
        root: see the module.

    Raises:
        CorpusError: no such folder, no record, or headers that cannot be used.
    """
    part = spec.source.partition("/")[2]
    folder = _folder(root, part)
    headers = read_headers(folder, folder)
    tasks = {"scored": SCORED_CLASSES}
    if part in LITEHEART_CLASSES:
        tasks["liteheart"] = LITEHEART_CLASSES[part]
    indices = {task: class_index(classes) for task, classes in tasks.items()}
    entries = [_entry(record, indices) for record in headers.records]
    check_entries(entries, [], str(folder))
    return ListedSource(
        classes={task: tuple(classes) for task, classes in tasks.items()},
        entries=tuple(_split(headers.records, entries, part)),
        read=RecordReader(folder),
        fingerprint=headers.fingerprint,
        absent=headers.absent,
        left_out=headers.left_out,
        remarks=(_SPLIT, NO_PATIENTS, unusual_gains(headers.records)),
    )


def _folder(root: Path | None, part: str) -> Path:
    """Folder of the part, or of all parts."""
    root = existing(root, "Challenge 2021")
    training = root / "training" if (root / "training").is_dir() else root
    folder = training / part
    if not folder.is_dir():
        # The root may be the folder of the part, however it is called, with g1, g2, ... in it.
        if training == root and (any(root.glob("g[0-9]*")) or any(root.glob("*.hea"))):
            return root
        raise CorpusError(
            f"{folder}: no such folder; the root is the folder that holds training, training "
            f"itself, or the folder of {part}"
        )
    return folder


def _split(records: tuple[Annotated, ...], entries: list[Entry], part: str) -> Iterator[Entry]:
    """Stratify each part by itself, so that a record's split is the same alone and in the whole."""
    groups: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        groups.setdefault(part or record.stem.partition("/")[0], []).append(i)
    for group in groups.values():
        strata = [positives(records[i].codes, _STRATA) for i in group]
        yield from stratified([entries[i] for i in group], strata, len(_STRATA))


def _entry(record: Annotated, indices: dict[str, dict[str, int]]) -> Entry:
    return record.entry({task: positives(record.codes, index) for task, index in indices.items()})
