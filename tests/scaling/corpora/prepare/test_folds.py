"""Cross-validation folds: each record tested once, and corpora that share their signals."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.folder import SIGNALS
from scaling.corpora.prepare import prepare as preparing
from scaling.corpora.prepare.chunks import Work
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.registry import Summaries, corpus_folder, open_source, resolve
from scaling.corpora.signals.presets import preset
from scaling.identity import CorpusSpec
from scaling.provenance import corpus_name
from tests.scaling.corpora import layout
from tests.scaling.corpora.conftest import SPEC

FOLDS = range(1, 11)

pytestmark = pytest.mark.usefixtures("no_plots")


def fold(k: int) -> CorpusSpec:
    return dataclasses.replace(SPEC, fold=k)


def quiet(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten folds of two patients, one of which has two records."""
    rows = [
        layout.Row(3 * k + i, 2 * k + min(i, 1), k, {"NORM": 100.0, "SR": 0.0})
        for k in FOLDS
        for i in range(3)
    ]
    return layout.write(tmp_path / "ptb-xl", rows)


def corpus_of(spec: CorpusSpec, root: Path, cache: Path) -> Corpus:
    return Corpus.open(prepare(spec, cache, root, quiet, workers=1))


def test_every_record_is_tested_and_validated_once(root: Path, tmp_path: Path) -> None:
    for split in ("test", "validation"):
        rows = [corpus_of(fold(k), root, tmp_path / "cache").rows(split) for k in FOLDS]
        assert sorted(np.concatenate(rows).tolist()) == list(range(30))


def test_fold_k_validates_on_the_one_before_it(root: Path, tmp_path: Path) -> None:
    for k, before in ((1, 10), (2, 1), (10, 9)):
        corpus = corpus_of(fold(k), root, tmp_path / "cache")
        found = {int(r) // 3 for r in np.array(corpus.record_ids)[corpus.rows("test")].astype(int)}
        assert found == {k}
        held = np.array(corpus.record_ids)[corpus.rows("validation")].astype(int)
        assert {int(r) // 3 for r in held} == {before}


def test_fold_ten_is_the_official_split_under_another_key(root: Path, tmp_path: Path) -> None:
    official, tenth = (corpus_of(spec, root, tmp_path / "cache") for spec in (SPEC, fold(10)))
    assert official.splits.tolist() == tenth.splits.tolist()
    assert official.path != tenth.path


def test_a_fold_is_what_preparing_it_from_the_files_would_give(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = corpus_of(fold(3), root, tmp_path / "one").path
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_from_official", lambda folder, *rest: folder)
        spec = resolve(fold(3), root)
        folder = corpus_folder(spec, tmp_path / "two")
        work = Work(
            folder=folder.with_suffix(".part") / "chunks",
            spec=spec,
            preprocessing=preset(spec.preprocessing),
            drop_damaged=False,
        )
        folder.with_suffix(".part").parent.mkdir(parents=True)
        preparing._make(folder.with_suffix(".part"), work, open_source(spec, root), quiet, 1)
    whole = folder.with_suffix(".part") / "corpus"
    assert {p.name: p.read_bytes() for p in derived.iterdir()} == {
        p.name: p.read_bytes() for p in whole.iterdir()
    }


def test_folds_share_their_signals_on_disk(root: Path, tmp_path: Path) -> None:
    paths = [corpus_of(fold(k), root, tmp_path / "cache").path / SIGNALS for k in (0, 1, 2)]
    assert len({path.stat().st_ino for path in paths}) == 1


def test_without_links_signals_are_copied(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    corpus = corpus_of(fold(4), root, tmp_path / "cache")
    corpus.verify()
    assert (corpus.path / SIGNALS).stat().st_nlink == 1


def test_a_patient_in_two_folds_is_refused(tmp_path: Path) -> None:
    rows = [layout.Row(k, 1 if k < 3 else k, k, {"NORM": 100.0}) for k in FOLDS]
    root = layout.write(tmp_path / "ptb-xl", rows)
    with pytest.raises(CorpusError, match="patients are in both"):
        prepare(fold(2), tmp_path / "cache", root, quiet, workers=1)


def test_the_official_split_keeps_its_keys() -> None:
    assert "fold" not in json.dumps(SPEC.to_dict())
    assert SPEC.key != fold(1).key


def test_folds_a_source_does_not_have_are_refused(root: Path) -> None:
    with pytest.raises(CorpusError, match=r"ptbxl has folds 1 to 10 .* not fold 11"):
        Summaries().of(fold(11), "superclass", root)
    with pytest.raises(CorpusError, match="virtual/code has no folds"):
        Summaries().of(CorpusSpec(source="virtual/code", fold=1), "", None)


def test_the_fold_is_in_the_name_of_tables() -> None:
    assert corpus_name("ptbxl", "form") == corpus_name("ptbxl", "form", 0) == "ptbxl:form"
    assert corpus_name("ptbxl", "form", 3) == "ptbxl:form@fold3"


def test_ten_folds_of_real_records(shared: Path, tmp_path: Path) -> None:
    root = shared / "data/ptb-xl"
    summaries = Summaries()
    official = summaries.of(SPEC, "superclass", root)
    tested = [summaries.of(fold(k), "superclass", root).test for k in FOLDS]
    assert sum(tested) == official.train + official.validation + official.test
    assert min(tested) > 100
