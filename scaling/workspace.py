"""Where a worker finds and leaves things: the live store, prepared corpora, source files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling.records.layout import LiveStore
from scaling.records.names import FINISHED
from scaling.records.record import RecordError, read_record, status_of

Report = Callable[[float], None]  # takes the share of a trial that is done, in [0, 1]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workspace(LiveStore):
    """The live store of a study, and what else a worker needs. Never part of an id.

    Attributes:
        store: the study's live store.
        cache: prepared corpora, shared by studies.
        roots: source name -> folder of its files in the official layout.
        threads: torch threads of this worker.
        checkpoint_s: seconds between checkpoints of a training; they are written at evaluations.
    """

    cache: Path
    roots: tuple[tuple[str, str], ...] = ()
    threads: int = 1
    checkpoint_s: float = 60.0

    def finished(self, record_id: str) -> dict[str, Any] | None:
        """The finished record of that id, in the store or still in the spool, or None.

        A failed one is none: it stays in the store while the trial runs again, and until the
        driver takes in what came of that. One that is broken is for the driver to set aside.
        """
        for path in (self.record(record_id), self.spooled(record_id)):
            try:
                record = read_record(path)
            except (FileNotFoundError, RecordError):
                continue
            if status_of(record) in FINISHED:
                return record
        return None

    def root(self, source: str) -> Path | None:
        """Folder of a source's files, or None."""
        return next((Path(p) for name, p in self.roots if name == source), None)


def cache_dir() -> Path:
    """Where prepared corpora, counted ladders and measured speeds are kept between studies.

    ``$ECG_CACHE``, else ``ecg-scaling`` in the XDG cache folder (``~/.cache``).

    The folder may not exist yet; whoever writes makes it.
    """
    if chosen := os.environ.get("ECG_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ecg-scaling"
