"""How the training compute of a configuration depends on N and D, measured on its trials."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd

from analysis.text.numbers import number
from scaling.records.names import USED

_SIZES = 3  # from which an exponent of the MACs is estimated
_GROWS = 0.05  # exponent of C in D at fixed N below which C is a function of N alone


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Exponents of compute.

    Attributes:
        macs: m of MACs ~ N^m, least squares in logs over sizes; NaN below three sizes.
        data: q of C ~ D^q at fixed N, least squares in logs within sizes; NaN where no size was
            trained on several D.
    """

    macs: float
    data: float

    @property
    def doubt(self) -> str:
        """Why no frontier was measured; "" where C grows with D at fixed N."""
        if math.isnan(self.data):
            return "no size was trained on several D"
        if self.data < _GROWS:
            return (
                f"C does not grow with D at fixed N (C ~ D^{number(self.data, 2)}): the exponents "
                "are S1's formula, not a measured frontier"
            )
        return ""


def compute_of(trials: pd.DataFrame) -> Compute:
    """Exponents of compute of one configuration.

    Args:
        trials: one row per trial: ``N, D, macs, C_total, status``.
    """
    used = trials[trials["status"].isin(USED)].dropna(subset=["N", "D", "macs", "C_total"])
    columns = {c: used[c].to_numpy(dtype=np.float64) for c in ("N", "D", "macs", "C_total")}
    positive = np.all([values > 0 for values in columns.values()], axis=0)
    logs = pd.DataFrame({c: np.log(values[positive]) for c, values in columns.items()})
    sizes = logs.groupby("N")["macs"].mean()
    macs = math.nan
    if len(sizes) >= _SIZES:
        macs = float(np.polyfit(sizes.index.to_numpy(dtype=np.float64), sizes.to_numpy(), 1)[0])
    means = logs.groupby(["N", "D"])["C_total"].mean().reset_index()
    centred = means[["D", "C_total"]] - means.groupby("N")[["D", "C_total"]].transform("mean")
    spread = float((centred["D"] ** 2).sum())
    data = float((centred["D"] * centred["C_total"]).sum()) / spread if spread > 0 else math.nan
    return Compute(macs=macs, data=data)
