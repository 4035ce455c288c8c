"""The quality report of a corpus: what was found in its records, and the table of it.

``quality.csv`` has one row a finding: how many records, of which split, and the first of them.
It depends on nothing but the corpus. ``page`` shows the same with plots.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.format import folder
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.table import group_by_reason
from scaling.corpora.signals.leads import TOLERANCE_MV
from scaling.records.names import SPLITS

FIRST = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the report.

    Attributes:
        check: what was looked for.
        records: how many records it was found in.
        by_split: the same for train, validation and test; None where the split is not known.
        first: ids of the first few.
        worst: row of the record with most of it; None where no record is stored.
    """

    check: str
    records: int
    by_split: tuple[int, int, int] | None = None
    first: tuple[str, ...] = ()
    worst: int | None = None


def write_table(corpus: Corpus, report: Iterable[Finding]) -> None:
    """Write ``quality.csv`` into the folder of a corpus."""
    with (corpus.path / folder.QUALITY).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["check", "records", "share", *SPLITS, "first"])
        writer.writerows(_cells(finding, len(corpus)) for finding in report)


def _cells(finding: Finding, total: int) -> list[str | int]:
    share = f"{finding.records / total:.6f}" if total else ""
    splits = finding.by_split or ("",) * len(SPLITS)
    return [finding.check, finding.records, share, *splits, " ".join(finding.first)]


def read_table(path: Path) -> list[list[str]]:
    """Rows of ``quality.csv`` of a corpus folder, its header first."""
    with (path / folder.QUALITY).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def findings(corpus: Corpus) -> list[Finding]:
    """Look for everything the report lists."""
    everyone = _finding(corpus, "records", np.ones(len(corpus)))
    report = [dataclasses.replace(everyone, first=(), worst=None)]
    report += _left_out(corpus)
    report += [_finding(corpus, check, measure) for check, measure in _measures(corpus)]
    report += _duplicates(corpus)
    for task in corpus.tasks:
        valid = corpus.valid(task)
        name = f" {task}" if task else ""
        report.append(_finding(corpus, f"not in the task{name}", ~valid))
        without = valid & ~_any_positive(corpus, task)
        report.append(_finding(corpus, f"no positive label{name and ' of' + name}", without))
    return report


def _finding(corpus: Corpus, check: str, measure: NDArray[np.float64 | np.bool_]) -> Finding:
    """A finding from (records,) numbers that are positive where it was found."""
    rows = np.flatnonzero(measure > 0)
    counts = np.bincount(corpus.splits[rows], minlength=len(SPLITS)).tolist()
    return Finding(
        check=check,
        records=len(rows),
        by_split=(counts[0], counts[1], counts[2]),
        first=tuple(corpus.record_ids[row] for row in rows[:FIRST]),
        worst=int(np.argmax(measure)) if len(rows) else None,
    )


def _left_out(corpus: Corpus) -> Iterator[Finding]:
    notes = corpus.info["quality"]
    yield Finding(check="listed, but the files are absent", records=notes.get("missing_files", 0))
    for reason, count in notes.get("left_out", {}).items():
        yield Finding(check=f"left out by the source: {reason}", records=count)
    drops = corpus.dropped()
    for damaged, what in ((False, "unusable"), (True, "damaged")):
        for group in group_by_reason(drop for drop in drops if drop.damaged == damaged):
            splits = [drop.split for drop in group]
            yield Finding(
                check=f"dropped, {what}: {group[0].reason}",
                records=len(group),
                by_split=(splits.count("train"), splits.count("validation"), splits.count("test")),
                first=tuple(drop.record for drop in group[:FIRST]),
            )


def _measures(corpus: Corpus) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What conversion noted of each record."""
    table = corpus.quality()
    yield "missing samples filled in", table["repaired_samples"].to_numpy(np.float64)
    for column, check in (
        ("repaired_leads", "leads recomputed from others"),
        ("flat_leads", "flat leads"),
        ("saturated_leads", "leads clipped by the recorder"),
    ):
        yield check, np.array([len(names.split()) for names in table[column]], np.float64)
    yield "samples beyond the range stored", table["clipped_samples"].to_numpy(np.float64)
    yield "no R peak found", np.asarray(table["n_r_peaks"] == 0, np.float64)
    error = np.nan_to_num(table["lead_error_mv"].to_numpy(np.float64))
    yield (
        f"limb leads disagree by more than {TOLERANCE_MV} mV",
        np.where(error > TOLERANCE_MV, error, 0.0),
    )


def _duplicates(corpus: Corpus) -> Iterator[Finding]:
    """Records with a near-duplicate in the same split, and in another one."""
    from scaling.corpora.quality.overlap import near_duplicates

    same, other = np.zeros(len(corpus)), np.zeros(len(corpus))
    for a, b, *_ in near_duplicates(corpus.signatures):
        (same if corpus.splits[a] == corpus.splits[b] else other)[[a, b]] = 1
    yield _finding(corpus, "near-duplicate in the same split", same)
    yield _finding(corpus, "near-duplicate in another split", other)


def _any_positive(corpus: Corpus, task: str) -> NDArray[np.bool_]:
    return np.concatenate([labels.any(axis=1) for labels in corpus.label_blocks(task)])
