"""Leads by name: order, the limb-lead identities, and what contradicts them.

The six limb leads have two degrees of freedom. With the electrodes' potentials, Einthoven's law
is II = I + III and Goldberger's leads are aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2, so
any two limb leads give the other four. A recording that breaks this has leads under wrong names,
of a wrong sign, or not recorded together. Exchanged limb electrodes keep the identities and
cannot be seen here. Importing this module needs only the standard library.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.identity import LEADS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMB = LEADS[:6]
# Every limb lead as a sum of I and II.
OF_I_AND_II = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
# Rounding to 5 uV gives 10 uV at most. A pacing spike or a saturated sample may break an
# identity for a moment, wrong leads break it in every QRS complex.
TOLERANCE_MV = 0.05
TOLERATED_SHARE = 0.02

# CODE and CODE-test write the limb leads DI, DII, DIII.
_BY_NAME = {name.upper(): name for name in LEADS} | {"DI": "I", "DII": "II", "DIII": "III"}

Signals = Mapping[str, "NDArray[Any]"]


def lead_name(name: str) -> str:
    """The usual spelling of a lead; upper or lower case (AVR) and DI, DII, DIII are accepted.

    Raises:
        CorpusError: an unknown lead.
    """
    lead = _BY_NAME.get(name.strip().upper())
    if lead is None:
        raise CorpusError(f"unknown lead {name!r}; the leads are {', '.join(LEADS)}")
    return lead


def lead_positions(names: Sequence[str]) -> dict[str, int]:
    """Lead -> its position among ``names``.

    Raises:
        CorpusError: an unknown or repeated lead, by name.
    """
    known: dict[str, int] = {}
    for position, name in enumerate(names):
        lead = lead_name(name)
        if lead in known:
            raise CorpusError(f"lead {lead} appears twice")
        known[lead] = position
    return known


def lead_order(names: Sequence[str], wanted: Sequence[str] = LEADS) -> list[int]:
    """Positions of the wanted leads among ``names``.

    Raises:
        CorpusError: an unknown, repeated or missing lead, by name.
    """
    known = lead_positions(names)
    if absent := [lead for lead in wanted if lead not in known]:
        raise CorpusError(f"lead {', '.join(absent)} is missing")
    return [known[lead] for lead in wanted]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LimbCheck:
    """What the identities say of the limb leads of one recording.

    Attributes:
        error_mv: largest violation; NaN with fewer than three limb leads.
        fault: what is wrong, in words; empty where the identities hold.
        wrong: leads that contradict the others; empty where nothing is wrong, or where it
            cannot be told which.
        pair: two limb leads that the others support; None where there are none.
    """

    error_mv: float
    fault: str = ""
    wrong: tuple[str, ...] = ()
    pair: tuple[str, str] | None = None


def check_limb_leads(signals: Signals) -> LimbCheck:
    """Check the Einthoven and Goldberger identities, and say what breaks them.

    An identity is broken where more than 2 % of the samples miss it by more than 0.05 mV. The
    signals, (samples,) each, are in millivolts and without NaN.
    """
    present = [lead for lead in LIMB if lead in signals]
    if len(present) < 3:
        return LimbCheck(error_mv=float("nan"))
    first = (present[0], present[1])
    residuals = _residuals(signals, first, present[2:])
    error_mv = float(residuals.max(initial=0.0))
    if error_mv <= TOLERANCE_MV or not any(_broken(r) for r in residuals):
        return LimbCheck(error_mv=error_mv, pair=first)
    pair = _supported_pair(signals, present)
    if pair is None:
        fault = f"the limb leads contradict each other by up to {error_mv:.3g} mV"
        return LimbCheck(error_mv=error_mv, fault=fault)
    wrong = tuple(lead for lead in present if _broken(_residuals(signals, pair, [lead])[0]))
    fault = _describe(signals, pair, wrong)
    return LimbCheck(error_mv=error_mv, fault=fault, wrong=wrong, pair=pair)


def repair_limb_leads(signals: Signals, check: LimbCheck) -> dict[str, NDArray[Any]]:
    """Recompute the leads that contradict the others.

    Raises:
        UnusableError: it cannot be told which leads are right.
    """
    if check.pair is None:
        raise UnusableError(f"{check.fault}, and no majority of them agrees")
    return dict(signals) | {lead: derive(signals, check.pair, lead) for lead in check.wrong}


def complete(signals: Signals, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Add the wanted limb leads that are absent, from the first two that are there.

    All signals, (samples,) each, are in the same unit. With fewer than two limb leads nothing is
    added.
    """
    present = [lead for lead in LIMB if lead in signals]
    absent = [lead for lead in wanted if lead in LIMB and lead not in signals]
    if len(present) < 2:
        return dict(signals)
    pair = (present[0], present[1])
    return dict(signals) | {lead: derive(signals, pair, lead) for lead in absent}


def derive(signals: Signals, pair: tuple[str, str], lead: str) -> NDArray[Any]:
    """A limb lead from two others, (samples,)."""
    p, q = _weights(pair, lead)
    return p * signals[pair[0]] + q * signals[pair[1]]


@functools.cache
def _weights(pair: tuple[str, str], lead: str) -> tuple[float, float]:
    """``lead`` = p * first + q * second of the pair, with all written as sums of I and II."""
    (a, b), (c, d) = (OF_I_AND_II[name] for name in pair)
    x, y = OF_I_AND_II[lead]
    determinant = a * d - b * c
    return (x * d - y * c) / determinant, (a * y - b * x) / determinant


def _residuals(signals: Signals, pair: tuple[str, str], leads: Sequence[str]) -> NDArray[Any]:
    """(leads, samples): how far each is from what the pair says of it."""
    import numpy as np

    residuals = np.empty((len(leads), len(signals[pair[0]])))
    for i, lead in enumerate(leads):
        p, q = _weights(pair, lead)
        np.multiply(signals[pair[0]], p, out=residuals[i])
        residuals[i] += q * signals[pair[1]]
        residuals[i] -= signals[lead]
    np.abs(residuals, out=residuals)
    return residuals


def _broken(residual: NDArray[Any]) -> bool:
    return bool((residual > TOLERANCE_MV).mean() > TOLERATED_SHARE)


def _supported_pair(signals: Signals, present: list[str]) -> tuple[str, str] | None:
    """Two leads that a majority agrees with; a flat lead supports nothing.

    Two sets of leads that agree within themselves and share two leads are one set, so a set of
    at least n / 2 + 1 of n leads is the only one of its size.
    """
    live = [lead for lead in present if signals[lead].max() != signals[lead].min()]
    supported: list[tuple[int, float, tuple[str, str]]] = []
    for pair in itertools.combinations(live, 2):
        residuals = _residuals(signals, pair, live)
        good = [r for r in residuals if not _broken(r)]
        if len(good) >= max(3, len(live) / 2 + 1):
            # In a record of low voltage more than one set may pass: the closest is taken.
            supported.append((-len(good), float(sum((r**2).mean() for r in good)), pair))
    if supported:
        return min(supported)[2]
    # Three against three: the augmented leads in another order sum to zero all the same.
    if live == list(LIMB) and not _broken(_residuals(signals, ("I", "II"), ["III"])[0]):
        for order in (("aVL", "aVF", "aVR"), ("aVF", "aVR", "aVL")):
            if _hold(signals, ("I", "II"), LIMB[3:], order):
                return ("I", "II")
    return None


def _hold(
    signals: Signals, pair: tuple[str, str], names: Sequence[str], true: Sequence[str]
) -> bool:
    """Whether the leads called ``names`` hold the leads ``true``, in this order."""
    return not any(
        _broken(abs(signals[name] - derive(signals, pair, lead)))
        for name, lead in zip(names, true, strict=True)
    )


def _describe(signals: Signals, pair: tuple[str, str], wrong: tuple[str, ...]) -> str:
    """Name the fault of the wrong leads."""
    for order in itertools.permutations(wrong):
        if order != wrong and _hold(signals, pair, wrong, order):
            if len(wrong) == 2:
                return f"{wrong[0]} and {wrong[1]} are swapped"
            return f"the leads called {', '.join(wrong)} are {', '.join(order)}"
    faults = []
    for lead in wrong:
        if signals[lead].max() == signals[lead].min():
            faults.append(f"{lead} is flat")
        elif not _broken(abs(signals[lead] + derive(signals, pair, lead))):
            faults.append(f"{lead} has the wrong sign")
        else:
            faults.append(f"{lead} contradicts the other limb leads")
    return ", ".join(faults)
