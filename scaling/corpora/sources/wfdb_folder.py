"""The user's own folder of WFDB records beside a CSV, described by ``dataset.json``.

See docs/own-data.md. Records of format 16 in one file, which nearly all ECG datasets use, are
read by our own fast reader; other formats by the wfdb package. Headers are described in
header(5) of the WFDB Applications Guide.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.read.described import read_description, read_entries
from scaling.corpora.sources.read.listed import Entry, ListedSource
from scaling.corpora.sources.read.tables import fingerprint, inside, table_digest
from scaling.corpora.sources.read.wfdb16 import LARGEST_GAIN, LEAST_GAIN, read_record
from scaling.identity import CorpusSpec

_FAST = ("16", "16+24")
_FORMAT = re.compile(r"\d+(?P<several>x\d+)?(:\d+)?(\+\d+)?")
_GAIN = re.compile(r"[-+]?[\d.]+([eE][-+]?\d+)?(\(-?\d+\))?(/\S+)?")
_MV = {"mV": 1.0, "uV": 1e-3, "V": 1e3}


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the description, the table and the headers of its records.

    Args:
        spec: which corpus.
        root: folder that holds ``dataset.json``.

    Raises:
        CorpusError: anything wrong with the description or the table; no record.
    """
    description = read_description(root, (), "path")
    folder = description.file.parent
    sizes: dict[str, int] = {}
    headers = hashlib.sha256()
    taken: set[str] = set()

    def locate(record: str, cell: str, number: int) -> str | None:
        stem = str(inside((cell or record).removesuffix(".hea")))
        header = _find(folder, stem)
        if header is None:
            return None
        if stem in taken:
            raise CorpusError(f"path {stem!r} belongs to two records")
        taken.add(stem)
        text, files = header
        headers.update(text)
        sizes.update(files)
        return stem

    entries, classes, absent = read_entries(description, "path", locate)
    if not entries:
        raise CorpusError(
            f"{description.table}: none of its {absent} records is below {folder}: paths are "
            "relative to the folder of dataset.json, without .hea"
        )
    tables = [table_digest(description.file), table_digest(description.table)]
    return ListedSource(
        classes=classes,
        entries=tuple(entries),
        read=FolderReader(folder),
        fingerprint=fingerprint(tables, sizes, headers.digest()),
        absent=absent,
        remarks=description.remarks(),
    )


def _find(folder: Path, stem: str) -> tuple[bytes, dict[str, int]] | None:
    """Bytes of a header, and the sizes of the files it names; None where one is not there.

    A header that is damaged names no file here: its record is read, and then refused.
    """
    head = folder / f"{stem}.hea"
    if not head.is_file():
        return None
    text = head.read_bytes()
    try:
        names, _ = signal_files(text.decode("utf-8", "replace"))
    except CorpusError:
        names = set()
    parent = head.parent.relative_to(folder)
    sizes = {}
    for name in names:
        path = parent / name
        if not (folder / path).is_file():
            return None
        sizes[path.as_posix()] = (folder / path).stat().st_size
    return text, sizes


def signal_files(text: str) -> tuple[set[str], bool]:
    """Names of a header's signal files, and whether the fast reader reads them.

    Raises:
        CorpusError: several segments, several samples a frame, a lead without a gain, a file
            in another folder, or no header at all.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or len(lines[0].split()) < 4:
        raise CorpusError("the first line is not 'name leads rate samples': no WFDB header")
    if "/" in lines[0].split()[0]:
        raise CorpusError("has several segments; write it again as one")
    names: set[str] = set()
    formats: set[str] = set()
    for line in lines[1:]:
        fields = line.split()
        layout = _FORMAT.fullmatch(fields[1]) if len(fields) > 2 else None
        if layout is None:
            raise CorpusError(f"signal line {line!r} has no file, format and gain")
        if layout["several"]:
            raise CorpusError(f"format {fields[1]}: a lead with several samples a frame")
        if not _GAIN.fullmatch(fields[2]) or not float(re.split(r"[(/]", fields[2])[0]):
            raise CorpusError(f"gain {fields[2]!r}: the record is not calibrated")
        if fields[0] != Path(fields[0]).name or fields[0] in ("..", ".", "~"):
            raise CorpusError(f"names the file {fields[0]!r}, which is not in its own folder")
        names.add(fields[0])
        formats.add(fields[1])
    return names, len(names) == 1 and formats <= set(_FAST)


@dataclasses.dataclass(frozen=True, slots=True)
class FolderReader:
    """Reads entries whose ``where`` is a path below the root, without ``.hea``."""

    root: Path

    def __call__(self, entry: Entry) -> Recording:
        """Read one record in millivolts; NaN where the format marks a sample as missing.

        Raises:
            CorpusError: names the file: damaged, of a kind that is not read, or not in a unit
                of voltage.
        """
        stem = self.root / entry.where
        head = stem.with_name(stem.name + ".hea")
        try:
            names, fast = signal_files(head.read_text(encoding="utf-8"))
        except CorpusError as error:
            raise CorpusError(f"{head}: {error}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"{head}: cannot be read ({error})") from None
        if fast:
            return read_record(stem, None, names.pop())
        return _read_other(stem, head)


def _read_other(stem: Path, head: Path) -> Recording:
    """Read a record of any format by the wfdb package, and check its sums."""
    import numpy as np
    import wfdb

    try:
        record = wfdb.rdrecord(str(stem), physical=False)
        names = tuple(map(str.strip, record.sig_name))
        sums = record.calc_checksum()
    except Exception as error:  # the package raises whatever a damaged file leads it to
        raise CorpusError(f"{head}: cannot be read ({type(error).__name__}: {error})") from None
    wrong = [
        lead
        for lead, said, summed in zip(names, record.checksum, sums, strict=True)
        if said is not None and (said - summed) % 65536
    ]
    if wrong:
        raise CorpusError(
            f"{head}: the samples of lead {', '.join(wrong)} do not have the checksum of the "
            "header, so one of the files is damaged: get both again"
        )
    if unknown := sorted(set(record.units) - set(_MV)):
        raise CorpusError(f"{head}: leads in {', '.join(unknown)}, not in mV, uV or V")
    if record.fs != round(record.fs):
        raise CorpusError(f"{head}: {record.fs} Hz is not a whole number")
    per_mv = [g / _MV[u] for g, u in zip(record.adc_gain, record.units, strict=True)]
    if not all(LEAST_GAIN <= gain <= LARGEST_GAIN for gain in per_mv):
        raise CorpusError(f"{head}: a gain of {min(per_mv):g} to {max(per_mv):g} steps per mV")
    physical_TL = record.dac() * np.array([_MV[unit] for unit in record.units])
    signal_LT = np.ascontiguousarray(physical_TL.T, np.float32)
    return Recording(signal_LT, round(record.fs), names)
