"""CPSC 2018 (Liu et al., J. Med. Imaging Health Inform. 8, 2018): 6,877 records, nine classes.

Two layouts, told apart by what is under the root. The copy of the PhysioNet Challenges: WFDB
headers with SNOMED CT codes, in ``g1``, ``g2``, ... or in one folder. The original:
``A0001.mat`` and so on, each a struct ``ECG`` with ``sex``, ``age`` and ``data`` in millivolts
at 500 Hz, and ``REFERENCE.csv`` with up to three classes of a record by number. A record may
have several classes.

With MERL's ``icbeb_train.csv``, ``_val`` and ``_test`` (or ``cpsc2018_*.csv``) in the root or in
``splits`` that split is used; without them the same shares, by iterative stratification.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.cpsc_original import REFERENCE, find_reference, open_original
from scaling.corpora.sources.read.headers import read_headers, unusual_gains
from scaling.corpora.sources.read.listed import Entry, check_entries
from scaling.corpora.sources.read.published_splits import (
    PublishedSplit,
    published_split,
    stratified,
)
from scaling.corpora.sources.read.remarked import RemarkedSource
from scaling.corpora.sources.read.snomed import class_index, positives
from scaling.corpora.sources.read.tables import file_sizes
from scaling.corpora.sources.read.wfdb16 import RecordReader
from scaling.identity import CorpusSpec

CODES = {  # class -> its code in the Challenge's copy; PVC is not one of the scored codes
    "AFIB": ("164889003",),
    "VPC": ("164884008",),
    "NORM": ("426783006",),
    "1AVB": ("270492004",),
    "CRBBB": ("59118001",),
    "STE": ("164931005",),
    "PAC": ("284470004",),
    "CLBBB": ("164909002",),
    "STD": ("429622005",),
}
CLASSES = tuple(CODES)
SHARES = (4950 / 6877, 551 / 6877, 1376 / 6877)
NO_PATIENTS = "patients are not published: every record counts as one patient"
_STRATIFIED = (
    "no published split in the root: split by iterative stratification in the published shares"
)


def open_source(spec: CorpusSpec, root: Path | None) -> RemarkedSource:
    """Read the headers, or ``REFERENCE.csv``; no signal is read.

    Args:
        spec: any rate and window.
        root: see the module.

    Raises:
        CorpusError: no such folder, neither or both of the layouts, or tables, headers or a
            split that cannot be used.
    """
    if root is None or not root.is_dir():
        raise CorpusError(f"CPSC 2018 is not at {root}: no such folder")
    published = published_split(root, ("cpsc2018", "icbeb"), "filename")
    tables = published.tables if published else ()
    reference = find_reference(root)
    wfdb = bool(file_sizes(root, root, (".hea",)))
    if wfdb == bool(reference):
        which = f"both WFDB headers and {REFERENCE}" if wfdb else f"no header and no {REFERENCE}"
        raise CorpusError(f"{root}: has {which}; give the folder of one copy of CPSC 2018")
    source: RemarkedSource
    if reference:
        source = open_original(root, reference, CLASSES, tables)
    else:
        source = _open_challenge(root, tables)
    return dataclasses.replace(
        source,
        entries=_split(source.entries, published, root),
        remarks=tuple(filter(None, ("" if published else _STRATIFIED, NO_PATIENTS)))
        + source.remarks,
    )


def _split(
    entries: Sequence[Entry], published: PublishedSplit | None, root: Path
) -> tuple[Entry, ...]:
    """Entries with the published split, or a stratified one."""
    if published is None:
        strata = [entry.labels[""] for entry in entries]
        return tuple(stratified(entries, strata, len(CLASSES), SHARES))
    if missing := [e.record for e in entries if e.record not in published.splits]:
        raise CorpusError(
            f"{root}: {len(missing)} records are in none of the three files of the split, such as "
            f"{missing[0]}: the split is of another set; take its files away, or restore them"
        )
    return tuple(dataclasses.replace(e, split=published.splits[e.record]) for e in entries)


def _open_challenge(root: Path, tables: tuple[bytes, ...]) -> RemarkedSource:
    headers = read_headers(root, root, tables=tables)
    index = class_index(CODES)
    entries, problems = [], []
    for record in headers.records:
        labels = positives(record.codes, index)
        if not labels:
            problems.append(
                f"{root / record.stem}.hea: #Dx {','.join(record.codes) or 'is empty'} has none of "
                "the nine classes, so this is no record of CPSC 2018"
            )
        entries.append(record.entry({"": labels}))
    check_entries(entries, problems, str(root))
    return RemarkedSource(
        classes={"": CLASSES},
        entries=tuple(entries),
        read=RecordReader(root),
        fingerprint=headers.fingerprint,
        absent=headers.absent,
        left_out=headers.left_out(),
        remarks=tuple(filter(None, (unusual_gains(headers.records),))),
    )
