"""Opening a prepared corpus, what it gives, and every way one can be damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling.corpora.errors import CorpusError
from scaling.corpora.format import folder
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.folder import (
    DroppedRecord,
    RecordsWriter,
    columns,
    commonest_reason,
    group_by_reason,
    read_columns,
    read_dropped,
    write_dropped,
)
from tests.scaling.corpora import layout


def test_a_batch_is_in_millivolts_in_the_order_asked(corpus: Corpus) -> None:
    x_BLT = corpus.batch(np.array([6, 0]))
    assert x_BLT.shape == (2, 12, 1000)
    assert x_BLT.dtype == np.float32
    np.testing.assert_allclose(x_BLT[0], layout.signal_mv(7).T, atol=1e-6)
    np.testing.assert_allclose(x_BLT[1], layout.signal_mv(1).T, atol=1e-6)


def test_leads_are_chosen_by_name(corpus: Corpus) -> None:
    x_BLT = corpus.batch(np.array([0]), ["V1", "aVR"])
    np.testing.assert_allclose(x_BLT[0], layout.signal_mv(1).T[[6, 3]], atol=1e-6)
    with pytest.raises(CorpusError, match="lead V7"):
        corpus.batch(np.array([0]), ["V7"])


def test_batches_are_written_to_the_callers_buffers(corpus: Corpus) -> None:
    rows = np.array([3, 1, 3])
    steps = np.full((3, 12, 1000), 99, np.int16)
    assert corpus.steps(rows, out=steps) is steps
    np.testing.assert_array_equal(steps, corpus.signals[rows])
    scaled = np.full((3, 12, 1000), 9.0, np.float32)
    assert corpus.batch(rows, out=scaled) is scaled
    np.testing.assert_array_equal(scaled, corpus.batch(rows))
    few = np.empty((3, 1, 1000), np.float32)
    np.testing.assert_array_equal(corpus.batch(rows, ["II"], out=few), corpus.batch(rows)[:, 1:2])
    assert corpus.steps(np.array([], np.int64)).shape == (0, 12, 1000)


@pytest.mark.parametrize("row", [7, -1])
def test_rows_that_are_not_there(corpus: Corpus, row: int) -> None:
    with pytest.raises(IndexError, match="of 7 records"):
        corpus.batch(np.array([0, row]))
    with pytest.raises(IndexError, match="of 7 records"):
        corpus.r_peaks(row)


def test_records_by_id_and_by_row(corpus: Corpus) -> None:
    assert corpus.record_ids == ("1", "2", "3", "4", "5", "6", "7")
    assert len(corpus) == 7
    assert corpus.row_of("3") == 2
    record = corpus.record(2)
    assert (record["patient"], record["split"], record["age"], record["sex"]) == (
        12, "train", 90.0, "female",
    )  # fmt: skip
    assert corpus.record(3)["age"] is None
    assert list(corpus.quality().columns) == list(columns())
    with pytest.raises(CorpusError, match=r"no record '33'; did you mean '3'\?"):
        corpus.row_of("33")


def test_subsets_are_nested_and_belong_to_the_task(corpus: Corpus) -> None:
    full = corpus.subset("superclass", 3)
    assert sorted(full) == [0, 1, 2]
    assert corpus.subset("superclass", 2).tolist() == full[:2].tolist()
    with pytest.raises(CorpusError, match="4 records was asked for, but only 3"):
        corpus.subset("superclass", 4)


def test_asking_for_what_is_not_there(corpus: Corpus) -> None:
    with pytest.raises(CorpusError, match="no task 'sub'; there is 'superclass'"):
        corpus.labels("sub")
    with pytest.raises(CorpusError, match="no task 'sub'"):
        corpus.valid("sub")
    with pytest.raises(CorpusError, match="no split 'dev'"):
        corpus.rows("dev")


def test_labels_are_mapped_and_cannot_be_changed_by_accident(corpus: Corpus) -> None:
    labels = corpus.labels("form")
    assert isinstance(labels.base, np.memmap)
    assert corpus.labels("form") is labels
    with pytest.raises(ValueError, match="read-only"):
        labels[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        corpus.signals[0] = 1


def test_prevalence_is_that_of_the_labels(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "BLOCK", 2)  # more than one block
    rows = corpus.rows("train", "superclass")
    expected = corpus.labels("superclass")[rows].mean(axis=0).tolist()
    assert corpus.prevalence("superclass", rows) == expected
    assert corpus.describe("superclass")["prevalence"] == expected
    assert corpus.prevalence("superclass", rows[:0]) == []


# --- damage ----------------------------------------------------------------------------------


def edit(path: Path, **changes: Any) -> None:
    """Change ``corpus.json`` as one who knows its hash would."""
    info = json.loads((path / "corpus.json").read_text()) | changes
    folder.seal(path, info, info["files"])


def refit(path: Path, name: str) -> None:
    """Make ``corpus.json`` believe in a changed file."""
    info = json.loads((path / "corpus.json").read_text())
    folder.seal(path, info, {k: v for k, v in info["files"].items() if k != name})


def edited(**changes: Any) -> Callable[[Path], None]:
    return lambda path: edit(path, **changes)


def carelessly_edited(path: Path) -> None:
    info = json.loads((path / "corpus.json").read_text())
    info["tasks"]["superclass"].reverse()
    (path / "corpus.json").write_text(json.dumps(info))


def table_with(**values: Any) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        table = pq.read_table(path / "records.parquet")
        for name, value in values.items():
            at = table.schema.get_field_index(name)
            column = pa.array([value] * len(table), table.schema.field(at).type)
            table = table.set_column(at, name, column)
        pq.write_table(table, path / "records.parquet")
        refit(path, "records.parquet")

    return apply


def fewer_rows(path: Path) -> None:
    table = pq.read_table(path / "records.parquet")
    pq.write_table(table.slice(0, 3), path / "records.parquet")
    refit(path, "records.parquet")


def not_a_table(path: Path) -> None:
    (path / "records.parquet").write_bytes(b"x" * 100)
    refit(path, "records.parquet")


def one_other_byte(path: Path) -> None:
    """Same size, other content, and nobody told ``corpus.json``."""
    data = bytearray((path / "records.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "records.parquet").write_bytes(data)


def shorter_signals(path: Path) -> None:
    data = (path / "signals.npy").read_bytes()
    (path / "signals.npy").write_bytes(data[:-2])


def other_header(path: Path) -> None:
    data = (path / "signals.npy").read_bytes()
    (path / "signals.npy").write_bytes(data.replace(b"<i2", b">i2"))


def no_header(path: Path) -> None:
    data = (path / "signals.npy").read_bytes()
    (path / "signals.npy").write_bytes(b"\0" * 100 + data[100:])


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda path: (path / "corpus.json").unlink(), "is not a prepared corpus"),
        (lambda path: (path / "corpus.json").write_text("{"), r"corpus\.json: not JSON"),
        (lambda path: (path / "corpus.json").write_text("[]"), "format None"),
        (edited(format=99), "format 99, but this version reads 2; delete the folder"),
        (carelessly_edited, r"corpus\.json: changed after preparation"),
        (lambda path: (path / "labels-form.npy").unlink(), r"labels-form\.npy: absent"),
        (shorter_signals, r"signals\.npy: \d+ bytes, not the \d+ bytes"),
        (other_header, r"signals\.npy: >i2 \(7, 12, 1000\), but .* int16"),
        (no_header, r"signals\.npy: cannot be read"),
        (edited(samples=900), r"signals\.npy: int16 \(7, 12, 1000\), but .* \(7, 12, 900\)"),
        (table_with(patient=1), "both train and validation"),
        (table_with(split="dev"), r"records\.parquet: unknown split 'dev'"),
        (fewer_rows, r"records\.parquet: 3 rows, not 7"),
        (not_a_table, r"records\.parquet: cannot be read"),
        (one_other_byte, r"records\.parquet: changed after preparation"),
    ],
)
def test_damage_is_named(prepared: Path, apply: Callable[[Path], None], message: str) -> None:
    apply(prepared)
    with pytest.raises(CorpusError, match=message):
        Corpus.open(prepared)


def test_labels_of_another_shape_are_refused(prepared: Path) -> None:
    np.save(prepared / "labels-form.npy", np.zeros((7, 3), np.uint8))
    refit(prepared, "labels-form.npy")
    with pytest.raises(CorpusError, match=r"labels-form\.npy: uint8 \(7, 3\), but"):
        Corpus.open(prepared).labels("form")


@pytest.mark.parametrize("name", ["signals.npy", "labels-all.npy", "r_peaks.npy", "quality.csv"])
def test_one_changed_byte_is_found_by_its_hash(corpus: Corpus, name: str) -> None:
    corpus.verify()
    data = bytearray((corpus.path / name).read_bytes())
    data[-2] ^= 1
    (corpus.path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=rf"{name}: changed after preparation"):
        Corpus.open(corpus.path).verify()


# --- its tables ------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds(DroppedRecord, TEXT, st.integers(0, 2**62), TEXT, st.booleans(), TEXT)))
def test_drops_survive_their_file(tmp_path: Path, drops: list[DroppedRecord]) -> None:
    write_dropped(tmp_path / "dropped.csv", drops)
    assert read_dropped(tmp_path / "dropped.csv") == drops


def test_reasons_are_grouped_over_numbers_and_paths() -> None:
    told = ["/a/1.dat: 7 bytes", "9.5 s long", "/b/22.dat: 12 bytes", "3 s long", "/c: 9 bytes"]
    drops = [DroppedRecord(f"r{i}", i, "train", False, reason) for i, reason in enumerate(told)]
    assert [[d.record for d in group] for group in group_by_reason(drops)] == [
        ["r0", "r2", "r4"],
        ["r1", "r3"],
    ]
    assert commonest_reason(drops) == "3 like record r0: /a/1.dat: 7 bytes"


def test_groups_of_rows_join_to_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling.corpora.format.folder.ROW_GROUP", 4)
    with RecordsWriter(tmp_path / "t.parquet") as writer:
        for start in range(0, 11, 3):
            numbers = list(range(start, min(start + 3, 11)))
            rows: dict[str, list[Any]] = {name: [None] * len(numbers) for name in columns()}
            writer.add(rows | {"patient": numbers, "record": [str(n) for n in numbers]})
    assert read_columns(tmp_path / "t.parquet", "patient")["patient"].to_pylist() == list(range(11))
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 2
