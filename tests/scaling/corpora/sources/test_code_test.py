"""CODE-test: lead order, tables by position, all records for the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.registry import open_source
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import code_test as layout

SPEC = CorpusSpec(source="code-test", window_s=7)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layout.write(tmp_path / "code-test")


class TestCodeTest(SourceContract):
    spec = SPEC
    # aVR, the sixth lead: I = 0.001 * (11 * 10 + 17 + 1) = 0.128, II = 0.001 * (5 * 10 + 29 + 2)
    # = 0.081, so aVR = -(0.128 + 0.081) / 2 = -0.1045 mV. Row 2 has 1dAVb and RBBB.
    expected = Expected(
        record="1", lead="aVR", sample=10, value=-0.1045, task="",
        positives=frozenset(), split="test",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "code-test")


def test_limb_leads_by_name_obey_einthoven_and_goldberger(root: Path) -> None:
    (chunk,) = open_source(SPEC, root).chunks()
    for recording in chunk.read()[1]:
        assert isinstance(recording, Recording)
        assert recording.leads[3:6] == ("aVL", "aVF", "aVR")
        lead = dict(zip(recording.leads, recording.signal.astype(np.float64), strict=True))
        np.testing.assert_allclose(lead["III"], lead["II"] - lead["I"], atol=1e-6)
        np.testing.assert_allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2, atol=1e-6)
        np.testing.assert_allclose(lead["aVL"], lead["I"] - lead["II"] / 2, atol=1e-6)
        np.testing.assert_allclose(lead["aVF"], lead["II"] - lead["I"] / 2, atol=1e-6)
        # The order of CODE-15 would break the law.
        usual = dict(zip(("I", "II", "III", "aVR", "aVL", "aVF"), recording.signal, strict=False))
        assert np.abs(usual["aVR"] + (usual["I"] + usual["II"]) / 2).max() > 0.1


def test_tables_go_by_position_and_only_the_gold_standard_counts(root: Path) -> None:
    other = [[1] * 6] * 3
    for name in ("cardiologist1", "dnn"):
        layout.write_table(root / f"annotations/{name}.csv", layout.CLASSES, other)
    source = open_source(SPEC, root)
    (chunk,) = source.chunks()
    rows, recordings = chunk.read()
    assert rows.labels[""].tolist() == layout.GOLD
    assert rows.records == ["0", "1", "2"]
    assert rows.sexes == ["female", "male", "female"]
    assert rows.ages == [49.0, 75.0, 20.0]
    lengths = [r.signal.shape[1] for r in recordings if isinstance(r, Recording)]
    assert lengths == [2800, 4000, 4000]
    assert len(set(rows.patients.tolist())) == 3, "each exam is of another patient"


def test_there_is_nothing_to_train_on_and_asking_for_it_says_so(root: Path, tmp_path: Path) -> None:
    summary = open_source(SPEC, root).summary("")
    assert (summary.train, summary.validation, summary.test, summary.patients) == (0, 0, 3, 0)
    corpus = Corpus.open(prepare(SPEC, tmp_path / "cache", root, lambda done, total: None))
    assert corpus.rows("test", "").tolist() == [0, 1, 2]
    assert len(corpus.rows("train")) == 0
    with pytest.raises(CorpusError, match="subset of 1 records was asked for, but only 0 are"):
        corpus.subset("", 1)


Break = Callable[[Path], None]
GOLD, ATTRIBUTES = "annotations/gold_standard.csv", "attributes.csv"


def gold(rows: list[list[int]], columns: list[str] = layout.CLASSES) -> Break:
    return lambda root: layout.write_table(root / GOLD, columns, rows)


def attributes(rows: list[list[str]]) -> Break:
    return lambda root: layout.write_table(root / ATTRIBUTES, ["age", "sex"], rows)


def cut(root: Path) -> None:
    path = root / "ecg_tracings.hdf5"
    path.write_bytes(path.read_bytes()[:50_000])


BROKEN = [
    (gold(layout.GOLD[:2]), "has 3 tracings, .* 2 and attributes.csv 3 rows"),
    (attributes(layout.ATTRIBUTES[:2]), "3 tracings, .* 3 and attributes.csv 2 rows"),
    (gold([[0] * 5] * 3, layout.CLASSES[:5]), r"gold_standard\.csv: column ST is missing"),
    (gold([[0] * 6, [0, 0, 7, 0, 0, 0], [0] * 6]), r"gold_standard\.csv:3: LBBB: '7' is neither"),
    (attributes([["49", "F"], ["75", "x"], ["20", "F"]]), r"attributes\.csv:3: sex 'x'"),
    (attributes([["49", "F"], ["75", "M"], ["20", ""]]), r"attributes\.csv:4: sex ''"),
    (attributes([["49", "F"], ["?", "M"], ["20", "F"]]), r"attributes\.csv:3: "),
    (cut, r"ecg_tracings\.hdf5: .*truncated"),
    (lambda root: (root / GOLD).unlink(), r"gold_standard\.csv: no such file; CODE-test needs"),
    (lambda root: (root / "ecg_tracings.hdf5").unlink(), r"ecg_tracings\.hdf5: no such file"),
    (lambda root: layout.write_tracings(root, np.zeros((3, 12, 4096), np.float32)),
     r"tracings is float32 \(3, 12, 4096\), not"),
]  # fmt: skip


@pytest.mark.parametrize(("apply", "message"), BROKEN)
def test_what_is_wrong_is_named(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)
