"""CSN: Chapman-Shaoxing and Ningbo, ecg-arrhythmia 1.0.0 (Zheng et al., PhysioNet, 2022).

``WFDBRecords/<xx>/<xxx>/JS*.hea`` and ``*.mat``, and ``ConditionNames_SNOMED-CT.csv``; the root
holds ``WFDBRecords``. JS00001 to JS10646 are Chapman-Shaoxing's, the others Ningbo's; each
record is of another patient.

Two tasks with the same 38 names: ``codes`` has the labels that the SNOMED CT codes say, and
``published`` those of the published benchmark, whose rule confuses labels: use
it to compare with published numbers and for nothing else. Sinus bradycardia is not a label, so
records with nothing else are left out.

With the benchmark's ``chapman_train.csv``, ``_val`` and ``_test`` (or ``csn_*.csv``) in the root
or in ``splits``, its 23,026 records, splits and labels are used. Without them, records that have
a label are split in the same shares by iterative stratification, Chapman's and Ningbo's apart.

The benchmark (MERL, Liu et al., ICML 2024) joined the acronyms of a record into one text and
gave it every label whose acronym is *inside* that text, so AFIB is also AF (flutter), 1AVB also
AVB and VB (bigeminy), STE, STTC and STDD also ST (sinus tachycardia), CCR also CR and LVQRSAL
also SA. It leaves out records with a code that the table of conditions does not have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.read.headers import Annotated, read_headers, unusual_gains
from scaling.corpora.sources.read.listed import (
    IN_SHARES,
    Entry,
    ListedSource,
    PublishedSplit,
    check_entries,
    published_split,
    stratified,
)
from scaling.corpora.sources.read.tables import existing, read_table
from scaling.corpora.sources.read.wfdb16 import RecordReader
from scaling.identity import CorpusSpec

CONDITIONS = "ConditionNames_SNOMED-CT.csv"
KNOWN_CONDITIONS = Path(__file__).with_name("csn_conditions.csv")  # its acronyms and codes
CLASSES = (
    "AQW", "UW", "SR", "WPW", "2AVB", "AT", "VB", "ARS", "STTC", "SA", "STE", "VPB", "TWO", "STTU",
    "ALS", "APB", "2AVB1", "PRIE", "CCR", "CR", "AF", "AVB", "QTIE", "LBBB", "VEB", "SVT", "RBBB",
    "1AVB", "STDD", "MI", "AFIB", "TWC", "PWC", "ERV", "RVH", "LVH", "ST", "JEB",
)  # fmt: skip


def read_conditions(path: Path) -> dict[str, str]:
    """Code -> acronym from the set's own table; ``KNOWN_CONDITIONS`` where it is not there.

    Where several conditions share one code, headers cannot tell them apart: the first counts.

    Raises:
        CorpusError: the table cannot be read, or has no code for one of the 38 labels.
    """
    acronyms: dict[str, str] = {}
    path = path if path.is_file() else KNOWN_CONDITIONS
    for _, row in read_table(path, ("Acronym Name", "Snomed_CT")):
        acronyms.setdefault(row["Snomed_CT"].strip(), row["Acronym Name"].strip())
    if absent := [name for name in CLASSES if name not in acronyms.values()]:
        raise CorpusError(f"{path}: has no code for {', '.join(absent)}: download it again")
    return acronyms


def labels_by_code(codes: Iterable[str], acronyms: Mapping[str, str]) -> tuple[int, ...]:
    """Indices of the labels whose own code the record carries, ascending."""
    named = {acronyms.get(code) for code in codes}
    return tuple(i for i, name in enumerate(CLASSES) if name in named)


def labels_as_published(codes: Iterable[str], acronyms: Mapping[str, str]) -> tuple[int, ...]:
    """Indices of the labels by the benchmark's rule, ascending; none where it has no record."""
    try:
        text = ",".join(acronyms[code] for code in codes)
    except KeyError:
        return ()
    return tuple(i for i, name in enumerate(CLASSES) if name in text)


LAST_CHAPMAN = 10_646
SHARES = (16_546 / 23_026, 1_860 / 23_026, 4_620 / 23_026)
# As published, the first line of these two headers runs into the second.
DAMAGED = ("JS01052", "JS23074")


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read all headers of the set, or of one part of it; no signal is read.

    Args:
        spec: ``source`` is ``csn``, ``csn/chapman`` or ``csn/ningbo``.
        root: see the module.

    Raises:
        CorpusError: no such folder, no record, headers or tables that cannot be used.
    """
    root = existing(root, "CSN")
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
    absent = headers.absent
    if published:
        present = {entry.record for entry in entries}
        absent = sum(part in ("", _part(r)) and r not in present for r in published.splits)
        kept = _as_published(entries, published)
    else:
        kept = _split([entry for entry in entries if entry.labels])
    reason = "not in the published split" if published else "none of the 38 labels"
    if not kept:
        raise CorpusError(f"{folder}: none of its {len(entries)} records has a label or a split")
    return ListedSource(
        classes={"codes": CLASSES, "published": CLASSES},
        entries=tuple(kept),
        read=CsnReader(root),
        fingerprint=headers.fingerprint,
        absent=absent,
        left_out=headers.left_out | {reason: len(entries) - len(kept)},
        remarks=("" if published else IN_SHARES, unusual_gains(headers.records)),
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
