"""Which of the three approaches to believe."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from analysis.compute.allocation import Allocation, allocate
from analysis.compute.approaches import Approaches, compare_approaches
from analysis.compute.cost import ComputeModel
from analysis.compute.envelope import Envelope, envelope
from analysis.compute.isoflop import IsoFlop, isoflop
from analysis.compute.rows import AllocationError
from analysis.figures.base import png
from tests.analysis.frontiers import EPOCH, curves, fitted, isoflop_runs

NO_SURFACE = AllocationError("C does not vary at fixed N")


@pytest.fixture(scope="module")
def one() -> Envelope:
    return envelope(curves(sizes=16), n_boot=100)


@pytest.fixture(scope="module")
def two() -> IsoFlop:
    return isoflop(isoflop_runs(noise=0.004), n_boot=100)


@pytest.fixture(scope="module")
def three() -> Allocation:
    return surface(EPOCH)


def surface(theta: tuple[float, ...], status: str = "converged") -> Allocation:
    rng = np.random.default_rng(0)
    draws = np.array(theta) * np.exp(0.01 * rng.standard_normal((200, 5)))
    return allocate(fitted(theta, draws=draws, status=status), ComputeModel.standard(), C=1e19)


def test_a_converged_surface_that_agrees_is_believed(
    one: Envelope, two: IsoFlop, three: Allocation
) -> None:
    found = compare_approaches(envelope=one, isoflop=two, surface=three)
    assert found.believe == 3
    assert found.why == "the surface fit converged and agrees with envelope and isoFLOP curves"
    assert set(found.agree) == {(1, 2), (1, 3), (2, 3)} and not found.disagree
    table = found.table.set_index("approach")
    assert list(table["a"]) == [one.a, two.a, three.a]
    assert table.loc[2, "a_low"] == two.a_interval.low
    assert list(table["believed"]) == [False, False, True]


def test_disagreement_without_a_bias_leaves_nothing_to_believe(two: IsoFlop) -> None:
    found = compare_approaches(isoflop=two, surface=surface((1.8, 400.0, 0.2, 900.0, 0.5)))
    assert found.believe is None and found.disagree == ((2, 3),)
    assert "neither has a known bias" in found.why


@pytest.mark.parametrize(
    "warning",
    [
        "asymmetric grid: ...", "drifting grid: ...", "wide grid: ...",
        "1 of 5 budgets refused (see refused)",
    ],
)  # fmt: skip
def test_biased_curves_yield_to_the_surface_and_are_not_believed_alone(
    two: IsoFlop, warning: str
) -> None:
    biased = dataclasses.replace(two, warnings=(warning,))
    other = surface((1.8, 400.0, 0.2, 900.0, 0.5))
    found = compare_approaches(isoflop=biased, surface=other)
    assert found.believe == 3 and warning in found.why
    alone = compare_approaches(isoflop=biased, surface=NO_SURFACE)
    assert alone.believe is None and warning in alone.why


@pytest.mark.parametrize("status", ["at bound", "not converged"])
def test_an_unsound_surface_is_refused_and_clean_curves_are_believed(
    two: IsoFlop, status: str
) -> None:
    found = compare_approaches(isoflop=two, surface=surface(EPOCH, status))
    assert found.believe == 2 and f"the fit is {status}" in found.why
    last = found.table.iloc[2]
    assert last["refused"] == f"the fit is {status}" and not math.isnan(last["a"])


def test_few_budgets_are_a_caution_but_no_bias(two: IsoFlop) -> None:
    few = dataclasses.replace(two, warnings=("4 budgets: fewer than 5",))
    found = compare_approaches(isoflop=few, surface=NO_SURFACE)
    assert found.believe == 2 and found.exponents[1].cautions == few.warnings


def test_the_envelope_is_never_believed_alone(one: Envelope) -> None:
    found = compare_approaches(envelope=one, surface=NO_SURFACE)
    assert found.believe is None and "tied to the sizes trained" in found.why


def test_every_refusal_has_its_reason() -> None:
    refused = isoflop(isoflop_runs(off=1.5), n_boot=10)
    found = compare_approaches(
        envelope=AllocationError("2 sizes, at least 3 are needed"), isoflop=refused,
        surface=NO_SURFACE,
    )  # fmt: skip
    assert found.believe is None and found.why == "no approach is usable"
    assert [c.refused for c in found.exponents] == [
        "2 sizes, at least 3 are needed", refused.reason, str(NO_SURFACE),
    ]  # fmt: skip
    assert found.table["a"].isna().all() and not found.agree
    assert all(c.refused in found.summary() for c in found.exponents)
    assert {c.refused for c in compare_approaches().exponents} == {"not asked for"}


def test_a_surface_alone_is_believed_unchecked(three: Allocation) -> None:
    found = compare_approaches(surface=three)
    assert found.believe == 3 and found.why == "the surface fit converged and stands unchecked"
    unknown = allocate(fitted(EPOCH), ComputeModel.standard(), C=1e19)  # no refits, no intervals
    pair = compare_approaches(surface=unknown, envelope=NO_SURFACE)
    assert pair.believe == 3 and not pair.agree and not pair.disagree


@pytest.fixture(scope="module")
def shown(one: Envelope, two: IsoFlop) -> Approaches:
    return compare_approaches(envelope=one, isoflop=two, surface=NO_SURFACE)


def test_the_comparison_shows_itself(shown: Approaches) -> None:
    numbers = json.loads(json.dumps(shown.to_dict(), allow_nan=False))
    assert [r["a"] for r in numbers["approaches"]][2] is None and numbers["believe"] == 2
    text = shown.summary()
    assert "believe isoFLOP curves" in text and f"surface refused: {NO_SURFACE}" in text
    assert shown._repr_html_().count("<tr>") == 3


def test_the_figure_has_a_row_for_each_approach(shown: Approaches) -> None:
    figure = shown.plot()
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == ["1 envelope", "2 isoFLOP curves (believed)", "3 surface"]
    assert [t.get_text() for t in figure.axes[0].texts] == ["not known"]
    assert len(png(figure)) > 3000
