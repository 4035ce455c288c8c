"""NeuroKit2's delineators over recordings, for ``bench_delineate``.

It runs in an interpreter of its own, with NeuroKit2 and NumPy but none of this project:
``python delineate_neurokit.py METHOD FROM.npz TO.npz``. Each lead is cleaned, its R peaks found
and its waves delineated as in NeuroKit2's documentation.
"""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from typing import Any

import numpy as np

BEATS = 64  # at most, of a lead
KEYS = {
    "P": ("ECG_P_Onsets", "ECG_P_Peaks", "ECG_P_Offsets"),
    "QRS": ("ECG_R_Onsets", "", "ECG_R_Offsets"),
    "T": ("ECG_T_Onsets", "ECG_T_Peaks", "ECG_T_Offsets"),
}


def main() -> None:
    nk: Any = importlib.import_module("neurokit2")
    method, source, target = sys.argv[1:]
    with np.load(source) as file:
        signals, fs_hz = file["signals"], int(file["fs_hz"])
    marks = np.full((*signals.shape[:2], len(KEYS), BEATS, 3), np.nan)
    warnings.simplefilter("ignore")
    failed = 0
    began = time.process_time()
    for record, leads in enumerate(signals):
        for lead, signal in enumerate(leads):
            try:
                clean = nk.ecg_clean(signal, sampling_rate=fs_hz)
                peaks = nk.ecg_peaks(clean, sampling_rate=fs_hz)[1]["ECG_R_Peaks"]
                _, waves = nk.ecg_delineate(clean, peaks, sampling_rate=fs_hz, method=method)
            except Exception:  # where it finds too few beats it fails in many ways
                failed += 1
                continue
            for kind, names in enumerate(KEYS.values()):
                for edge, name in enumerate(names):
                    found = np.asarray(waves[name] if name else peaks, np.float64)[:BEATS]
                    marks[record, lead, kind, : len(found), edge] = found / fs_hz
    seconds = time.process_time() - began
    np.savez(target, marks=marks, seconds=seconds, failed=failed, version=nk.__version__)


if __name__ == "__main__":
    main()
