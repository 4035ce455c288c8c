"""The delineator against the cardiologists of LUDB, beside NeuroKit2's.

``python -m benchmarks.bench_delineate --beside PYTHON`` takes about two minutes. PYTHON is an
interpreter that has NeuroKit2, which is no dependency of this project:

    python -m venv /tmp/neurokit && /tmp/neurokit/bin/pip install neurokit2
    python -m benchmarks.bench_delineate --beside /tmp/neurokit/bin/python

Its methods are "prominence", the best of them here, and "dwt", its default; each delineates a
lead by itself. Without it ours stands alone.

Constants of ours were chosen on the odd records of 1 to 100; the even ones are judged, at their
own 500 Hz and resampled to 100 Hz. A mark counts as found where one is within 150 ms of the
cardiologists' (ANSI/AAMI EC57), each at most once, between the first and the last mark of a
lead: the beats at the ends of a record are not annotated. Intervals are medians over beats, from
the earliest onset to the latest offset of twelve leads.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.signals.presets import resample
from scaling.identity import LEADS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.scaling.corpora.delineate import delineate, delineate_beats
from tests.scaling.corpora.ludb_marks import (
    FS_HZ,
    KINDS,
    RECORDS,
    Marks,
    cardiologists,
    intervals_ms,
    recording,
)

TOLERANCE_S = 0.15
METHODS = ("prominence", "dwt")
EDGES = ("onset", "peak", "offset")
INTERVALS = ("P", "PR", "QRS", "QT")
# Largest mean error of an interval in milliseconds, and least sensitivity and PPV of a wave.
LARGEST_MS = {"P": 10.0, "PR": 6.0, "QRS": 6.0, "QT": 10.0}
LEAST = {"P": 0.90, "QRS": 0.99, "T": 0.98}


@dataclasses.dataclass(frozen=True)
class Marked:
    """What a delineator found: marks of each record, and records a second of processor time."""

    name: str
    marks: list[Marks]
    per_s: float


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--shared", type=Path, default=Path("../shared"), help="holds data/ludb")
    parse.add_argument("--beside", help="a Python that has NeuroKit2")
    parse.add_argument("--records", choices=("odd", "even", "all"), default="even")
    options = parse.parse_args()
    if not (options.shared / "data/ludb").is_dir():
        print(f"      left out: no LUDB below {options.shared}")
        return 0
    kept = {"odd": (1,), "even": (0,), "all": (0, 1)}[options.records]
    numbers = [number for number in RECORDS if number % 2 in kept]
    shared = options.shared.resolve()
    truth = [cardiologists(shared, number) for number in numbers]
    passed = []
    for fs_hz in (FS_HZ, 100):
        signals = np.stack([
            resample(recording(shared, number).signal.astype(np.float64), FS_HZ, fs_hz)
            for number in numbers
        ])  # fmt: skip
        print(f"      LUDB, {len(numbers)} {options.records} records at {fs_hz} Hz")
        mine = ours(signals, fs_hz)
        passed += [*judge_waves(mine, truth, True), *judge_intervals(signals, fs_hz, truth)]
        for method in METHODS if options.beside else ():
            other = neurokit(options.beside, method, signals, fs_hz)
            list(judge_waves(other, truth, False))
            print(f"      ours takes {other.per_s / mine.per_s:.3f} of its time")
    if not options.beside:
        print("      ours alone; --beside PYTHON has NeuroKit2's too, see --help")
    return 0 if all(passed) else 1


def said(passed: bool | None, line: str) -> bool:
    """Print a line; None is for what has no target."""
    verdict = "    " if passed is None else "pass" if passed else "FAIL"
    print(f"{verdict}  {line}", flush=True)
    return passed is not False


# --- delineators -----------------------------------------------------------------------------


def ours(signals: NDArray[np.float64], fs_hz: int) -> Marked:
    began = time.process_time()
    waves = [delineate_beats(signal, fs_hz, LEADS) for signal in signals]
    per_s = len(signals) / (time.process_time() - began)
    marks = [
        {
            kind: [beats[np.isfinite(beats).any(axis=1)] for beats in np.moveaxis(wave, 1, 0)]
            for kind, wave in zip(KINDS, (found.p, found.qrs, found.t), strict=True)
        }
        for found in waves
    ]
    return Marked("ours", list(marks), per_s)


def neurokit(python: str, method: str, signals: NDArray[np.float64], fs_hz: int) -> Marked:
    """One of NeuroKit2's, in its own interpreter."""
    script = Path(__file__).with_name("delineate_neurokit.py")
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "signals.npz"), Path(name, "marks.npz")
        np.savez(source, signals=signals, fs_hz=fs_hz)
        subprocess.run([python, str(script), method, str(source), str(target)], check=True)
        with np.load(target) as file:
            found, seconds = file["marks"], float(file["seconds"])
            version, failed = str(file["version"]), int(file["failed"])
    print(f"      NeuroKit2 {version}: no waves in {failed} of {found[:, :, 0, 0, 0].size} leads")
    marks: list[Marks] = [
        {
            kind: [beats[np.isfinite(beats).any(axis=1)] for beats in record[:, k]]
            for k, kind in enumerate(KINDS)
        }
        for record in found
    ]
    return Marked(method, marks, len(signals) / seconds)


# --- judged ----------------------------------------------------------------------------------


def judge_waves(marked: Marked, truth: Sequence[Marks], ours: bool) -> Iterator[bool]:
    """Sensitivity, PPV and errors of each boundary of each wave, over all leads."""
    print(f"      {marked.name}: {marked.per_s:.1f} records/s of 12 leads and 10 s")
    for kind in KINDS:
        for j, edge in enumerate(EDGES):
            counts, errors = np.zeros(3, np.int64), []
            for found, true in zip(marked.marks, truth, strict=True):
                for lead in range(len(LEADS)):
                    span = true["QRS"][lead]
                    own, theirs = found[kind][lead][:, j], true[kind][lead][:, j]
                    if len(span):
                        right = matched(own, theirs, span)
                        counts += right[0]
                        errors.append(right[1])
            hit, missed, wrong = counts.tolist()
            se, ppv = hit / (hit + missed), hit / max(hit + wrong, 1)
            e = 1000 * np.concatenate(errors)
            good = min(se, ppv) >= LEAST[kind] if ours and edge == "peak" else None
            target = f" (target {LEAST[kind]:.2f})" if good is not None else ""
            yield said(
                good,
                f"{marked.name:10} {kind:3} {edge:6}  sensitivity {se:.3f}  PPV {ppv:.3f}{target}  "
                f"error {e.mean():+6.1f} +- {e.std():.1f} ms",
            )


def matched(
    own: NDArray[np.float64], theirs: NDArray[np.float64], span: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Found, missed and wrong marks of a lead, and the errors of those found, in seconds."""
    own, theirs = own[np.isfinite(own)], theirs[np.isfinite(theirs)]
    ends = theirs if len(theirs) else span[np.isfinite(span)]
    own = own[(own >= ends.min() - TOLERANCE_S) & (own <= ends.max() + TOLERANCE_S)]
    if not len(own) or not len(theirs):
        return np.array([0, len(theirs), len(own)]), np.empty(0)
    away = np.abs(own[:, None] - theirs)
    nearest = away.argmin(axis=0)  # of ours to each of theirs
    mutual = away.argmin(axis=1)[nearest] == np.arange(len(theirs))
    hit = mutual & (away.min(axis=0) <= TOLERANCE_S)
    n = int(hit.sum())
    errors = own[nearest[hit]] - theirs[hit]
    return np.array([n, len(theirs) - n, len(own) - n]), errors


def judge_intervals(
    signals: NDArray[np.float64], fs_hz: int, truth: Sequence[Marks]
) -> Iterator[bool]:
    """Errors of ``delineate``: from the earliest onset to the latest offset of the leads."""
    found = [delineate(signal, fs_hz, LEADS) for signal in signals]
    own = np.array([(m.p_ms, m.pr_ms, m.qrs_ms, m.qt_ms) for m in found])
    outer, second = (own - [intervals_ms(marks, k) for marks in truth] for k in (0, 1))
    for k, name in enumerate(INTERVALS):
        there = np.isfinite(outer[:, k])
        e = outer[there, k]
        yield said(
            abs(e.mean()) <= LARGEST_MS[name],
            f"ours       {name:3} in {len(e)} records: error {e.mean():+6.1f} "
            f"(target +-{LARGEST_MS[name]:g}) +- {e.std():.1f} ms, median {np.median(e):+.0f}; "
            f"against the second outermost leads {np.nanmean(second[there, k]):+.1f}",
        )


if __name__ == "__main__":
    sys.exit(main())
