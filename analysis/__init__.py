"""What the records mean: results folders become laws, laws become decisions.

Three lines give a law of a study::

    from analysis import fit_law, load

    fit = fit_law(load("results/first-laws"))

The public names, each imported when first used, so that ``import analysis`` costs nothing:

- a study: ``load``, ``study``, ``law_rows``
- a law: ``fit_law``, ``fit_together``, ``choose_law``, ``plain_law``, ``register``
- beyond it: ``extrapolate``, ``allocate``, ``ask``, ``compare_models``
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.allocation import allocate
    from analysis.compare import compare_models
    from analysis.fit import fit_law
    from analysis.law_choice import choose_law
    from analysis.laws import plain_law, register
    from analysis.learning_curve import extrapolate
    from analysis.questions import ask
    from analysis.records import load, study
    from analysis.selection import law_rows
    from analysis.together import fit_together

__all__ = [
    "allocate",
    "ask",
    "choose_law",
    "compare_models",
    "extrapolate",
    "fit_law",
    "fit_together",
    "law_rows",
    "load",
    "plain_law",
    "register",
    "study",
]
_PLACES = {  # a public name and the module that holds it; no name may be one of a module
    "allocate": "allocation",
    "ask": "questions",
    "choose_law": "law_choice",
    "compare_models": "compare",
    "extrapolate": "learning_curve",
    "fit_law": "fit",
    "fit_together": "together",
    "law_rows": "selection",
    "load": "records",
    "plain_law": "laws",
    "register": "laws",
    "study": "records",
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(import_module(f"analysis.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
