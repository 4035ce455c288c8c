"""The marginal law of model size."""

from __future__ import annotations

from typing import final

from analysis.laws.power import AdditivePowerLaw, amplitude, exponent, irreducible


@final
class NLaw(AdditivePowerLaw):
    """L(N) = E + A / N^alpha, at one data size.

    N is the number of backbone parameters, L in nats. E here holds what the finite data
    costs as well. Source: the marginal of Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2.
    """

    name = "n_law"
    formula = "L(N) = E + A / N^alpha"
    source = "marginal of Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2"
    axes = ("N",)
    held = ("D",)
    parameters = (
        irreducible("loss left at unlimited N, with this D"),
        amplitude("A", "N"),
        exponent("alpha", "N"),
    )
