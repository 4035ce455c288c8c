"""Files of runs: Excel with sheets and titles, JSON as pandas writes it, packed text."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.report.fit_command import main
from analysis.runs.read import Runs, RunsError, read_runs
from tests.analysis.anyones import runs, write

PLAIN = runs()
CELLS = [list(PLAIN.columns), *PLAIN.astype(object).to_numpy().tolist()]
NOTES: list[list[Any]] = [["Runs of June", None], ["by", "me"], [None, 3]]


def same(found: Runs) -> bool:
    """Whether the runs are those of ``PLAIN``."""
    return np.allclose(found.only()[["N", "D", "loss"]], PLAIN[["N", "D", "loss"]], rtol=1e-9)


def book(path: Path, **sheets: list[list[Any]]) -> Path:
    """An Excel file of these cells."""
    with pd.ExcelWriter(path) as writer:
        for name, cells in sheets.items():
            width = max(map(len, cells))
            frame = pd.DataFrame([[*row, *[None] * (width - len(row))] for row in cells])
            frame.to_excel(writer, sheet_name=name, header=False, index=False)
    return path


def test_the_first_sheet_of_runs_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    path = book(tmp_path / "runs.xlsx", notes=NOTES, runs=CELLS, old=CELLS[:9])
    found = read_runs(path)
    assert same(found)
    assert found.places[0] == "sheet runs, row 2"
    assert "sheet runs is read; not read: notes, old" in found.took
    named = [["a", "b", "c"], *([n, d, v] for n, d, _, v in CELLS[1:])]
    other = book(tmp_path / "other.xlsx", notes=NOTES, runs=named)
    with pytest.raises(RunsError, match=r"no sheet holds runs: sheet notes: .*; sheet runs: no"):
        read_runs(other)
    assert same(read_runs(other, columns={"N": "a", "D": "b", "loss": "c"}))


def test_titles_and_blank_rows_above_a_header_are_skipped_and_said(tmp_path: Path) -> None:
    above: list[list[Any]] = [["Runs of June"], [None], ["# by me"], ["all of them"]]
    path = book(tmp_path / "runs.xlsx", Sheet1=[*above, *CELLS])
    found = read_runs(path)
    assert same(found) and found.places[0] == "row 6"
    assert found.took[1:3] == ("title skipped: Runs of June", "title skipped: all of them")
    lines = ["Runs of June,,,", "", "all of them", *PLAIN.to_csv(index=False).splitlines()]
    text = read_runs(write(tmp_path, lines))
    assert same(text) and text.places[0] == "line 5"
    assert text.took[1:3] == found.took[1:3]


def test_sheets_are_checked_as_text_is(tmp_path: Path) -> None:
    doubled = [[*CELLS[0], "loss"], *([*row, 1.0] for row in CELLS[1:])]
    with pytest.raises(RunsError, match=r"x.xlsx, row 1: two columns are called 'loss': rename"):
        read_runs(book(tmp_path / "x.xlsx", a=doubled))
    with pytest.raises(RunsError, match=r"x.xlsx, row 1: holds numbers, not names of columns"):
        read_runs(book(tmp_path / "x.xlsx", a=CELLS[1:]))
    with pytest.raises(RunsError, match=r"x.xlsx: holds no table"):
        read_runs(book(tmp_path / "x.xlsx", a=[[None]]))
    texts = [CELLS[0], *([n, d, s, f"{v:.4f}".replace(".", ",")] for n, d, s, v in CELLS[1:])]
    found = read_runs(book(tmp_path / "x.xlsx", a=texts))
    np.testing.assert_allclose(found.only()["loss"], PLAIN["loss"], atol=1e-4)
    assert "decimal commas" in found.took
    text = [*CELLS[:4], [1e6, 1e9, 0, "OOM"]]
    with pytest.raises(RunsError, match="row 5, column loss: 'OOM' is not a number"):
        read_runs(book(tmp_path / "x.xlsx", a=text))


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "records", "list"])
def test_json_as_pandas_writes_it(orient: Any, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    if orient == "list":
        pd.Series(PLAIN.to_dict("list")).to_json(path, double_precision=15)
    else:
        PLAIN.to_json(path, orient=orient, double_precision=15, indent=1)
    assert same(read_runs(path))


def test_json_that_is_no_table_is_named(tmp_path: Path) -> None:
    for text, message in {
        '{"columns": ["N", "N"], "data": [[1, 2]]}': "two columns are called 'N'",
        '{"columns": ["N", "D"], "data": [[1]]}': "each row of data has to be a list of 2",
        "[[1, 2]]": "record 1: not an object",
        "3": "record 1: not an object",
    }.items():
        with pytest.raises(RunsError, match=message):
            read_runs(write(tmp_path, [text], "runs.json"))


def test_an_object_in_a_cell_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.jsonl"
    config: Any = [{"lr": 1}] * 25
    PLAIN.assign(params=config).to_json(path, orient="records", lines=True)
    assert read_runs(path).chosen["N"].column == "N"
    PLAIN.drop(columns="N").assign(params=config).to_json(path, orient="records", lines=True)
    assert main([str(path)]) == 2
    said = capsys.readouterr().err
    assert "runs.jsonl: no numbers for N" in said
    assert "column params: line 1 holds \"{'lr': 1}\", which is no number (25 such rows)" in said


def test_packed_text_is_read_and_other_archives_are_named(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress(PLAIN.to_csv(index=False).encode()))
    found = read_runs(path)
    assert same(found) and "unpacked" in found.took
    lines = PLAIN.to_json(orient="records", lines=True, double_precision=15)
    (tmp_path / "runs.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert same(read_runs(tmp_path / "runs.jsonl.gz"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunsError, match="cannot be read"):
        read_runs(path)
    for name, advice in {
        "a.zip": "unpack it",
        "a.csv.bz2": "unpack it",
        "a.xls": "save the",
    }.items():
        with pytest.raises(RunsError, match=rf"{name}: \.\w+ is not read; {advice}"):
            read_runs(tmp_path / name)
