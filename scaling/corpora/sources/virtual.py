"""Virtual cohorts as a source: no files, any record made from its index alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.base import CHUNK, Chunk, Order, Recording, Rows, Summary
from scaling.identity import LEADS, CorpusSpec


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
        """The only task, named ``""``."""
        from scaling.corpora.virtual.cohorts import COHORTS

        return {"": COHORTS[self.spec.source].classes}

    def summary(self, task: str) -> Summary:
        """Sizes of the splits; every record belongs to the task."""
        from scaling.corpora.virtual.cohorts import patient_of

        patients = patient_of(self.sizes["train"] - 1)[0] + 1
        return Summary(**self.sizes, patients=patients, classes=self.classes[task], fingerprint="")

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

    def bayes_loss(self) -> dict[str, Any] | None:
        """By the cohort's own generative posterior."""
        from scaling.corpora.virtual.cohorts import COHORTS

        cohort = COHORTS[self.spec.source]
        spec = self.spec
        return cohort.bayes_loss(spec.fs_hz, spec.samples, spec.seed, self.sizes["test"])


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
        """Make the records."""
        import numpy as np

        from scaling.corpora.virtual import cohorts

        spec = self.spec
        signals, labels, patients = cohorts.make_records(
            spec.source, spec.seed, self.split, self.start, self.stop, spec.fs_hz, spec.samples
        )
        rows = Rows(
            records=[f"{self.split}/{index}" for index in range(self.start, self.stop)],
            patients=patients,
            splits=[self.split] * self.size,
            ages=[None] * self.size,
            sexes=[None] * self.size,
            labels={"": labels},
            valid={"": np.ones(self.size, np.bool_)},
        )
        return rows, (Recording(signal, spec.fs_hz, LEADS) for signal in signals)
