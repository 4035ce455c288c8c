"""A source made of a list, for tests of preparation: each record says what is to become of it.

The root holds ``records.json``: a list of (record, patient, split, fate). A fate is ``ok``,
``unusable``, ``damaged``, ``unitless``, ``flat``, or what a worker process is to do: ``die``
or ``hang``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from scaling.corpora.catalogue import SourceInfo
from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.read.listed import Entry, ListedSource
from scaling.identity import LEADS, CorpusSpec

FS_HZ, SECONDS = 100, 4
INFO = SourceInfo(
    name="fake",
    kind="files",
    reader="tests.scaling.corpora.fake_source",
    tasks=("odd", "all"),
    about="made of a list",
)
Record = tuple[str, int, str, str]
FAKE = CorpusSpec(source="fake", window_s=4)


class KilledError(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def quiet(done: int, total: int) -> None:
    pass


def make(root: Path, cache: Path, **options: Any) -> Corpus:
    """Prepare the source and open the corpus; in this process unless told otherwise."""
    return Corpus.open(prepare(FAKE, cache, root, quiet, **{"workers": 1} | options))


def write(root: Path, records: list[Record]) -> Path:
    root.mkdir(exist_ok=True)
    (root / "records.json").write_text(json.dumps(records))
    return root


def some(count: int, **fates: str) -> list[Record]:
    """Records r0, r1, ... of one patient each; the last three are validation, test, test."""
    splits = ["train"] * (count - 3) + ["validation", "test", "test"]
    return [(f"r{i}", i, splits[i], fates.get(f"r{i}", "ok")) for i in range(count)]


def signal_mv(number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(12, 400): a spike a second, of a height that tells the record, in every lead."""
    t = np.arange(FS_HZ * SECONDS) / FS_HZ
    beat = np.exp(-(((t % 1.0) - 0.5) ** 2) / (2 * 0.02**2))
    noise = np.random.default_rng(number).normal(0, 0.02, (12, len(t)))
    gains = 0.8 + 0.01 * (number % 50) + 0.02 * np.arange(12)
    return (gains[:, None] * beat + noise).astype(np.float32)


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    assert root is not None
    records = json.loads((root / "records.json").read_text())
    names = [record[0] for record in records]
    classes = {"odd": ("odd",), "all": ("first digit is 1", "never")}
    entries = tuple(
        Entry(
            record=name,
            patient=patient,
            split=split,
            labels=labels(name, patient),
            where=(fate, str(root), patient),
            age=50.5 if patient % 3 else None,
            sex=("female", "male", None)[patient % 3],
        )
        for name, patient, split, fate in records
    )
    return ListedSource(
        classes=classes,
        entries=entries,
        read=read,
        fingerprint=f"f{len(names)}",
        absent=2,
        left_out={"the wrong kind": 5},
    )


def labels(name: str, patient: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"all": (0,) if name[1:2] == "1" else ()}
    return found | ({"odd": (0,)} if patient % 2 else {})


def read(entry: Entry) -> Recording:
    fate, root, number = entry.where
    if fate == "unusable":
        raise UnusableError(f"{number + 1} s long, but the corpus asks for 4 s")
    if fate == "damaged" and not (Path(root) / "mended").exists():
        raise CorpusError(f"{root}/{entry.record}.dat: truncated at {number} bytes")
    if multiprocessing.parent_process() is not None:
        if fate == "die":
            os._exit(1)
        if fate == "hang":
            (Path(root) / f"pid-{os.getpid()}").touch()
            time.sleep(120)
    signal_LT = signal_mv(number)
    if fate == "flat":
        signal_LT[7] = 0.0
    units = "1" if fate == "unitless" else "mV"
    return Recording(signal_LT, FS_HZ, LEADS, units)  # type: ignore[arg-type]
