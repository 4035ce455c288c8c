"""Preparing: the same bytes however it is done, whole or absent."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import shutil
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.corpora import prepare as module
from scaling.corpora.corpus import Corpus
from scaling.corpora.errors import CorpusError
from scaling.corpora.prepare import corpus_folder, prepare
from scaling.corpora.registry import describe, resolve
from scaling.corpora.sources import ptbxl, virtual
from scaling.corpora.virtual import cohorts
from scaling.identity import CorpusSpec
from tests.corpora.conftest import SPEC

VIRTUAL = CorpusSpec(source="virtual/code", records=150, validation=10, test=20, window_s=2)
BAYES = {"value": 0.1, "se": 0.001, "lower_bound": 0.1, "per_label": {}, "method": "made up"}


def quiet(done: int, total: int) -> None:
    pass


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_progress_is_told_and_a_second_call_reads_nothing(root: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = prepare(SPEC, tmp_path, root, lambda *at: told.append(at))
    assert told == [(0, 7), (7, 7)]
    prepare(SPEC, tmp_path, root, lambda *at: told.append(at))
    assert len(told) == 2
    assert folder.name.startswith("ptbxl-c")


def test_a_resolved_spec_needs_no_root_once_prepared(root: Path, tmp_path: Path) -> None:
    spec = resolve(SPEC, root)
    folder = prepare(spec, tmp_path, root, quiet)
    shutil.rmtree(root)
    assert prepare(spec, tmp_path, None, quiet) == folder
    assert describe(spec, "all", tmp_path, None)["fingerprint"] == spec.fingerprint


def test_a_pool_writes_the_same_bytes_as_one_process(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ptbxl, "CHUNK", 2)
    alone = prepare(SPEC, tmp_path / "alone", root, quiet)
    monkeypatch.setattr(module, "POOL_AFTER_S", -1.0)
    told: list[tuple[int, int]] = []
    pooled = prepare(SPEC, tmp_path / "pooled", root, lambda *at: told.append(at))
    assert contents(alone) == contents(pooled)
    assert told[-1] == (7, 7)


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


def die(done: int, total: int) -> None:
    if done:
        os._exit(9)


def test_a_killed_process_leaves_nothing_that_looks_finished(root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=prepare, args=(SPEC, tmp_path, root, die))
    process.start()
    process.join()
    assert process.exitcode == 9
    folder = corpus_folder(resolve(SPEC, root), tmp_path)
    left = [p for p in folder.parent.iterdir() if p.is_dir()]
    assert [p.name.split(".")[1][:5] for p in left] == ["part-"]
    assert prepare(SPEC, tmp_path, root, quiet) == folder
    Corpus.open(folder).verify()
    assert [p for p in folder.parent.iterdir() if p.is_dir()] == [folder]


def test_a_failed_write_leaves_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write_table", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(SPEC, tmp_path, root, quiet)
    assert not any(p.is_dir() for p in (tmp_path / "corpora").iterdir())


def test_too_little_room_is_said_before_the_work(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = types.SimpleNamespace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CorpusError, match=r"takes 0\.2 MB, but only 0\.1 MB are free"):
        prepare(SPEC, tmp_path, root, quiet)


def test_presets_windows_and_rates_are_stored(root: Path, tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, preprocessing="s1", window_s=5, fs_hz=50)
    corpus = Corpus.open(prepare(spec, tmp_path, root, quiet))
    assert corpus.signals.shape == (7, 12, 250)
    assert corpus.info["preprocessing"]["highpass_hz"] == 0.5
    assert corpus.spec == resolve(spec, root)
    assert abs(float(corpus.batch(np.arange(7)).mean())) < 0.05


def test_too_long_a_window(root: Path, tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, window_s=12)
    with pytest.raises(CorpusError, match=r"(?s)7 of 7 records .*record 1: 10 s long"):
        prepare(spec, tmp_path, root, quiet)


def fake_records(
    cohort: str, seed: int, split: str, start: int, stop: int, fs_hz: int, samples: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int64]]:
    index = np.arange(start, stop, dtype=np.int64)
    signals = np.zeros((len(index), 12, samples), np.float32)
    signals += (index[:, None, None] % 100) / 10
    signals[:, 1, 0] = 50.0  # out of range: clipped and counted
    labels = ((index[:, None] >> np.arange(6)) & 1).astype(np.uint8)
    return signals, labels, index // 3 + 10**9 * cohorts.SPLITS.index(split)


@pytest.fixture
def fake_cohort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohorts, "make_records", fake_records)
    monkeypatch.setattr(cohorts.Cohort, "bayes_loss", lambda *_: BAYES)


@pytest.mark.usefixtures("fake_cohort")
def test_a_virtual_cohort_is_prepared(tmp_path: Path) -> None:
    corpus = Corpus.open(prepare(VIRTUAL, tmp_path, None, quiet))
    assert corpus.tasks == ("",)
    assert [len(corpus.rows(s, "")) for s in ("train", "validation", "test")] == [150, 10, 20]
    np.testing.assert_allclose(corpus.batch(np.array([149, 150]))[:, 0, 5], [4.9, 0.0], atol=1e-6)
    assert corpus.labels("")[149].tolist() == [1, 0, 1, 0, 1, 0]
    assert corpus.info["quality"]["clipped_samples"] == 180
    assert corpus.info["quality"]["flat_leads"]["count"] == 180 * 11
    entry = describe(VIRTUAL, "", tmp_path, None)
    assert entry["patients"] == {"train": 50, "validation": 4, "test": 7}
    assert entry["bayes_loss"] == BAYES


@pytest.mark.usefixtures("fake_cohort")
def test_record_ids_must_be_unique(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = virtual.VirtualSource.chunks
    monkeypatch.setattr(
        virtual.VirtualSource, "chunks", lambda source: [*whole(source), whole(source)[0]]
    )
    with pytest.raises(CorpusError, match=r"record ids appear twice:\n  train/0\n"):
        prepare(VIRTUAL, tmp_path, None, quiet)


@pytest.mark.usefixtures("fake_cohort")
def test_a_larger_pool_leaves_the_subset_as_it_was(tmp_path: Path) -> None:
    larger = dataclasses.replace(VIRTUAL, records=200)
    small, large = (Corpus.open(prepare(s, tmp_path, None, quiet)) for s in (VIRTUAL, larger))
    rows = small.subset("", 100)
    np.testing.assert_array_equal(rows, large.subset("", 100))
    np.testing.assert_array_equal(small.batch(rows), large.batch(rows))
    with pytest.raises(CorpusError, match="change the seed of the corpus"):
        small.subset("", 100, seed=1)


def test_the_real_cohort_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohorts.Cohort, "bayes_loss", lambda *_: BAYES)  # takes its time
    corpus = Corpus.open(prepare(VIRTUAL, tmp_path, None, quiet))
    signals, labels, patients = cohorts.make_records("virtual/code", 0, "train", 148, 150, 100, 200)
    np.testing.assert_allclose(corpus.batch(np.array([148, 149])), signals, atol=5.1e-4)
    np.testing.assert_array_equal(corpus.labels("")[148:150], labels)
    np.testing.assert_array_equal(corpus.patients[148:150], patients)
