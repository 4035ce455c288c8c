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
_PLACES = {  # a module and the public names that it holds; no name may be one of a module
    "allocation": ("allocation_split", "mean_allocation"),
    "answers": ("Answers", "ask"),
    "crossing": ("crossover", "parity"),
    "effective_data": ("transferred",),
    "exponents": ("efficiency",),
    "limits": ("bottleneck", "reduction"),
    "losses": ("loss_ratio", "lowest_loss"),
    "overfitting": ("collapse", "data_needed", "extent"),
    "transfer": ("compare_transfer", "transfer_efficiency"),
}


def __getattr__(name: str) -> object:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"analysis.questions.{module}"), name)
    raise AttributeError(f"module 'analysis.questions' has no attribute {name!r}")
