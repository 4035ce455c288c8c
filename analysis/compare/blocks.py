"""The numbers of a block of students: the order of published forms, gaps closed, matched rivals.

Every difference is paired, on the same resamples as all others of the comparison, and every number
is of the methods of one block (``roles``).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.compare.gap import Share, share_closed
from analysis.compare.paired import Measured, difference
from analysis.compare.roles import (
    BASELINE,
    BEST,
    CEILING,
    KD,
    LITEHEART,
    LITEHEART_I,
    LITEHEART_II,
    ORDER,
    TEACHER,
    Block,
    validation_auroc,
)
from scaling.records.patients import Estimate

Plain = dict[str, Any]
GAPS = (CEILING, TEACHER)  # what a method closes the gap to, from the baseline
_CLOSERS = (KD, LITEHEART_I, LITEHEART_II, LITEHEART, BEST)


def block_numbers(
    block: Block, measured: Mapping[str, Measured], margins: Mapping[str, float]
) -> Plain:
    """A block as plain JSON values.

    Args:
        block: of ``blocks_of``.
        measured: of its methods, by name.
        margins: metric -> largest difference that counts as none.

    Returns:
        ``settings``, ``taught_by``, ``roles`` (role -> name of the method), ``published`` and
        ``matched`` (names), ``validation`` (matched rival -> mean macro-AUROC on validation);
        ``order``, each form less the one before, and ``rivals``, LiteHeart less each matched one
        (``differences_of``); ``shares`` (``shares_of``); and ``notes``.
    """
    roles = {role: method.name for role, method in block.roles.items()}
    forms = [roles[role] for role in ORDER if role in roles]
    steps = [(better, worse) for worse, better in itertools.pairwise(forms)]
    ours = roles.get(LITEHEART)
    rivals = [(ours, m.name) for m in block.matched] if ours else []
    closers = list(dict.fromkeys(roles[role] for role in _CLOSERS if role in roles))
    return {
        "settings": dict(block.settings),
        "taught_by": dict(block.taught_by),
        "roles": roles,
        "published": [m.name for m in block.published],
        "matched": [m.name for m in block.matched],
        "validation": {m.name: finite(validation_auroc(m)) for m in block.matched},
        "order": differences_of(steps[::-1], measured, margins),
        "shares": shares_of(closers, roles, measured, list(margins)),
        "rivals": differences_of(rivals, measured, margins),
        "notes": list(block.notes),
    }


def differences_of(
    pairs: Sequence[tuple[str, str]],
    measured: Mapping[str, Measured],
    margins: Mapping[str, float],
) -> list[Plain]:
    """The first of each pair less the second: ``method``, ``against``, and ``values``.

    ``values`` are metric -> ``value``, ``se``, ``low``, ``high``, ``half_width`` of the 95 %
    interval, ``verdict`` and ``margin``.
    """
    found = []
    for method, against in pairs:
        values = {}
        for metric, margin in margins.items():
            one = difference(measured[method], measured[against], metric, margin)
            e = one.estimate
            more = {"half_width": finite((e.high - e.low) / 2), "verdict": one.verdict}
            values[metric] = plain_estimate(e) | more | {"margin": margin}
        found.append({"method": method, "against": against, "values": values})
    return found


def shares_of(
    methods: Sequence[str],
    roles: Mapping[str, str],
    measured: Mapping[str, Measured],
    metrics: Sequence[str],
) -> list[Plain]:
    """Shares of the gaps from the baseline to the ceiling, and to the teacher.

    Args:
        methods: names of those that may close them.
        roles: role -> name; without a baseline there are no gaps.
        measured: by name.
        metrics: of all.

    Returns:
        ``method``, ``to`` (a role), and ``values``: metric -> ``value``, ``low``, ``high``,
        ``bounded`` and ``gap``. No value: there is no gap; no ends: the interval is unbounded.
    """
    base, found = roles.get(BASELINE), []
    for to in GAPS:
        top = roles.get(to)
        if base is None or top is None or base == top or {base, top} - measured.keys():
            continue
        for method in methods:
            if method not in (base, top):
                three = measured[method], measured[base], measured[top]
                values = {m: _plain_share(share_closed(*three, m)) for m in metrics}
                found.append({"method": method, "to": to, "values": values})
    return found


def _plain_share(share: Share) -> Plain:
    ends = {end: finite(getattr(share, end)) for end in ("value", "low", "high")}
    return ends | {"bounded": share.bounded, "gap": plain_estimate(share.gap)}


def plain_estimate(estimate: Estimate) -> Plain:
    """``value``, ``se``, ``low`` and ``high`` as JSON has them."""
    return {key: finite(value) for key, value in dataclasses.asdict(estimate).items()}


def finite(value: float) -> float | None:
    """As JSON, which has neither NaN nor infinity."""
    return value if math.isfinite(value) else None
