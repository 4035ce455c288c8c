"""Opening a prepared corpus, and every way one can be damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scaling.corpora.corpus import Corpus
from scaling.corpora.errors import CorpusError
from tests.corpora import layout


def test_a_batch_is_in_millivolts_in_the_order_asked(corpus: Corpus) -> None:
    x_BLT = corpus.batch(np.array([6, 0]))
    assert x_BLT.shape == (2, 12, 1000)
    assert x_BLT.dtype == np.float32
    np.testing.assert_allclose(x_BLT[0], layout.signal_mv(7).T, atol=1e-6)
    np.testing.assert_allclose(x_BLT[1], layout.signal_mv(1).T, atol=1e-6)


def test_leads_are_chosen_by_name(corpus: Corpus) -> None:
    x_BLT = corpus.batch(np.array([0]), ["V1", "aVR"])
    np.testing.assert_allclose(x_BLT[0], layout.signal_mv(1).T[[6, 3]], atol=1e-6)
    with pytest.raises(CorpusError, match="lead V7 is missing"):
        corpus.batch(np.array([0]), ["V7"])


def test_subsets_are_nested_and_belong_to_the_task(corpus: Corpus) -> None:
    full = corpus.subset("superclass", 3)
    assert sorted(full) == [0, 1, 2]
    assert corpus.subset("superclass", 2).tolist() == full[:2].tolist()
    with pytest.raises(CorpusError, match="4 records was asked for, but only 3"):
        corpus.subset("superclass", 4)


def test_asking_for_what_is_not_there(corpus: Corpus) -> None:
    with pytest.raises(CorpusError, match="no task 'sub'; there is 'superclass'"):
        corpus.labels("sub")
    with pytest.raises(CorpusError, match="no split 'dev'"):
        corpus.rows("dev")


def test_labels_cannot_be_changed_by_accident(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="read-only"):
        corpus.labels("form")[0] = 1


def refit(path: Path, name: str) -> None:
    """Make ``corpus.json`` believe in the size of a changed file."""
    info = json.loads((path / "corpus.json").read_text())
    info["files"][name]["bytes"] = (path / name).stat().st_size
    (path / "corpus.json").write_text(json.dumps(info))


def info_changed(**changes: object) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        info = json.loads((path / "corpus.json").read_text()) | changes
        (path / "corpus.json").write_text(json.dumps(info))

    return apply


def one_patient(path: Path) -> None:
    table = pq.read_table(path / "records.parquet")
    at = table.schema.get_field_index("patient")
    same = pa.array([1] * len(table), pa.int64())
    pq.write_table(table.set_column(at, "patient", same), path / "records.parquet")
    refit(path, "records.parquet")


def fewer_rows(path: Path) -> None:
    table = pq.read_table(path / "records.parquet")
    pq.write_table(table.slice(0, 3), path / "records.parquet")
    refit(path, "records.parquet")


def not_a_table(path: Path) -> None:
    (path / "records.parquet").write_bytes(b"x" * 100)
    refit(path, "records.parquet")


def shorter_signals(path: Path) -> None:
    data = (path / "signals.npy").read_bytes()
    (path / "signals.npy").write_bytes(data[:-2])


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda path: (path / "corpus.json").unlink(), "is not a prepared corpus"),
        (lambda path: (path / "corpus.json").write_text("{"), r"corpus\.json: not JSON"),
        (lambda path: (path / "corpus.json").write_text("[]"), "format None"),
        (info_changed(format=99), "format 99, this version reads 1"),
        (lambda path: (path / "labels-form.npy").unlink(), r"labels-form\.npy: absent"),
        (shorter_signals, r"signals\.npy: \d+ bytes, not the \d+ bytes"),
        (info_changed(samples=900), r"signals\.npy: int16 \(7, 12, 1000\), but .* \(7, 12, 900\)"),
        (one_patient, "both train and validation"),
        (fewer_rows, r"records\.parquet: 3 rows, not 7"),
        (not_a_table, r"records\.parquet: cannot be read"),
    ],
)
def test_damage_is_named(prepared: Path, apply: Callable[[Path], None], message: str) -> None:
    apply(prepared)
    with pytest.raises(CorpusError, match=message):
        Corpus.open(prepared)


def test_one_changed_sample_is_found_by_its_hash(corpus: Corpus) -> None:
    corpus.verify()
    with (corpus.path / "signals.npy").open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"\x01\x02")
    with pytest.raises(CorpusError, match=r"signals\.npy: changed after preparation"):
        Corpus.open(corpus.path).verify()
