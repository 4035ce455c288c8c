"""The corpus of a cross-validation fold, from the one of the official split.

Both hold the same records in the same order; only who trains, validates and tests differs. So
the signals are prepared once and shared by hard links (copied where the file system has none),
and ten folds take the disk and time of one corpus.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.corpora import folder as files
from scaling.corpora.corpus import Corpus
from scaling.corpora.drops import Drop, write_drops
from scaling.corpora.errors import CorpusError
from scaling.corpora.quality_page import write_report
from scaling.corpora.records import ROW_GROUP, RecordsWriter, read_columns
from scaling.corpora.sources.listed import ListedSource
from scaling.corpora.splits import SPLITS, check_disjoint
from scaling.identity import CorpusSpec

SPLIT_FILES = (files.INFO, files.RECORDS, files.DROPPED, files.QUALITY, files.PAGE)


def write_fold(build: Path, official: Corpus, spec: CorpusSpec, source: ListedSource) -> None:
    """Write the corpus of a fold into the folder ``build``, which holds nothing yet.

    Args:
        build: an empty folder on the same disk as the official corpus.
        official: the prepared corpus of the same spec with fold 0.
        spec: the fold's.
        source: the source opened with ``spec``: it says which split each record is in.

    Raises:
        CorpusError: a patient is in two splits, or the official corpus holds a record that the
            source does not.
    """
    home = {entry.record: entry.split for entry in source.entries}
    if unknown := [name for name in official.record_ids if name not in home]:
        raise CorpusError(
            f"{official.path}: record {unknown[0]} is not in {spec.source} any more; {files.AGAIN}"
        )
    for path in official.path.iterdir():
        if path.name not in SPLIT_FILES:
            _share(path, build / path.name)
    splits = _write_records(build / files.RECORDS, official, home)
    patients = official.patients
    check_disjoint({split: patients[splits == i] for i, split in enumerate(SPLITS)})
    write_drops(build / files.DROPPED, [_moved(drop, home) for drop in official.dropped()])
    counts = {split: int((splits == i).sum()) for i, split in enumerate(SPLITS)}
    info = official.info | {"spec": spec.to_dict(), "splits": counts}
    shared = {name: entry for name, entry in info["files"].items() if name not in SPLIT_FILES}
    info = files.seal(build, info, shared)
    write_report(Corpus.open(build))
    files.seal(build, info, info["files"])


def _share(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(path, to)


def _write_records(path: Path, official: Corpus, home: Mapping[str, str]) -> NDArray[np.int8]:
    """Write the table with the splits of the fold; return them as indices into ``SPLITS``."""
    table = read_columns(official.path / files.RECORDS)
    splits = [home[record] for record in official.record_ids]
    with RecordsWriter(path) as writer:
        for start in range(0, len(official), ROW_GROUP):
            columns = table.slice(start, ROW_GROUP).to_pydict()
            writer.add(columns | {"split": splits[start : start + ROW_GROUP]})
    return np.array([SPLITS.index(split) for split in splits], np.int8)


def _moved(drop: Drop, home: Mapping[str, str]) -> Drop:
    return dataclasses.replace(drop, split=home.get(drop.record, drop.split))
