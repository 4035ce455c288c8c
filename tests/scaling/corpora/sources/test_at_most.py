"""A source of files in small: the first records of each split, and no more are read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.registry import Summaries, corpus_folder, open_source, resolve
from scaling.identity import CorpusSpec
from tests.scaling.corpora import layout
from tests.scaling.corpora.conftest import SPEC

TASK = "superclass"
FEW = dataclasses.replace(SPEC, records=9, validation=2, test=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten folds of two patients, one of which has two records."""
    rows = [
        layout.Row(3 * k + i, 2 * k + min(i, 1), k, {"NORM": 100.0, "SR": 0.0})
        for k in range(1, 11)
        for i in range(3)
    ]
    return layout.write(tmp_path / "ptb-xl", rows)


def corpus_of(spec: CorpusSpec, root: Path, cache: Path) -> Corpus:
    return Corpus.open(prepare(spec, cache, root, lambda done, total: None, workers=1))


def test_no_more_records_are_prepared_than_were_asked_for(root: Path, tmp_path: Path) -> None:
    found = Summaries().of(FEW, TASK, root)
    assert (found.train, found.validation, found.test) == (9, 2, 2)
    assert sum(chunk.size for chunk in open_source(FEW, root).chunks()) == 13
    corpus = corpus_of(FEW, root, tmp_path)
    assert len(corpus) == 13
    assert corpus.info["quality"]["left_out"] == {
        "records beyond the number that was asked for": 17
    }


def test_subsets_are_those_of_the_whole(root: Path, tmp_path: Path) -> None:
    few, whole = (corpus_of(spec, root, tmp_path) for spec in (FEW, SPEC))
    for size in (1, 5, 9):
        names = [[c.record_ids[row] for row in c.subset(TASK, size)] for c in (few, whole)]
        assert names[0] == names[1]


def test_it_is_a_corpus_of_its_own(root: Path, tmp_path: Path) -> None:
    few, whole = resolve(FEW, root), resolve(SPEC, root)
    assert few.fingerprint == whole.fingerprint
    assert corpus_folder(few, tmp_path) != corpus_folder(whole, tmp_path)
    assert few.identity() != whole.identity()


def test_more_than_there_are_is_all_of_them(root: Path) -> None:
    many = dataclasses.replace(SPEC, records=99, validation=99, test=99)
    assert Summaries().of(many, TASK, root) == Summaries().of(SPEC, TASK, root)


def test_folds_share_the_records_that_were_chosen(root: Path, tmp_path: Path) -> None:
    folds = [corpus_of(dataclasses.replace(FEW, fold=k), root, tmp_path) for k in (1, 2)]
    assert len(folds[0]) == len(folds[1]) == 13
    assert set(folds[0].rows("validation", TASK)).isdisjoint(folds[0].rows("test", TASK))
