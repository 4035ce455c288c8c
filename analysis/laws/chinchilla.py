"""The joint law of model and data size."""

from __future__ import annotations

from typing import final

from analysis.laws.power import AdditivePowerLaw, amplitude, exponent, irreducible


@final
class Chinchilla(AdditivePowerLaw):
    """L(N, D) = E + A / N^alpha + B / D^beta.

    N is the number of backbone parameters, D of unique training records, L in nats.
    Source: Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2.
    """

    name = "chinchilla"
    formula = "L(N, D) = E + A / N^alpha + B / D^beta"
    source = "Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2"
    axes = ("N", "D")
    parameters = (
        irreducible(),
        amplitude("A", "N"),
        exponent("alpha", "N"),
        amplitude("B", "D"),
        exponent("beta", "D"),
    )
