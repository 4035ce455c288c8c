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
    from analysis.checks.held_out import choose_law
    from analysis.checks.learning_curve import extrapolate
    from analysis.compare.study import compare_models
    from analysis.compute.allocation import allocate
    from analysis.fit.fit import fit_law, fit_together
    from analysis.laws import plain_law, register
    from analysis.questions import ask
    from analysis.studies.load import load, study
    from analysis.studies.rows import law_rows

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
    "allocate": "compute.allocation",
    "ask": "questions",
    "choose_law": "checks.held_out",
    "compare_models": "compare.study",
    "extrapolate": "checks.learning_curve",
    "fit_law": "fit.fit",
    "fit_together": "fit.fit",
    "law_rows": "studies.rows",
    "load": "studies.load",
    "plain_law": "laws",
    "register": "laws",
    "study": "studies.load",
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(import_module(f"analysis.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
