"""The questions of S1, each answered by one call with intervals, or with the reason why not.

``ask(load(folder))`` answers them all, and ``python -m analysis.questions`` prints that; each has
a function of its own::

    from analysis.questions import ask, crossover, reduction

    reduction(fit, "N", times=10)
    crossover(fit_a, fit_b, "N", D=8192)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.questions.allocation import allocation_split, mean_allocation
    from analysis.questions.answers import Answers, ask
    from analysis.questions.crossing import crossover, parity
    from analysis.questions.effective_data import transferred
    from analysis.questions.exponents import efficiency
    from analysis.questions.limits import bottleneck, reduction
    from analysis.questions.losses import loss_ratio, lowest_loss
    from analysis.questions.overfitting import collapse, data_needed, extent
    from analysis.questions.transfer import compare_transfer, transfer_efficiency

__all__ = [
    "Answers",
    "allocation_split",
    "ask",
    "bottleneck",
    "collapse",
    "compare_transfer",
    "crossover",
    "data_needed",
    "efficiency",
    "extent",
    "loss_ratio",
    "lowest_loss",
    "mean_allocation",
    "parity",
    "reduction",
    "transfer_efficiency",
    "transferred",
]
_PLACES = {  # a public name and the module that holds it; no name may be one of a module
    "Answers": "answers",
    "allocation_split": "allocation",
    "ask": "answers",
    "bottleneck": "limits",
    "collapse": "overfitting",
    "compare_transfer": "transfer",
    "crossover": "crossing",
    "data_needed": "overfitting",
    "efficiency": "exponents",
    "extent": "overfitting",
    "loss_ratio": "losses",
    "lowest_loss": "losses",
    "mean_allocation": "allocation",
    "parity": "crossing",
    "reduction": "limits",
    "transfer_efficiency": "transfer",
    "transferred": "effective_data",
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(import_module(f"analysis.questions.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'analysis.questions' has no attribute {name!r}")
