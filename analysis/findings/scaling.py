"""Findings i, ii and v of S1: what limits the loss, which exponents are larger, where compute goes.

i: the data's share of what is left to gain. ii: exponents out of distribution. v: allocation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.findings.claims import Claim, Quantity, mean
from analysis.findings.configurations import Configuration, TaskFit, thetas
from analysis.laws import FloatArray
from analysis.published import s1
from analysis.result import Fit
from analysis.uncertainty import Interval

By = Mapping[tuple[str, str], Configuration]
FAMILIES = ("resnet", "transformer")
PARADIGMS = ("sl", "ssl")
_COLUMN = {"alpha": 2, "beta": 4}  # of the joint law's parameters E, A, alpha, B, beta
_AXIS = {"alpha": "N", "beta": "D"}


def data_share(fit: Fit) -> Quantity:
    """Share of the reducible loss of the largest cell that is due to finite data, in [0, 1].

    (B / D^beta) / (A / N^alpha + B / D^beta) of the joint law, at the largest N and the largest D.
    """
    by_n, by_d = _terms(fit)
    return Quantity(values=by_d / (by_n + by_d), dof=fit.problem.dof, lower=0.0, upper=1.0)


def used_up(fit: Fit, axis: str) -> Quantity:
    """Share of what more N (or D) can give, from the smallest on, that the largest has given.

    1 - (x_min / x_max)^exponent of the joint law: near 1 the loss has stopped falling along it.
    """
    exponent = thetas(fit)[:, _COLUMN["alpha" if axis == "N" else "beta"]]
    low, high = fit.ranges[axis]
    return Quantity(values=1 - (low / high) ** exponent, dof=fit.problem.dof, lower=0.0, upper=1.0)


def _terms(fit: Fit) -> tuple[FloatArray, FloatArray]:
    """A / N^alpha and B / D^beta (1 + R,) at the largest N and D."""
    theta = thetas(fit)
    n, d = fit.ranges["N"][1], fit.ranges["D"][1]
    return theta[:, 1] * n ** -theta[:, 2], theta[:, 3] * d ** -theta[:, 4]


def bottleneck_claims(by: By) -> list[Claim]:
    """Finding i, in distribution."""
    found = []
    for (family, paradigm), configuration in by.items():
        if not configuration.fit.ok or family not in FAMILIES:
            continue
        share = data_share(configuration.fit)
        used = [used_up(configuration.fit, axis).estimate for axis in ("N", "D")]
        supervised = paradigm == "sl"
        found.append(
            Claim(
                finding="i",
                claim=f"{configuration.name} is {'' if supervised else 'not '}limited by data",
                printed="saturates in N, not in D" if supervised else "no saturation in N or D",
                measured="data's share of the reducible loss at the largest cell",
                estimate=share.estimate,
                interval=share.interval,
                line=0.5,
                side="above" if supervised else "below",
                note=f"gains of N used up: {used[0]:.0%}, of D: {used[1]:.0%}",
            )
        )
    for family in FAMILIES:
        pair = _pair(by, (family, "sl"), (family, "ssl"))
        if pair is None or not (pair[0].fit.ok and pair[1].fit.ok):
            continue
        shares = [data_share(c.fit) for c in pair]
        less = Quantity(values=shares[0].values - shares[1].values, dof=min(s.dof for s in shares))
        found.append(
            Claim(
                finding="i", claim=f"data limit {family}-SL more than {family}-SSL", printed="",
                measured="difference of the shares, SL less SSL", estimate=less.estimate,
                interval=less.interval, line=0.0, side="above",
            )
        )  # fmt: skip
    return found


def exponent(found: TaskFit, name: str) -> Quantity:
    """``alpha`` or ``beta`` of a task with its resamples."""
    return Quantity(values=thetas(found.fit)[:, _COLUMN[name]], dof=found.fit.problem.dof)


def mean_exponent(configuration: Configuration, name: str) -> Quantity:
    """Mean over the tasks whose law determines it."""
    return mean(exponent(t, name) for t in configuration.tasks if t.identified(_AXIS[name]))


def efficiency_claims(by: By) -> list[Claim]:
    """Finding ii: ratios of exponents out of distribution, as a geometric mean over tasks."""
    found = []
    for paradigm in PARADIGMS:
        pair = _pair(by, ("resnet", paradigm), ("transformer", paradigm))
        if pair:
            words = f"resnet-{paradigm.upper()} gains more from N than transformer-"
            found.append(_ratio(pair, "alpha", f"{words}{paradigm.upper()}"))
    for family in FAMILIES:
        pair = _pair(by, (family, "ssl"), (family, "sl"))
        if pair:
            words = f"{family}-SSL gains more from data than {family}-SL"
            found.append(_ratio(pair, "beta", words))
    return found


def _ratio(pair: Sequence[Configuration], name: str, words: str) -> Claim:
    first, second = pair
    shared, left = _shared(first, second, _AXIS[name])
    ratio = mean(
        Quantity(
            values=np.log(exponent(a, name).values / exponent(b, name).values),
            dof=min(a.fit.problem.dof, b.fit.problem.dof),
        )
        for a, b in shared
    )
    note = f"{len(shared)} tasks"
    if left:
        note += f"; {left} left out, whose {name} a law does not determine"
    scale = math.exp(ratio.estimate)
    if math.isfinite(scale) and name == "alpha":
        note += f"; {second.name} needs {2**scale:.3g} times the parameters for what 2 times do"
    return Claim(
        finding="ii", claim=words, printed="larger (digits lost)",
        measured=f"ratio of {name}, {first.name} over {second.name}", estimate=scale,
        interval=Interval(low=math.exp(ratio.interval.low), high=math.exp(ratio.interval.high)),
        line=1.0, side="above", note=note,
    )  # fmt: skip


def _shared(
    first: Configuration, second: Configuration, axis: str
) -> tuple[list[tuple[TaskFit, TaskFit]], int]:
    """Tasks whose law determines the axis in both, and how many others they share."""
    names = {t.task for t in second.tasks}
    pairs = [(t, second.task(t.task)) for t in first.tasks if t.task in names]
    good = [p for p in pairs if p[0].identified(axis) and p[1].identified(axis)]
    return good, len(pairs) - len(good)


def to_data(found: TaskFit) -> Quantity:
    """Share of marginal compute that goes to data under C ~ N D: alpha / (alpha + beta) (S.7)."""
    theta = thetas(found.fit)
    return Quantity(
        values=theta[:, 2] / (theta[:, 2] + theta[:, 4]),
        dof=found.fit.problem.dof, lower=0.0, upper=1.0,
    )  # fmt: skip


def mean_to_data(configuration: Configuration) -> Quantity:
    """Mean of ``to_data`` over the tasks whose law determines both exponents."""
    tasks = [t for t in configuration.tasks if t.identified("N") and t.identified("D")]
    return mean(to_data(t) for t in tasks)


def allocation_claims(by: By) -> list[Claim]:
    """Finding v: where marginal compute goes."""
    found = []
    for kind, printed in s1.DATA_SHARE.items():
        if kind not in by:
            continue
        share = mean_to_data(by[kind])
        more = printed > 0.5
        found.append(
            Claim(
                finding="v",
                claim=f"{by[kind].name} spends more on {'data' if more else 'model size'}",
                printed=f"{printed:.0%} to data",
                measured="alpha / (alpha + beta), mean over tasks",
                estimate=share.estimate,
                interval=share.interval,
                line=0.5,
                side="above" if more else "below",
            )
        )
    return found


def _pair(
    by: By, first: tuple[str, str], second: tuple[str, str]
) -> tuple[Configuration, Configuration] | None:
    return (by[first], by[second]) if first in by and second in by else None
