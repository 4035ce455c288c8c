"""A backbone with a linear head: what supervised training trains."""

from __future__ import annotations

from torch import Tensor, nn

from scaling.models.families import build


class Classifier(nn.Module):
    """Backbone and head, named so that parameters can be counted by group.

    Args:
        family: architecture.
        size: point on its ladder.
        leads: input leads.
        num_labels: outputs, one logit per label.
        dropout: rate inside the backbone.
    """

    def __init__(
        self, family: str, size: str, leads: int, num_labels: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone = build(family, size, leads, dropout)
        features = self.backbone.features
        assert isinstance(features, int)
        self.head = nn.Linear(features, num_labels)

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) in millivolts and their R peaks to logits (B, num_labels)."""
        logits: Tensor = self.head(self.backbone(x_BLT, r_peaks_BP))
        return logits
