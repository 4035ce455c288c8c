from __future__ import annotations

from pathlib import Path

import pytest

from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.identity import CorpusSpec
from tests.scaling.corpora import layout

SPEC = CorpusSpec(source="ptbxl")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small PTB-XL of seven records."""
    return layout.write(tmp_path / "ptb-xl")


@pytest.fixture
def prepared(root: Path, tmp_path: Path) -> Path:
    """Folder of that PTB-XL, prepared."""
    return prepare(SPEC, tmp_path / "cache", root, lambda done, total: None)


@pytest.fixture
def corpus(prepared: Path) -> Corpus:
    """The same, opened."""
    return Corpus.open(prepared)


@pytest.fixture(scope="session")
def real_root(shared: Path) -> Path:
    """1,987 records of PTB-XL."""
    return shared / "data/ptb-xl"


@pytest.fixture(scope="session")
def real(real_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Those records, prepared with the preset ``none``."""
    cache = tmp_path_factory.mktemp("cache")
    return Corpus.open(prepare(SPEC, cache, real_root, lambda done, total: None))


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of the quality report stays empty, where many corpora are prepared."""
    monkeypatch.setattr("scaling.corpora.quality.report.page", lambda corpus, report: "")
