"""The compute frontier: the lowest loss that each amount of compute reaches."""

from __future__ import annotations

from typing import final

import numpy as np

from analysis.laws.base import Parameter
from analysis.laws.power import amplitude, exponent, irreducible
from analysis.laws.shifted import ShiftedPowerLaw


@final
class Frontier(ShiftedPowerLaw):
    """L(C) = E + A / (C + C0)^gamma.

    C is training compute in FLOPs; the offset C0 holds the saturation at low compute.
    Source: S1, Appendix B.4; Zhai et al. 2022 (arXiv 2106.04560), Eq. 1.
    """

    name = "frontier"
    formula = "L(C) = E + A / (C + C0)^gamma"
    source = "S1, Appendix B.4; Zhai et al. 2022 (arXiv 2106.04560), Eq. 1"
    axes = ("C",)
    parameters = (
        irreducible("loss left at unlimited compute"),
        amplitude("A", "C"),
        Parameter(
            name="C0", lower=0.0, upper=np.inf, unit="FLOPs", positive=True, form="log",
            meaning="compute below which more of it changes little",
            vanished="the data show no saturation at low compute",
        ),
        exponent("gamma", "C"),
    )  # fmt: skip
