"""Virtual cohorts as a source: no files, any record made from its index alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.base import CHUNK, Chunk, Order, Recording, Rows, Summary
from scaling.identity import LEADS, CorpusSpec

if TYPE_CHECKING:
    from scaling.corpora.virtual.cohorts import Cohort


def open_source(spec: CorpusSpec, root: Path | None) -> VirtualSource:
    """Open a cohort; ``root`` is not used.

    Raises:
        CorpusError: the number of records of a split is missing or not positive.
    """
    counts = {"train": spec.records, "validation": spec.validation, "test": spec.test}
    sizes: dict[str, int] = {}
    for split, count in counts.items():
        if count is None or count < 1:
            raise CorpusError(f"{spec.source}: {count} {split} records; at least 1 is needed")
        sizes[split] = count
    return VirtualSource(spec=spec, sizes=sizes)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VirtualSource:
    """A cohort with the sizes of its splits; see ``base.Source``."""

    spec: CorpusSpec
    sizes: dict[str, int]

    @property
    def order(self) -> Order:
        """By index: a grown pool leaves smaller subsets as they were."""
        return "stored"

    @property
    def fingerprint(self) -> str:
        """Empty: there are no files."""
        return ""

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Task -> class names; one task named ``""`` where the cohort has only one."""
        return dict(self.cohort.classes)

    @property
    def cohort(self) -> Cohort:
        """The generator and its tasks."""
        from scaling.corpora.virtual.cohorts import COHORTS

        return COHORTS[self.spec.source]

    def summary(self, task: str) -> Summary:
        """Sizes of the splits, as far as records belong to the task."""
        from scaling.corpora.virtual.population import patient_of

        spec, classes = self.spec, self.classes[task]
        if not self.cohort.tasks[task].needs_label:
            patients = patient_of(self.sizes["train"] - 1)[0] + 1
            return Summary(**self.sizes, patients=patients, classes=classes, fingerprint="")
        from scaling.corpora.virtual.cohorts.records import members  # with torch

        indices = {}
        for split, size in self.sizes.items():
            duration_s = spec.samples / spec.fs_hz
            belongs = members(self.cohort, task, spec.seed, split, size, duration_s)
            indices[split] = [int(index) for index in belongs.nonzero()[0]]
        counts = {split: len(of_split) for split, of_split in indices.items()}
        patients = len({patient_of(index)[0] for index in indices["train"]})
        return Summary(**counts, patients=patients, classes=classes, fingerprint="")

    def chunks(self) -> list[Chunk]:
        """Split by split, by index."""
        return [
            VirtualChunk(self.spec, split, start, min(start + CHUNK, size))
            for split, size in self.sizes.items()
            for start in range(0, size, CHUNK)
        ]

    def notes(self) -> dict[str, Any]:
        """Nothing to add."""
        return {}

    def bayes_loss(self, workers: int = 1) -> dict[str, Any] | None:
        """Task -> loss, by the cohort's own generative posterior."""
        from scaling.corpora.virtual.bayes_loss import bayes_loss

        spec, test = self.spec, self.sizes["test"]
        return bayes_loss(self.cohort, spec.fs_hz, spec.samples, spec.seed, test, workers)


@dataclasses.dataclass(frozen=True, slots=True)
class VirtualChunk:
    """Records ``start`` to ``stop`` of one split; see ``base.Chunk``."""

    spec: CorpusSpec
    split: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of records."""
        return self.stop - self.start

    def read(self) -> tuple[Rows, Iterable[Recording | CorpusError]]:
        """Make the records, all in one batch."""
        from scaling.corpora.virtual.cohorts import COHORTS
        from scaling.corpora.virtual.cohorts.records import records_of

        spec, cohort = self.spec, COHORTS[self.spec.source]
        made = records_of(
            cohort, spec.seed, self.split, self.start, self.stop, spec.fs_hz, spec.samples
        )
        rows = Rows(
            records=[f"{self.split}/{index}" for index in range(self.start, self.stop)],
            patients=made.patients,
            splits=[self.split] * self.size,
            ages=[float(age) for age in made.ages],
            sexes=["male" if male else "female" for male in made.male],
            labels=made.labels,
            valid=made.valid,
        )
        return rows, (
            Recording(signal, spec.fs_hz, LEADS, r_peaks_s=peaks)
            for signal, peaks in zip(made.signals, made.r_peaks_s, strict=True)
        )
