"""Every source of files in small: how to write it, and a few numbers its reader makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from scaling.corpora.registry import open_source
from scaling.corpora.sources.read.base import Recording
from scaling.identity import CorpusSpec
from scaling.records.names import SPLITS
from tests.scaling.corpora.layouts import (
    arrays,
    challenge2021,
    chapman,
    code,
    code15,
    code_test,
    cpsc2018,
    csn,
    echonext,
    ludb,
    mimic,
    sph,
    wfdb_folder,
)

WRITERS: dict[str, Callable[[Path], Path]] = {
    "cpsc2018": cpsc2018.write_challenge,
    "csn": csn.write,
    "chapman": chapman.write,
    "challenge2021": challenge2021.write,
    "code15": code15.write,
    "code": code.write,
    "code-test": code_test.write,
    "mimic": mimic.write,
    "echonext": echonext.write,
    "sph": sph.write,
    "ludb": ludb.write,
    "arrays": arrays.write,
    "wfdb": wfdb_folder.write,
}


def numbers(name: str, folder: Path) -> list[float]:
    """What a reader makes of its small dataset: amplitudes, labels, membership, splits."""
    source = open_source(CorpusSpec(source=name), WRITERS[name](folder))
    rows, recordings = source.chunks()[0].read()
    levels = [float(np.nanmean(np.abs(r.signal))) for r in recordings if isinstance(r, Recording)]
    labels = [float(rows.labels[task].sum()) for task in source.classes]
    valid = [float(rows.valid[task].sum()) for task in source.classes]
    splits = [float(rows.splits.count(split)) for split in SPLITS]
    return [*levels[:3], *labels, *valid, *splits]
