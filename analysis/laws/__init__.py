"""Laws by name: a new law is one file and one row of ``register``."""

from __future__ import annotations

from analysis.laws.base import BoolArray, FloatArray, Law, Parameter
from analysis.laws.curves import M3, M4, BrokenPowerLaw, Frontier, PowerLaw
from analysis.laws.downstream import ErrorLaw, LossToLoss, Sigmoid
from analysis.laws.nonadditive import Farseer, GammaLaw, Kaplan
from analysis.laws.own import plain_law
from analysis.laws.power_laws import Chinchilla, DLaw, EffectiveData, NLaw, Overfitting, Tied
from analysis.laws.repeated import DataConstrained, Samples, Saturating
from scaling.records.names import nearest

__all__ = ["LAWS", "BoolArray", "FloatArray", "Law", "Parameter", "get", "plain_law", "register"]

LAWS: dict[str, Law] = {}
_OWNED: frozenset[str] = frozenset()  # names of the package's own laws


def register(law: Law) -> None:
    """Make ``law`` known to ``fit_law`` and to the contract tests.

    A law of your own takes the place of an earlier one of its name, so that a notebook's cell can
    run again.

    Raises:
        ValueError: a law of the package has that name.
    """
    if law.name in _OWNED:
        raise ValueError(
            f"law {law.name!r} is registered already, by the package: choose another name"
        )
    LAWS[law.name] = law


def get(name: str) -> Law:
    """Return the law called ``name``.

    Raises:
        ValueError: no such law; the message suggests the nearest name.
    """
    if name in LAWS:
        return LAWS[name]
    hint = nearest(name, LAWS)
    raise ValueError(
        f"no law called {name!r}{hint and f', {hint}'} (known: {', '.join(sorted(LAWS))})"
    )


# A row for each law of the package.
_REGISTERED: tuple[type[Law], ...] = (
    Chinchilla, NLaw, DLaw, Kaplan, Tied, GammaLaw, Farseer, Samples, DataConstrained, Saturating,
    PowerLaw, M3, M4, BrokenPowerLaw, Frontier,
    LossToLoss, EffectiveData, Overfitting, Sigmoid, ErrorLaw,
)  # fmt: skip
for _kind in _REGISTERED:
    register(_kind())
_OWNED = frozenset(LAWS)
