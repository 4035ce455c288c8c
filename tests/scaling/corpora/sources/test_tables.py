"""Reading some columns of a table, and what its cells may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.tables import (
    flag,
    read_columns,
    read_table,
    table_digest,
    whole,
    years,
)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_columns_by_name_with_their_lines(tmp_path: Path) -> None:
    text = 'a,b,c\n1,2,3\n\n"x\ny",5,"6,7"\n'
    path = write(tmp_path / "t.csv", text, "utf-8-sig")
    found = list(read_columns(path, ("c", "a"), ("d", "b")))
    assert found == [(2, ("3", "1", "", "2")), (5, ("6,7", "x\ny", "", "5"))]


def test_whole_rows_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ',b\r\n1,2\r\n\r\n3,"x ""y"""\r\n', "utf-8-sig")
    found = list(read_table(path, ("b",)))
    assert found == [(f"{path}:2", {"": "1", "b": "2"}), (f"{path}:4", {"": "3", "b": 'x "y"'})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column a, b is missing"),
        ("a,c\n1,2\n", "column b is missing"),
        ("a,b\n1\n", r"t\.csv:2: 1 cells, but the header has 2: the table is truncated"),
        ("a,b\n1,2,3\n", r"t\.csv:2: 3 cells"),
        ("a,b\n1,2\n\x00,3\n", r"t\.csv: cannot be read \(a line holds zero bytes"),
        ('a,b\n1,"2\n3,4\n', r"t\.csv: cannot be read \(unexpected end of data"),
        ("a,b,a\n1,2,3\n", r"t\.csv: column a is there twice"),
    ],
)
def test_damaged_tables(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "t.csv", text)
    for read in (read_columns, read_table):
        with pytest.raises(CorpusError, match=message):
            list(read(path, ("a", "b")))


def test_tables_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file; it is made by X"):
        list(read_columns(tmp_path / "t.csv", ("a",), what="it is made by X"))
    path = write(tmp_path / "t.csv", "a\n\u00e9\n", "latin-1")
    with pytest.raises(CorpusError, match="cannot be read"):
        list(read_columns(path, ("a",)))
    with pytest.raises(CorpusError, match="cannot be read"):
        table_digest(tmp_path / "other.csv")


@given(st.integers(0, 10**18 - 1))
def test_whole_numbers(number: int) -> None:
    assert whole(str(number)) == whole(f" {number}.0 ") == number


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", "nan", "9" * 19, "..", "1/2"])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a whole number"):
        whole(text)


def test_flags() -> None:
    assert [flag(text) for text in ("1", "True", "TRUE ", "1.0")] == [True] * 4
    assert [flag(text) for text in ("0", "False", "false", "0.0")] == [False] * 4
    for text in ("", "nan", "2", "yes"):
        with pytest.raises(ValueError, match="neither 0, 1"):
            flag(text)


def test_years() -> None:
    assert (years("54"), years("0.5"), years(""), years("nan")) == (54.0, 0.5, None, None)
    for text in ("-1", "300", "inf", "old"):
        with pytest.raises(ValueError):
            years(text)
