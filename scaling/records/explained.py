"""What pictures of students are drawn from: signals, maps and features of one teacher's students.

``python -m scaling.explain`` opens models and leaves one file of arrays; whoever draws needs no
model. ``Explained`` says what the arrays are; ``docs/records.md`` lists them.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scaling.records.files import write_whole
from scaling.records.tables import ResultsError

SCHEMA = 1  # raised when the arrays change
Words = NDArray[np.str_]
Numbers = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explained:
    """M models, R test records with signals of L leads and T samples, P with features; C classes.

    Attributes:
        models: (M,) training ids; that of the teacher comes first where there is one.
        teacher: (M,) bool, whether a model is the teacher.
        restoring: (M,) bool, whether a model is given hidden leads restored, and not as zeros.
        restoration: () training id of the net that restores leads; empty where none does.
        classes: (C,) names.
        leads: (L,) names, in order.
        input_leads: (I,) names of those that students are given; all where none is hidden.
        fs_hz: () sampling rate in hertz.
        unit: () of the signals: ``mV``, or empty where they were standardised.
        record: (R,) ids of the records.
        labels: (R, C) 0 or 1.
        explained: (R,) place in ``classes`` of the class that maps of the record are of.
        true: (R, L, T) the records in ``unit``.
        restored: (R, L, T) what the net makes of them; (0, L, T) where there is none.
        cam: (M, R, T) Grad-CAM, 0 or more, in logits a place; see ``scaling.explain.grad_cam``.
        logits: (M, R, C) log-odds of the classes.
        point_record: (P,) ids of the records with features.
        point_labels: (P, C) 0 or 1.
        features: of each model (P, F), what its head reads; F is its own.
        tsne: (M, P, 2) t-SNE of each model's features, without a unit.
        asked: (2,) how many records with signals and with features were wanted.
    """

    models: Words
    teacher: NDArray[np.bool_]
    restoring: NDArray[np.bool_]
    restoration: Words
    classes: Words
    leads: Words
    input_leads: Words
    fs_hz: NDArray[np.int64]
    unit: Words
    record: Words
    labels: NDArray[np.uint8]
    explained: NDArray[np.int64]
    true: Numbers
    restored: Numbers
    cam: Numbers
    logits: Numbers
    point_record: Words
    point_labels: NDArray[np.uint8]
    features: tuple[Numbers, ...]
    tsne: Numbers
    asked: NDArray[np.int64]

    @property
    def students(self) -> tuple[str, ...]:
        """Training ids of the students, in order."""
        return tuple(self.models[~self.teacher].tolist())

    def save(self, path: Path) -> None:
        """Write all arrays to one compressed file, completely or not at all.

        A file holds them by name, the features of model m as ``features_<m>``, and ``schema``.

        Raises:
            OSError: it could not be written; nothing half-written is left.
        """
        arrays: dict[str, Any] = {"schema": np.array(SCHEMA)}
        for name in ARRAYS:
            arrays[name] = getattr(self, name)
        for place, features_PF in enumerate(self.features):
            arrays[f"features_{place}"] = features_PF
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_whole(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``save`` wrote; no pickle is opened.

        Raises:
            OSError: there is none, or it may not be read.
            ResultsError: it is damaged, or of another version.
        """
        data = io.BytesIO(path.read_bytes())  # a broken file would be left open
        try:
            with np.load(data, allow_pickle=False) as stored:
                found = {name: stored[name] for name in stored.files}
        except (zipfile.BadZipFile, ValueError, EOFError, KeyError, zlib.error) as error:
            raise ResultsError(f"{path}: cannot be read ({error})") from None
        if found.get("schema") != SCHEMA:
            raise ResultsError(f"{path}: of another version; delete it")
        own = [f"features_{place}" for place in range(len(found.get("models", ())))]
        if missing := [name for name in (*ARRAYS, *own) if name not in found]:
            raise ResultsError(f"{path}: no array {', '.join(missing)}; delete it")
        features = tuple(found[name] for name in own)
        return cls(features=features, **{name: found[name] for name in ARRAYS})


ARRAYS = tuple(f.name for f in dataclasses.fields(Explained) if f.name != "features")
