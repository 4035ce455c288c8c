"""The live store of a study: records on disk, one driver at a time, nothing half-written."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.identity import Job
from scaling.records.files import FULL, why, write_json
from scaling.records.layout import STUDY, live_store
from scaling.records.names import FINISHED, HELD_OUT
from scaling.records.record import RecordError, read_record, status_of, validate, write_record
from scaling.records.tables import Compacted
from sweeps.errors import ConfigurationError, StorageError

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a plan needs of a record."""

    status: str  # one of ``scaling.records.names.STATUSES``
    record: Record  # without its curve and values
    # metric -> value on validation, of a held-out evaluation
    validation: Mapping[str, float] = dataclasses.field(default_factory=dict)


def is_finished(name: str, known: Mapping[str, Known]) -> bool:
    """Whether what has this id ran to an end; it is never run again then."""
    return name in known and known[name].status in FINISHED


class Store:
    """``results/<study>/.runs``, as ``docs/records.md`` describes it.

    Reading needs no lock; everything that writes belongs inside ``locked``.

    Args:
        folder: the study's results folder; it need not exist.
        study: name of the study it must belong to.
        choosable: whether ``--results`` of the command could name another folder.
    """

    def __init__(self, folder: Path, study: str, *, choosable: bool = True) -> None:
        self.folder = folder
        self.study = study
        self.choosable = choosable
        self.live = live_store(folder)
        self.runs = self.live.store
        self.known: dict[str, Known] = {}
        self._held: Compacted | None = None  # what the tables hold that has not changed since

    def read(self) -> None:
        """Learn what is on disk, spooled records included, without changing anything.

        Raises:
            ConfigurationError: the folder belongs to another study, or cannot be read.
        """
        self._check_study()
        self.known = {}
        for folder in (self.live.records, self.live.spool):
            for path in sorted(folder.glob("*.json")):
                try:
                    self._learn(read_record(path))
                except (RecordError, FileNotFoundError):
                    continue
                except OSError as error:
                    message = f"{path}: cannot be read: {error.strerror or error}"
                    raise ConfigurationError(message) from None

    def _check_study(self) -> None:
        for path in (self.live.study, self.folder / STUDY):
            try:
                found = json.loads(path.read_bytes())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise ConfigurationError(f"{path}: {error.strerror or error}") from None
            except ValueError as error:
                raise ConfigurationError(
                    f"{path}: not JSON ({error}); {self._anew(path)}"
                ) from None
            if not isinstance(found, dict) or not isinstance(found.get("study"), str):
                raise ConfigurationError(f"{path}: names no study; {self._anew(path)}")
            if found["study"] != self.study:
                raise ConfigurationError(self._other_study(path, found["study"]))

    def _anew(self, path: Path) -> str:
        """What to do about a broken ``study.json``."""
        if path.parent == self.folder:
            return "delete it: python -m sweeps.publish writes it anew"
        return "delete it: python -m sweeps.run on the study's grid writes it anew"

    def _other_study(self, path: Path, found: str) -> str:
        if not self.choosable:
            return (
                f"{path} is of study {found!r}, but {self.runs} of {self.study!r}; "
                "move what does not belong there to another folder"
            )
        return (
            f"{self.folder} holds the results of study {found!r}, not {self.study!r}; "
            "choose another folder with --results, or another name for the study"
        )

    def _learn(self, record: Record) -> None:
        if not is_finished(record["id"], self.known):
            short = {k: v for k, v in record.items() if k not in ("curve", "values")}
            self.known[record["id"]] = Known(
                status=status_of(record), record=short, validation=_validation(record)
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[list[str]]:
        """Hold the store as its only driver; yields messages on what was found broken.

        Takes in records that workers of an earlier run left in the spool.

        Raises:
            ConfigurationError: another driver is running, the folder cannot be written, or it
                belongs to another study.
            StorageError: the disk is full.
        """
        self._check_study()
        file = self._open_lock()
        try:
            yield self.take_in()
        finally:
            os.close(file)  # the kernel lets go of the lock, as it does when we are killed

    def _open_lock(self) -> int:
        try:
            for folder in (self.live.records, self.live.spool, self.live.weights):
                folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self.runs / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to the results folder {self.folder}: {error.strerror}; "
                f"{'choose another with --results' if self.choosable else 'make it writable'}"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(file, 32).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise ConfigurationError(
                f"another run (process {owner}) is working on {self.folder}; "
                "wait for it, or stop it first"
            ) from None
        # Whose lock it is only helps a message; a disk too full for it is reported by
        # whatever must be written.
        with contextlib.suppress(OSError):
            os.truncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return file

    def take_in(self) -> list[str]:
        """Load the records, take in the spool, and set broken files aside.

        Returns:
            One message for each file that was set aside.

        Raises:
            StorageError: the disk is full, or a record may not be read.
        """
        messages = []
        self.known = {}
        live = self.live
        self._held = Compacted.read(live) or self._held
        folders = (live.records, live.spool, live.weights, live.checkpoints, live.predictions)
        for folder in folders:
            for part in folder.glob(".*.part"):
                part.unlink(missing_ok=True)  # a writer that was killed
        for folder in (self.live.records, self.live.spool):
            for path in sorted(folder.glob("*.json")):
                try:
                    with self._failures_named(path):
                        record = read_record(path)
                except RecordError as error:
                    messages.append(self._set_aside(path, error))
                    continue
                if folder == self.live.records:
                    self._learn(record)
                else:
                    self.ingest(record)
        self._forget_gone()
        return messages

    def _set_aside(self, path: Path, error: RecordError) -> str:
        rejected = self.live.spool / "rejected"
        with self._failures_named(path):
            rejected.mkdir(exist_ok=True)
            to, count = rejected / path.name, 1
            while to.exists():  # another was set aside before: none is lost
                count += 1
                to = rejected / f"{path.stem}-{count}.json"
            path.rename(to)
        return f"{error}; moved to {to}, and it will be run again"

    def _forget_gone(self) -> None:
        """Tables that hold a record which is gone must not be believed once it is run again."""
        if self._held is None:
            with self._failures_named(self.live.compacted):
                self.live.compacted.unlink(missing_ok=True)
        elif gone := self._held.ids - self.known.keys():
            self._forget_rows(gone)

    def _forget_rows(self, ids: Iterable[str]) -> None:
        """Tables that hold other versions of these records must not be believed.

        Their rows of other records still can be, by this process, which knows which.
        """
        if self._held is not None and (old := self._held.ids & set(ids)):
            with self._failures_named(self.live.compacted):
                self.live.compacted.unlink(missing_ok=True)
            self._held = dataclasses.replace(self._held, ids=self._held.ids - old)

    def ingest(self, record: Record) -> None:
        """Keep a record; a finished one is never replaced.

        Raises:
            RecordError: it breaks the schema.
            StorageError: it could not be written; nothing half-written is left, and it stays
                in the spool.
        """
        validate(record)
        spooled = self.live.spool / f"{record['id']}.json"
        with self._failures_named(self.live.records / spooled.name):
            if not is_finished(record["id"], self.known):
                if record["id"] in self.known:
                    self._forget_rows([record["id"]])
                write_record(self.live.records, record)
                self._learn(record)
            spooled.unlink(missing_ok=True)

    def ingest_job(self, job: Job, records: Sequence[Record]) -> list[Record]:
        """Keep the records of a job: those handed over, and those it left in the spool.

        Returns:
            All of them. A worker that was killed and started again hands over only what it
            did the second time.
        """
        handed = {record["id"]: record for record in records}
        for name in (job.training.id, *(e.id for e in job.evaluations)):
            path = self.live.spool / f"{name}.json"
            if name not in handed and path.exists():
                with contextlib.suppress(RecordError):  # set aside when the store is taken in
                    handed[name] = read_record(path)
        for record in handed.values():
            self.ingest(record)
        return list(handed.values())

    @contextlib.contextmanager
    def _failures_named(self, path: Path) -> Iterator[None]:
        """Say what could not be done to the file that an error names, else to ``path``."""
        try:
            yield
        except StorageError:
            raise
        except OSError as error:
            full, name = error.errno in FULL, error.filename2 or error.filename or path
            raise StorageError(
                error.errno,
                f"{name}: {why(error)}. Nothing half-written is left and finished records are "
                f"safe; {'make room' if full else 'mend that'} and run the same command again",
            ) from None

    def write(self, name: str, value: Any) -> None:
        """Write one of the store's JSON files, when its content changed.

        Raises:
            StorageError: it could not be written; the old file is left as it was.
        """
        if self.read_json(name) != value:
            with self._failures_named(self.runs / name):
                write_json(self.runs / name, value)

    def read_json(self, name: str) -> Any:
        """One of the store's JSON files, or None where there is none that can be read."""
        try:
            return json.loads((self.runs / name).read_bytes())
        except (OSError, ValueError):
            return None

    def trainings(self) -> Iterable[Mapping[str, Any]]:
        """Training records that ran to an end."""
        for known in self.known.values():
            if known.record["kind"] == "training" and known.status in FINISHED:
                yield known.record

    def drop_checkpoints(self) -> None:
        """Delete the checkpoints of trainings that are finished: nothing goes on from them."""
        for path in self.live.checkpoints.glob("*"):
            if is_finished(path.name.lstrip(".").split(".")[0], self.known):
                path.unlink(missing_ok=True)

    def compact(self) -> None:
        """Bring ``trials.parquet`` and ``evaluations.parquet`` up to date with the records.

        Records that they hold are not read again. A table that was lost or damaged is written anew.

        Raises:
            StorageError: a table could not be written; the old ones are left.
        """
        from scaling.records.tables import tables_hold, write_tables

        ids = sorted(self.known)
        if tables_hold(self.live, self.study, ids):
            return
        with self._failures_named(self.runs):
            write_tables(self.live, self.study, ids, self._held)
        self._held = Compacted.read(self.live)


def _validation(record: Record) -> dict[str, float]:
    """What the trained head of a model scored on validation, from its held-out evaluation."""
    return {
        row["metric"]: row["value"]
        for row in record.get("values", ())
        if row["protocol"] == HELD_OUT and row["split"] == "validation"
        if row["value"] is not None
    }
