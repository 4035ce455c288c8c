"""The user's own arrays: .npy, .npz or HDF5 beside a CSV; SMU can be read this way.

``dataset.json`` in the root describes them, see docs/own-data.md. Rows of the array and of the
table belong together by position, or by a column that holds the row.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.arrays import ArrayFile, open_array, probe
from scaling.corpora.sources.read.base import Recording, check_amplitude
from scaling.corpora.sources.read.described import (
    Description,
    read_description,
    read_entries,
    texts,
)
from scaling.corpora.sources.read.listed import Entry, ListedSource
from scaling.corpora.sources.read.tables import fingerprint, inside, table_digest, whole
from scaling.identity import CorpusSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

OWN = ("signals", "dataset", "axes", "fs_hz", "leads", "units", "scale")
AXES = (("records", "leads", "samples"), ("records", "samples", "leads"), ("records", "samples"))
_ADVICE = "check 'units' and 'scale' of dataset.json"
MV = {"mV": 1.0, "uV": 1e-3, "V": 1e3, "1": 1.0}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one row of the arrays is read.

    Attributes:
        axes: one of ``AXES``.
        fs_hz: sampling rate in hertz.
        leads: lead names in the order of their axis.
        units: ``mV`` or ``1``.
        scale: a stored value times this is in ``units``.
    """

    axes: tuple[str, ...]
    fs_hz: int
    leads: tuple[str, ...]
    units: Literal["mV", "1"]
    scale: float


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the description and the table, and look at the arrays' headers.

    Args:
        spec: which corpus.
        root: folder that holds ``dataset.json``.

    Raises:
        CorpusError: anything wrong with the description, the table or the arrays' shapes.
    """
    description = read_description(root, OWN, "row")
    layout = _layout(description)
    files = _files(description)
    lengths = [_records(file, layout) for file in files]
    total = sum(lengths)
    entries, absent, classes = _entries(description, total)
    if not entries:
        raise CorpusError(f"{description.table}: has no record")
    entries.sort(key=lambda entry: int(entry.where))  # the order in which the files are read
    return ListedSource(
        classes=classes,
        entries=tuple(entries),
        read=ArrayReader(tuple(files), tuple(lengths), layout),
        fingerprint=_fingerprint(description, files),
        absent=absent,
        left_out={"row of the arrays without a row of the table": total - len(entries)},
        remarks=description.remarks(),
    )


def _entries(
    description: Description, total: int
) -> tuple[list[Entry], int, dict[str, tuple[str, ...]]]:
    """Entries whose ``where`` is a row, how many have none, and the classes."""
    by_row = "row" in description.columns
    taken: set[int] = set()

    def locate(record: str, cell: str, number: int) -> int | None:
        if by_row and not cell:
            return None
        row = whole(cell) if by_row else number
        if by_row and row >= total:
            raise CorpusError(f"row {row} is beyond the {total} rows of the arrays")
        if row in taken:
            raise CorpusError(f"row {row} belongs to two records")
        taken.add(row)
        return row

    entries, classes, absent = read_entries(description, "row", locate)
    if not by_row and len(entries) != total:
        raise CorpusError(
            f"{description.table}: {len(entries)} rows, but the arrays have {total}: they are "
            "matched by position, unless 'columns.row' names a column that holds the row"
        )
    return entries, absent, classes


def _layout(description: Description) -> Layout:
    """Check the keys that say how a row is read."""
    from scaling.corpora.signals.leads import lead_positions

    own = description.own
    if absent := [key for key in ("signals", "axes", "fs_hz", "leads", "units") if key not in own]:
        raise description.error(absent[0], "is missing; see docs/own-data.md")
    axes, fs_hz, units, scale = own["axes"], own["fs_hz"], own["units"], own.get("scale", 1)
    if not isinstance(axes, list) or tuple(axes) not in AXES:
        raise description.error("axes", f"is {axes!r}, not one of {[list(a) for a in AXES]}")
    if isinstance(fs_hz, bool) or not isinstance(fs_hz, int) or not 1 <= fs_hz <= 100_000:
        raise description.error("fs_hz", f"is {fs_hz!r}, not a whole number of hertz")
    if units not in MV:
        raise description.error("units", f"is {units!r}, not one of {', '.join(MV)}")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
        raise description.error("scale", f"is {scale!r}, not a positive number")
    leads = texts(description.file, "leads", own["leads"])
    try:
        lead_positions(leads)
    except CorpusError as error:
        raise description.error("leads", f"cannot be used: {error}") from None
    if len(axes) == 2 and len(leads) != 1:
        raise description.error("axes", f"has no leads, but 'leads' names {len(leads)}")
    return Layout(
        axes=tuple(axes),
        fs_hz=fs_hz,
        leads=leads,
        units="1" if units == "1" else "mV",
        scale=scale * MV[units],
    )


def _files(description: Description) -> list[ArrayFile]:
    signals = description.own["signals"]
    names = [signals] if isinstance(signals, str) else signals
    dataset = description.own.get("dataset", "")
    if not isinstance(dataset, str):
        raise description.error("dataset", f"is {dataset!r}, not a text")
    arrays = []
    for name in texts(description.file, "signals", names):
        try:
            arrays.append(open_array(description.file.parent / inside(name), dataset))
        except CorpusError as error:
            raise description.error("signals", f"cannot be used: {error}") from None
    return arrays


def _records(file: ArrayFile, layout: Layout) -> int:
    """Number of rows, after a check of the shape."""
    shape = dict(zip(layout.axes, file.shape, strict=False))
    if len(file.shape) != len(layout.axes) or shape.get("leads", 1) != len(layout.leads):
        raise CorpusError(
            f"{file.path}: has shape {file.shape}, but dataset.json says "
            f"{', '.join(layout.axes)} and {len(layout.leads)} leads"
        )
    return file.shape[0]


def _fingerprint(description: Description, files: list[ArrayFile]) -> str:
    root = description.file.parent
    paths = [file.path for file in files]
    sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in paths}
    tables = [table_digest(description.file), table_digest(description.table)]
    return fingerprint(tables, sizes, b"".join(probe(path) for path in paths))


@dataclasses.dataclass(frozen=True, slots=True)
class ArrayReader:
    """Reads entries whose ``where`` is a row, counted over all files.

    Attributes:
        files: in the order of the rows.
        lengths: rows of each file.
        layout: how a row is read.
    """

    files: tuple[ArrayFile, ...]
    lengths: tuple[int, ...]
    layout: Layout

    def __call__(self, entry: Entry) -> Recording:
        """Read one row.

        Raises:
            CorpusError: the file cannot be read.
            UnusableError: in millivolts it cannot be an ECG: the unit is wrong.
        """
        import itertools

        import numpy as np

        starts = list(itertools.accumulate(self.lengths, initial=0))
        at = bisect.bisect_right(starts, entry.where) - 1
        stored = self.files[at].row(entry.where - starts[at])
        signal: NDArray[Any] = np.asarray(stored, np.float64) * self.layout.scale
        if self.layout.axes[-1] == "leads":
            signal = signal.T
        elif len(self.layout.axes) == 2:
            signal = signal[None]
        if self.layout.units == "mV":
            check_amplitude(signal, f"record {entry.record}", _ADVICE)
        kept = np.ascontiguousarray(signal, np.float32)
        return Recording(kept, self.layout.fs_hz, self.layout.leads, self.layout.units)
