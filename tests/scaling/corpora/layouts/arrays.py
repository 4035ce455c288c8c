"""The user's own arrays in each format, written by numpy, h5py and csv."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

LEADS = ["I", "II", "V2"]
HEADER = ["id", "who", "part", "age", "sex", "AF", "SB", "codes"]
ROWS = [
    ["r0", "p1", "train", "60", "F", "1", "0", "AF;PVC"],
    ["r1", "p1", "train", "61", "female", "0", "1", "SB"],
    ["r2", "p2", "val", "", "", "0", "0", "NORM"],
    ["r3", "p3", "test", "40.5", "M", "", "", " "],
    ["r4", "p4", "test", "41", "male", "1", "1", "SB; AF"],
]


def signal_uv(records: int = 5, samples: int = 700) -> NDArray[np.int16]:
    """(records, 3, samples): sample t of lead k of row n is 7 t mod 100 + 100 k + 10 n uV."""
    n, k, t = np.ogrid[:records, :3, :samples]
    stored: NDArray[np.int16] = ((7 * t) % 100 + 100 * k + 10 * n).astype(np.int16)
    return stored


def description(**changes: Any) -> dict[str, Any]:
    """A ``dataset.json``; a change of None takes a key away, ``columns__row`` is a key below."""
    value: dict[str, Any] = {
        "signals": "ecg.npy",
        "axes": ["records", "leads", "samples"],
        "fs_hz": 500,
        "leads": LEADS,
        "units": "uV",
        "table": "labels.csv",
        "columns": {"record": "id", "patient": "who", "split": "part", "age": "age", "sex": "sex"},
        "labels": {"columns": ["AF", "SB"]},
    }
    for key, change in changes.items():
        *above, name = key.split("__")
        inner = value[above[0]] if above else value
        inner.pop(name, None)
        if change is not None:
            inner[name] = change
    return value


def write_table(root: Path, rows: list[list[str]] = ROWS, header: list[str] = HEADER) -> None:
    """Write ``labels.csv``."""
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def describe(root: Path, **changes: Any) -> None:
    """Write ``dataset.json``."""
    (root / "dataset.json").write_text(json.dumps(description(**changes), indent=1))


def write(root: Path, kind: str = "npy") -> Path:
    """A dataset of five records: ``npy``, ``npz``, ``h5``, or ``parts`` (two .npy)."""
    root.mkdir(parents=True, exist_ok=True)
    write_table(root)
    if kind == "npy":
        np.save(root / "ecg.npy", signal_uv())
        describe(root)
    elif kind == "npz":
        # Lead last, big-endian floats in volts, behind another member.
        stored = (signal_uv().transpose(0, 2, 1) * 1e-6).astype(">f8")
        np.savez(root / "ecg.npz", other=np.arange(9), ecg=stored)
        describe(
            root,
            signals="ecg.npz",
            dataset="ecg",
            axes=["records", "samples", "leads"],
            units="V",
        )
    elif kind == "h5":
        with h5py.File(root / "ecg.h5", "w") as file:
            stored = signal_uv().astype(np.float32) / 1000
            file.create_dataset("set/ecgs", data=stored, chunks=(2, 3, 700), compression="gzip")
        describe(root, signals="ecg.h5", dataset="set/ecgs", units="mV")
    else:
        # Steps of 0.5 uV in Fortran order, over two files.
        np.save(root / "a.npy", np.asfortranarray(signal_uv()[:2] * 2))
        np.save(root / "b.npy", (signal_uv()[2:] * 2))
        describe(root, signals=["a.npy", "b.npy"], scale=0.5)
    return root
