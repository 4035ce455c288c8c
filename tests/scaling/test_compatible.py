"""Records with more heartbeats than slots: which leads lose beats, as the tokenizer loses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.compatible import describe, heartbeats_lost
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.data.batches import padded_r_peaks
from scaling.identity import CorpusSpec
from scaling.models.heartbeats import tokenize
from tests.scaling.corpora import layout


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A small PTB-XL of seven records of ten seconds."""
    folder: Path = tmp_path_factory.mktemp("slots")
    root = layout.write(folder / "ptb-xl")
    spec = CorpusSpec(source="ptbxl")
    return Corpus.open(prepare(spec, folder / "cache", root, lambda done, total: None))


@pytest.mark.parametrize("tokens", [256, 90, 50, 20, 3])
def test_what_is_counted_is_what_the_tokenizer_cuts_off(corpus: Corpus, tokens: int) -> None:
    rows = np.arange(len(corpus))
    x_BLT = torch.from_numpy(corpus.batch(rows))
    peaks_BP = torch.from_numpy(padded_r_peaks(corpus, rows))
    cut, whole = (tokenize(x_BLT, peaks_BP, slots).leads_BS for slots in (tokens, 1000))
    expected = {}
    for place, name in enumerate(corpus.leads, start=1):
        lost = int(((cut == place).sum(dim=1) < (whole == place).sum(dim=1)).sum())
        if lost:
            expected[name] = lost
    assert heartbeats_lost(corpus, tokens) == expected
    assert bool(expected) == (tokens <= 50)


def test_only_the_rows_and_leads_asked_for_count(corpus: Corpus) -> None:
    beats = [len(corpus.r_peaks(row)) or 10 for row in range(len(corpus))]
    rows = np.array([2, 4])
    lost = heartbeats_lost(corpus, beats[2], rows, ("I", "V6"))
    assert lost == {"V6": 2} | ({"I": 1} if beats[4] > beats[2] else {})
    assert heartbeats_lost(corpus, 2 * max(beats), leads=("I", "V6")) == {}


def test_the_line_for_the_user() -> None:
    lost = {"V5": 12, "V6": 80}
    assert describe(lost, 1600, 128) == (
        "80 of 1,600 records (5.0%) have more than 128 heartbeats over all leads and lose some: "
        "V6 in 80, V5 in 12"
    )
    assert describe({}, 1600, 128) == ""
