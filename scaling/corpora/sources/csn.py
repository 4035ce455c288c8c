"""CSN: Chapman-Shaoxing and Ningbo, ecg-arrhythmia 1.0.0 (Zheng et al., PhysioNet, 2022).

``WFDBRecords/<xx>/<xxx>/JS*.hea`` and ``*.mat``, and ``ConditionNames_SNOMED-CT.csv``; the root
holds ``WFDBRecords``. JS00001 to JS10646 are Chapman-Shaoxing's, the others Ningbo's; each
record is of another patient.

Two tasks with the same 38 names: ``codes`` has the labels that the SNOMED CT codes say, and
``published`` those of the published benchmark, whose rule confuses labels (``csn_labels``): use
it to compare with published numbers and for nothing else. Sinus bradycardia is not a label, so
records with nothing else are left out.

With the benchmark's ``chapman_train.csv``, ``_val`` and ``_test`` (or ``csn_*.csv``) in the root
or in ``splits``, its 23,026 records, splits and labels are used. Without them, records that have
a label are split in the same shares by iterative stratification, Chapman's and Ningbo's apart.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.sources.csn_labels import (
    CLASSES,
    CONDITIONS,
    labels_as_published,
    labels_by_code,
    read_conditions,
)
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.read.headers import Annotated, read_headers, unusual_gains
from scaling.corpora.sources.read.listed import Entry, check_entries
from scaling.corpora.sources.read.published_splits import (
    PublishedSplit,
    published_split,
    stratified,
)
from scaling.corpora.sources.read.remarked import RemarkedSource
from scaling.corpora.sources.read.wfdb16 import RecordReader
from scaling.identity import CorpusSpec

LAST_CHAPMAN = 10_646
SHARES = (16_546 / 23_026, 1_860 / 23_026, 4_620 / 23_026)
# As published, the first line of these two headers runs into the second.
DAMAGED = ("JS01052", "JS23074")
_STRATIFIED = (
    "no published split in the root: split by iterative stratification in the published shares"
)


def open_source(spec: CorpusSpec, root: Path | None) -> RemarkedSource:
    """Read all headers of the set, or of one part of it; no signal is read.

    Args:
        spec: ``source`` is ``csn``, ``csn/chapman`` or ``csn/ningbo``.
        root: see the module.

    Raises:
        CorpusError: no such folder, no record, headers or tables that cannot be used.
    """
    if root is None or not root.is_dir():
        raise CorpusError(f"CSN is not at {root}: no such folder")
    part = spec.source.partition("/")[2]
    folder = root / "WFDBRecords" if (root / "WFDBRecords").is_dir() else root
    published = published_split(root, ("csn", "chapman"), "ecg_path", CLASSES)
    conditions = root / CONDITIONS
    tables = ((conditions.read_bytes(),) if conditions.is_file() else ()) + (
        published.tables if published else ()
    )
    headers = read_headers(root, folder, lambda record: part in ("", _part(record)), tables)
    acronyms = read_conditions(conditions)
    entries = [_entry(record, acronyms) for record in headers.records]
    check_entries(entries, [], str(folder))
    left_out = headers.left_out()
    absent = headers.absent
    if published:
        present = {entry.record for entry in entries}
        absent = sum(part in ("", _part(r)) and r not in present for r in published.splits)
        kept = _as_published(entries, published)
    else:
        kept = _split([entry for entry in entries if entry.labels])
    if dropped := len(entries) - len(kept):
        left_out["not in the published split" if published else "none of the 38 labels"] = dropped
    if not kept:
        raise CorpusError(f"{folder}: none of its {len(entries)} records has a label or a split")
    remark = None if published else _STRATIFIED
    return RemarkedSource(
        classes={"codes": CLASSES, "published": CLASSES},
        entries=tuple(kept),
        read=CsnReader(root),
        fingerprint=headers.fingerprint,
        absent=absent,
        left_out=left_out,
        remarks=tuple(filter(None, (remark, unusual_gains(headers.records)))),
    )


def _part(record: str) -> str:
    """``chapman`` or ``ningbo``; empty for a name that is not CSN's."""
    number = record.removeprefix("JS")
    if number == record or not number.isdecimal():
        return ""
    return "chapman" if int(number) <= LAST_CHAPMAN else "ningbo"


def _entry(record: Annotated, acronyms: dict[str, str]) -> Entry:
    if not _part(record.record):
        raise CorpusError(f"{record.stem}.hea: not a record of CSN, whose names are JS00001 ...")
    labels = {
        "codes": labels_by_code(record.codes, acronyms),
        "published": labels_as_published(record.codes, acronyms),
    }
    return record.entry(labels)


def _as_published(entries: list[Entry], published: PublishedSplit) -> list[Entry]:
    """The entries that the published split lists, with its splits and labels."""
    return [
        dataclasses.replace(
            entry,
            split=published.splits[entry.record],
            labels=entry.labels | {"published": published.labels[entry.record]},
        )
        for entry in entries
        if entry.record in published.splits
    ]


def _split(entries: list[Entry]) -> list[Entry]:
    """Stratify each part by itself, so that a record's split is the same in ``csn`` and there."""
    halves = ([e for e in entries if _part(e.record) == part] for part in ("chapman", "ningbo"))
    return [
        entry
        for half in halves
        for entry in stratified(
            half, [e.labels.get("codes", ()) for e in half], len(CLASSES), SHARES
        )
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class CsnReader:
    """Reads a record; those whose published header is damaged are listed as drops."""

    root: Path

    def __call__(self, entry: Entry) -> Recording:
        """Read one record; see ``wfdb16.read_record``."""
        try:
            return RecordReader(self.root)(entry)
        except CorpusError:
            if entry.record in DAMAGED:
                raise UnusableError(
                    "its header is damaged in the published set itself: the first line runs into "
                    "the second, so no download mends it"
                ) from None
            raise
