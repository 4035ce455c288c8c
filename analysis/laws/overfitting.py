"""How far finite data raise the loss above that of unlimited data."""

from __future__ import annotations

from typing import final

from analysis.laws.product import ProductLaw, factor, power


@final
class Overfitting(ProductLaw):
    """delta(N, D) = c * N^p / D^q.

    delta = (L(N, D) - L(N, inf)) / L(N, inf), the extent of overfitting of S1, Eq. S.8, which
    ``analysis.overfitting.extent`` takes from a fit. A joint law with exponent beta has q = beta
    and p between 0 and alpha; runs that collapse onto one curve have delta a function of
    D / N^(p/q) alone. Source: Kaplan et al. 2020 (arXiv 2001.08361), section 4.2; S1, Eq. S.8.
    """

    name = "overfitting"
    formula = "delta(N, D) = c * N^p / D^q"
    source = "Kaplan et al. 2020 (arXiv 2001.08361), section 4.2; S1, Eq. S.8"
    axes = ("N", "D")
    response = "delta"
    unit = ""
    rises = ("N",)
    signs = (1, -1)
    parameters = (
        factor("c", "extent of overfitting, carried back to N = D = 1", ""),
        power("p", "how fast overfitting grows with model size"),
        power("q", "how fast overfitting falls with data"),
    )
