"""What looks wrong with a plan although it can run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from scaling.identity import Training

COLLINEAR = 0.9
FEWEST = 3


def find_warnings(trials: Sequence[tuple[Training, int]], repeated: int) -> list[str]:
    """Warnings, one line each.

    Args:
        trials: every training of the plan with its N.
        repeated: how often the grid lists a trial again.
    """
    return [*_repeated(repeated), *_law(trials), *_recipes(trials)]


def _repeated(repeated: int) -> Iterator[str]:
    if repeated:
        yield f"the grid lists {repeated} trial(s) more than once; each runs once"


def _law(trials: Sequence[tuple[Training, int]]) -> Iterator[str]:
    """Whether L(N, D) can be told from these cells."""
    cells = {(n, training.data) for training, n in trials}
    sizes, data = {n for n, _ in cells}, {d for _, d in cells}
    for found, what in ((sizes, "model sizes"), (data, "data sizes")):
        if len(found) < FEWEST:
            yield (
                f"{len(found)} {what}: a law needs at least {FEWEST} "
                "(its exponent cannot be told from these)"
            )
    if min(len(sizes), len(data)) >= 2:
        r = _correlation([(math.log(n), math.log(d)) for n, d in cells])
        if abs(r) > COLLINEAR:
            yield (
                f"N and D rise together (correlation of their logarithms {r:.2f}): "
                "their effects cannot be told apart; cross sizes and data"
            )


def _correlation(points: list[tuple[float, float]]) -> float:
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    xy = sum((x - mean_x) * (y - mean_y) for x, y in points)
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    yy = sum((y - mean_y) ** 2 for _, y in points)
    return xy / math.sqrt(xx * yy)


def _recipes(trials: Sequence[tuple[Training, int]]) -> Iterator[str]:
    big = {t.recipe.batch for t, _ in trials if t.recipe.batch > t.data}
    if big:
        smallest = min(t.data for t, _ in trials if t.recipe.batch > t.data)
        yield f"batch {max(big)} is larger than the data ({smallest} records) of some trials"
    short = sorted({t.data for t, _ in trials if t.recipe.max_steps * t.recipe.batch < t.data})
    if short:
        yield (
            f"max_steps x batch is less than one pass over D = {', '.join(map(str, short))}: "
            "those trials do not see all of their data"
        )
