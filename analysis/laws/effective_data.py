"""What pretraining is worth in records of the task fine-tuned on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

from analysis.laws.product import ProductLaw, factor, power


@final
class EffectiveData(ProductLaw):
    """D_T(D, N) = k * D^alpha * N^beta.

    D_T is the effective data transferred: how many more records a model trained from scratch
    needs to reach the loss of one fine-tuned on D records; ``analysis.transferred`` measures it.
    N is the number of backbone parameters. S1 finds beta < 0.
    Source: Hernandez et al. 2021 (arXiv 2102.01293), Eq. 1.1; S1, Eq. S.9.
    """

    name = "effective_data"
    formula = "D_T(D, N) = k * D^alpha * N^beta"
    source = "Hernandez et al. 2021 (arXiv 2102.01293), Eq. 1.1; S1, Eq. S.9"
    axes = ("D", "N")
    response = "D_T"
    unit = "records"
    rises = ("D", "N")
    needed: ClassVar[Mapping[str, int]] = {"D": 3, "N": 2}
    signs = (1, 1)
    parameters = (
        factor("k", "effective data transferred, carried back to D = N = 1", "records"),
        power("alpha", "how fast transferred data grow with the data fine-tuned on"),
        power("beta", "how fast transferred data grow with model size"),
    )
