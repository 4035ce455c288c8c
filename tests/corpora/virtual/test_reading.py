"""Readings: logistics, how they combine, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.corpora.virtual.reading import (
    Condition,
    Reading,
    Scaled,
    above,
    all_of,
    any_of,
    below,
    between,
    none_of,
    score,
)

PR = above("pr_ms", 200.0, 8.0)
AF = above("af", 0.5, 0.06)


def at(condition: Condition, **findings: float) -> float:
    return float(condition.degree({k: np.asarray(v) for k, v in findings.items()}))


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
    assert at(Scaled(0.3, PR), **found) == pytest.approx(0.3 * p)
    assert all_of(PR) is PR
    assert any_of(AF) is AF


def test_a_condition_says_what_it_looks_at() -> None:
    assert any_of(PR, none_of(AF), Scaled(0.5, score(0.0, male=1.0))).names == {
        "pr_ms", "af", "male",
    }  # fmt: skip


def test_share_and_flip_bound_the_probability() -> None:
    reading = Reading(PR, flip=0.02, share=0.8)
    low, high = reading.probability({"pr_ms": np.array([-1e9, 1e9])})
    assert low == pytest.approx(0.02)
    assert high == pytest.approx(0.02 + 0.96 * 0.8)


conditions = st.recursive(
    st.sampled_from([PR, AF, below("pr_ms", 120.0, 5.0), score(0.3, af=-2.0)]),
    lambda part: st.one_of(
        st.builds(all_of, part, part),
        st.builds(any_of, part, part),
        st.builds(none_of, part),
        st.builds(Scaled, st.floats(0.1, 1.0), part),
    ),
    max_leaves=8,
)


@given(conditions, st.lists(st.tuples(st.floats(0, 900), st.floats(-1, 2)), min_size=1, max_size=9))
def test_a_degree_is_a_degree_and_does_not_depend_on_the_batch(
    condition: Condition, rows: list[tuple[float, float]]
) -> None:
    batch = {"pr_ms": np.array([r[0] for r in rows]), "af": np.array([r[1] for r in rows])}
    together = condition.degree(batch)
    assert together.shape == (len(rows),)
    assert together.min() >= 0.0
    assert together.max() <= 1.0
    for i, (pr, af) in enumerate(rows):
        one = condition.degree({"pr_ms": np.array([pr]), "af": np.array([af])})
        assert np.array_equal(one, together[i : i + 1])


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown findings \\['pr'\\]"):
        above("pr", 200.0, 8.0)
    with pytest.raises(ValueError, match="softness"):
        above("pr_ms", 200.0, 0.0)
    with pytest.raises(ValueError, match="softness"):
        below("pr_ms", 200.0, -1.0)
    with pytest.raises(ValueError, match="a score needs"):
        score(1.0)
    for flip in (0.0, 0.5, -0.1):
        with pytest.raises(ValueError, match="flip"):
            Reading(PR, flip=flip)
    with pytest.raises(ValueError, match="share"):
        Reading(PR, flip=0.1, share=0.0)
    with pytest.raises(ValueError, match="share"):
        Scaled(1.5, PR)
