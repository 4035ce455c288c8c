"""Whose loss is lowest, in a world where that is known."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import load
from analysis.questions import loss_ratio, lowest_loss
from analysis.questions.configurations import Configuration, configurations
from tests.analysis.worlds import HOLDS, TASKS, write_world


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Configuration]:
    kinds = [("resnet", "sl"), ("resnet", "ssl"), ("transformer", "sl")]
    folder = tmp_path_factory.mktemp("w") / "w"
    write_world(folder, {kind: HOLDS[kind] for kind in kinds}, TASKS[:2], noise=0.001)
    return {c.name: c for c in configurations(load(folder), 30)[0]}


def test_log_ratios_are_those_of_the_laws(three: dict[str, Configuration]) -> None:
    first, second = three["resnet-SSL"], three["resnet-SL"]
    found = loss_ratio(first, second, names=TASKS[:1])
    assert found.common.tasks == TASKS[:1]
    truths = [HOLDS["resnet", paradigm].away for paradigm in ("ssl", "sl")]
    losses = [E + A / found.common.sizes**a + B / found.common.D**b for E, A, a, B, b in truths]
    exact = np.log(losses[0] / losses[1])
    assert [r.point for r in found.by_size] == pytest.approx(exact, abs=0.02)
    assert found.mean.point == pytest.approx(float(exact.mean()), abs=0.01)
    assert found.change.point == found.by_size[-1].point - found.by_size[0].point
    assert found.lines[0].words.endswith("resnet-SSL is lower")
    assert loss_ratio(second, first).mean.point == pytest.approx(
        -loss_ratio(first, second).mean.point
    )


def test_shares_of_two_families_add_up(three: dict[str, Configuration]) -> None:
    found = lowest_loss(list(three.values()))
    assert found.shares["resnet"].point == 1.0 and found.shares["transformer"].point == 0.0
    assert found.among == 3 and found.lines[0].name == "a resnet is lowest"


def test_what_cannot_be_compared_is_refused(three: dict[str, Configuration]) -> None:
    with pytest.raises(ValueError, match="one family only"):
        lowest_loss([three["resnet-SL"], three["resnet-SSL"]])
    with pytest.raises(ValueError, match="no task on which all of them"):
        loss_ratio(three["resnet-SL"], three["resnet-SSL"], names=["none"])
