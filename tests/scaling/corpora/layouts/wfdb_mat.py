"""Write WFDB records behind a MATLAB matrix (format 16+24), byte by byte as described.

The 24 bytes are those of "MAT-File Level 4 File Format": type 0030 (little-endian, 16-bit
signed), rows, columns, no imaginary part, length of the name with its zero, ``val``.
"""

from __future__ import annotations

import functools
import struct
from pathlib import Path

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def sample(lead: int, t: int, number: int) -> int:
    """What is stored for sample ``t`` of a lead of record ``number``: computable by hand."""
    return (7 * t + 31 * lead + 101 * number) % 2001 - 1000


def write(
    folder: Path,
    name: str,
    number: int,
    dx: str,
    *,
    age: str = "56",
    sex: str = "Female",
    fs_hz: int = 500,
    samples: int = 5000,
    gain: str = "1000/mV",
    header: str | None = None,
) -> Path:
    """Write one record of 12 leads and return the path of its header.

    Args:
        folder: made if it is not there.
        name: of the record and its signal file.
        number: gives the samples, see ``sample``.
        dx: text after ``#Dx:``.
        header: name of the header where it is not the record's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content, sums = _content(number, samples)
    (folder / f"{name}.mat").write_bytes(content)
    lines = [f"{header or name} {len(LEADS)} {fs_hz} {samples} 12-May-2020 12:33:59"]
    for k, lead in enumerate(LEADS):
        checksum = (sums[k] + 32768) % 65536 - 32768
        first = sample(k, 0, number)
        lines.append(f"{name}.mat 16+24 {gain} 16 0 {first} {checksum} 0 {lead}")
    lines += [f"#Age: {age}", f"#Sex: {sex}", f"#Dx: {dx}", "#Rx: Unknown", "#Hx: Unknown"]
    path = folder / f"{header or name}.hea"
    path.write_text("\n".join(lines) + "\n")
    return path


@functools.lru_cache(maxsize=64)
def _content(number: int, samples: int) -> tuple[bytes, list[int]]:
    """The file, and the sum of the samples of each lead."""
    rows = [[sample(k, t, number) for k in range(len(LEADS))] for t in range(samples)]
    head = struct.pack("<5i", 30, len(LEADS), samples, 0, 4) + b"val\0"
    body = b"".join(struct.pack("<12h", *row) for row in rows)
    return head + body, [sum(row[k] for row in rows) for k in range(len(LEADS))]
