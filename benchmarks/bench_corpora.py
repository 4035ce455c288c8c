"""Corpora: preparing against a plain loop, opening, batches against a copy, memory.

``python -m benchmarks.bench_corpora --root PTB-XL`` takes about three minutes and 4 GB of disk.
Each target is a ratio to something measured in the same run, but for the seconds to open a
million records and the bytes of memory.

The plain loop is what one would write with the public packages: ``wfdb.rdrecord``, then the
preset's filters with ``scipy.signal.sosfiltfilt`` and ``resample_poly``, one process, results
kept in memory. Ours also finds R peaks, checks leads, hashes, syncs and writes the quality
report. It is judged with as many processes as ``prepare`` takes by itself, one for each core;
what one process does, and processor time, which a busy machine hardly changes, stand beside it.
The records are repeated under other ids (hard links), so that both are measured at their steady
speed.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.convert import Converted
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.processes import available_cores
from scaling.corpora.sources.read.base import Order, Recording, Rows, Summary
from scaling.identity import LEADS, CorpusSpec

SPEEDUP, OPEN_S, SHARE, RSS_GB = 5.0, 1.0, 0.5, 1.5
COPIES = 5
BASELINE_RECORDS = 300
LABELS = 1_076
BATCH = 128
RNG = np.random.default_rng(0)


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--root", type=Path, default=Path("../shared/data/ptb-xl"))
    parse.add_argument("--records", type=int, default=1_000_000, help="of the corpus opened")
    parse.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parse.parse_args()
    if options.memory_of:
        return prepare_many(options.records, options.memory_of)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        passed = [
            *measure_prepare(options.root, folder, fs_hz=100),
            *measure_prepare(options.root, folder, fs_hz=500),
            *measure_many(options.records, folder),
        ]
    return 0 if all(passed) else 1


def said(passed: bool | None, line: str) -> bool:
    """Print a line; None is for what has no target."""
    verdict = "    " if passed is None else "pass" if passed else "FAIL"
    print(f"{verdict}  {line}", flush=True)
    return passed is not False


def quiet(done: int, total: int) -> None:
    pass


# --- preparing PTB-XL ------------------------------------------------------------------------


def measure_prepare(root: Path, folder: Path, fs_hz: int) -> Iterator[bool]:
    """Preparing with one process and with one for each core, against the plain loop."""
    stems = sorted(p.with_suffix("") for p in root.glob(f"records{fs_hz}/*/*.hea"))
    stems = stems[:BASELINE_RECORDS]
    copied = repeat(root, folder / f"root{fs_hz}", fs_hz, COPIES if fs_hz == 100 else 20)
    # The preset's own 100 Hz from either; 500 Hz stays 500 Hz, so that records500 is read.
    spec = CorpusSpec(source="ptbxl", preprocessing="s1", fs_hz=fs_hz)
    plain(stems[:5], fs_hz)
    loops = [measured(lambda: plain(stems, fs_hz))]
    cores = available_cores()
    speeds: list[Speed] = []
    path = folder
    for workers in (1, cores):
        cache = folder / f"cache{fs_hz}-{workers}-{len(speeds)}"

        def run(cache: Path = cache, workers: int = workers) -> int:
            nonlocal path
            path = prepare(spec, cache, copied, quiet, workers=workers)
            return len(Corpus.open(path))

        speeds.append(measured(run))
    loops.append(measured(lambda: plain(stems, fs_hz)))
    loop = Speed(*(statistics.mean(values) for values in zip(*loops, strict=True)))
    print(f"      {fs_hz} Hz: plain loop {loop.per_s:.0f} records/s, {loop.cpu_ms:.2f} ms CPU each")
    for workers, speed in zip((1, cores), speeds, strict=True):
        ratio, cpu = speed.per_s / loop.per_s, loop.cpu_ms / speed.cpu_ms
        judged = fs_hz == 100 and speed is speeds[-1]
        target = f" (target {SPEEDUP:g})" if judged else ""
        yield said(
            ratio >= SPEEDUP if judged else None,
            f"prepare at {fs_hz} Hz, {workers} {'process' if workers == 1 else 'processes'}: "
            f"{speed.per_s:.0f} records/s, {ratio:.1f} times the loop{target}; "
            f"{speed.cpu_ms:.2f} ms CPU each, the loop takes {cpu:.1f} times",
        )
    if fs_hz == 100:
        yield from measure_batches(Corpus.open(path))


class Speed(NamedTuple):
    """Records/s by the clock, and milliseconds of processor time a record."""

    per_s: float
    cpu_ms: float


def measured(call: Callable[[], int]) -> Speed:
    """Speed of a call that returns its number of records; processes it ended count as its own."""
    began, cpu = time.perf_counter(), cpu_s()
    records = call()
    return Speed(records / (time.perf_counter() - began), 1e3 * (cpu_s() - cpu) / records)


def cpu_s() -> float:
    """Processor time of this process and of those it has ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def repeat(root: Path, to: Path, fs_hz: int, copies: int) -> Path:
    """A PTB-XL with every record several times, under other ids; the files are hard links."""
    to.mkdir()
    (to / "scp_statements.csv").write_bytes((root / "scp_statements.csv").read_bytes())
    column = "filename_lr" if fs_hz == 100 else "filename_hr"
    with (root / "ptbxl_database.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if (root / f"{row[column]}.hea").exists()]
    with (to / "ptbxl_database.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for copy in range(copies):
            for row in rows:
                stem = Path(row[column])
                place = Path(stem.parts[0], f"{copy}-{stem.parts[1]}", stem.name)
                (to / place).parent.mkdir(parents=True, exist_ok=True)
                for suffix in (".hea", ".dat"):
                    os.link(root / f"{stem}{suffix}", to / f"{place}{suffix}")
                number = {
                    "ecg_id": int(row["ecg_id"]) + 100_000 * copy,
                    "patient_id": float(row["patient_id"]) + 100_000 * copy,
                    column: str(place),
                }
                writer.writerow(row | number)
    return to


def plain(stems: list[Path], fs_hz: int) -> int:
    """The plain loop; the number of records."""
    import wfdb
    from scipy.signal import butter, iirnotch, sosfiltfilt, tf2sos

    kept = []
    highpass = butter(2, 0.5, "highpass", output="sos", fs=fs_hz)
    notch = tf2sos(*iirnotch(60.0, 30.0, fs=fs_hz)) if fs_hz > 120 else None
    for stem in stems:
        signal_LT = wfdb.rdrecord(str(stem)).p_signal.T
        signal_LT = sosfiltfilt(highpass, signal_LT, axis=-1)
        if notch is not None:
            signal_LT = sosfiltfilt(notch, signal_LT, axis=-1)
        kept.append(signal_LT.astype(np.float32))
    return len(kept)


# --- batches ---------------------------------------------------------------------------------


def measure_batches(corpus: Corpus) -> Iterator[bool]:
    """Shuffled batches against copying as many bytes from one place in memory to another."""
    shape = (BATCH, *corpus.signals.shape[1:])
    rng = np.random.default_rng(0)
    rows = [rng.permutation(len(corpus))[:BATCH].astype(np.int64) for _ in range(100)]
    starts = rng.integers(0, len(corpus) - BATCH, 100)
    steps = np.array(corpus.signals)  # in memory, and all pages touched
    out, scaled = np.zeros(shape, np.int16), np.zeros(shape, np.float32)
    for dtype, gather, what in (
        (np.int16, lambda i: corpus.steps(rows[i], out=out), "steps (int16)"),
        (np.float32, lambda i: corpus.batch(rows[i], out=scaled), "batch (float32)"),
    ):
        source, target = steps.astype(dtype), np.zeros(shape, dtype)
        copy = functools.partial(copy_block, source, target, starts)
        copy_s, gather_s = median_s(copy), median_s(gather)
        share = copy_s / gather_s
        yield said(
            share >= SHARE,
            f"{what} of {BATCH} shuffled records: {1e3 * gather_s:.2f} ms, copy of as many bytes "
            f"{1e3 * copy_s:.2f} ms: {share:.0%} of its speed (target {SHARE:.0%})",
        )


def copy_block(
    source: NDArray[Any], target: NDArray[Any], starts: NDArray[np.int64], i: int
) -> None:
    np.copyto(target, source[starts[i] : starts[i] + BATCH])


def median_s(call: Callable[[int], Any]) -> float:
    """Median seconds of a hundred calls, after ten to warm up."""
    times = []
    for i in [*range(10), *range(100)]:
        began = time.perf_counter()
        call(i)
        times.append(time.perf_counter() - began)
    return statistics.median(times[10:])


# --- a million records -----------------------------------------------------------------------


def measure_many(records: int, folder: Path) -> Iterator[bool]:
    """Memory of preparing many records, and the time to open them."""
    words = [sys.executable, "-m", "benchmarks.bench_corpora", "--records", str(records)]
    began = time.perf_counter()
    subprocess.run([*words, "--memory-of", str(folder)], check=True)
    took_s = time.perf_counter() - began
    peak_gb = float((folder / "peak").read_text()) / 1e9
    yield said(
        peak_gb <= RSS_GB,
        f"preparing {records:,} records with {LABELS:,} labels: peak {peak_gb:.2f} GB resident "
        f"(target {RSS_GB:g}), {took_s:.0f} s",
    )
    (path,) = folder.glob("corpora/ptbxl-*[0-9a-f]")
    times = []
    for _ in range(5):
        began = time.perf_counter()
        corpus = Corpus.open(path)
        times.append(time.perf_counter() - began)
    yield said(
        max(times) <= OPEN_S,
        f"opening {len(corpus):,} records: {min(times):.2f} to {max(times):.2f} s "
        f"(target {OPEN_S:g})",
    )


def prepare_many(records: int, folder: Path) -> int:
    """Prepare made-up records of one sample; leave the peak of resident memory in ``peak``."""
    spec = CorpusSpec(source="ptbxl", fs_hz=1, window_s=1)
    with (
        mock.patch("scaling.corpora.prepare.chunks.convert", made_up),
        mock.patch(
            "scaling.corpora.prepare.prepare.open_resolved", lambda *_: (spec, Many(records))
        ),
    ):
        prepare(spec, folder, None, quiet, workers=1)
    # Not ru_maxrss, which starts with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    (folder / "peak").write_text(str(1024 * int(kib)))
    return 0


def made_up(recording: Recording, *_: Any) -> Converted:
    return Converted(
        steps=recording.signal.astype(np.int16),
        r_peaks=np.arange(12, dtype=np.int32),
        features=RNG.integers(-4096, 4096, (2, 2080), np.int16),  # so that few are alike
    )


@dataclasses.dataclass(frozen=True)
class Many:
    """A source of records that are made as they are read."""

    records: int
    fingerprint: str = "f0"
    order: Order = "hashed"

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        return {"icd": tuple(f"C{i}" for i in range(LABELS))}

    def summary(self, task: str) -> Summary:
        raise NotImplementedError

    def chunks(self) -> list[Any]:
        return [_Chunk(i, min(BATCH, self.records - i)) for i in range(0, self.records, BATCH)]

    def notes(self) -> dict[str, Any]:
        return {}

    def bayes_loss(self, workers: int = 1) -> None:
        return None


@dataclasses.dataclass(frozen=True)
class _Chunk:
    start: int
    size: int

    def read(self) -> tuple[Rows, Iterator[Recording]]:
        index = np.arange(self.start, self.start + self.size)
        labels: NDArray[np.uint8] = (index[:, None] % np.arange(2, LABELS + 2) == 0).astype(
            np.uint8
        )
        split = ["train"] * 8 + ["validation", "test"]
        rows = Rows(
            records=[f"s{i}" for i in index],
            patients=index // 10 * 10 + (index % 10 > 7) * (index % 10),
            splits=[split[i % 10] for i in index],
            ages=[50.0] * self.size,
            sexes=["female"] * self.size,
            labels={"icd": labels},
            valid={"icd": np.ones(self.size, np.bool_)},
        )
        signal = np.ones((len(LEADS), 1), np.float32)
        return rows, (Recording(signal, 1, LEADS) for _ in index)


if __name__ == "__main__":
    sys.exit(main())
