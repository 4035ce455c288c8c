"""The marginal law of data size."""

from __future__ import annotations

from typing import final

from analysis.laws.power import AdditivePowerLaw, amplitude, exponent, irreducible


@final
class DLaw(AdditivePowerLaw):
    """L(D) = E + B / D^beta, at one model size.

    D is the number of unique training records, L in nats. E here holds what the finite
    model costs as well. Source: the marginal of Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2.
    """

    name = "d_law"
    formula = "L(D) = E + B / D^beta"
    source = "marginal of Hoffmann et al. 2022 (arXiv 2203.15556), Eq. 2"
    axes = ("D",)
    held = ("N",)
    parameters = (
        irreducible("loss left at unlimited D, with this N"),
        amplitude("B", "D"),
        exponent("beta", "D"),
    )
