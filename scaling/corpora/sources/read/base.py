"""What a source gives: a cheap summary, and chunks of recordings to be prepared.

A source is one module with ``open_source(spec, root) -> Source`` and one row in
``catalogue.toml``. This module and every source module import only the standard
library at the top, so that a grid can be checked in no time.

For files without a checksum ``check_amplitude`` is what shows a wrong unit, a wrong gain or swapped
bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from scaling.corpora.errors import CorpusError, UnusableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 128  # records read and written at a time: at most about 60 MB at 500 Hz

Order = Literal["hashed", "stored"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a plan needs to know of a corpus and task before it is prepared.

    Attributes:
        train: training records with a label of the task.
        validation: the same for validation.
        test: the same for test.
        patients: patients among the training records.
        classes: class names in label order.
        fingerprint: content id of the source's files; empty where there are none.
        absent: records that the source lists but whose files are not there.
    """

    train: int
    validation: int
    test: int
    patients: int
    classes: tuple[str, ...]
    fingerprint: str
    absent: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Recording:
    """One recording as the source holds it.

    Attributes:
        signal: (leads, samples) in ``units``; NaN where the source has no sample.
        fs_hz: sampling rate in hertz.
        leads: lead names in the order of ``signal``.
        units: ``mV``, or ``1`` where the source ships standardised signals without a unit.
        r_peaks_s: R peak times in seconds where the source knows them (virtual patients);
            None has them detected.
    """

    signal: NDArray[np.float32]
    fs_hz: int
    leads: tuple[str, ...]
    units: Literal["mV", "1"] = "mV"
    r_peaks_s: NDArray[np.float64] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The tables of some records, all in the same order.

    Attributes:
        records: record ids, unique in the corpus.
        patients: (n,) patient ids, unique in the source.
        splits: ``train``, ``validation`` or ``test``.
        ages: years, None where unknown.
        sexes: ``female``, ``male``, or None where unknown.
        labels: task -> (n, classes), 0 or 1.
        valid: task -> (n,), whether the record belongs to the task.
    """

    records: list[str]
    patients: NDArray[np.int64]
    splits: list[str]
    ages: list[float | None]
    sexes: list[str | None]
    labels: dict[str, NDArray[np.uint8]]
    valid: dict[str, NDArray[np.bool_]]


class Chunk(Protocol):
    """Some consecutive records; travels to a worker process by pickle."""

    @property
    def size(self) -> int:
        """Number of records."""

    def read(self) -> tuple[Rows, Iterable[Recording | CorpusError]]:
        """Tables and recordings; an error stands where a recording cannot be read."""


class Source(Protocol):
    """A dataset opened with a spec."""

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Task -> class names in label order."""

    @property
    def fingerprint(self) -> str:
        """Content id of the files; empty for a source without files."""

    @property
    def order(self) -> Order:
        """How nested subsets are taken.

        ``stored`` takes records as they come: for cohorts made by index, so that a grown
        pool leaves smaller subsets as they were. ``hashed`` orders patients by a hash: for
        files, whose order may mean something.
        """

    def summary(self, task: str) -> Summary:
        """Counts of one task, without reading a signal."""

    def chunks(self) -> list[Chunk]:
        """All records, in the order they will be stored."""

    def notes(self) -> dict[str, Any]:
        """What the source adds to the quality report (JSON)."""

    def bayes_loss(self, workers: int = 1) -> dict[str, Any] | None:
        """Task -> known Bayes loss in nats (docs/records.md); None where nobody knows it.

        Args:
            workers: processes that it may take.
        """


# Standard deviation of a lead. In millivolts an ECG has 0.05 to 1, standardised about 1; beyond
# these bounds in every lead the unit is wrong.
LEAST_SPREAD, LARGEST_SPREAD = 0.001, 30.0
DAMAGED = "the file is damaged, its bytes are swapped, or it is in another unit"


def check_amplitude(signal_LT: NDArray[Any], where: str, advice: str = DAMAGED) -> None:
    """Check that the leads vary as those of an ECG do; leads that never change say nothing.

    Args:
        signal_LT: (leads, samples), in millivolts or standardised.
        where: file or record, for the message.
        advice: what may be wrong, for the message.

    Raises:
        UnusableError: every lead that changes at all is far from an ECG's amplitude.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):  # swapped bytes give any number at all
        signal_LT = np.asarray(signal_LT, np.float64)
        present = signal_LT[:, np.isfinite(signal_LT).all(axis=0)]
        spread = present.std(axis=1) if present.size else np.zeros(1)
    spread = spread[spread > 0]
    if not len(spread) or (spread.max() >= LEAST_SPREAD and spread.min() <= LARGEST_SPREAD):
        return
    raise UnusableError(
        f"{where}: its leads vary by {spread.min():.3g} to {spread.max():.3g} "
        f"(standard deviation), which no ECG does: {advice}"
    )
