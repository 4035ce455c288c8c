"""The joint law with data counted as seen: a repeated record is worth a new one."""

from __future__ import annotations

from typing import final

from analysis.laws.power import AdditivePowerLaw, amplitude, exponent, irreducible


@final
class Samples(AdditivePowerLaw):
    """L(N, S) = E + A / N^alpha + B / S^beta.

    S is the number of training samples seen, records times epochs: the simplest rival of
    ``data_constrained``, which asks what a repetition is worth.
    Source: Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2, for training of one epoch.
    """

    name = "samples"
    formula = "L(N, S) = E + A / N^alpha + B / S^beta"
    source = "Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2, in samples seen"
    axes = ("N", "S")
    parameters = (
        irreducible(),
        amplitude("A", "N"),
        exponent("alpha", "N"),
        amplitude("B", "S"),
        exponent("beta", "S"),
    )
