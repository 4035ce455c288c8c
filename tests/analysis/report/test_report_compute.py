"""Sections of the report on compute, on laws compared, and on other tasks."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from analysis.compute.allocation import allocate
from analysis.compute.approaches import compare_approaches
from analysis.compute.cost import ComputeModel
from analysis.questions.transfer import TransferEfficiency
from analysis.report.content import Content, study_content
from analysis.report.page import transfer_picture, write_report
from tests.analysis.frontiers import fitted
from tests.analysis.synthetic import Plan, write_study


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    folder = write_study(tmp_path_factory.mktemp("compute") / "study", Plan(noise=0.01))
    return study_content(folder, n_boot=30)


def test_every_part_is_there_or_says_why(content: Content) -> None:
    compute = content.groups[0].compute
    assert compute is not None and compute.model is not None
    parts = {
        "allocation": compute.allocation, "envelope": compute.envelope, "choice": compute.choice,
    }  # fmt: skip
    for name, found in parts.items():
        assert (found is None) == bool(compute.reasons.get(name))
    assert compute.envelope is None or compute.frontier is not None


def test_the_law_the_runs_were_made_with_is_among_the_best(content: Content) -> None:
    compute = content.groups[0].compute
    assert compute is not None and compute.choice is not None
    table = compute.choice.table
    errors = dict(zip(map(str, table["candidate"]), map(float, table["error"]), strict=True))
    assert errors["chinchilla"] < 0.1
    assert list(errors.values()) == sorted(errors.values())
    assert compute.choice.chosen in errors and compute.choice.simplest == "tied"


def test_compute_that_does_not_depend_on_data_is_refused(content: Content) -> None:
    """Made-up runs take the same steps whatever their data, so records cost nothing."""
    compute = content.groups[0].compute
    assert compute is not None
    assert compute.allocation is None
    assert "C " in compute.reasons["allocation"]
    surface = compute.approaches.exponents[2]
    assert surface.refused == compute.reasons["allocation"]


def test_other_tasks_are_drawn_beside_the_one_trained_on(content: Content) -> None:
    group = content.groups[0]
    assert [t.task for t in group.others] == ["virtual/shifted"]
    law = group.others[0].transfer
    assert law and law.kappa.point == pytest.approx(1.0, abs=0.05)  # made as 1.1 times
    assert group.joint
    assert len(transfer_picture(group.joint, group.others).axes) == 1


def test_the_page_has_the_kappas_of_the_questions(content: Content) -> None:
    """One answer to one question: the report once fitted its own."""
    (asked,) = content.questions.of("transfer_efficiency")
    assert isinstance(asked.answer, TransferEfficiency)
    (kappa,) = (t.kappas["fixed"] for t in asked.answer.tasks if t.task == "virtual/shifted")
    (task,) = content.groups[0].others
    assert task.transfer and task.transfer.kappa is kappa


def test_the_page_and_the_numbers_hold_them(content: Content, tmp_path: Path) -> None:
    write_report(content, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for heading in ("Which law predicts larger runs best", "Compute", "What a lower loss is worth"):
        assert heading in page
    numbers = json.loads(content.to_json())["groups"][0]
    assert numbers["transfer"]["virtual/shifted"]["K"] > 0
    assert numbers["compute"]["choice"]["chosen"]


def with_allocation(content: Content, status: str) -> Content:
    """The same, with an allocation from a law of this status beside the refusals."""
    group = content.groups[0]
    assert group.compute is not None
    cost = ComputeModel.standard()
    model = dataclasses.replace(cost, convention="counted", m=0.83, q=0.23)
    allocation = dataclasses.replace(
        allocate(fitted((0.25, 1.2, 0.35, 2.0, 0.4)), model), status=status
    )
    compute = dataclasses.replace(
        group.compute, allocation=allocation, approaches=compare_approaches(surface=allocation)
    )
    return dataclasses.replace(content, groups=(dataclasses.replace(group, compute=compute),))


def section(content: Content, tmp_path: Path) -> str:
    write_report(content, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    return page[page.index("<h3>Compute</h3>") : page.index("Models chosen on validation")]


def test_two_allocations_stand_with_the_sentence_that_tells_them_apart(
    content: Content, tmp_path: Path
) -> None:
    shown = section(with_allocation(content, "converged"), tmp_path)
    for words in (
        "3: surface", ">believed<", "3, under C = k N D", ">to compare<", "Lines of equal loss",
        "The counted exponents hold for training that stops as these runs did, whose C grew as "
        "N^0.830 D^0.230: plan such training with them; those under C = k N D hold where",
    ):  # fmt: skip
        assert words in shown


def test_neither_allocation_stands_where_the_law_is_not_to_be_relied_on(
    content: Content, tmp_path: Path
) -> None:
    shown = section(with_allocation(content, "at bound"), tmp_path)
    assert "Surface refused.</b> The fit is at bound." in shown
    for words in ("under C = k N D", "plan such training", "Lines of equal loss", "believed"):
        assert words not in shown
    assert not re.search(r"<td>[0-9]", shown)
