"""The live store: nothing half-written, nothing lost, one driver, one study."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scaling.identity import Job
from scaling.provenance import failed_training
from scaling.records.record import read_record, write_record
from scaling.records.schema import EVALUATIONS, TRIALS, names
from scaling.trial import run_job
from scaling.workspace import Workspace
from sweeps.errors import ConfigurationError, StorageError
from sweeps.store import Store
from tests.sweeps.conftest import GRID, WriteGrid
from tests.sweeps.study import plan_of, run, store_of

Record = dict[str, Any]


@pytest.fixture
def job(grid: Path) -> Job:
    return plan_of(grid).trials[0].job


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "small", "small")


@pytest.fixture
def spooled(job: Job, store: Store, tmp_path: Path) -> list[Record]:
    """Records that a worker wrote and nobody took in."""
    return run_job(job, Workspace(store=store.runs, cache=tmp_path))


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_spooled_records_are_taken_in(store: Store, spooled: list[Record]) -> None:
    with store.locked() as messages:
        assert messages == []
    assert {path.stem for path in store.live.records.iterdir()} == {r["id"] for r in spooled}
    assert list(store.live.spool.glob("*.json")) == []
    assert set(store.known) == {r["id"] for r in spooled}


def test_what_writers_left_that_were_killed_is_removed(store: Store) -> None:
    folders = [store.runs / name for name in ("spool", "weights", "checkpoints", "predictions")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / ".t1.safetensors.part").touch()
        (folder / "t1.safetensors").touch()
    with store.locked():
        pass
    assert not list(store.runs.rglob("*.part"))
    assert all((folder / "t1.safetensors").exists() for folder in folders)


def test_a_broken_record_of_a_worker_that_was_killed_ends_no_run(
    job: Job, store: Store, spooled: list[Record]
) -> None:
    broken = store.live.spool / f"{spooled[0]['id']}.json"
    broken.write_text("{")
    kept = store.ingest_job(job, [])
    assert {record["id"] for record in kept} == {record["id"] for record in spooled[1:]}
    assert broken.exists()  # until the store is taken in, which says so


def test_reading_changes_nothing_and_sees_the_spool(store: Store, spooled: list[Record]) -> None:
    store.read()
    assert set(store.known) == {r["id"] for r in spooled}
    assert not store.live.records.exists()


def test_a_broken_spool_file_is_set_aside(store: Store, spooled: list[Record]) -> None:
    broken = store.live.spool / f"{spooled[0]['id']}.json"
    text = broken.read_text()
    broken.write_text(text[:100])
    with store.locked() as messages:
        pass
    assert len(messages) == 1
    assert str(broken) in messages[0]
    assert "run again" in messages[0]
    assert (store.live.spool / "rejected" / broken.name).read_text() == text[:100]
    assert spooled[0]["id"] not in store.known


def test_records_that_are_set_aside_replace_none(store: Store, spooled: list[Record]) -> None:
    name = f"{spooled[0]['id']}.json"
    for content in ("first", "second"):
        (store.live.spool / name).write_text(content)
        with store.locked():
            pass
    kept = sorted((store.live.spool / "rejected").iterdir())
    assert {path.read_text() for path in kept} == {"first", "second"}


@pytest.mark.parametrize("damaged", ["compacted.json", "trials.parquet"])
def test_a_record_under_another_name_is_set_aside_and_run_again(
    damaged: str, grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(grid) == 0
    store = store_of(grid)
    path = next(store.live.records.glob("t*.json"))
    other = path.rename(path.with_name(f"old-{path.name}"))
    (store.runs / damaged).write_bytes(b"\xff")
    capsys.readouterr()
    assert run(grid) == 0
    said = capsys.readouterr().err
    assert f"warning: {other}: its id is {path.stem!r}, which is not its name; moved to " in said
    assert not other.exists()
    assert (store.live.spool / "rejected" / other.name).exists()
    assert path.exists()
    assert pq.read_table(store.runs / "trials.parquet").num_rows == 9


def test_a_record_that_was_deleted_is_not_believed_to_be_in_the_tables(grid: Path) -> None:
    assert run(grid) == 0
    store = store_of(grid)
    path = next(store.live.records.glob("t*.json"))
    record = read_record(path)
    record["trial"]["device"] = "another machine"
    write_record(store.live.records, record)
    (store.runs / "compacted.json").unlink()
    assert run(grid) == 0  # the tables hold it
    path.unlink()
    assert run(grid) == 0
    assert read_record(path)["trial"]["device"] != "another machine"
    devices = pq.read_table(store.runs / "trials.parquet")["device"].to_pylist()
    assert "another machine" not in devices


def test_a_folder_in_the_place_of_a_record_is_set_aside(
    store: Store, spooled: list[Record]
) -> None:
    folder = store.live.records / "t0.json"
    folder.mkdir(parents=True)
    (folder / "kept").touch()
    store.read()
    assert set(store.known) == {r["id"] for r in spooled}
    with store.locked() as messages:
        assert set(store.known) == {r["id"] for r in spooled}
    (message,) = messages
    assert message.startswith(f"{folder}: a folder, not a record; moved to ")
    assert (store.live.spool / "rejected" / "t0.json" / "kept").exists()


def test_a_file_that_cannot_be_written_is_named(store: Store, spooled: list[Record]) -> None:
    assert spooled
    table = store.runs / "trials.parquet"
    table.mkdir()
    with store.locked(), pytest.raises(StorageError) as caught:
        store.compact()
    assert str(caught.value.strerror).startswith(f"{table}: Is a directory. ")
    assert "make room" not in str(caught.value)


def test_a_finished_record_is_never_replaced(store: Store, spooled: list[Record]) -> None:
    with store.locked():
        first = read_record(store.live.records / f"{spooled[0]['id']}.json")
        other = spooled[0] | {"trial": spooled[0]["trial"] | {"lr": 123.0}}
        store.ingest(other)
    assert read_record(store.live.records / f"{spooled[0]['id']}.json") == first


def test_a_failed_record_is_replaced_and_its_tables_are_not_believed(
    job: Job, store: Store, spooled: list[Record]
) -> None:
    for record in spooled:
        (store.live.spool / f"{record['id']}.json").unlink()
    with store.locked():
        store.ingest(failed_training(job.training, ValueError("no")))
        store.compact()
        assert store.read_json("compacted.json")["ids"] == [job.training.id]
        store.ingest(spooled[0])
        assert store.read_json("compacted.json") is None
        store.compact()
    assert pq.read_table(store.runs / "trials.parquet")["status"].to_pylist() == ["done"]


def test_a_worker_started_again_leaves_nothing_behind(
    job: Job, store: Store, spooled: list[Record]
) -> None:
    with store.locked():
        for record in spooled:
            write_record(store.live.spool, record)
        (store.live.records / f"{spooled[0]['id']}.json").unlink()
        store.known.pop(spooled[0]["id"])
        kept = store.ingest_job(job, spooled[1:])
    assert {record["id"] for record in kept} == {record["id"] for record in spooled}
    assert list(store.live.spool.glob("*.json")) == []


def test_tables_hold_every_column(store: Store, spooled: list[Record]) -> None:
    with store.locked():
        store.compact()
    trials = pq.read_table(store.runs / "trials.parquet")
    evaluations = pq.read_table(store.runs / "evaluations.parquet")
    assert tuple(trials.column_names) == names(TRIALS)
    assert trials["label_set"].to_pylist() == [""]
    assert trials["C_full"].to_pylist() == trials["C"].to_pylist()
    assert tuple(evaluations.column_names) == names(EVALUATIONS)
    assert trials["study"].to_pylist() == ["small"]
    rows = sum(len(r["curve"] if r["kind"] == "training" else r["values"]) for r in spooled)
    assert evaluations.num_rows == rows
    assert set(evaluations["trial"].to_pylist()) == {spooled[0]["id"]}


def test_records_of_before_both_counts_have_empty_cells(
    store: Store, spooled: list[Record]
) -> None:
    path = store.live.records / f"{spooled[0]['id']}.json"
    del spooled[0]["trial"]["macs_full"], spooled[0]["trial"]["C_full"]
    write_record(path.parent, spooled[0])
    with store.locked():
        store.compact()
    trials = pq.read_table(store.runs / "trials.parquet")
    assert trials["macs_full"].to_pylist() == trials["C_full"].to_pylist() == [None]


def test_compacting_again_writes_nothing(
    store: Store, spooled: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spooled
    with store.locked():
        store.compact()
        monkeypatch.setattr(
            "scaling.records.tables.write_tables", lambda *a: pytest.fail("written again")
        )
        store.compact()


def tables_of(store: Store) -> list[bytes]:
    names = ("trials.parquet", "evaluations.parquet", "compacted.json")
    return [(store.runs / name).read_bytes() for name in names]


def test_what_the_tables_hold_is_not_read_again(
    grid: Path, write_grid: WriteGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(grid) == 0
    read: list[str] = []

    def reading(path: Path) -> Record:
        read.append(path.stem)
        return read_record(path)

    before = set(store_of(grid).known)
    grown = write_grid(GRID.replace("256, 512", "128, 256, 512"))
    with monkeypatch.context() as patch:
        patch.setattr("scaling.records.tables.read_record", reading)
        assert run(grown) == 0
    store = store_of(grown)
    assert set(read) == set(store.known) - before
    appended = tables_of(store)
    (store.runs / "compacted.json").unlink()
    assert run(grown) == 0
    assert tables_of(store) == appended  # as if all had been read


def test_a_record_that_is_replaced_has_its_new_rows_among_the_old_ones(
    write_grid: WriteGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = write_grid(GRID.replace("simulated/chinchilla", "simulated/flaky"))
    assert run(grid) == 1
    store = store_of(grid)
    good = {name for name, known in store.known.items() if known.status == "done"}
    read: list[str] = []

    def reading(path: Path) -> Record:
        read.append(path.stem)
        return read_record(path)

    with monkeypatch.context() as patch:
        patch.setattr("scaling.records.tables.read_record", reading)
        assert run(grid) == 0
    assert read
    assert not set(read) & good
    appended = tables_of(store)
    assert set(pq.read_table(store.runs / "trials.parquet")["status"].to_pylist()) == {"done"}
    (store.runs / "compacted.json").unlink()
    assert run(grid) == 0
    assert tables_of(store) == appended


def test_a_spooled_record_that_replaces_one_replaces_its_rows(
    job: Job, store: Store, spooled: list[Record]
) -> None:
    for record in spooled:
        (store.live.spool / f"{record['id']}.json").unlink()
    with store.locked():
        store.ingest(failed_training(job.training, ValueError("no")))
        store.compact()
    write_record(store.live.spool, spooled[0])
    again = Store(store.folder, "small")
    with again.locked():
        assert again.read_json("compacted.json") is None
        again.compact()
    assert pq.read_table(store.runs / "trials.parquet")["status"].to_pylist() == ["done"]


@pytest.mark.parametrize("name", ["trials.parquet", "evaluations.parquet"])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_table_that_is_lost_or_damaged_is_written_anew(
    name: str, damage: str, store: Store, spooled: list[Record]
) -> None:
    assert spooled
    with store.locked():
        store.compact()
        table = store.runs / name
        before = table.read_bytes()
        if damage == "gone":
            table.unlink()
        else:
            half = len(before) // 2
            table.write_bytes(
                before[:half] + (b"" if damage == "cut" else b"?" + before[half + 1 :])
            )
        store.compact()
        assert table.read_bytes() == before


def test_a_run_that_has_nothing_to_run_mends_the_tables(
    grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(grid) == 0
    table = store_of(grid).runs / "trials.parquet"
    before = table.read_bytes()
    table.write_bytes(b"")
    capsys.readouterr()
    assert run(grid) == 0
    assert "nothing to run" in capsys.readouterr().out
    assert table.read_bytes() == before


def test_a_second_driver_is_told_who_holds_the_store(store: Store) -> None:
    other = Store(store.folder, "small")
    words = rf"process {os.getpid()}\) is working on"
    with store.locked(), pytest.raises(ConfigurationError, match=words):
        other.locked().__enter__()
    with other.locked():
        pass  # the lock is free again


def test_a_lock_dies_with_its_driver(store: Store) -> None:
    code = (
        "import os, pathlib, signal, sys; from sweeps.store import Store\n"
        "with Store(pathlib.Path(sys.argv[1]), 'small').locked():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.folder)], check=False)
    assert done.returncode == -9
    with store.locked():
        assert (store.runs / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("where", [".runs/study.json", "study.json"])
def test_the_results_of_another_study_are_refused(where: str, store: Store) -> None:
    path = store.folder / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"study": "other"}))
    for attempt in (store.read, store.locked().__enter__):
        with pytest.raises(ConfigurationError, match="holds the results of study 'other'"):
            attempt()


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"study": 1}', b"{", b"\xff"])
@pytest.mark.parametrize(
    ("where", "who"), [(".runs/study.json", "sweeps.run"), ("study.json", "sweeps.publish")]
)
def test_a_broken_study_file_can_be_deleted(
    where: str, who: str, content: bytes, store: Store
) -> None:
    path = store.folder / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    words = rf"{path}: .*; delete it: python -m {who} .*writes it anew"
    with pytest.raises(ConfigurationError, match=words):
        store.locked().__enter__()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file, not a folder")
    store = Store(tmp_path / "results" / "small", "small")
    with pytest.raises(ConfigurationError, match="cannot write to the results folder"):
        store.locked().__enter__()


def test_a_full_disk_while_a_record_is_taken_in(store: Store, spooled: list[Record]) -> None:
    with store.locked():
        pass
    missing = store.live.records / f"{spooled[0]['id']}.json"
    missing.unlink()
    write_record(store.live.spool, spooled[0])
    store.known.clear()
    with file_limit(512), pytest.raises(StorageError) as caught, store.locked():
        pass
    assert str(caught.value.strerror).startswith(f"{missing}: File too large. ")
    assert "make room" not in str(caught.value)
    assert not missing.exists()
    assert not list(store.live.records.glob(".*"))
    with store.locked():
        assert read_record(missing) == json.loads(json.dumps(spooled[0]))


def test_a_full_disk_while_tables_are_written(
    store: Store, spooled: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spooled
    with store.locked():
        store.compact()
        before = (store.runs / "trials.parquet").read_bytes()
        (store.runs / "compacted.json").unlink()

        def full(*words: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("scaling.records.tables.write_whole", full)
        with pytest.raises(StorageError, match=r"the disk is full.*make room"):
            store.compact()
    assert (store.runs / "trials.parquet").read_bytes() == before


def test_a_full_disk_ends_a_run_and_the_next_one_completes_it(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writes = 0
    real = os.replace

    def replace(source: str, target: str) -> None:
        nonlocal writes
        writes += Path(target).parent.name == "records"
        if writes > 5:
            raise OSError(errno.ENOSPC, "No space left on device", target)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("scaling.records.files.os.replace", replace)
        assert run(grid) == 1
    assert "the disk is full" in capsys.readouterr().err
    store = store_of(grid)
    assert all(read_record(path) for path in store.live.records.glob("*.json"))
    assert len(list(store.live.records.glob("*.json"))) == 5
    assert len(list(store.live.spool.glob("*.json"))) == 1
    assert run(grid) == 0
    assert len(store_of(grid).known) == 27
