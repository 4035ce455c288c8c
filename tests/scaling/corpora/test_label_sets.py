"""Label sets: the core is fixed, the others are nested, and the names are checked."""

from __future__ import annotations

import pytest

from scaling.data.label_sets import choose, columns, parse

COUNTS = [(37 * place) % 101 + 1 for place in range(100)]  # all different
BY_COUNT = sorted(range(100), key=COUNTS.__getitem__)


def test_the_dominant_core_is_the_tenth_of_the_classes_with_most_positives() -> None:
    chosen, core = choose("dominant-0.1", COUNTS)
    assert chosen == core == tuple(sorted(BY_COUNT[-10:]))


def test_the_tail_core_is_the_fiftieth_with_fewest_after_the_rare_ones_are_left_out() -> None:
    chosen, core = choose("tail-0.02", COUNTS)
    kept = [place for place in BY_COUNT if COUNTS[place] >= 10]
    assert len(kept) == 91
    assert chosen == core == tuple(sorted(kept[:2]))


@pytest.mark.parametrize(
    ("kind", "total", "shares"),
    [("dominant", 100, (0.1, 0.3, 0.5, 1.0)), ("tail", 91, (0.02, 0.3, 0.5, 1.0))],
)
def test_sets_of_one_kind_are_nested_and_have_their_share_of_classes(
    kind: str, total: int, shares: tuple[float, ...]
) -> None:
    before: set[int] = set()
    cores = set()
    for share in shares:
        chosen, core = choose(f"{kind}-{share}", COUNTS)
        assert len(chosen) == max(1, int(share * total + 0.5))
        assert list(chosen) == sorted(set(chosen))
        assert before <= set(chosen)
        assert set(core) <= set(chosen)
        before = set(chosen)
        cores.add(core)
    assert len(cores) == 1


def test_what_joins_is_random_and_not_the_next_most_frequent() -> None:
    chosen, core = choose("dominant-0.3", COUNTS)
    assert set(chosen) != set(BY_COUNT[-30:])
    joined = set(chosen) - set(core)
    assert min(COUNTS[i] for i in joined) < 40 < max(COUNTS[i] for i in joined)


def test_a_tail_never_holds_a_class_with_fewer_than_ten_positives() -> None:
    chosen, _ = choose("tail-1.0", COUNTS)
    assert min(COUNTS[place] for place in chosen) == 10


def test_few_classes_still_have_a_core_of_one() -> None:
    assert choose("tail-0.02", [50, 9, 30, 200]) == ((2,), (2,))
    assert choose("dominant-0.1", [50, 9, 30, 200]) == ((3,), (3,))
    assert choose("dominant-1.0", [50, 9, 30, 200]) == ((0, 1, 2, 3), (3,))


def test_equally_frequent_classes_are_ranked_by_their_place() -> None:
    assert choose("dominant-0.1", [20] * 20)[1] == (0, 1)
    assert choose("tail-0.1", [20] * 20)[1] == (19,)


def test_halves_are_rounded_up() -> None:
    assert len(choose("dominant-0.3", [20] * 15)[0]) == 5  # of 4.5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rare-0.1", "not of the form"),
        ("dominant", "not of the form"),
        ("dominant-many", "not of the form"),
        ("dominant-nan", "not of the form"),
        ("dominant-0.05", "from 0.1, its fixed core, to 1"),
        ("tail-1.5", "from 0.02, its fixed core, to 1"),
    ],
)
def test_names_that_mean_nothing_are_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(name)


def test_a_split_without_frequent_enough_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="no class with at least 10 positive records"):
        choose("tail-0.3", [9, 3, 0])
    with pytest.raises(ValueError, match=r"tail-0.3.*no class"):
        choose("tail-0.3", [])


def test_columns_follow_the_names_asked_for() -> None:
    assert columns(("a", "b", "c"), ("c", "a")) == [2, 0]
    with pytest.raises(ValueError, match=r"no class 'd'; it has a, b"):
        columns(("a", "b"), ("d",))
