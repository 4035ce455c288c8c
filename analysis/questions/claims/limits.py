"""Finding i of S1: what limits the loss in distribution, data or model size."""

from __future__ import annotations

from typing import Literal

from analysis.fit.result import Fit
from analysis.laws import FloatArray
from analysis.questions.claims.claim import Claim, Quantity
from analysis.questions.evidence.configurations import By, Configuration, alike, thetas
from analysis.questions.evidence.trust import law_doubt

FAMILIES = ("resnet", "transformer")
SATURATED = 0.9  # of what an axis can give, from the smallest value on
_COLUMN = {"N": 2, "D": 4}  # exponents among the joint law's parameters E, A, alpha, B, beta
_WORDS = {"N": "model size", "D": "data"}


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
    exponent = thetas(fit)[:, _COLUMN[axis]]
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
        if paradigm == "sl":
            found.append(_limited(configuration))
        found += [_saturation(configuration, axis) for axis in ("N", "D")]
    same = alike(by)
    for family in FAMILIES:
        pair = [same.get((family, paradigm)) for paradigm in ("sl", "ssl")]
        sl, ssl = pair
        if sl is not None and ssl is not None and sl.fit.ok and ssl.fit.ok:
            found.append(_more_limited(family, sl, ssl))
    return found


def _limited(configuration: Configuration) -> Claim:
    share = data_share(configuration.fit)
    return Claim(
        finding="i", claim=f"data rather than size limits {configuration.name}",
        printed="data is the main bottleneck",
        measured="data's share of the reducible loss at the largest cell",
        estimate=share.estimate, interval=share.interval, line=0.5, side="above",
        doubt=law_doubt(configuration.fit, terms="ND"),
    )  # fmt: skip


def _saturation(configuration: Configuration, axis: str) -> Claim:
    """Whether the loss has stopped falling along an axis."""
    used = used_up(configuration.fit, axis)
    saturates = configuration.kind[1] == "sl" and axis == "N"
    side: Literal["above", "below"] = "above" if saturates else "below"
    low, high = configuration.fit.ranges[axis]
    verb = "saturates" if saturates else "does not saturate"
    printed = "clear saturation" if saturates else "no visible saturation"
    if configuration.kind[1] == "sl" and axis == "D":
        printed = "far from saturation"
    return Claim(
        finding="i", claim=f"{configuration.name} {verb} in {_WORDS[axis]}", printed=printed,
        measured=f"gains of {axis} used up", estimate=used.estimate, interval=used.interval,
        line=SATURATED, side=side, note=f"over a range of {high / low:.3g} times",
        doubt=law_doubt(configuration.fit, terms=axis),
    )  # fmt: skip


def _more_limited(family: str, sl: Configuration, ssl: Configuration) -> Claim:
    less = data_share(sl.fit).less(data_share(ssl.fit))
    doubts = [f"{c.name}: {why}" for c in (sl, ssl) if (why := law_doubt(c.fit, terms="ND"))]
    return Claim(
        finding="i", claim=f"data limit {family}-SL more than {family}-SSL",
        printed="SL data-bottlenecked, SSL not",
        measured="difference of the shares, SL less SSL", estimate=less.estimate,
        interval=less.interval, line=0.0, side="above", doubt="; ".join(doubts),
    )  # fmt: skip
