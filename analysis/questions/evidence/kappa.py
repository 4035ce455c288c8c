"""The transfer exponent of one task, with floors of the joint laws and with everything at once."""

from __future__ import annotations

import dataclasses
from typing import Any, final

import numpy as np
import pandas as pd

from analysis.fit.certificate import Status, r_squared
from analysis.fit.fit import Together, fit_together
from analysis.fit.result import Fit
from analysis.laws.composite import PART
from analysis.laws.parameters import EXPONENT
from analysis.published import s1
from analysis.questions.evidence.quantity import Quantity, source_of
from analysis.questions.evidence.trust import R2_SMALLEST, transfer_doubt
from analysis.text.numbers import number
from analysis.transfer.loss_to_loss import Transfer, fit_transfer

SHARED = {
    "E_id": {"id": "E", "pairs": "E_id"},
    "E_ood": {"ood": "E", "pairs": "E_ood"},
}


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskKappa:
    """The transfer exponent of one configuration on one task (S1, Eq. 4).

    Attributes:
        task: name.
        fixed: kappa with E_id and E_ood of the joint laws, as S1 has it; None with a doubt.
        fixed_doubt: why it cannot be used; "" where it can.
        fitted: kappa with both joint laws and the pairs fitted together; None with a doubt.
        fitted_doubt: why it cannot be used; "" where it can.
        printed: S1's Table S.7; None where it has no such task.
        law: the laws fitted together; None where they were not.
    """

    task: str
    fixed: Quantity | None
    fixed_doubt: str
    fitted: Quantity | None
    fitted_doubt: str
    printed: float | None = None
    law: Together | None = None

    @property
    def at_bound(self) -> bool:
        """Whether the kappa with fixed floors is a limit of the search."""
        return self.fixed is not None and _at_bound(self.fixed.point)

    @property
    def fitted_at_bound(self) -> bool:
        """The same of the one fitted together."""
        return self.fitted is not None and _at_bound(self.fitted.point)

    @property
    def printed_at_bound(self) -> bool:
        """Whether S1's value looks like the bound of its fits (0.050, printed eight times)."""
        return self.printed is not None and self.printed <= s1.KAPPA_BOUND

    def of(self, together: bool) -> tuple[Quantity | None, str]:
        """Kappa and its doubt, of either kind."""
        if together:
            return self.fitted, self.fitted_doubt
        return self.fixed, self.fixed_doubt


def _at_bound(kappa: float) -> bool:
    return not EXPONENT[0] * 1.001 < kappa < EXPONENT[1] * 0.999


def task_kappa(
    task: str,
    trained_on: Fit,
    other: Fit,
    *,
    transfer: Transfer | None = None,
    kind: s1.Kind | None = None,
    together: bool = True,
) -> TaskKappa:
    """Both transfer exponents of a task.

    Args:
        task: name, such as ``virtual/mimic:sex``.
        trained_on: joint law of the loss on the task trained on.
        other: joint law of the loss on the other task, with the same options.
        transfer: of both, where it was fitted before.
        kind: family and paradigm, for S1's value.
        together: whether to fit all at once as well.
    """
    found, why = transfer, ""
    if found is None:
        try:
            found = fit_transfer(trained_on, other)
        except ValueError as error:
            why = str(error)
    doubt = transfer_doubt(found, trained_on, other)
    fixed = None
    if found is not None:
        fixed = _quantity(found.kappa, found.samples, other.problem.dof, source_of(trained_on))
    law, fitted, fitted_doubt = None, None, "not asked for"
    if together:
        law, fitted, fitted_doubt = _together(trained_on, other)
    return TaskKappa(
        task=task, fixed=fixed, fixed_doubt=why or doubt, fitted=fitted,
        fitted_doubt=fitted_doubt, law=law,
        printed=None if kind is None else s1.kappa(task).get(kind),
    )  # fmt: skip


def _quantity(kappa: float, samples: Any, dof: int, source: object) -> Quantity:
    return Quantity(
        point=kappa, samples=np.asarray(samples, dtype=np.float64), dof=dof, source=source,
        lower=EXPONENT[0], upper=EXPONENT[1],
    )  # fmt: skip


def _together(trained_on: Fit, other: Fit) -> tuple[Together | None, Quantity | None, str]:
    """Both joint laws and the loss-to-loss law, with E_id and E_ood shared; and a doubt."""
    options = trained_on.options
    own, rest = (fit.rows[["trial", "N", "D", "loss"]] for fit in (trained_on, other))
    pairs = own.rename(columns={"loss": "L_id"}).merge(
        rest[["trial", "loss"]].rename(columns={"loss": "L_ood"}), on="trial"
    )
    try:
        law = fit_together(
            {"id": (own, trained_on.law), "ood": (rest, other.law),
             "pairs": (pairs[["trial", "L_id", "L_ood"]], "loss_to_loss")},
            SHARED, n_boot=options.n_boot, seed=options.seed, pool=options.pool,
        )  # fmt: skip
    except ValueError as error:
        return None, None, str(error)
    fit = law.fit
    if not fit.ok:
        return law, None, "; ".join(fit.remarks)
    boot = fit.bootstrap
    kappa = boot.theta[:, fit.law.names.index("pairs.kappa")]
    # The fit to all parts is of as many residuals as it has rows, but of as many runs only.
    quantity = _quantity(
        fit.params["pairs.kappa"], boot.by_draw(kappa, options.n_boot), other.problem.dof,
        source_of(fit),
    )  # fmt: skip
    return law, quantity, _doubt(fit)


def _doubt(fit: Fit) -> str:
    """Why a kappa fitted together cannot be used; "" where it can."""
    if fit.status is Status.NOT_CONVERGED:
        return "not converged"
    wrong = [n for n in ("E_id", "E_ood", "pairs.kappa") if n in fit.certificate.bounds_hit]
    if wrong:
        return f"{' and '.join(wrong)} at a bound".replace("pairs.", "")
    rows: pd.DataFrame = fit.residuals[fit.residuals[PART] == 3]
    r2 = r_squared(rows["loss"].to_numpy(), rows["fitted"].to_numpy())
    return "" if r2 >= R2_SMALLEST else f"R² {number(r2, 2)} of loss-to-loss below {R2_SMALLEST:g}"
