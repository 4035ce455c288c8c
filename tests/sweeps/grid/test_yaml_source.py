"""Positions in a YAML file, and the smoke section merged over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeps.errors import Loc, Mistake
from sweeps.grid.source import YamlSource, merge_smoke

TEXT = """\
base: &base {lr: 1, wide: 2}
used:
  <<: *base
  own: 3
again: *base
list:
  - one
  - {two: 2}
"""


@pytest.fixture
def source(tmp_path: Path) -> YamlSource:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT)
    return YamlSource.load(path)


@pytest.mark.parametrize(
    ("loc", "value", "key"),
    [
        (("base",), (1, 7), (1, 1)),
        (("base", "wide"), (1, 27), (1, 21)),
        (("used", "own"), (4, 8), (4, 3)),
        (("list", 0), (7, 5), (7, 5)),
        (("list", 1, "two"), (8, 11), (8, 6)),
        (("again", "lr"), (1, 18), (1, 14)),
        ((), (1, 1), (1, 1)),
    ],
)
def test_values_and_keys_have_positions(
    loc: Loc, value: tuple[int, int], key: tuple[int, int], source: YamlSource
) -> None:
    assert source.position(loc) == value
    assert source.position(loc, at_key=True) == key


def test_what_is_not_there_is_placed_at_its_parent(source: YamlSource) -> None:
    assert source.position(("list", 1, "none", 4)) == source.position(("list", 1))
    assert source.position(("used", "lr"))[0] in (1, 3)


def test_merged_values_are_plain(source: YamlSource) -> None:
    data = source.data()
    assert data["used"] == {"lr": 1, "wide": 2, "own": 3}
    assert type(data) is dict
    assert type(data["list"]) is list


def test_mistakes_are_sorted_and_said_once(source: YamlSource) -> None:
    mistakes = [Mistake(loc=("list", 0), message="b"), Mistake(loc=("base",), message="a")]
    text = str(source.error([*mistakes, *mistakes]))
    assert text == f"{source.path}:1:7: base: a\n{source.path}:7:5: list.0: b"


@pytest.mark.parametrize(
    ("smoke", "corpus", "pretrain"),
    [
        ({"corpus": {"a": 9}}, {"a": 9, "b": 2}, {"data": [1, 2], "recipe": {"lr": 1}}),
        ({"pretrain": {"data": [5]}}, {"a": 1, "b": 2}, {"data": [5], "recipe": {"lr": 1}}),
        (
            {"pretrain": {"recipe": {"x": 3}}},
            {"a": 1, "b": 2},
            {"data": [1, 2], "recipe": {"lr": 1, "x": 3}},
        ),
    ],
)
def test_smoke_merges_mappings_and_replaces_the_rest(
    smoke: dict[str, Any], corpus: dict[str, int], pretrain: dict[str, Any]
) -> None:
    base = {"data": [1, 2], "recipe": {"lr": 1}}
    grid = {"study": "s", "corpus": {"a": 1, "b": 2}, "stages": [{"pretrain": base}]}
    merged = merge_smoke(grid | {"smoke": smoke})
    assert merged["corpus"] == corpus
    assert merged["stages"] == [{"pretrain": pretrain}]
    assert "smoke" not in merged
    assert base == {"data": [1, 2], "recipe": {"lr": 1}}  # the grid itself is left alone
