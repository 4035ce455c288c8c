"""The table of columns, and what is made from it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from scaling.records.layout import LiveStore
from scaling.records.names import FINISHED, STATUSES, USED, nearest, suggest
from scaling.records.schema import KINDS, TABLES, Kind, as_markdown, dtypes, names
from scaling.records.tables import read_parquet, write_tables

DOCS = Path(__file__).resolve().parents[3] / "docs" / "records.md"


@pytest.mark.parametrize("name", TABLES)
def test_the_page_shows_the_columns(name: str) -> None:
    assert as_markdown(TABLES[name]) in DOCS.read_text(), "run python -m scaling.records"


@pytest.mark.parametrize("name", TABLES)
def test_columns_are_named_once_and_say_what_they_hold(name: str) -> None:
    table = TABLES[name]
    assert len(set(names(table))) == len(table)
    assert all(column.meaning for column in table)


def test_every_kind_has_a_type_everywhere() -> None:
    assert set(KINDS) == set(get_args(Kind))
    for held in KINDS.values():
        assert pa.type_for_alias(held.arrow)


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_comes_back_with_its_types(name: str, tmp_path: Path) -> None:
    live = LiveStore(store=tmp_path)
    write_tables(live, "none", [])
    frame = read_parquet(live.table(name), dtypes(TABLES[name]))
    assert {c: str(t) for c, t in frame.dtypes.items()} == dtypes(TABLES[name])


def test_columns_that_older_tables_lack_are_told_apart() -> None:
    table = TABLES["trials"]
    old, new = dtypes(table, always=True), dtypes(table, always=False)
    assert {**old, **new} == dtypes(table)
    assert {"label_set", "macs_full", "C_full", "options", "teacher"} <= set(new)
    assert not {"trial", "objective", "C", "macs"} & set(new)


def test_words_are_suggested_and_statuses_agree() -> None:
    assert nearest("pretrian", ("pretrain", "finetune")) == "did you mean 'pretrain'?"
    assert nearest("xyz", ("pretrain", "finetune")) == ""
    assert suggest("xyz", ("pretrain", "finetune")) == "known here: pretrain, finetune"
    assert set(USED) < set(FINISHED) < set(STATUSES)
