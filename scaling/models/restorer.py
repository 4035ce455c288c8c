"""Restoration of leads: all leads of a record from those that a device observes.

S2 (LiteHeart) hides all leads but some, sets them to zero, and trains a network to give all of
them back. Here what is known is not left to the network: observed leads pass through as they are,
and in millivolts the hidden limb leads follow from two numbers a sample. With leads I and II,
Einthoven's law is III = II - I, and Goldberger's leads are aVR = -(I + II)/2, aVL = I - II/2,
aVF = II - I/2 (``scaling.corpora.signals.leads``). Let a row of A be an observed limb lead as a sum
of I and II, y the observed values and z the network's (I, II). The pair taken is

    (I, II) = z + A^+ (y - A z),

A^+ being the pseudo-inverse: z where no limb lead is observed, the point nearest to z that agrees
with one that is, and without z where two or more are. In z-scored signals, whose leads are each
divided by a number of its own, no identity holds: every hidden lead is the network's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scaling.corpora.signals.leads import LIMB, OF_I_AND_II
from scaling.identity import LEADS

Matrix = NDArray[np.float64]


def check_leads(leads: Sequence[str], input_leads: Sequence[str]) -> None:
    """Refuse leads that a model cannot have, and observed ones that are not among them.

    Raises:
        ValueError: a name that is none of ``identity.LEADS``, a lead twice, an observed lead that
            the model does not have, or none observed.
    """
    for names in (leads, input_leads):
        if unknown := [name for name in names if name not in LEADS]:
            raise ValueError(f"no lead {', '.join(unknown)}; the leads are {', '.join(LEADS)}")
        if twice := sorted({name for name in names if list(names).count(name) > 1}):
            raise ValueError(f"lead {', '.join(twice)} is named twice")
    if missing := [name for name in input_leads if name not in leads]:
        raise ValueError(
            f"lead {', '.join(missing)} cannot be observed: the model has {', '.join(leads)}"
        )
    if not input_leads:
        raise ValueError("no lead is observed: name at least one input lead")


def mask_of(leads: Sequence[str], input_leads: Sequence[str]) -> Tensor:
    """Which of ``leads`` are observed, (L,) float32: one or zero.

    Raises:
        ValueError: leads that do not go together; see ``check_leads``.
    """
    check_leads(leads, input_leads)
    return torch.tensor([float(name in input_leads) for name in leads])


def lead_maps(leads: Sequence[str], input_leads: Sequence[str]) -> tuple[Matrix, Matrix]:
    """What each hidden lead is, in millivolts: two (L, L) matrices, rows of observed leads zero.

    The first is applied to what the network makes, the second to what is observed.
    """
    of_network = np.diag([float(name not in input_leads) for name in leads])
    of_observed = np.zeros_like(of_network)
    limbs = [name for name in LIMB if name in leads]
    if len(limbs) < 2:  # no identity is left
        return of_network, of_observed
    places, seen = ([leads.index(name) for name in names] for names in (
        limbs[:2], [name for name in limbs if name in input_leads]))  # fmt: skip
    # The network's (I, II), from two limb leads that it makes: I and II where they are there.
    pair_2L = np.zeros((2, len(leads)))
    pair_2L[:, places] = np.linalg.inv([OF_I_AND_II[name] for name in limbs[:2]])
    a_K2 = np.array([OF_I_AND_II[leads[place]] for place in seen]).reshape(-1, 2)
    inverse_2K = np.linalg.pinv(a_K2)
    for name in set(limbs) - set(input_leads):
        weights_2, row = np.array(OF_I_AND_II[name]), leads.index(name)
        of_network[row] = weights_2 @ (np.eye(2) - inverse_2K @ a_K2) @ pair_2L
        of_observed[row, seen] = weights_2 @ inverse_2K
    # What is zero or a half comes out of the pseudo-inverse with an error of the last digit.
    return of_network.round(12), of_observed.round(12)


class Restorer(nn.Module):
    """A network that restores leads, with what is known of them put right; see the module.

    Args:
        backbone: maps records (B, L, T) and R peaks (B, P) to (B, L, T), such as a ``UNet``.
        leads: names of the L leads, in order.
        input_leads: those that are observed, in any order; others are hidden from the network.
        millivolts: whether signals are in millivolts and not z-scored.

    Raises:
        ValueError: leads that do not go together; see ``check_leads``.
    """

    observed_L: Tensor
    of_network_LL: Tensor
    of_observed_LL: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        leads: Sequence[str],
        input_leads: Sequence[str],
        *,
        millivolts: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.leads, self.input_leads = tuple(leads), tuple(input_leads)
        self.millivolts = millivolts
        # Known from the names of the leads, so no part of the weights.
        self.register_buffer("observed_L", mask_of(leads, input_leads) > 0, persistent=False)
        for name, each in zip(("of_network_LL", "of_observed_LL"),
                              lead_maps(self.leads, self.input_leads), strict=True):  # fmt: skip
            self.register_buffer(name, torch.tensor(each.tolist()), persistent=False)

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) to the same with hidden leads restored, in the unit and type of ``x``.

        What hidden leads of ``x_BLT`` hold is not used, NaN included.
        """
        observed_L1 = self.observed_L[:, None]
        seen_BLT = x_BLT.masked_fill(~observed_L1, 0.0)
        made_BLT: Tensor = self.backbone(seen_BLT, r_peaks_BP).to(x_BLT.dtype)
        if self.millivolts:
            made_BLT = self._obeying(made_BLT, seen_BLT)
        return torch.where(observed_L1, x_BLT, made_BLT)

    def _obeying(self, made_BLT: Tensor, seen_BLT: Tensor) -> Tensor:
        """The network's leads (B, L, T), hidden limb leads such that identities hold."""
        # In bf16 they would hold to a hundredth only.
        with torch.autocast("cuda" if made_BLT.is_cuda else "cpu", enabled=False):
            made_BTL = made_BLT.transpose(1, 2) @ self.of_network_LL.T
            made_BTL = made_BTL + seen_BLT.transpose(1, 2) @ self.of_observed_LL.T
        return made_BTL.transpose(1, 2)
