"""What "How Do Electrocardiogram Models Scale?" (S1) prints, where its digits can still be read."""

from __future__ import annotations

# Table S.7: mean transfer exponent over the eleven tasks (Eq. 4).
KAPPA = {
    ("transformer", "sl"): 0.128,
    ("resnet", "sl"): 0.133,
    ("transformer", "ssl"): 0.466,
    ("resnet", "ssl"): 0.270,
}
# Section 5: share of marginal compute that goes to data, alpha / (alpha + beta), on one task.
DATA_SHARE = {("transformer", "sl"): 0.90, ("resnet", "sl"): 0.79, ("transformer", "ssl"): 0.27}
