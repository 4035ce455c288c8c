"""Scores by amount of labels: what each figure shows, and that recipes are chosen on validation."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis.figures import base as figures
from analysis.report.labels import label_cells, label_pictures

TRIAL: dict[str, Any] = {
    "stage": "pretrain", "family": "resnet", "paradigm": "sl", "objective": "supervised",
    "corpus": "virtual/basic", "preprocessing": "none", "labels_fraction": 1.0, "leads": 12,
    "num_labels": 6, "label_set": "", "codebook": "", "given": "", "options": "",
    "size": "d2w6", "N": 1896, "D": 512,
    "recipe": "a", "parents": "", "status": "done", "trial": "t1", "protocol": "held-out",
    "split": "test", "metric": "loss", "value": 0.3, "task": "virtual/basic", "seed": 0,
}  # fmt: skip


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """Rows of ``load``, each on validation (its value) and test (a tenth more)."""
    found = []
    for i, row in enumerate(rows):
        full = TRIAL | {"trial": f"t{i}"} | row
        found += [full | {"split": "validation"}, full | {"value": full["value"] + 0.1}]
    return pd.DataFrame(found)


def tuned(value: float, data: int, parents: str = "", **more: Any) -> dict[str, Any]:
    stage = {"stage": "finetune", "corpus": "virtual/csn", "task": "virtual/csn"}
    return {**stage, "value": value, "D": data, "parents": parents, **more}


def test_fine_tuned_models_stand_beside_those_from_scratch() -> None:
    cells = label_cells(
        frame(
            {"trial": "parent", "D": 8192},
            *(tuned(0.3 - d / 1e4, d) for d in (256, 512)),
            *(tuned(0.2 - d / 1e4, d, "parent") for d in (256, 512)),
            tuned(0.5, 1024, labels_fraction=0.5),  # as many labels, a worse seed
        )
    )["labels-finetune"]
    assert set(cells["panel"]) == {"virtual/csn"}
    assert set(cells["origin"]) == {"scratch", "SL, D 8,192"}
    scratch = cells[cells["origin"] == "scratch"].set_index("labels")["value"]
    assert scratch[256.0] == pytest.approx(0.3 - 0.0256 + 0.1)
    assert scratch[512.0] == pytest.approx((0.3 - 0.0512 + 0.5) / 2 + 0.1)


def test_the_recipe_is_chosen_on_validation_and_not_averaged() -> None:
    rows = frame(tuned(0.3, 256), tuned(0.2, 256, recipe="b"), tuned(0.1, 512))
    lucky = (rows["recipe"] == "a") & (rows["split"] == "test") & (rows["D"] == 256)
    rows.loc[lucky, "value"] = 0.01  # best on test, and not on validation
    cells = label_cells(rows)["labels-finetune"].set_index("labels")["value"]
    assert cells[256.0] == pytest.approx(0.3)


def test_probes_are_shown_by_share_and_only_where_there_are_several() -> None:
    def probe(share: str, value: float, **more: Any) -> dict[str, Any]:
        protocol = "linear-probe" + share
        return {"protocol": protocol, "metric": "macro_auroc", "value": value, **more}

    whole = frame(probe("", 0.9), probe("", 0.7, paradigm="random"))
    assert label_cells(whole) == {}
    some = frame(probe("", 0.9), probe("@0.1", 0.8), probe("@0.1", 0.6, paradigm="random"))
    cells = label_cells(some)["labels-probe"].set_index(["origin", "labels"])["value"]
    assert cells["SL", 1.0] == pytest.approx(1.0)
    assert cells["random", 0.1] == pytest.approx(0.7)


def test_label_sets_are_compared_on_the_classes_they_share_and_by_probes() -> None:
    def sets(name: str, classes: int, core: float) -> list[dict[str, Any]]:
        own = {"label_set": name, "num_labels": classes, "corpus": "virtual/mimic:icd"}
        return [
            {**own, "metric": "macro_auroc_core", "value": core},
            {**own, "metric": "macro_auroc", "value": 0.5},  # of all its classes: not comparable
            {**own, "metric": "macro_auroc", "value": 0.6, "protocol": "linear-probe",
             "task": "virtual/csn"},
        ]  # fmt: skip

    rows = [
        *sets("dominant-0.1", 9, 0.7),
        *sets("dominant-1.0", 90, 0.8),
        *sets("tail-0.1", 3, 0.6),
    ]
    cells = label_cells(frame(*rows))["labels-sets"]
    by = cells.set_index(["panel", "origin", "labels"])["value"]
    assert by["virtual/mimic:icd, dominant classes", "SL", 90.0] == pytest.approx(0.9)
    assert by["virtual/mimic:icd, tail classes", "SL", 3.0] == pytest.approx(0.7)
    assert by["probe of virtual/csn", "SL, tail classes", 3.0] == pytest.approx(0.7)
    assert len(by) == 6


def test_every_line_of_a_figure_is_in_its_legend() -> None:
    rows = [tuned(0.3, d, size=s, N=n) for d in (256, 512) for s, n in (("a", 10), ("b", 20))]
    rows += [tuned(0.2, d, "t0") for d in (256, 512)]
    pictures = label_pictures(label_cells(frame({"trial": "t0"}, *rows)))
    (picture,) = pictures.values()
    (legend,) = picture.legends
    assert len(legend.get_lines()) == 3
    drawn, shown = (
        {(str(line.get_color()), str(line.get_linestyle())) for line in lines}
        for lines in (picture.axes[0].get_lines(), legend.get_lines())
    )
    assert drawn == shown and len(shown) == 3
    assert figures.png(picture).startswith(b"\x89PNG")
