"""The user's own WFDB records in several formats, written by wfdb, csv and json."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray

LEADS = ["I", "II", "V5"]
HEADER = ["name", "who", "age", "sex", "findings", "file"]
ROWS = [
    ["a", "p1", "50", "F", "AF|PVC", "2020/a"],
    ["b", "p1", "51", "F", "NORM", "2020/b.hea"],
    ["c", "p2", "", "M", "AF", "2021/c"],
    ["d", "p3", "33", "M", "NORM", "2021/d"],
]
FORMATS = {"a": "16", "b": "212", "c": "24", "d": "16"}


def steps(name: str, samples: int = 400) -> NDArray[np.int64]:
    """(samples, 3): sample t of lead k of record x is (5 t + 40 k + ord(x)) mod 300 - 100."""
    t, k = np.arange(samples)[:, None], np.arange(3)[None, :]
    wave: NDArray[np.int64] = (5 * t + 40 * k + ord(name)) % 300 - 100
    return wave


def write(root: Path) -> Path:
    """Four records: a, b and c in mV with 200 steps per mV and a baseline of 7, d in uV."""
    for row in ROWS:
        folder = root / Path(row[5]).parent
        folder.mkdir(parents=True, exist_ok=True)
        name = row[0]
        wfdb.wrsamp(
            name, fs=250, units=["uV" if name == "d" else "mV"] * 3, sig_name=LEADS,
            d_signal=steps(name), fmt=[FORMATS[name]] * 3,
            adc_gain=[0.2 if name == "d" else 200.0] * 3, baseline=[7] * 3, write_dir=str(folder),
        )  # fmt: skip
    write_table(root)
    describe(root)
    return root


def write_table(root: Path, rows: list[list[str]] = ROWS) -> None:
    """Write ``labels.csv``."""
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])


def describe(root: Path, **columns: Any) -> None:
    """Write ``dataset.json``; columns are changed as named, None takes one away."""
    named = {"record": "name", "patient": "who", "age": "age", "sex": "sex", "path": "file"}
    named = {key: name for key, name in (named | columns).items() if name is not None}
    value = {
        "table": "labels.csv",
        "columns": named,
        "labels": {"column": "findings", "separator": "|"},
    }
    (root / "dataset.json").write_text(json.dumps(value))
