"""Restoration: all leads from some of them, by mean squared error (S2, section 4.2).

The loss of a record is the mean squared difference from its recorded leads, over all leads and
samples, in mV^2 (of z-scored signals without a unit). Leads that the net is given pass through and
add nothing.

S2's signals are z-scored, so that each lead of each record counts alike. In millivolts those of
large voltage would count for nearly all: with ``error: relative`` squares are divided by the
variance of the lead in its record, and the loss is S2's without giving up the unit.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Split, evaluated
from scaling.models.restorer import Restorer
from scaling.models.unet import UNet
from scaling.objectives.base import Context, Objective
from scaling.objectives.fir import fit_fir, relative_to, restoration_rows
from scaling.records.names import SPLITS
from scaling.records.patients import Row


def squared_errors(restored_BLT: Tensor, true_BLT: Tensor, *, relative: bool = False) -> Tensor:
    """Mean squared error of each record over its leads and samples, (B,) in float32.

    In the square of the signal's unit, or without one where each lead's is ``relative`` to its
    variance in the record.
    """
    errors_BL = (restored_BLT.float() - true_BLT).square().mean(dim=2)
    return (errors_BL / relative_to(true_BLT) if relative else errors_BL).mean(dim=1)


class Restoration(Objective):
    """Mean squared error of restored leads."""

    hides_leads = True

    def build(self, context: Context) -> nn.Module:
        """The net, with the leads that it is given and the identities that hold in millivolts.

        Raises:
            ValueError: no lead is hidden, so that there is nothing to restore.
        """
        training = context.training
        if not training.hidden_leads:
            raise ValueError("all leads are given: name those that the net is given as input_leads")
        net = UNet(training.size, len(training.leads))
        millivolts = context.units == "mV"
        return Restorer(net, training.leads, training.input_leads, millivolts=millivolts)

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Restored leads (B, L, T); no random choice."""
        restored_BLT: Tensor = model(batch.all_leads_BLT, batch.r_peaks_BP)
        return restored_BLT

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over records, leads and samples, in mV^2 or relative."""
        return self._errors(outputs, batch).mean()

    def _errors(self, restored_BLT: Tensor, batch: Batch) -> Tensor:
        relative = self.settings["error"] == "relative"
        return squared_errors(restored_BLT, batch.all_leads_BLT, relative=relative)

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record, (n,) in mV^2 or relative."""

        def losses(batch: Batch) -> Tensor:
            restored_BLT = model(batch.x_BLT, batch.r_peaks_BP)
            return self._errors(restored_BLT, batch).cpu()

        return evaluated(model, losses, split)

    def quality(self, model: nn.Module, splits: Mapping[str, Split]) -> list[Row]:
        """How well each hidden lead of the test records is restored, beside the best FIR filter.

        See ``scaling.objectives.fir``; ``model`` is in evaluation mode.
        """
        assert isinstance(model, Restorer)
        train, validation, test = (splits[name] for name in SPLITS)
        fir = fit_fir(train, validation, model.leads, model.input_leads)
        return restoration_rows("test", test, model, fir)
