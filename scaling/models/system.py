"""What is deployed and measured: observed leads, the others restored or zero, then a student.

S2 (LiteHeart), Figure 1d. A student is made for all leads; a device observes some. The others
are zero, as in S2's students without restoration, or come from a ``Restorer``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from scaling.models.restorer import Restorer, mask_of


class System(nn.Module):
    """Masks, restores and predicts.

    Args:
        student: maps records (B, L, T) and R peaks (B, P) to what is wanted, logits (B, C).
        leads: names of the L leads, in order.
        input_leads: those that are observed, in any order.
        restorer: makes the other leads of them; None leaves them zero.

    Raises:
        ValueError: leads that do not go together, or that are not those of the restorer.
    """

    observed_L: Tensor

    def __init__(
        self,
        student: nn.Module,
        leads: Sequence[str],
        input_leads: Sequence[str],
        restorer: Restorer | None = None,
    ) -> None:
        super().__init__()
        self.student, self.restorer = student, restorer
        self.register_buffer("observed_L", mask_of(leads, input_leads) > 0, persistent=False)
        if restorer is None:
            return
        if restorer.leads != tuple(leads):
            raise ValueError(
                f"the restorer has leads {', '.join(restorer.leads)}, not {', '.join(leads)}"
            )
        if set(restorer.input_leads) != set(input_leads):
            raise ValueError(
                f"the restorer observes {', '.join(restorer.input_leads)}, "
                f"not {', '.join(input_leads)}"
            )

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T), R peaks (B, P) to the student's outputs; hidden leads are not used."""
        if self.restorer is None:
            x_BLT = x_BLT.masked_fill(~self.observed_L[:, None], 0.0)
        else:
            x_BLT = self.restorer(x_BLT, r_peaks_BP)
        outputs: Tensor = self.student(x_BLT, r_peaks_BP)
        return outputs
