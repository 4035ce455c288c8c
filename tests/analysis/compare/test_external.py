"""Models on an external corpus: compared beside their own task, and taken for nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from analysis.compare.evaluations import evaluations_on_test
from analysis.compare.method_study import compare_methods
from analysis.compare.method_text import methods_as_text
from analysis.compare.students import students_of
from analysis.report.tasks import chosen_models, other_rows, probe_rows
from analysis.studies.load import load
from analysis.studies.rows import law_rows, pooled
from tests.analysis.method_stores import TASK, students, write_store

HOME = "virtual/wearable"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Students on their own task, and the same measured at home, by other names."""
    own = [dataclasses.replace(t, validation=t.validation or 0.6) for t in students()]
    abroad = [
        dataclasses.replace(t, name=f"x{t.name}", task=HOME, protocol="external")
        for t in own
        if t.name != "net"
    ]
    return write_store(tmp_path_factory.mktemp("external"), [*own, *abroad])


def test_external_corpora_are_comparisons_of_their_own(folder: Path) -> None:
    numbers = compare_methods(folder, metrics=["macro_auroc", "macro_f1"], resamples=50)
    found = {(one["task"], one["protocol"]): one for one in numbers["comparisons"]}
    assert set(found) == {(TASK, "held-out"), (HOME, "external")}
    own, home = found[TASK, "held-out"], found[HOME, "external"]
    for one in (own, home):
        (block,) = one["blocks"]
        assert {"baseline", "kd", "liteheart_i", "liteheart", "ceiling", "teacher"} <= set(
            block["roles"]
        )
        assert one["folds"] == [0]
        assert [len(m["by_unit"]) for m in one["methods"]] == [3] * len(one["methods"])
    assert own["blocks"][0]["roles"] == home["blocks"][0]["roles"]
    assert f"{HOME} (external), 10 % labels, resnet d2w6" in methods_as_text(numbers)


def test_its_loss_is_binary_cross_entropy(folder: Path) -> None:
    frame = load(folder)
    loss = frame[(frame["split"] == "validation") & (frame["metric"] == "macro_auroc")]
    rows = evaluations_on_test(pd.concat([frame, loss.assign(metric="loss", value=0.25)]))
    external = rows["protocol"] == "external"
    assert external.any()
    assert (rows.loc[external, "bce"] == 0.25).all()
    others = rows[~external & (rows["objective"] != "supervised")]  # that minimise something else
    assert len(others) and others["bce"].isna().all()


def test_no_law_table_or_picture_of_the_own_task_takes_it(folder: Path) -> None:
    frame = pooled(load(folder))
    without = frame[frame["protocol"] != "external"]
    assert len(without) < len(frame)
    assert probe_rows(frame).empty
    assert chosen_models(frame) == chosen_models(without)
    assert set(other_rows(frame)["protocol"]) == {"held-out"}
    ids = {student.trial for student in students_of(frame)}
    assert ids and not any(name.startswith("tx") for name in ids)
    one = frame[frame["objective"] == "supervised"].assign(metric="loss", task=TASK)
    assert set(law_rows(one)["protocol"]) == {"held-out"}
