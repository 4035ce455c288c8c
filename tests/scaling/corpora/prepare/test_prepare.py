"""Preparing: the same bytes however it is done, whole or absent, resumed after any crash."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling.corpora import catalogue, processes
from scaling.corpora.errors import CorpusError, WorkerDiedError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare import prepare as preparing
from scaling.corpora.prepare.convert import convert
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.registry import corpus_folder, describe, resolve
from scaling.corpora.sources import virtual
from scaling.corpora.sources.read import listed
from scaling.identity import CorpusSpec
from tests.scaling.corpora import fake_source
from tests.scaling.corpora.conftest import SPEC
from tests.scaling.corpora.fake_source import FAKE, KilledError, make, quiet

REPOSITORY = Path(__file__).parents[4]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake source is in the catalogue, and chunks are of three records."""
    monkeypatch.setitem(catalogue.SOURCES, "fake", fake_source.INFO)
    monkeypatch.setattr(listed, "CHUNK", 3)


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    """Eleven records in four chunks; two are unusable."""
    return fake_source.write(
        tmp_path / "fakes", fake_source.some(11, r1="unusable", r4="unusable", r6="flat")
    )


def test_progress_is_told_and_a_second_call_reads_nothing(root: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = prepare(SPEC, tmp_path, root, lambda *at: told.append(at), workers=1)
    assert told[0] == (0, 7)
    assert told[-1] == (7, 7)
    count = len(told)
    prepare(SPEC, tmp_path, root, lambda *at: told.append(at))
    assert len(told) == count
    assert folder.name.startswith("ptbxl-c")


def test_a_resolved_spec_needs_no_root_once_prepared(root: Path, tmp_path: Path) -> None:
    spec = resolve(SPEC, root)
    folder = prepare(spec, tmp_path, root, quiet)
    shutil.rmtree(root)
    assert prepare(spec, tmp_path, None, quiet) == folder
    assert describe(spec, "all", tmp_path, None)["fingerprint"] == spec.fingerprint


def test_what_is_stored(fakes: Path, tmp_path: Path) -> None:
    corpus = make(fakes, tmp_path)
    assert corpus.record_ids == ("r0", "r2", "r3", "r5", "r6", "r7", "r8", "r9", "r10")
    x_BLT = corpus.batch(np.arange(9))
    expected = np.stack([fake_source.signal_mv(i) for i in (0, 2, 3, 5, 6, 7, 8, 9, 10)])
    expected[4, 7] = 0.0
    np.testing.assert_allclose(x_BLT, expected, atol=5.1e-4)
    assert corpus.labels("all")[:, 0].tolist() == [0] * 8 + [1]
    assert corpus.valid("odd").tolist() == [False, False, True, True, False, True, False, True,
                                            False]  # fmt: skip
    table = corpus.quality()
    assert table["flat_leads"].tolist() == [""] * 4 + ["V2"] + [""] * 4
    assert table["sex"].fillna("unknown").tolist()[:3] == ["female", "unknown", "female"]
    assert np.isnan(table["age"][0])
    for row in range(9):
        beats = corpus.r_peaks(row)
        assert len(beats) == table["n_r_peaks"][row]
        assert np.abs(beats - [50, 150, 250, 350]).max() <= 3
    assert len(np.unique(corpus.signatures, axis=0)) == 9
    assert (corpus.units, corpus.lsb) == ("mV", 0.001)
    assert corpus.info["splits"] == {"train": 6, "validation": 1, "test": 2}


def test_a_pool_writes_the_same_bytes_as_one_process(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = make(fakes, tmp_path / "alone")
    monkeypatch.setattr(preparing, "POOL_AFTER_S", -1.0)
    pooled = make(fakes, tmp_path / "pooled", workers=2)
    assert contents(alone.path) == contents(pooled.path)


def test_two_processes_at_once_make_one_corpus(root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (SPEC, tmp_path / "cache", root, quiet)
    both = [context.Process(target=prepare, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    folders = [p for p in (tmp_path / "cache/corpora").iterdir() if p.is_dir()]
    assert len(folders) == 1
    Corpus.open(folders[0]).verify()


# --- interrupted -----------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, at: int) -> list[int]:
    """Have the ``at``-th call to the disk raise; returns a list that counts the calls."""
    calls = [0]

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] == at:
                raise KilledError
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "unlink", "replace", "rename", "mkdir", "rmdir"):
        wrap(name)
    return calls


def test_a_crash_at_any_call_to_the_disk_is_resumed_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # only a power failure would tell
    monkeypatch.setattr("scaling.corpora.quality.report.page", lambda corpus, report: "quick")
    fakes = fake_source.write(tmp_path / "fakes", fake_source.some(5, r1="unusable"))
    whole = contents(make(fakes, tmp_path / "whole").path)
    cache = tmp_path / "cache"
    folder = corpus_folder(resolve(FAKE, fakes), cache)
    at, calls = 1, [0]
    while calls[0] >= at - 1:
        with pytest.MonkeyPatch.context() as patch:
            calls = failing(patch, at)
            with contextlib.suppress(KilledError):
                prepare(FAKE, cache, fakes, quiet, workers=1)
        if folder.exists():
            assert contents(folder) == whole
        assert contents(make(fakes, cache).path) == whole
        assert [path for path in cache.glob("corpora/*") if path.is_dir()] == [folder]
        shutil.rmtree(cache)
        at += 1
    assert at > 40  # there were many such calls


@pytest.mark.parametrize("stage", ["chunk 2", "chunk 4", "report", "rename"])
def test_kill_9_is_resumed_to_the_same_bytes(fakes: Path, tmp_path: Path, stage: str) -> None:
    whole = contents(make(fakes, tmp_path / "whole").path)
    script = f"""
import os, signal
from pathlib import Path
from scaling.corpora import catalogue
from scaling.corpora.prepare import finish
from scaling.corpora.prepare import prepare
from scaling.corpora.sources.read import listed
from tests.scaling.corpora import fake_source
catalogue.SOURCES["fake"], listed.CHUNK = fake_source.INFO, 3
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
told = []
def progress(done, total):
    told.append(done)
    if {stage!r} == f"chunk {{len(told) - 1}}": die()
if {stage!r} == "report": finish.write_report = die
if {stage!r} == "rename": Path.rename = die
cache, root = Path({str(tmp_path / "cache")!r}), Path({str(fakes)!r})
prepare.prepare(fake_source.FAKE, cache, root, progress, workers=1)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not corpus_folder(resolve(FAKE, fakes), tmp_path / "cache").exists()
    assert contents(make(fakes, tmp_path / "cache").path) == whole


def test_finished_chunks_are_not_prepared_again(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(FAKE, tmp_path, fakes, stop, workers=1)
    converted = 0

    def count(*arguments: Any) -> Any:
        nonlocal converted
        converted += 1
        return convert(*arguments)

    monkeypatch.setattr("scaling.corpora.prepare.chunks.convert", count)
    told: list[int] = []
    prepare(FAKE, tmp_path, fakes, lambda done, total: told.append(done), workers=1)
    assert told == [6, 9, 11]
    assert converted == 5


@pytest.mark.parametrize("damage", ["short", "garbled", "absent", "other plan"])
def test_a_damaged_chunk_is_made_again(fakes: Path, tmp_path: Path, damage: str) -> None:
    whole = contents(make(fakes, tmp_path / "whole").path)

    def stop(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(FAKE, tmp_path / "cache", fakes, stop, workers=1)
    part = corpus_folder(resolve(FAKE, fakes), tmp_path / "cache").with_suffix(".part")
    signals, tables = part / "chunks/000000.i16", part / "chunks/000000.npz"
    if damage == "short":
        signals.write_bytes(signals.read_bytes()[:-1])
    elif damage == "garbled":
        tables.write_bytes(tables.read_bytes()[:200])
    elif damage == "absent":
        signals.unlink()
    else:
        (part / "plan.json").write_text("{}")
    told: list[int] = []
    folder = prepare(
        FAKE, tmp_path / "cache", fakes, lambda done, total: told.append(done), workers=1
    )
    assert told[0] == (0 if damage == "other plan" else 3)
    assert contents(folder) == whole


def test_a_full_disk_leaves_nothing_that_looks_finished(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("scaling.corpora.prepare.finish.write_dropped", full)
        with pytest.raises(OSError, match="No space left"):
            make(fakes, tmp_path)
    assert not corpus_folder(resolve(FAKE, fakes), tmp_path).exists()
    make(fakes, tmp_path).verify()


def test_too_little_room_is_said_before_the_work(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = types.SimpleNamespace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CorpusError, match=r"takes 0\.1 MB, but only 0\.1 MB are free"):
        make(fakes, tmp_path)


def in_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "POOL_AFTER_S", -1.0)


def test_a_worker_that_dies_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_pool(monkeypatch)
    root = fake_source.write(tmp_path / "fakes", fake_source.some(11, r7="die"))
    with pytest.raises(CorpusError, match=r"worker process was killed.*what is done is kept"):
        make(root, tmp_path, workers=2)
    make(root, tmp_path).verify()


def test_a_worker_that_dies_at_the_end_loses_no_chunk(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise WorkerDiedError(processes.DIED)

    with monkeypatch.context() as patch:
        patch.setattr("scaling.corpora.prepare.prepare.finish", die)
        with pytest.raises(CorpusError, match="what is done is kept"):
            make(fakes, tmp_path)
    assert list(tmp_path.rglob("*.part/chunks/*"))
    make(fakes, tmp_path).verify()


def test_a_script_without_a_guard_is_told_so_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    root = fake_source.write(tmp_path / "fakes", fake_source.some(11))
    (tmp_path / "script.py").write_text(f"""
from pathlib import Path
from scaling.corpora import catalogue
from scaling.corpora.prepare import prepare as preparing
from scaling.corpora.sources.read import listed
from tests.scaling.corpora import fake_source
catalogue.SOURCES["fake"], listed.CHUNK, preparing.POOL_AFTER_S = fake_source.INFO, 3, -1
fake_source.make(Path({str(root)!r}), Path({str(tmp_path)!r}), workers=2)
""")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], timeout=120, capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 1
    assert 'put what the script does under if __name__ == "__main__":' in done.stderr
    assert 'or a script that calls prepare without if __name__ == "__main__":' in done.stderr


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    root = fake_source.write(tmp_path / "fakes", fake_source.some(11, r7="hang"))
    script = f"""
from pathlib import Path
from scaling.corpora import catalogue
from scaling.corpora.prepare import prepare as preparing
from scaling.corpora.sources.read import listed
from tests.scaling.corpora import fake_source
if __name__ == "__main__":
    catalogue.SOURCES["fake"], listed.CHUNK, preparing.POOL_AFTER_S = fake_source.INFO, 3, -1
    fake_source.make(Path({str(root)!r}), Path({str(tmp_path)!r}), workers=2)
"""
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, str(tmp_path / "script.py")]
    parent = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    try:
        worker = wait_for(lambda: next(root.glob("pid-*"), None))
        assert parent.poll() is None
    finally:
        parent.kill()
        parent.wait()
    number = worker.name.removeprefix("pid-")
    wait_for(lambda: not running(number) or None)


def running(number: str) -> bool:
    stat = Path("/proc") / number / "stat"
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], Any]) -> Any:
    for _ in range(1200):
        if (found := condition()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("waited for a minute")


# --- real sources ----------------------------------------------------------------------------


def test_presets_windows_and_rates_are_stored(root: Path, tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, preprocessing="s1", window_s=5, fs_hz=50)
    corpus = Corpus.open(prepare(spec, tmp_path, root, quiet))
    assert corpus.signals.shape == (7, 12, 250)
    assert corpus.info["preprocessing"]["name"] == "s1"
    assert corpus.spec == resolve(spec, root)
    assert abs(float(corpus.batch(np.arange(7)).mean())) < 0.05


def test_too_long_a_window(root: Path, tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, window_s=12)
    with pytest.raises(CorpusError, match=r"all 7 records of ptbxl were left out.*10 s long"):
        prepare(spec, tmp_path, root, quiet)


VIRTUAL = CorpusSpec(source="virtual/code", records=40, validation=10, test=20, window_s=2)
BAYES = {"value": 0.1, "se": 0.001, "lower_bound": 0.1, "per_label": {}, "method": "made up"}


def test_a_larger_virtual_pool_leaves_the_subset_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual.VirtualSource, "bayes_loss", lambda source, workers: {"": BAYES})
    larger = dataclasses.replace(VIRTUAL, records=60)
    small, large = (Corpus.open(prepare(s, tmp_path, None, quiet)) for s in (VIRTUAL, larger))
    rows = small.subset("", 30)
    np.testing.assert_array_equal(rows, large.subset("", 30))
    np.testing.assert_array_equal(small.batch(rows), large.batch(rows))
    with pytest.raises(CorpusError, match="change the seed of the corpus"):
        small.subset("", 30, seed=1)
    entry = describe(VIRTUAL, "", tmp_path, None)
    assert entry["records"] == {"train": 40, "validation": 10, "test": 20}
    assert entry["bayes_loss"] == BAYES
    assert json.loads((small.path / "corpus.json").read_text())["order"] == "stored"
