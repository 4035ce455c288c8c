"""Readings: logistics, how they combine, one reader's judgement, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts import COHORTS
from scaling.corpora.virtual.cohorts.chances import Imagined
from scaling.corpora.virtual.reading import (
    AllOf,
    Between,
    Condition,
    Not,
    Opinion,
    Outcome,
    Reading,
    Score,
    above,
    all_of,
    any_of,
    below,
    between,
    none_of,
    read_once,
    score,
    written,
)

Array = NDArray[np.float64]

PR = above("pr_ms", 200.0, 8.0)
AF = above("af", 0.5, 0.06)
RATE = between("rate_bpm", 57.0, 100.0, 4.0)
MINORITY = Opinion("some say so", 0.3)


def at(condition: Condition, slip: float = 0.0, **findings: float) -> float:
    return float(condition.degree({k: np.asarray(v) for k, v in findings.items()}, slip))


def share_of_readers(
    condition: Condition, findings: dict[str, Array], slip: float, readers: int
) -> Array:
    shape = (readers, len(next(iter(findings.values()))))
    held = condition.holds(findings, Imagined(np.random.default_rng(0), shape, slip))
    assert held.shape == shape
    return np.asarray(held.mean(axis=0))


def test_a_threshold_is_half_called_and_its_softness_is_the_logistic_scale() -> None:
    assert at(PR, pr_ms=200.0) == 0.5
    assert at(PR, pr_ms=208.0) == pytest.approx(1 / (1 + np.exp(-1)))
    assert at(below("rate_bpm", 55.0, 1.5), rate_bpm=53.5) == pytest.approx(1 / (1 + np.exp(-1)))
    assert at(between("rbbb", 0.25, 0.6, 0.05), rbbb=0.42) > 0.9
    assert at(between("rbbb", 0.25, 0.6, 0.05), rbbb=0.9) < 0.01


def test_several_findings_add_their_log_odds() -> None:
    p = at(score(-1.0, lv_mass=0.01, male=2.0), lv_mass=150.0, male=1.0)
    assert p == pytest.approx(1 / (1 + np.exp(-(-1.0 + 1.5 + 2.0))))


def test_and_or_not_by_hand() -> None:
    found = {"pr_ms": 208.0, "af": 0.56}
    p = q = 1 / (1 + np.exp(-1))
    assert at(all_of(PR, AF), **found) == pytest.approx(p * q)
    assert at(any_of(PR, AF), **found) == pytest.approx(1 - (1 - p) * (1 - q))
    assert at(none_of(PR, AF), **found) == pytest.approx((1 - p) * (1 - q))
    assert at(written("long PR", PR, 0.3), **found) == pytest.approx(0.3 * p)
    assert written("long PR", PR, 1.0) is PR
    assert all_of(PR) is PR
    assert any_of(AF) is AF


def test_between_by_hand_is_what_lies_above_the_one_and_not_above_the_other() -> None:
    low, high = (1 / (1 + np.exp(-(70.0 - limit) / 4.0)) for limit in (57.0, 100.0))
    assert at(RATE, rate_bpm=70.0) == pytest.approx(low - high)
    assert at(RATE, rate_bpm=-1e6) == at(RATE, rate_bpm=1e6) == 0.0
    # What hardly leaves anything between is rounded, but never below nothing.
    narrow = between("turn_deg", 0.0, 1e-14, 1.0)
    assert narrow.degree({"turn_deg": np.linspace(-5.0, 5.0, 1001)}).min() >= 0.0


def test_a_condition_says_what_it_looks_at_and_how_often() -> None:
    whole = any_of(PR, none_of(AF), all_of(MINORITY, score(0.0, male=1.0, af=-1.0)), RATE)
    assert whole.names == {"pr_ms", "af", "male", "rate_bpm"}
    assert sorted(whole.keys) == ["af", "af+male", "opinion/some say so", "pr_ms", "rate_bpm"]
    assert read_once(whole)
    assert read_once(all_of(PR, Not(AF)))
    assert not read_once(all_of(PR, any_of(AF, above("pr_ms", 300.0, 8.0))))
    assert not read_once(any_of(all_of(MINORITY, PR), all_of(Opinion("some say so", 0.5), AF)))


def test_a_flip_bounds_the_probability_of_an_outcome() -> None:
    low, high = Outcome(PR, flip=0.02).probability({"pr_ms": np.array([-1e9, 1e9])})
    assert low == pytest.approx(0.02)
    assert high == pytest.approx(0.98)


def test_a_slip_keeps_every_probability_away_from_0_and_1() -> None:
    for finding, wrong in (("pr_ms", 0.1), ("qrs_ms", 0.1), ("af", 0.01), ("paced", 0.01)):
        # The ten rhythms are one finding together.
        threshold = above(finding, 0.5, 0.1)
        assert at(threshold, 0.1, **{finding: -1e9}) == pytest.approx(wrong / 2)
        assert at(threshold, 0.1, **{finding: 1e9}) == pytest.approx(1 - wrong / 2)
        inside = between(finding, 0.0, 1e9, 0.1)
        assert at(inside, 0.1, **{finding: 1e6}) == pytest.approx(1 - wrong)


ONCE: dict[str, Condition] = {
    "above": PR,
    "below": below("pr_ms", 205.0, 5.0),
    "rhythm": AF,
    "score": score(-1.0, pr_ms=-0.01, af=3.0, rate_bpm=0.02),
    "score that falls": score(3.0, af=-4.0, rate_bpm=-0.01),
    "between": RATE,
    "opinion": MINORITY,
    "not": Not(PR),
    "not between": Not(RATE),
    "not a share": Not(MINORITY),
    "all": all_of(PR, AF, Not(RATE)),
    "any": any_of(PR, AF, RATE),
    "none": none_of(PR, AF),
    "share": written("x", any_of(PR, RATE), 0.4),
    "nested": all_of(any_of(PR, all_of(AF, MINORITY)), Not(all_of(RATE, score(0.0, male=1.0)))),
}


@pytest.mark.parametrize("slip", [0.0, 0.15])
@pytest.mark.parametrize("kind", ONCE)
def test_the_degree_is_the_share_of_readers_where_nothing_is_judged_twice(
    kind: str, slip: float
) -> None:
    condition, readers = ONCE[kind], 40_000
    assert read_once(condition)
    found = {
        "pr_ms": np.array([150.0, 195.0, 203.0, 260.0, 1e4]),
        "af": np.array([0.9, 0.45, 0.52, 0.6, -1e4]),
        "rate_bpm": np.array([54.0, 62.0, 80.0, 101.0, 1e5]),
        "male": np.array([0.0, 1.0, 1.0, 0.0, 1.0]),
    }
    stated = condition.degree(found, slip)
    seen = share_of_readers(condition, found, slip, readers)
    assert np.all(np.abs(seen - stated) <= 4.5 * np.sqrt(stated * (1 - stated) / readers) + 1e-12)


def test_of_what_is_judged_twice_the_reader_makes_one_judgement() -> None:
    found = {"pr_ms": np.array([200.0])}
    twice = all_of(PR, above("pr_ms", 195.0, 8.0))
    assert share_of_readers(twice, found, 0.0, 40_000)[0] == pytest.approx(0.5, abs=0.01)
    assert at(twice, pr_ms=200.0) == pytest.approx(0.5 / (1 + np.exp(-5 / 8)))


@settings(deadline=None)
@given(
    st.floats(-3.0, 3.0), st.floats(0.05, 2.0), st.floats(0.01, 1.0), st.sampled_from([0.0, 0.4]),
    st.integers(0, 2**32),
)  # fmt: skip
def test_one_reader_does_not_contradict_himself(
    low: float, width: float, softness: float, slip: float, seed: int
) -> None:
    high = low + width
    errors = Imagined(np.random.default_rng(seed), (64, 41), slip)
    found = {"turn_deg": np.linspace(-5.0, 5.0, 41)}
    under, inside, over = (
        part.holds(found, errors)
        for part in (
            below("turn_deg", low, softness),
            between("turn_deg", low, high, softness),
            above("turn_deg", high, softness),
        )
    )
    assert np.all(under.astype(int) + inside + over == 1)
    lower = above("turn_deg", low, softness).holds(found, errors)
    assert np.all(lower >= over)
    assert np.array_equal(
        Not(between("turn_deg", low, high, softness)).holds(found, errors), ~inside
    )


def test_the_same_readers_hold_an_opinion_wherever_it_is_asked_for() -> None:
    errors = Imagined(np.random.default_rng(0), (1000, 1), 0.0)
    found = {"pr_ms": np.array([0.0])}
    few, again, most = (
        Opinion(name, share).holds(found, errors)
        for name, share in (("a", 0.2), ("a", 0.2), ("a", 0.9))
    )
    assert np.array_equal(few, again)
    assert np.all(most >= few)
    other = Opinion("b", 0.2).holds(found, errors)
    assert 0.01 < (few & other).mean() < 0.08  # 0.04 where two opinions have nothing to do


def _joined(drawn: tuple[object, Condition, Condition]) -> Condition:
    """Both or any of two; one of them where they contradict each other."""
    how, *parts = drawn
    try:
        return all_of(*parts) if how is all_of else any_of(*parts)
    except ValueError:
        return parts[0]


conditions = st.recursive(
    st.sampled_from([PR, AF, RATE, MINORITY, below("pr_ms", 120.0, 5.0), score(0.3, af=-2.0)]),
    lambda part: st.one_of(
        st.tuples(st.sampled_from([all_of, any_of]), part, part).map(_joined),
        st.builds(Not, part),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    conditions,
    st.lists(
        st.tuples(st.floats(0, 900), st.floats(-1, 2), st.floats(20, 250)), min_size=1, max_size=9
    ),
    st.sampled_from([0.0, 0.1]),
)
def test_a_degree_is_a_degree_and_does_not_depend_on_the_batch(
    condition: Condition, rows: list[tuple[float, float, float]], slip: float
) -> None:
    names = ("pr_ms", "af", "rate_bpm")
    batch = dict(zip(names, np.array(rows).T, strict=True))
    together = condition.degree(batch, slip)
    assert together.shape == (len(rows),)
    assert together.min() >= 0.0
    assert together.max() <= 1.0
    for i, row in enumerate(rows):
        one = {name: np.array([value]) for name, value in zip(names, row, strict=True)}
        assert np.array_equal(condition.degree(one, slip), together[i : i + 1])


NEVER = {
    "above and below": lambda: all_of(above("pr_ms", 200.0, 5.0), below("pr_ms", 190.0, 5.0)),
    "the same threshold": lambda: all_of(above("pr_ms", 200.0, 5.0), below("pr_ms", 200.0, 5.0)),
    "nested": lambda: all_of(AF, all_of(RATE, all_of(PR, below("pr_ms", 150.0, 5.0)))),
    "between and above": lambda: all_of(RATE, above("rate_bpm", 100.0, 4.0)),
    "two betweens": lambda: all_of(RATE, between("rate_bpm", 110.0, 120.0, 4.0)),
    "its own negation": lambda: all_of(PR, AF, Not(PR)),
    "the negation of all": lambda: all_of(PR, AF, Not(all_of(PR, AF))),
    "the negation of a between": lambda: all_of(RATE, Not(RATE)),
    "a score and its negation": lambda: all_of(score(1.0, af=1.0, male=1.0), AF,
                                               Not(score(1.0, af=1.0, male=1.0))),
    "an opinion and its negation": lambda: all_of(MINORITY, PR, Not(MINORITY)),
    "few and not most": lambda: all_of(MINORITY, Not(Opinion("some say so", 0.5))),
    "more and not less": lambda: all_of(above("pr_ms", 210.0, 8.0), Not(PR)),
    "any of what is denied": lambda: all_of(any_of(PR, AF), none_of(PR, AF)),
    "any of what cannot be": lambda: all_of(any_of(PR, AF), below("pr_ms", 150.0, 5.0), Not(AF)),
    "twice denied": lambda: all_of(Not(Not(PR)), Not(PR)),
    "always": lambda: any_of(above("pr_ms", 100.0, 5.0), below("pr_ms", 110.0, 5.0)),
    "always, by negation": lambda: any_of(AF, PR, Not(AF)),
}  # fmt: skip


@pytest.mark.parametrize("kind", NEVER)
def test_a_condition_that_never_or_always_holds_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=r"(can never|always) hold") as found:
        NEVER[kind]()
    assert "both holds and does not" in str(found.value) or " and below " in str(found.value)


@pytest.mark.parametrize(
    "condition",
    [
        all_of(above("pr_ms", 200.0, 5.0), below("pr_ms", 201.0, 5.0)),
        all_of(RATE, between("rate_bpm", 90.0, 120.0, 4.0)),
        all_of(PR, Not(all_of(PR, AF))),
        all_of(any_of(PR, AF), Not(AF)),
        all_of(any_of(PR, AF), none_of(all_of(PR, AF))),
        all_of(Opinion("some say so", 0.5), Not(MINORITY)),
        all_of(RATE, Not(between("rate_bpm", 70.0, 80.0, 4.0))),
        all_of(above("rate_bpm", 60.0, 4.0), Not(RATE)),
        all_of(Not(PR), Not(above("pr_ms", 300.0, 8.0))),
        all_of(above("pr_ms", 200.0, 5.0), below("qrs_ms", 100.0, 5.0)),
        any_of(below("st_lateral_mv", 0.0, 0.01), between("st_lateral_mv", 0.02, 0.1, 0.01)),
        none_of(PR, below("pr_ms", 110.0, 5.0)),
    ],
)  # fmt: skip
def test_what_can_hold_is_held_by_some_and_not_by_others(condition: Condition) -> None:
    rng = np.random.default_rng(1)
    scales = {"pr_ms": 300.0, "af": 1.0, "rate_bpm": 200.0, "qrs_ms": 150.0, "st_lateral_mv": 0.1}
    found = {name: scale * rng.uniform(-0.1, 1.0, 4000) for name, scale in scales.items()}
    held = condition.holds(found, Imagined(rng, (8, 4000), 0.0))
    assert 0 < held.sum() < held.size


def test_every_statement_of_every_cohort_can_hold() -> None:
    """Its parts, whatever they are nested in, passed the same check when it was defined."""
    for cohort in COHORTS.values():
        for reading in cohort.readings.values():
            if isinstance(reading.condition, AllOf):
                assert AllOf(reading.condition.parts) == reading.condition


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown findings \\['pr'\\]"):
        above("pr", 200.0, 8.0)
    with pytest.raises(ValueError, match="softness"):
        above("pr_ms", 200.0, 0.0)
    with pytest.raises(ValueError, match="softness"):
        below("pr_ms", 200.0, -1.0)
    with pytest.raises(ValueError, match="softness"):
        between("pr_ms", 100.0, 200.0, float("nan"))
    with pytest.raises(ValueError, match="a score needs"):
        score(1.0)
    with pytest.raises(ValueError, match="names a finding twice"):
        Score(1.0, (("af", 1.0), ("male", 1.0), ("af", 2.0)))
    for bias, weight in ((float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(ValueError, match="not finite"):
            score(bias, af=weight)
    with pytest.raises(ValueError, match="nothing lies between 200 and 100 of pr_ms"):
        Between("pr_ms", 200.0, 100.0, 5.0)
    with pytest.raises(ValueError, match="all of no conditions"):
        none_of()
    for flip in (0.0, 0.5, -0.1):
        with pytest.raises(ValueError, match="flip"):
            Outcome(PR, flip=flip)
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="share"):
            Opinion("x", share)
        with pytest.raises(ValueError, match="share"):
            Reading(written("x", PR, share))
