"""Laws by name: a new law is one file and one row of ``register``."""

from __future__ import annotations

import difflib

from analysis.laws.base import FloatArray, Law, Parameter
from analysis.laws.bnsl import BrokenPowerLaw
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.d_law import DLaw
from analysis.laws.data_constrained import DataConstrained
from analysis.laws.effective_data import EffectiveData
from analysis.laws.error_law import ErrorLaw
from analysis.laws.farseer import Farseer
from analysis.laws.frontier import Frontier
from analysis.laws.gamma_law import GammaLaw
from analysis.laws.kaplan import Kaplan
from analysis.laws.loss_to_loss import LossToLoss
from analysis.laws.m3 import M3
from analysis.laws.m4 import M4
from analysis.laws.n_law import NLaw
from analysis.laws.overfitting import Overfitting
from analysis.laws.plain import plain_law
from analysis.laws.power_law import PowerLaw
from analysis.laws.samples import Samples
from analysis.laws.saturating import Saturating
from analysis.laws.sigmoid import Sigmoid
from analysis.laws.tied import Tied

__all__ = ["LAWS", "FloatArray", "Law", "Parameter", "get", "plain_law", "register"]

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
    near = difflib.get_close_matches(name, LAWS, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"no law called {name!r}{hint} (known: {', '.join(sorted(LAWS))})")


_REGISTERED: tuple[type[Law], ...] = (
    Chinchilla, NLaw, DLaw, Kaplan, Tied, GammaLaw, Farseer, Samples, DataConstrained, Saturating,
    PowerLaw, M3, M4, BrokenPowerLaw, Frontier,
    LossToLoss, EffectiveData, Overfitting, Sigmoid, ErrorLaw,
)  # fmt: skip
for _kind in _REGISTERED:
    register(_kind())
_OWNED = frozenset(LAWS)
