"""Named, bounded parameters of laws, and the kinds that several laws have."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

Form = Literal["same", "log", "centred"]

EXPONENT = (0.01, 4.0)  # least and largest exponent of a term


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A named, bounded parameter of a law.

    Attributes:
        name: as in the formula.
        lower: smallest value allowed.
        upper: largest value allowed; for an irreducible loss the smallest loss seen, if lower.
        unit: unit of the value, empty for a pure number.
        meaning: what it is, in a few words.
        positive: spread like a scale, so that intervals are formed in its logarithm.
        form: how the solver sees it: as it is (``same``), as its logarithm (``log``), or as a
            logarithm carried to the centre of the data with the help of other parameters
            (``centred``), which cannot be shared alone; held or bounded it moves as a logarithm.
        exponent: a power of a scale; published laws have 0.05 to 1.
        vanished: for a nuisance parameter that may vanish without harm, what it means that it did;
            its lower bound is then no bound of the fit.
    """

    name: str
    lower: float
    upper: float
    unit: str
    meaning: str
    positive: bool = False
    form: Form = "same"
    exponent: bool = False
    vanished: str = ""


def positive(
    name: str,
    meaning: str,
    unit: str = "",
    *,
    form: Form = "log",
    within: tuple[float, float] = (0.0, np.inf),
    vanished: str = "",
) -> Parameter:
    """A parameter that is spread like a scale, and that the solver sees by its logarithm."""
    low, high = within
    return Parameter(
        name=name, lower=low, upper=high, unit=unit, meaning=meaning, positive=True, form=form,
        vanished=vanished,
    )  # fmt: skip


def bounded(
    name: str,
    meaning: str,
    within: tuple[float, float],
    unit: str = "",
    *,
    form: Form = "same",
    exponent: bool = False,
) -> Parameter:
    """A parameter of either sign, or one whose bounds say how far it may go."""
    low, high = within
    return Parameter(
        name=name, lower=low, upper=high, unit=unit, meaning=meaning, form=form, exponent=exponent
    )


def irreducible(meaning: str = "irreducible loss (Bayes loss)", name: str = "E") -> Parameter:
    """The loss that no amount of the law's scales removes, in [0, smallest loss)."""
    return bounded(name, meaning, (0.0, np.inf), "nats")


def amplitude(name: str, axis: str) -> Parameter:
    """Size of one term; its unit depends on the exponent."""
    meaning = f"loss from finite {axis}, carried back to {axis} = 1"
    return positive(name, meaning, "nats", form="centred")


def exponent(name: str, axis: str) -> Parameter:
    """How fast one term falls."""
    return bounded(name, f"exponent of {axis}", EXPONENT, exponent=True)
