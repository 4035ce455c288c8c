"""What the records mean: results folders become laws, laws become decisions.

``load`` and ``fit_law`` are the two names most readers need::

    from analysis import fit_law, load

    fit = fit_law(load("results/first-laws"))

They are imported when first used, so that ``import analysis`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.fit import fit_law
    from analysis.records import load
    from analysis.selection import law_rows

__all__ = ["fit_law", "law_rows", "load"]


def __getattr__(name: str) -> object:
    if name == "load":
        from analysis.records import load

        return load
    if name == "law_rows":
        from analysis.selection import law_rows

        return law_rows
    if name == "fit_law":
        from analysis.fit import fit_law

        return fit_law
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
