"""Stream a source into a prepared corpus: read, filter, resample, quantise, write.

The corpus is written to a folder of another name and moved into place when it is complete
and synced, so whatever stands under the final name is whole. Chunks are independent: one
process or many give the same bytes.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import fcntl
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from scaling.corpora.corpus import (
    FORMAT,
    INFO,
    RECORDS,
    SIGNALS,
    digest,
    signal_bytes,
    task_file,
)
from scaling.corpora.errors import CorpusError, shown
from scaling.corpora.registry import open_source, resolve
from scaling.corpora.signal import MV_PER_LSB, Preprocessing, lead_order, preset, quantise
from scaling.corpora.sources.base import Chunk, Recording, Rows, Source
from scaling.corpora.splits import SPLITS, check_disjoint
from scaling.identity import CorpusSpec

POOL_AFTER_S = 3.0  # less work than this is done before a pool of processes has started

Progress = Callable[[int, int], None]


def corpus_folder(spec: CorpusSpec, cache: Path) -> Path:
    """Where the corpus of a resolved spec is, or would be."""
    return cache / "corpora" / f"{spec.source.replace('/', '-')}-{spec.key}"


def prepare(spec: CorpusSpec, cache: Path, root: Path | None, progress: Progress) -> Path:
    """Return the prepared corpus of a spec, making it first where needed.

    A spec of files with its fingerprint filled in needs no root once it is prepared. Several
    processes may ask at once: one prepares, the others wait for it.

    Args:
        spec: which corpus; see ``registry.resolve`` for what may be left open.
        cache: folder for prepared corpora.
        root: folder of a source of files; None looks in the environment.
        progress: called with (records done, records in all).

    Raises:
        CorpusError: the source cannot be used; every bad record is named (the first ten).
        OSError: the corpus could not be written; nothing that looks finished is left.
    """
    if spec.fingerprint and (folder := corpus_folder(spec, cache)).exists():
        return folder
    spec = resolve(spec, root)
    folder = corpus_folder(spec, cache)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock")):
        if folder.exists():
            return folder
        for stale in folder.parent.glob(folder.name + ".part-*"):
            shutil.rmtree(stale, ignore_errors=True)
        part = folder.with_name(f"{folder.name}.part-{os.getpid()}")
        try:
            part.mkdir()
            _write(part, spec, open_source(spec, root), progress)
            part.rename(folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What a worker needs beside its chunk."""

    signals: Path
    offset: int
    spec: CorpusSpec
    preprocessing: Preprocessing


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What a worker gives back for one chunk."""

    rows: Rows
    problems: list[str]
    flat: list[str]
    clipped: int


def _write(part: Path, spec: CorpusSpec, source: Source, progress: Progress) -> None:
    """Fill the folder ``part`` and sync it."""
    chunks = source.chunks()
    total = sum(chunk.size for chunk in chunks)
    preprocessing = preset(spec.preprocessing)
    shape = (total, len(preprocessing.leads), spec.samples)
    needed, free = signal_bytes(*shape), shutil.disk_usage(part).free
    if needed > free:
        raise CorpusError(
            f"{part.parent}: preparing {spec.source} takes {needed / 1e6:.1f} MB, but only "
            f"{free / 1e6:.1f} MB are free: make room or choose another cache"
        )
    with (part / SIGNALS).open("wb") as file:
        header = {"descr": "<i2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        offset = file.tell()
        file.truncate(offset + needed)
    work = _Work(signals=part / SIGNALS, offset=offset, spec=spec, preprocessing=preprocessing)
    written = _run(chunks, work, lambda done: progress(done, total))
    problems = [problem for block in written for problem in block.problems]
    if problems:
        raise CorpusError(
            f"{len(problems)} of {total} records of {spec.source} cannot be used:\n"
            f"{shown(problems)}"
        )
    _finish(part, spec, source, written)


def _run(chunks: list[Chunk], work: _Work, progress: Callable[[int], None]) -> list[_Written]:
    """Write every chunk, in this process while that is quick, then in a pool."""
    starts = [0]
    for chunk in chunks:
        starts.append(starts[-1] + chunk.size)
    total, done = starts[-1], 0
    results: dict[int, _Written] = {}
    began = time.monotonic()
    progress(0)
    for i, chunk in enumerate(chunks):
        results[i] = _fill(chunk, starts[i], work)
        done = starts[i + 1]
        progress(done)
        if i == 0:
            began = time.monotonic()  # the first chunk also paid for the imports
            continue
        left_s = (time.monotonic() - began) / (done - starts[1]) * (total - done)
        if left_s > POOL_AFTER_S and (os.cpu_count() or 1) > 1:
            break
    rest = range(len(results), len(chunks))
    if rest:
        workers = min(os.cpu_count() or 1, len(rest))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            futures = {pool.submit(_fill, chunks[i], starts[i], work): i for i in rest}
            try:
                for future in as_completed(futures):
                    i = futures[future]
                    results[i] = future.result()
                    done += chunks[i].size
                    progress(done)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return [results[i] for i in range(len(chunks))]


def _fill(chunk: Chunk, start: int, work: _Work) -> _Written:
    """Read one chunk and write its signals from row ``start`` on."""
    rows, recordings = chunk.read()
    spec, leads = work.spec, work.preprocessing.leads
    steps_NLT = np.zeros((chunk.size, len(leads), spec.samples), np.int16)
    problems: list[str] = []
    flat: list[str] = []
    clipped = 0
    for i, recording in enumerate(recordings):
        try:
            steps_NLT[i], over = _convert(recording, work)
        except CorpusError as error:
            where = "" if error is recording else f"{spec.source} record {rows.records[i]}: "
            problems.append(f"{where}{error}")
            continue
        clipped += over
        still = np.ptp(steps_NLT[i], axis=-1) == 0
        flat += [f"{rows.records[i]} {leads[k]}" for k in np.flatnonzero(still)]
    # Written with plain writes: a full disk is then an error, not a killed process.
    with work.signals.open("r+b") as file:
        file.seek(work.offset + signal_bytes(start, len(leads), spec.samples))
        file.write(steps_NLT.astype("<i2", copy=False).tobytes())
    return _Written(rows=rows, problems=problems, flat=flat, clipped=clipped)


def _convert(recording: Recording | CorpusError, work: _Work) -> tuple[Any, int]:
    if isinstance(recording, CorpusError):
        raise recording
    spec = work.spec
    order = lead_order(recording.leads, work.preprocessing.leads)
    signal_LT = work.preprocessing.apply(
        recording.signal[order], recording.fs_hz, spec.fs_hz, spec.samples
    )
    return quantise(signal_LT)


def _finish(part: Path, spec: CorpusSpec, source: Source, written: list[_Written]) -> None:
    """Write the tables and ``corpus.json``, and sync everything."""
    records = [record for block in written for record in block.rows.records]
    splits = np.array([split for block in written for split in block.rows.splits])
    patients = np.concatenate([block.rows.patients for block in written])
    check_disjoint({split: patients[splits == split] for split in SPLITS})
    _write_table(part / RECORDS, records, patients, splits, written)
    unlabelled: dict[str, int] = {}
    for task in source.classes:
        valid = np.concatenate([block.rows.valid[task] for block in written])
        labels = np.concatenate([block.rows.labels[task] for block in written])
        np.save(part / task_file("valid", task), valid)
        np.save(part / task_file("labels", task), labels)
        unlabelled[task] = int((~valid).sum())
    files = sorted(part.iterdir())
    for path in files:
        _sync(path)
    flat = [name for block in written for name in block.flat]
    info = {
        "format": FORMAT,
        "spec": dataclasses.asdict(spec),
        "preprocessing": preset(spec.preprocessing).to_dict(),
        "leads": list(preset(spec.preprocessing).leads),
        "fs_hz": spec.fs_hz,
        "samples": spec.samples,
        "mv_per_lsb": MV_PER_LSB,
        "records": len(records),
        "splits": {split: int((splits == split).sum()) for split in SPLITS},
        "tasks": {task: list(classes) for task, classes in source.classes.items()},
        "order": source.order,
        "fingerprint": source.fingerprint,
        "quality": source.notes()
        | {
            "unlabelled": unlabelled,
            "flat_leads": {"count": len(flat), "first": flat[:20]},
            "clipped_samples": sum(block.clipped for block in written),
        },
        "bayes_loss": source.bayes_loss(),
        "files": {p.name: {"bytes": p.stat().st_size, "sha256": digest(p)} for p in files},
    }
    (part / INFO).write_text(json.dumps(info, indent=1, allow_nan=False))
    _sync(part / INFO)
    _sync(part)


def _write_table(
    path: Path, records: list[str], patients: Any, splits: Any, written: list[_Written]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if len(set(records)) != len(records):
        twice = [record for record, n in collections.Counter(records).items() if n > 1]
        raise CorpusError(f"record ids appear twice:\n{shown(twice)}")
    columns = {
        "record": pa.array(records, pa.string()),
        "patient": pa.array(patients, pa.int64()),
        "split": pa.array(splits.tolist(), pa.string()),
        "age": pa.array([a for block in written for a in block.rows.ages], pa.float32()),
        "sex": pa.array([s for block in written for s in block.rows.sexes], pa.string()),
    }
    pq.write_table(pa.table(columns), path)
