"""A power law without a floor, for one-dimensional curves."""

from __future__ import annotations

from typing import final

from analysis.laws.product import ProductLaw, factor, power


@final
class PowerLaw(ProductLaw):
    """L(D) = B / D^beta.

    The simplest rival of every curve in D, called M1 by Alabdulmohsin et al.
    Source: Alabdulmohsin et al. 2022 (arXiv 2209.06640), Eq. 1.
    """

    name = "power_law"
    formula = "L(D) = B / D^beta"
    source = "Alabdulmohsin et al. 2022 (arXiv 2209.06640), M1"
    axes = ("D",)
    held = ("N",)
    signs = (-1,)
    parameters = (
        factor("B", "loss carried back to D = 1", "nats"),
        power("beta", "exponent of D"),
    )
