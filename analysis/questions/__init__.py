"""The questions of S1, each answered by one call with intervals, or with the reason why not.

``ask(load(folder))`` answers them all; each has a function of its own::

    from analysis.questions import ask, crossover, reduction

    reduction(fit, "N", times=10)
    crossover(fit_a, fit_b, "N", D=8192)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.questions.allocation import allocation_split
    from analysis.questions.answers import Answers, ask
    from analysis.questions.comparing import compare_transfer
    from analysis.questions.crossing import crossover
    from analysis.questions.effective_data import transferred
    from analysis.questions.excess import reduction
    from analysis.questions.exponents import efficiency
    from analysis.questions.overfitting import collapse, data_needed, extent
    from analysis.questions.reaching import parity
    from analysis.questions.transfer import transfer_efficiency

__all__ = [
    "Answers",
    "allocation_split",
    "ask",
    "collapse",
    "compare_transfer",
    "crossover",
    "data_needed",
    "efficiency",
    "extent",
    "parity",
    "reduction",
    "transfer_efficiency",
    "transferred",
]
_PLACES = {
    "Answers": "answers",
    "allocation_split": "allocation",
    "ask": "answers",
    "collapse": "overfitting",
    "compare_transfer": "comparing",
    "crossover": "crossing",
    "data_needed": "overfitting",
    "efficiency": "exponents",
    "extent": "overfitting",
    "parity": "reaching",
    "reduction": "excess",
    "transfer_efficiency": "transfer",
    "transferred": "effective_data",
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        module = import_module(f"analysis.questions.{_PLACES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'analysis.questions' has no attribute {name!r}")
