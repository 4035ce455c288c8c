"""Read WFDB records of 16-bit samples without the cost of a general reader.

Only what ECG datasets use is read: one segment, one signal file, little-endian 16-bit samples
interleaved by lead, alone (``.dat``, format 16) or behind the 24 bytes of a MATLAB version 4
matrix named ``val`` (``.mat``, format 16+24). Anything else is refused by name. The format is
described in header(5) and signal(5) of the WFDB Applications Guide, the 24 bytes in "MAT-File
Level 4 File Format" (MathWorks).
"""

from __future__ import annotations

import dataclasses
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.read.listed import Entry

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING_SAMPLE = -32768
SUFFIXES = (".dat", ".mat")
MATLAB_BYTES = 24
_MATLAB_INT16 = 30  # little-endian, full matrix, 16-bit signed
_FORMAT = re.compile(r"16(\+(?P<offset>\d+))?")
_GAIN = re.compile(r"(?P<gain>[-+.\deE]+)(\((?P<baseline>-?\d+)\))?(/(?P<unit>\S+))?")
_MV = {"mv": 1.0, "uv": 1e-3, "v": 1e3}
# Outside these a sample step is above 0.1 mV, or the whole 16-bit range below 0.07 mV.
LEAST_GAIN, LARGEST_GAIN = 10.0, 1e6


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a .hea file says.

    Attributes:
        file: name of the signal file.
        fs_hz: samples per second.
        samples: samples per lead.
        leads: lead names as written.
        lsb_per_mv: gain of each lead.
        baselines: sample value of 0 mV, each lead.
        checksums: sum of the samples modulo 2^16, each lead.
        offset: bytes before the first sample: 0, or 24 for a MATLAB matrix.
    """

    file: str
    fs_hz: int
    samples: int
    leads: tuple[str, ...]
    lsb_per_mv: tuple[float, ...]
    baselines: tuple[int, ...]
    checksums: tuple[int, ...]
    offset: int = 0


def parse_header(text: str) -> Header:
    """Parse the text of a .hea file.

    Raises:
        CorpusError: not a header, or of a kind this reader does not know.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        _, leads, rate, samples, *_ = lines[0].split()
        n_leads, n_samples = int(leads), int(samples)
        fs_hz = float(rate.split("/")[0].split("(")[0])
    except (ValueError, IndexError):
        raise CorpusError(
            "the first line is not 'name leads rate samples', so this is no WFDB header"
        ) from None
    if len(lines) - 1 != n_leads:
        raise CorpusError(f"says {n_leads} leads, but describes {len(lines) - 1}")
    if not fs_hz.is_integer() or fs_hz <= 0 or n_samples < 1:
        raise CorpusError(f"{rate} Hz and {n_samples} samples: both must be positive whole numbers")
    signals = [_parse_signal(line) for line in lines[1:]]
    if not signals:
        raise CorpusError("describes no lead")
    if len(places := {place for place, *_ in signals}) > 1:
        raise CorpusError(f"leads are spread over {len(places)} files; one is expected")
    _, names, gains, baselines, checksums = zip(*signals, strict=True)
    file, offset = places.pop()
    return Header(file, round(fs_hz), n_samples, names, gains, baselines, checksums, offset)


def _parse_signal(line: str) -> tuple[tuple[str, int], str, float, int, int]:
    """(File, offset), lead, LSB per mV, baseline and checksum of one signal line."""
    fields = line.split(maxsplit=8)
    if len(fields) < 9:
        raise CorpusError(f"signal line {line!r} has {len(fields)} fields, not 9")
    file, form, gain, _, zero, _, checksum, _, lead = fields
    if (layout := _FORMAT.fullmatch(form)) is None:
        raise CorpusError(
            f"lead {lead} is stored in format {form}; this reader knows format 16 and 16+24"
        )
    scaling = _GAIN.fullmatch(gain)
    try:
        scale = float(scaling["gain"]) if scaling else 0.0
        baseline = int(scaling["baseline"] or zero) if scaling else 0
        total = int(checksum)
    except ValueError:
        raise CorpusError(f"signal line {line!r}: a number cannot be read") from None
    unit = _MV.get((scaling["unit"] or "mV").lower() if scaling else "")
    if unit is None or not scale > 0:
        raise CorpusError(f"lead {lead}: gain {gain!r} is not a positive number per mV, uV or V")
    if not LEAST_GAIN <= scale / unit <= LARGEST_GAIN:
        raise CorpusError(
            f"lead {lead}: gain {gain!r} is {scale / unit:g} steps per mV, which no ECG recorder "
            f"has ({LEAST_GAIN:g} to {LARGEST_GAIN:g}): the header is wrong"
        )
    return (file, int(layout["offset"] or 0)), lead.strip(), scale / unit, baseline, total


def read_record(stem: Path, fs_hz: int | None, file: str | None = None) -> Recording:
    """Read one record.

    Args:
        stem: path of the record without ``.hea``.
        fs_hz: the rate it must have, in hertz; None takes any.
        file: name of its signal file in the same folder, where that is not the record's own.

    Returns:
        The recording in millivolts, leads named and ordered as in its header; NaN where the
        format marks a sample as missing.

    Raises:
        CorpusError: names the file: unreadable, truncated, or header and file disagree.
    """
    import numpy as np

    head = stem.with_name(stem.name + ".hea")
    try:
        header = parse_header(head.read_text(encoding="utf-8"))
    except CorpusError as error:
        raise CorpusError(f"{head}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{head}: cannot be read ({error})") from None
    if fs_hz not in (None, header.fs_hz):
        raise CorpusError(f"{head}: says {header.fs_hz} Hz, but this folder holds {fs_hz} Hz")
    expected = (file,) if file else tuple(stem.name + suffix for suffix in SUFFIXES)
    if header.file not in expected:
        raise CorpusError(f"{head}: names the file {header.file!r}, not {' or '.join(expected)}")
    raw_TL = _read_samples(stem.with_name(header.file), header)
    signal_TL = (raw_TL - np.array(header.baselines)) / np.array(header.lsb_per_mv)
    signal_TL[raw_TL == MISSING_SAMPLE] = np.nan
    return Recording(signal_TL.T.astype(np.float32), header.fs_hz, header.leads)


@dataclasses.dataclass(frozen=True, slots=True)
class RecordReader:
    """Reads entries whose ``where`` is a path below the root without ``.hea``.

    Or (path, signal file) where that is not the record's own.
    """

    root: Path
    fs_hz: int | None = None

    def __call__(self, entry: Entry) -> Recording:
        """Read one record; see ``read_record``."""
        stem, file = (entry.where, None) if isinstance(entry.where, str) else entry.where
        return read_record(self.root / stem, self.fs_hz, file)


def _read_samples(path: Path, header: Header) -> NDArray[Any]:
    """(samples, leads) of a signal file, checked against its header."""
    import numpy as np

    n_leads = len(header.leads)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from None
    expected = header.offset + 2 * header.samples * n_leads
    if len(content) != expected:
        short = len(content) < expected
        what = "truncated, or the header is wrong" if short else "the header is wrong"
        before = f"{header.offset} + " if header.offset else ""
        raise CorpusError(
            f"{path}: {len(content)} bytes, but its header says {expected} "
            f"({before}{header.samples} samples x {n_leads} leads x 2): {what}; download it again"
        )
    if path.suffix == ".mat":
        _check_matlab(path, content, header)
    raw_TL = np.frombuffer(content, "<i2", offset=header.offset).reshape(-1, n_leads)
    _check_sums(path, raw_TL, header)
    return raw_TL


def _check_matlab(path: Path, content: bytes, header: Header) -> None:
    """Check the five integers and the name at the start of a MATLAB version 4 file."""
    expected = (_MATLAB_INT16, len(header.leads), header.samples, 0, 4)
    if header.offset != MATLAB_BYTES:
        raise CorpusError(f"{path}: is a .mat file, but its header says format 16, not 16+24")
    kind, rows, columns, imaginary, length = struct.unpack_from("<5i", content)
    name = content[20:MATLAB_BYTES]
    if (kind, rows, columns, imaginary, length) != expected or name != b"val\0":
        raise CorpusError(
            f"{path}: does not begin as a MATLAB matrix 'val' of {expected[1]} x {expected[2]} "
            "16-bit samples: damaged, or byte-swapped; download it again"
        )


def _check_sums(path: Path, raw_TL: NDArray[Any], header: Header) -> None:
    """Compare the sum of each lead with the header's, and say what a difference means."""
    import numpy as np

    sums = np.array(header.checksums)
    differ = (raw_TL.sum(axis=0, dtype=np.int64) - sums) % 65536
    if not differ.any():
        return
    if not ((raw_TL.byteswap().sum(axis=0, dtype=np.int64) - sums) % 65536).any():
        raise CorpusError(f"{path}: the two bytes of every sample are swapped; download it again")
    which = ", ".join(header.leads[i] for i in np.flatnonzero(differ))
    raise CorpusError(
        f"{path}: the samples of lead {which} do not have the checksum of the header, so one of "
        "the two files is damaged: download both again"
    )
