"""Dots of methods: what is drawn in which panel, and what is a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from analysis.compare.method_study import compare_methods
from analysis.compare.method_text import MOST_BLOCKS
from analysis.figures.methods import methods_picture
from tests.analysis.method_stores import students, write_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("students"), students((0, 1)))


def numbers(folder: Path, **more: Any) -> dict[str, Any]:
    return compare_methods(folder, metrics=["macro_auroc", "macro_f1"], resamples=30, **more)


def dots(axes: Axes) -> dict[float, float]:
    """Row -> value."""
    marked = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    return {float(np.ravel(m.get_ydata())[0]): float(np.ravel(m.get_xdata())[0]) for m in marked}


def test_a_block_has_a_panel_of_each_metric(folder: Path) -> None:
    found = numbers(folder)
    picture = methods_picture(found)
    picture.canvas.draw()
    auroc, f1 = picture.axes
    assert (auroc.get_xlabel(), f1.get_xlabel()) == ("macro-AUROC", "macro-F1")
    labels = [t.get_text() for t in auroc.get_yticklabels()]
    assert labels == ["DKD", "KD", "none", "LiteHeart-I", "LiteHeart-II",
                      "LiteHeart", "DKD", "KD", "none"]  # fmt: skip
    assert {t.get_text() for t in auroc.texts} == {
        "as published", "restored, labelled only", "matched inputs",
    }  # fmt: skip
    values = {m["name"]: m["values"]["macro_auroc"]["value"] for m in
              found["comparisons"][0]["methods"]}  # fmt: skip
    roles = found["comparisons"][0]["blocks"][0]["roles"]
    rows = dict(zip([float(y) for y in auroc.get_yticks()], labels, strict=True))
    at = {y: x for y, x in dots(auroc).items() if rows[y] in ("LiteHeart", "LiteHeart-I")}
    assert sorted(at.values()) == sorted(values[roles[r]] for r in ("liteheart", "liteheart_i"))
    assert len(dots(auroc)) == len(dots(f1)) == 9
    lines = {str(x.get_label()): float(np.ravel(x.get_xdata())[0]) for x in auroc.lines
             if not str(x.get_label()).startswith("_")}  # fmt: skip
    assert lines == {
        r: pytest.approx(values[roles[r]]) for r in ("ceiling", "teacher")
    }  # fmt: skip
    matched = [y for y in rows if y > 5]
    assert len(set(np.round(np.diff(matched), 6))) == 1  # groups stand apart, rows of one do not
    assert np.diff([float(y) for y in auroc.get_yticks()]).max() > 1.5


def test_without_blocks_every_method_is_drawn(folder: Path) -> None:
    found = numbers(folder, baseline="none (10 % labels)", pairs=[("kd", "dkd")])
    auroc, _ = methods_picture(found).axes
    names = {m["name"] for m in found["comparisons"][0]["methods"]}
    assert {t.get_text() for t in auroc.get_yticklabels()} == names


def test_only_so_many_blocks_are_drawn(folder: Path) -> None:
    found = numbers(folder)
    found["comparisons"] *= MOST_BLOCKS + 1
    assert len(methods_picture(found).axes) == 2 * MOST_BLOCKS
