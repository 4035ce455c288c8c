"""Read WFDB records of format 16 (plain little-endian) without the cost of a general reader.

Only what ECG datasets use is read: one segment, one .dat file, 16-bit samples interleaved by
lead. Anything else is refused by name. The format is described in header(5) and signal(5)
of the WFDB Applications Guide.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import CorpusError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scaling.corpora.sources.base import Recording

MISSING_SAMPLE = -32768
_GAIN = re.compile(r"(?P<gain>[-+.\deE]+)(\((?P<baseline>-?\d+)\))?(/(?P<unit>\S+))?")
_MV = {"mV": 1.0, "uV": 1e-3, "V": 1e3}


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a .hea file says.

    Attributes:
        file: name of the .dat file.
        fs_hz: samples per second.
        samples: samples per lead.
        leads: lead names as written.
        lsb_per_mv: gain of each lead.
        baselines: sample value of 0 mV, each lead.
        checksums: sum of the samples modulo 2^16, each lead.
    """

    file: str
    fs_hz: int
    samples: int
    leads: tuple[str, ...]
    lsb_per_mv: tuple[float, ...]
    baselines: tuple[int, ...]
    checksums: tuple[int, ...]


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
    if fs_hz != round(fs_hz) or fs_hz <= 0 or n_samples < 1:
        raise CorpusError(f"{rate} Hz and {n_samples} samples: both must be positive whole numbers")
    signals = [_parse_signal(line) for line in lines[1:]]
    if not signals:
        raise CorpusError("describes no lead")
    files = {file for file, *_ in signals}
    if len(files) > 1:
        raise CorpusError(f"leads are spread over {len(files)} files; one is expected")
    _, names, gains, baselines, checksums = zip(*signals, strict=True)
    return Header(files.pop(), round(fs_hz), n_samples, names, gains, baselines, checksums)


def _parse_signal(line: str) -> tuple[str, str, float, int, int]:
    """File, lead, LSB per mV, baseline and checksum of one signal line."""
    fields = line.split(maxsplit=8)
    if len(fields) < 9:
        raise CorpusError(f"signal line {line!r} has {len(fields)} fields, not 9")
    file, form, gain, _, zero, _, checksum, _, lead = fields
    if form != "16":
        raise CorpusError(f"lead {lead} is stored in format {form}; this reader knows format 16")
    found = _GAIN.fullmatch(gain)
    try:
        scale = float(found["gain"]) if found else 0.0
        baseline = int(found["baseline"] or zero) if found else 0
        total = int(checksum)
    except ValueError:
        raise CorpusError(f"signal line {line!r}: a number cannot be read") from None
    unit = _MV.get((found["unit"] or "mV") if found else "")
    if unit is None or not scale > 0:
        raise CorpusError(f"lead {lead}: gain {gain!r} is not a positive number per mV, uV or V")
    return file, lead.strip(), scale / unit, baseline, total


def read_record(stem: Path, fs_hz: int) -> Recording:
    """Read one record.

    Args:
        stem: path of the record without ``.hea``.
        fs_hz: the rate it must have, in hertz.

    Returns:
        The recording, leads named and ordered as in its header.

    Raises:
        CorpusError: names the file: unreadable, truncated, or header and file disagree.
    """
    import numpy as np

    from scaling.corpora.sources.base import Recording

    head = stem.with_name(stem.name + ".hea")
    try:
        header = parse_header(head.read_text())
    except CorpusError as error:
        raise CorpusError(f"{head}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{head}: cannot be read ({error})") from None
    if header.fs_hz != fs_hz:
        raise CorpusError(f"{head}: says {header.fs_hz} Hz, but this folder holds {fs_hz} Hz")
    if header.file != stem.name + ".dat":
        raise CorpusError(f"{head}: names the file {header.file!r}, not {stem.name}.dat")
    raw_TL = _read_samples(stem.with_name(header.file), header)
    signal_TL = (raw_TL - np.array(header.baselines)) / np.array(header.lsb_per_mv)
    return Recording(signal_TL.T.astype(np.float32), header.fs_hz, header.leads)


def _read_samples(path: Path, header: Header) -> NDArray[Any]:
    """(samples, leads) of a .dat file, checked against its header."""
    import numpy as np

    n_leads = len(header.leads)
    try:
        raw = np.fromfile(path, "<i2")
        size = path.stat().st_size
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from None
    expected = 2 * header.samples * n_leads
    if size != expected:
        what = "truncated, or the header is wrong" if size < expected else "the header is wrong"
        raise CorpusError(
            f"{path}: {size} bytes, but its header says {expected} "
            f"({header.samples} samples x {n_leads} leads x 2): {what}; download it again"
        )
    raw_TL = raw.reshape(header.samples, n_leads)
    missing = (raw_TL == MISSING_SAMPLE).sum(axis=0)
    differ = (raw_TL.sum(axis=0, dtype=np.int64) - np.array(header.checksums)) % 65536
    problems = []
    if missing.any():
        which = ", ".join(f"{header.leads[i]} ({missing[i]})" for i in np.flatnonzero(missing))
        problems.append(f"missing samples (NaN) in lead {which}")
    if differ.any():
        which = ", ".join(header.leads[i] for i in np.flatnonzero(differ))
        problems.append(
            f"the samples of lead {which} do not have the checksum of the header, so one of "
            "the two files is damaged: download both again"
        )
    if problems:
        raise CorpusError(f"{path}: {'; '.join(problems)}")
    return raw_TL
